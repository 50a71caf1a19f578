use std::fs;
use std::path::{Path, PathBuf};

use super::{FILE_BYTES_MAX, LoadError, Reading, load_to_serve};
use crate::policy::Policy;
use crate::provider::Credential;
use crate::secret::Secret;

fn load(path: &Path) -> Result<Policy, LoadError> {
    super::load(path, Reading::All)
}

/// A folder that is gone when the test is.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("filmgate-load-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>, mode: u32) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;

        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn route(api_key: &str) -> String {
    format!("[routes.r]\nprovider = \"openai\"\napi_key = \"{api_key}\"\n[routes.r.models.sora-2]\nseconds = [4]\nprice = \"0.10\"\n")
}

#[test]
fn a_secret_file_is_found_beside_the_policy_and_trimmed() {
    let folder = Folder::new();
    folder.write("key.txt", "sk-1\n", 0o600);
    let policy = load(&folder.write("gateway.toml", route("file:key.txt"), 0o644)).unwrap();
    assert_eq!(policy.routes["r"].endpoint.credential, Credential::Key(Secret::new("sk-1")));
    assert!(!policy.warnings.iter().any(|w| w.contains("others may read it")));
}

#[test]
fn secrets_that_others_may_read_are_warned_of() {
    let folder = Folder::new();
    folder.write("key.txt", "sk-1", 0o640);
    let policy = load(&folder.write("gateway.toml", route("file:key.txt"), 0o600)).unwrap();
    assert!(policy.warnings.iter().any(|w| w.contains("key.txt is a secret and others may read it (mode 0640)")), "{:?}", policy.warnings);
    let policy = load(&folder.write("gateway.toml", route("literal"), 0o644)).unwrap();
    assert!(
        policy.warnings.iter().any(|w| w.contains("gateway.toml holds secrets and others may read it (mode 0644)")),
        "{:?}",
        policy.warnings
    );
    let policy = load(&folder.write("gateway.toml", route("literal"), 0o600)).unwrap();
    assert!(!policy.warnings.iter().any(|w| w.contains("others may read it")));
}

#[test]
fn a_secret_that_cannot_be_had_is_a_fault_with_the_files_own_name() {
    let folder = Folder::new();
    folder.write("empty.txt", "\n", 0o600);
    for (source, said) in [
        ("env:FILMGATE_TEST_NEVER_SET", "the environment variable FILMGATE_TEST_NEVER_SET is not set"),
        ("file:empty.txt", "empty.txt is empty"),
        ("file:nowhere.txt", "cannot read the secret in"),
    ] {
        let path = folder.write("gateway.toml", route(source), 0o600);
        let rendered = load(&path).unwrap_err().render(false);
        assert!(rendered.contains(said) && rendered.contains(&format!("{}:3:11", path.display())), "{rendered}");
    }
}

#[test]
fn the_environment_is_read() {
    let folder = Folder::new();
    let policy = load(&folder.write("gateway.toml", route("env:PATH"), 0o600)).unwrap();
    assert!(matches!(&policy.routes["r"].endpoint.credential, Credential::Key(secret) if !secret.reveal().is_empty()));
}

#[test]
fn what_is_not_a_policy_at_all_is_told_apart() {
    let folder = Folder::new();
    assert!(matches!(load(Path::new("/nowhere/gateway.toml")), Err(LoadError::Unreadable { .. })));
    assert!(matches!(load(&folder.0), Err(LoadError::Unreadable { .. })));
    assert!(matches!(load(&folder.write("latin.toml", b"# ok\n# caf\xe9\n", 0o600)), Err(LoadError::NotText { line: 2, .. })));
    let huge = folder.write("huge.toml", "", 0o600);
    fs::File::options().write(true).open(&huge).unwrap().set_len(FILE_BYTES_MAX + 1).unwrap();
    assert!(matches!(load(&huge), Err(LoadError::TooLarge { .. })));
}

#[test]
fn a_certificate_that_cannot_be_shown_is_a_fault_unless_it_was_named_before() {
    let folder = Folder::new();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["a".to_owned()]).unwrap().self_signed(&key).unwrap();
    let text = format!("[server]\ntls = {{ cert = \"tls.crt\", key = \"tls.key\" }}\n{}", route("sk-1"));
    let path = folder.write("gateway.toml", &text, 0o600);
    let told = |in_force| match load_to_serve(&path, &text, in_force) {
        Err(LoadError::Faults(faults)) => {
            format!("{}:{} {}: {}", faults.faults[0].line, faults.faults[0].column, faults.faults[0].path, faults.faults[0].message)
        }
        other => panic!("{other:?}"),
    };
    assert!(told(None).starts_with("2:16 server.tls.cert: cannot read"), "{}", told(None));
    folder.write("tls.crt", certificate.pem(), 0o644);
    assert!(told(None).starts_with("2:33 server.tls.key: cannot read"), "{}", told(None));
    folder.write("tls.key", rcgen::KeyPair::generate().unwrap().serialize_pem(), 0o600);
    assert_eq!(told(None), "2:33 server.tls.key: the key is not this certificate's");

    let in_force = load(&path).unwrap().server;
    let policy = load_to_serve(&path, &text, Some(&in_force)).unwrap();
    assert_eq!(policy.server.tls.map(|tls| tls.cert), Some(folder.0.join("tls.crt")));
    folder.write("tls.key", key.serialize_pem(), 0o640);
    let warned = load_to_serve(&path, &text, None).unwrap().warnings;
    assert!(warned.iter().any(|w| w.contains("tls.key is a private key and others may read it")), "{warned:?}");
}
