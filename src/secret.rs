//! Secrets: values that do not appear in anything we print.

use std::fmt;

/// A credential, a signing key, anything that must not be shown.
///
/// `Debug` prints stars and there is no `Display`; whoever needs the value says so with
/// [`Secret::reveal`], which makes the places that do easy to find.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    /// Takes the value in.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself: for a request header or a signature, never for a message or a log.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", Some(Secret::new("sk-1"))), "Some(***)");
    }
}
