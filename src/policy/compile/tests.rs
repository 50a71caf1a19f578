use std::fs;
use std::path::{Path, PathBuf};

use super::{SecretSource, compile};
use crate::policy::Policy;
use crate::policy::fault::Faults;
use crate::secret::Secret;

const SHIPPED: &str = include_str!("../../../gateway.toml");

/// Compiles with every secret at hand but those that are called missing.
fn compiled(text: &str) -> Result<Policy, Faults> {
    compile(text, &|source| match source {
        SecretSource::Env(name) if name.contains("MISSING") => Err(format!("the environment variable {name} is not set")),
        SecretSource::File(path) if path.ends_with("missing") => Err(format!("cannot read the secret in {}", path.display())),
        SecretSource::Env(_) | SecretSource::File(_) => Ok(Secret::new("at-hand")),
        SecretSource::Literal(secret) => Ok(secret.clone()),
    })
}

#[test]
fn scratch() {
    match compiled(SHIPPED) {
        Ok(p) => println!("{:#?}", p.warnings),
        Err(f) => println!("{}", f.render(false)),
    }
    let all: String = SHIPPED
        .lines()
        .map(|l| l.strip_prefix('#').filter(|r| !r.starts_with([' ', '#']) && !r.is_empty()).unwrap_or(l))
        .flat_map(|l| [l, "\n"])
        .collect();
    match compiled(&all) {
        Ok(p) => println!("{:#?}", p.warnings),
        Err(f) => println!("{}", f.render(false)),
    }
}
