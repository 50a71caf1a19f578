//! Files that went wrong in every way we can think of: none makes the reload panic, none is in force by half,
//! and whatever is refused is refused with its place.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use super::{Looked, Reloader};
use crate::clock::Timestamp;
use crate::id::TenantName;
use crate::policy::{Current, Policy};

const SHIPPED: &str = include_str!("../../gateway.toml");
const NOW: Timestamp = Timestamp::from_ms(1_790_000_000_000);
/// Mutants when nobody says how many; else a hundred for each cycle of the campaigns.
const TASTE: u64 = 1_000;

/// How every secret in [`everything`] begins.
const SECRET: &str = "literal-";

/// What values are replaced by.
const VALUES: [&str; 24] = [
    "-1",
    "0",
    "1e999",
    "nan",
    "0x7fffffffffffffff",
    "9223372036854775808",
    "\"\"",
    "[]",
    "{}",
    "true",
    "2026-02-30",
    "\"unlimited\"",
    "\"0.0000001\"",
    "\"99999999999999999999\"",
    "[[[[[[[[[[]]]]]]]]]]",
    "{ a = { b = { c = 1 } } }",
    "'''\n'''",
    "\"\\u0000\"",
    "\"é\"",
    "\"0s\"",
    "\"9999999999999999d\"",
    "\"1x1\"",
    "\"env:\"",
    "\"(?i)(a{1000}){1000}\"",
];

/// Dice that fall the same again for the same number.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.roll() % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }
}

/// The shipped file with everything in it in use, and no secret elsewhere.
fn everything() -> String {
    let in_use = |line: &'static str| line.strip_prefix('#').filter(|rest| rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()));
    let lines = SHIPPED.lines().map(|line| in_use(line).unwrap_or(line)).filter(|line| !line.contains("tls = {"));
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    text.replace("\"env:", &format!("\"{SECRET}")).replace("\"file:clips\"", "\"off\"").replace("\"s3:", "\"off:")
}

/// A file of many tenants.
fn crowded() -> String {
    let mut text = "[routes.sim]\nprovider = \"simulator\"\n".to_owned();
    for n in 0..300 {
        writeln!(
            text,
            "[tenants.t{n}]\nkeys = [\"sha256:{n:064x}\"]\nbudget = {{ cap = \"{n}.50\", per = \"day\" }}\nlimits = {{ rpm = 60 }}"
        )
        .unwrap();
    }
    text
}

fn mutated(text: &str, dice: &mut Dice) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=dice.below(3) {
        bytes = if dice.below(2) == 0 { bytes_mutated(bytes, dice) } else { lines_mutated(&bytes, dice) };
    }
    bytes
}

fn bytes_mutated(mut bytes: Vec<u8>, dice: &mut Dice) -> Vec<u8> {
    if bytes.is_empty() {
        return bytes;
    }
    let (at, len) = (dice.below(bytes.len()), 1 + dice.below(40));
    let end = (at + len).min(bytes.len());
    match dice.below(6) {
        0 => bytes[at] ^= 1 << dice.below(8),
        1 => bytes.insert(at, u8::try_from(dice.below(256)).unwrap()),
        2 => drop(bytes.drain(at..end)),
        3 => bytes.truncate(at),
        4 => {
            let piece = bytes[at..end].to_vec();
            let to = dice.below(bytes.len());
            bytes.splice(to..to, piece);
        }
        _ => bytes[at..end].reverse(),
    }
    bytes
}

fn lines_mutated(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let (one, other) = (dice.below(lines.len()), dice.below(lines.len()));
    let Some(line) = lines.get(one).cloned() else { return Vec::new() };
    match dice.below(6) {
        0 => drop(lines.remove(one)),
        1 => lines.insert(other, line),
        2 => lines.swap(one, other),
        3 => {
            if let Some((key, _)) = line.split_once('=') {
                lines[one] = format!("{key}= {}", VALUES[dice.below(VALUES.len())]);
            }
        }
        4 => lines[one] = line.replacen(|c: char| c.is_ascii_lowercase(), "z", 1),
        _ => lines[one] = format!("{line}{}", ["]", "\"", " = 1", "}", ".a", "\u{feff}"][dice.below(6)]),
    }
    lines.join("\n").into_bytes()
}

/// Whether some piece of a secret stands where the file that was mutated has none: nobody can know there that it is one.
fn has_secret_elsewhere(base: &str, mutant: &[u8]) -> bool {
    let mutant = String::from_utf8_lossy(mutant);
    let before = |at: usize| mutant[..at].chars().rev().take(8).collect::<Vec<_>>().into_iter().rev().collect::<String>();
    mutant.match_indices(SECRET).any(|(at, _)| !base.contains(&format!("{}{SECRET}", before(at))))
}

/// Puts so many mutants of a file in front of a reloader; how many it took and how many it refused.
fn run(base: &str, folder: &Path, mut dice: Dice, mutants: u64) -> (u64, u64) {
    std::fs::create_dir_all(folder).unwrap();
    let file = folder.join("gateway.toml");
    std::fs::write(&file, base).unwrap();
    let (reloader, policy) = Reloader::start(&file, NOW).unwrap_or_else(|why| panic!("{}", why.render(false)));
    let current = Current::new(policy);
    let (mut taken, mut refused, mut strayed) = (0, 0, false);
    for _ in 0..mutants {
        let mutant = mutated(base, &mut dice);
        std::fs::write(&file, &mutant).unwrap();
        let before = current.snapshot();
        match reloader.look(&current, NOW, true, |_| {}) {
            Looked::Same => panic!("a look that was asked for found nothing"),
            Looked::Swapped(changes) => {
                assert_eq!(current.snapshot().revision, format!("{}", Hex(&crate::auth::hash(&mutant))), "the file as a whole");
                assert!(changes.iter().all(|line| !line.contains('\n')), "{changes:?}");
                let tells_secret = changes.iter().any(|line| line.contains(SECRET));
                let strays = has_secret_elsewhere(base, &mutant);
                assert!(!tells_secret || strays || strayed, "{changes:?}");
                strayed = strays;
                taken += 1;
            }
            Looked::Refused(why) => {
                assert!(Arc::ptr_eq(&before, &current.snapshot()), "a file that is refused changes nothing");
                assert_told_with_places(&why, &file, &mutant);
                refused += 1;
            }
        }
    }
    let state = reloader.state();
    assert_eq!((state.loaded, state.refusals), (taken + 1, refused));
    std::fs::remove_dir_all(folder).unwrap();
    (taken, refused)
}

/// Each fault says in which line and column of the file it is, and what to do about it.
fn assert_told_with_places(why: &str, file: &Path, mutant: &[u8]) {
    let lines = mutant.iter().filter(|byte| **byte == b'\n').count() + 1;
    let shown = file.display().to_string();
    let places: Vec<&str> = why.lines().filter_map(|line| line.trim_start().strip_prefix("--> ")).collect();
    let faults = why.lines().filter(|line| line.starts_with("error: ")).count();
    if std::str::from_utf8(mutant).is_err() {
        assert!(why.contains("is not UTF-8"), "{why}");
        return;
    }
    assert!(faults > 0 && faults == places.len() && why.matches("= help: ").count() == faults, "{why}");
    for place in places {
        let numbers = place.strip_prefix(&format!("{shown}:")).unwrap_or_else(|| panic!("{place}"));
        let line = numbers.split(':').next().and_then(|line| line.parse::<usize>().ok());
        assert!(line.is_some_and(|line| (1..=lines).contains(&line)), "{place} of {lines} lines");
    }
}

/// Bytes as hexadecimal digits.
struct Hex<'b>(&'b [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[test]
fn a_policy_is_gone_once_another_is_in_force_and_nobody_goes_by_it() {
    let folder = std::env::temp_dir().join(format!("outgoing-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("gateway.toml");
    std::fs::write(&file, crowded()).unwrap();
    let (reloader, policy) = Reloader::start(&file, NOW).unwrap();
    let current = Current::new(policy);
    let tenant = |name: &str| current.snapshot().tenants[&TenantName::new(name)].clone();
    let (changed, same) = (tenant("t7"), tenant("t8"));

    let mut earlier: Vec<Weak<Policy>> = Vec::new();
    let request = current.snapshot();
    for round in 0..10 {
        earlier.push(Arc::downgrade(&current.snapshot()));
        std::fs::write(&file, crowded().replace("cap = \"7.50\"", &format!("cap = \"7.6{round}\""))).unwrap();
        assert!(matches!(reloader.look(&current, NOW, true, |_| {}), Looked::Swapped(changes) if changes.len() == 1));
    }
    let living = || earlier.iter().filter(|policy| policy.upgrade().is_some()).count();
    current.let_go();
    assert_eq!((living(), current.outgoing()), (1, 1), "only the one that a request under way goes by");
    drop(request);
    current.let_go();
    assert_eq!((living(), current.outgoing()), (0, 0));

    assert!(Arc::ptr_eq(&same, &tenant("t8")), "who did not change is not there twice");
    assert!(!Arc::ptr_eq(&changed, &tenant("t7")));
    let of_key = |tenant: &crate::policy::Tenant| current.snapshot().keys[&tenant.keys[0].hash].clone();
    assert!(Arc::ptr_eq(&of_key(&same), &same) && Arc::ptr_eq(&of_key(&changed), &tenant("t7")));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_is_put_in_force_is_what_stood_still() {
    let folder = std::env::temp_dir().join(format!("still-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("gateway.toml");
    let write = |cap: &str| std::fs::write(&file, crowded().replace("cap = \"7.50\"", &format!("cap = \"{cap}\""))).unwrap();
    write("7.50");
    let (reloader, policy) = Reloader::start(&file, NOW).unwrap();
    let current = Current::new(policy);
    let cap = || current.snapshot().tenants[&TenantName::new("t7")].budget.cap;
    let look = || {
        let mut followed = 0;
        let looked = reloader.look(&current, NOW, false, |_| followed += 1);
        (matches!(looked, Looked::Swapped(_)), followed)
    };
    let first = cap();
    assert_eq!([look(), look()], [(false, 0), (false, 0)]);

    // Whole from the first look on.
    write("8");
    assert_eq!((look(), cap()), ((false, 0), first), "it may still be being written");
    assert_eq!(look(), (true, 1));
    let eight = cap();
    assert_ne!(eight, first);

    // Written to between two looks: what the first made of it is not put in force, by the second or later.
    write("9");
    assert!(!look().0);
    write("10");
    assert_eq!([look().0, cap() == eight], [false, true]);
    assert!(look().0 && cap() != eight);
    let ten = cap();
    write("9");
    assert!(!look().0);
    write("10");
    assert_eq!([look().0, look().0, cap() == ten], [false, false, true], "it is again what is in force");

    // Away at the first look, and back.
    std::fs::remove_file(&file).unwrap();
    assert!(!look().0);
    write("11");
    assert!(!look().0);
    assert!(look().0 && cap() != ten && reloader.state().refused.is_none());
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how long a campaign is comes from the environment")]
fn no_mutant_of_a_file_is_in_force_by_half() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (mutants, seed) = (number("CAMPAIGN_CYCLES").map_or(TASTE, |cycles| cycles * 10), number("CAMPAIGN_SEED").unwrap_or(4));
    let began = std::time::Instant::now();
    let threads = std::thread::available_parallelism().map_or(4, |n| u64::try_from(n.get()).unwrap_or(4)).min(16);
    let (everything, crowded) = (everything(), crowded());
    let outcomes: Vec<(u64, u64)> = std::thread::scope(|scope| {
        let workers = (0..threads).map(|n| {
            let base = if n % 4 == 3 { &crowded } else { &everything };
            let folder: PathBuf = std::env::temp_dir().join(format!("mutants-{}-{n}", std::process::id()));
            let dice = Dice((seed + n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            scope.spawn(move || run(base, &folder, dice, mutants.div_ceil(threads)))
        });
        let workers: Vec<_> = workers.collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| panic!("CAMPAIGN_SEED={seed}"))).collect()
    });
    let (taken, refused) = outcomes.into_iter().fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
    assert!(taken > 0 && refused > taken, "{taken} taken, {refused} refused");
    println!("FIGURE mutants: {taken} files taken and {refused} refused, 0 panics, 0 by half, {} s", began.elapsed().as_secs());
}
