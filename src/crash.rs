//! What a debug build lets its tests break on purpose: the instant at which it dies, and how much it
//! trusts the disk. In a release build there is nothing here, and nothing reads the environment.
//!
//! `FILMGATE_CRASH_AT=after_hold:3` ends the process when it comes to the point `after_hold` for the
//! third time, without unwinding and without running one destructor: as a crash would.

/// A place at which a test may have the process die. Does nothing unless this is a debug build that was
/// told so.
#[inline]
pub fn point(_name: &str) {
    #[cfg(debug_assertions)]
    told::pass(_name);
}

/// How SQLite shall wait for the disk: `FULL`, but for the test that shows what anything less would lose.
pub fn synchronous() -> &'static str {
    #[cfg(debug_assertions)]
    if told::environment("FILMGATE_SQLITE_SYNCHRONOUS").is_some_and(|word| word == "normal") {
        return "NORMAL";
    }
    "FULL"
}

/// What the environment told this process, read once.
#[cfg(debug_assertions)]
mod told {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// Where to die, and after how many passes.
    static AT: LazyLock<Option<(String, AtomicU32)>> = LazyLock::new(|| {
        let told = environment("FILMGATE_CRASH_AT")?;
        let (point, passes) = told.split_once(':').unwrap_or((&told, "1"));
        Some((point.to_owned(), AtomicU32::new(passes.parse().unwrap_or(1))))
    });

    pub fn pass(name: &str) {
        if let Some((point, left)) = &*AT
            && point == name
            && left.fetch_sub(1, Ordering::SeqCst) == 1
        {
            std::process::abort();
        }
    }

    #[expect(clippy::disallowed_methods, reason = "a test's own word to the process that it breaks, not a setting")]
    pub fn environment(name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}
