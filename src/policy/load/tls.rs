//! The files of a certificate and its key: read here, judged by [`certificate`].

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::SECRET_BYTES_MAX;
use crate::certificate::{self, Half, Unfit};
use crate::policy::fault::Gathering;
use crate::policy::{Server, Tls};

/// The largest file with a chain of certificates, bytes.
const CHAIN_BYTES_MAX: u64 = 1 << 20;

/// What is in the files of a certificate and its key. Not for showing.
pub struct TlsFiles {
    /// The chain.
    pub cert: Vec<u8>,
    /// Its key.
    pub key: Vec<u8>,
}

/// Tells of files that cannot be shown, unless they are the ones that are `in_force`.
pub(super) fn look(server: &Server, in_force: Option<&Server>, faults: &mut Gathering<'_>) {
    let (new, old) = (server, in_force);
    for (key, new, old) in
        [("server.tls", &new.tls, old.map(|old| &old.tls)), ("server.admin_tls", &new.admin_tls, old.map(|old| &old.admin_tls))]
    {
        let Some(new) = new else { continue };
        if old.and_then(Option::as_ref).is_some_and(|old| (&old.cert, &old.key) == (&new.cert, &new.key)) {
            continue;
        }
        if let Err(unfit) = tls_files(new).and_then(|files| certificate::read(&files.cert, &files.key)) {
            let (half, at) = if unfit.half == Half::Certificate { ("cert", &new.at.0) } else { ("key", &new.at.1) };
            faults.add(at, format_args!("{key}.{half}"), unfit.message, unfit.remedy);
        }
    }
}

/// Reads the files of a certificate and its key.
pub fn tls_files(tls: &Tls) -> Result<TlsFiles, Unfit> {
    let read = |path: &Path, half: Half, bytes_max: u64| {
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(bytes_max + 1).read_to_end(&mut bytes));
        let unfit = |why: String| {
            let remedy =
                "write the file's path (a relative one starts at the folder of the policy file), and let the gateway's user read it";
            Unfit { half, message: format!("cannot read {}: {why}", path.display()), remedy }
        };
        read.map_err(|why| unfit(why.to_string()))?;
        let fits = bytes.len() as u64 <= bytes_max;
        if fits { Ok(bytes) } else { Err(unfit("it is too large".to_owned())) }
    };
    Ok(TlsFiles { cert: read(&tls.cert, Half::Certificate, CHAIN_BYTES_MAX)?, key: read(&tls.key, Half::Key, SECRET_BYTES_MAX)? })
}
