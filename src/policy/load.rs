//! Loading: the one place where the policy meets the disk and the environment.
//!
//! Reads the file and its secrets, and hands both to [`compile`]. Decides nothing about what the
//! file says; adds warnings about who else can read it, and what is wrong with files that it names.

mod tls;

use std::cell::RefCell;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::compile::{SecretSource, compile};
use super::fault::{Faults, Gathering};
use super::{Policy, Server};
use crate::secret::Secret;

pub use tls::{TlsFiles, tls_files};

/// The largest policy file, bytes: the most tenants, with room to spare.
pub const FILE_BYTES_MAX: u64 = 64 << 20;

/// The largest secret in a file of its own, bytes.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// Why there is no policy to run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read at all.
    #[error("cannot read {}: {why}; name the policy file, and let the gateway's user read it", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        why: io::Error,
    },
    /// Something is there that is far too large for a policy.
    #[error("{} is larger than {FILE_BYTES_MAX} bytes: this is not a policy file", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
    },
    /// The file is not text.
    #[error("{}:{line}: this is not UTF-8 text: save the file as UTF-8", path.display())]
    NotText {
        /// Which file.
        path: PathBuf,
        /// The line of the first byte that is not text.
        line: usize,
    },
    /// The file says something that cannot be run.
    #[error(transparent)]
    Faults(#[from] Faults),
}

impl LoadError {
    /// The error as a person reads it, faults with their lines.
    pub fn render(&self, color: bool) -> String {
        match self {
            Self::Faults(faults) => faults.render(color),
            other => format!("error: {other}\n"),
        }
    }
}

/// Compiles the text of the file for a gateway that is going to serve by it, or serves by what is `in_force`: the
/// certificates that it names have to be ones that can be shown, unless they were named before.
pub fn load_to_serve(path: &Path, text: &str, in_force: Option<&Server>) -> Result<Policy, LoadError> {
    let policy = load_text(path, text, Reading::All)?;
    let mut faults = Gathering::new(text.strip_prefix('\u{feff}').unwrap_or(text));
    tls::look(&policy.server, in_force, &mut faults);
    if faults.is_empty() { Ok(policy) } else { Err(Faults { origin: path.display().to_string(), ..faults.tell() }.into()) }
}

/// Which of the secrets that a file names are read. The others need not be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// All, to serve.
    All,
    /// The store's address alone, to look into the books.
    Store,
    /// None.
    Nothing,
}

impl Reading {
    fn reads(self, key: fmt::Arguments<'_>) -> bool {
        self == Self::All || self == Self::Store && key.to_string() == "store.url"
    }
}

/// What stands for a secret that is not read. The one whose text is looked into is the address of a store, so it is one.
const UNREAD: &str = "postgres://unread/unread";

/// Reads and compiles the file, resolving those of its secrets.
pub fn load(path: &Path, reading: Reading) -> Result<Policy, LoadError> {
    read_text(path).and_then(|text| load_text(path, &text, reading))
}

/// Compiles the text of the file, resolving those of its secrets.
fn load_text(path: &Path, text: &str, reading: Reading) -> Result<Policy, LoadError> {
    let warnings = RefCell::new(Vec::new());
    let folder = path.parent().unwrap_or(Path::new(""));
    let secrets = |key: fmt::Arguments<'_>, source: &SecretSource| match source {
        SecretSource::Env(_) | SecretSource::File(_) if !reading.reads(key) => Ok(Secret::new(UNREAD)),
        SecretSource::Literal(secret) if !reading.reads(key) => Ok(secret.clone()),
        SecretSource::Env(name) => from_environment(name),
        SecretSource::File(file) => from_file(&folder.join(file), &warnings),
        SecretSource::Literal(secret) => {
            warn_if_open(path, "holds secrets", &warnings);
            Ok(secret.clone())
        }
    };
    let mut policy = compile(text, &secrets).map_err(|faults| Faults { origin: path.display().to_string(), ..faults })?;
    for tls in [&mut policy.server.tls, &mut policy.server.admin_tls].into_iter().flatten() {
        (tls.cert, tls.key) = (folder.join(&tls.cert), folder.join(&tls.key));
        if reading == Reading::All {
            warn_if_open(&tls.key, "is a private key", &warnings);
        }
    }
    let mut warnings = warnings.into_inner();
    warnings.sort();
    warnings.dedup();
    policy.warnings.append(&mut warnings);
    Ok(policy)
}

/// Reads the file.
pub fn read_text(path: &Path) -> Result<String, LoadError> {
    let unreadable = |why| LoadError::Unreadable { path: path.to_owned(), why };
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if u64::try_from(read).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
        return Err(LoadError::TooLarge { path: path.to_owned() });
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        LoadError::NotText { path: path.to_owned(), line }
    })
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
fn from_environment(name: &str) -> Result<Secret, String> {
    match std::env::var(name) {
        Ok(value) if value.trim().is_empty() => Err(format!("the environment variable {name} is empty")),
        Ok(value) => Ok(Secret::new(value.trim())),
        Err(std::env::VarError::NotPresent) => Err(format!("the environment variable {name} is not set")),
        Err(std::env::VarError::NotUnicode(_)) => Err(format!("the environment variable {name} is not UTF-8 text")),
    }
}

fn from_file(path: &Path, warnings: &RefCell<Vec<String>>) -> Result<Secret, String> {
    let shown = path.display();
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text));
    let read = read.map_err(|why| format!("cannot read the secret in {shown}: {why}"))?;
    if u64::try_from(read).unwrap_or(u64::MAX) > SECRET_BYTES_MAX {
        return Err(format!("{shown} is too large for a secret"));
    }
    if text.trim().is_empty() {
        return Err(format!("the secret file {shown} is empty"));
    }
    warn_if_open(path, "is a secret", warnings);
    Ok(Secret::new(text.trim()))
}

/// Warns if others than its owner can read a file that holds secrets.
#[cfg(unix)]
fn warn_if_open(path: &Path, what: &str, warnings: &RefCell<Vec<String>>) {
    use std::os::unix::fs::PermissionsExt as _;

    let mode = std::fs::metadata(path).map(|meta| meta.permissions().mode()).unwrap_or(0);
    if mode & 0o077 != 0 {
        let shown = path.display();
        warnings.borrow_mut().push(format!("{shown} {what} and others may read it (mode {:04o}): chmod 600 {shown}", mode & 0o7777));
    }
}

#[cfg(not(unix))]
fn warn_if_open(_: &Path, _: &str, _: &RefCell<Vec<String>>) {}

#[cfg(test)]
mod tests;
