//! `tls`: what a listener shows to who connects. Names the files; what is in them is for who reads them to judge.

use std::ops::Range;
use std::path::PathBuf;

/// A certificate and its key, as files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// PEM: the certificate and what leads from it to a known authority.
    pub cert: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
    /// Where the policy file names the one and the other, bytes: for faults that show only when the files are read.
    pub at: (Range<usize>, Range<usize>),
}
