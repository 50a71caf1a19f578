use proptest::prelude::{any, prop_assert_eq, proptest};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::{Half, Validity, read};
use crate::clock::Timestamp;

/// A certificate from one day to another, and its key.
fn pair(from: (i32, u8, u8), until: (i32, u8, u8)) -> (String, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["gateway.example".to_owned()]).unwrap();
    params.not_before = date_time_ymd(from.0, from.1, from.2);
    params.not_after = date_time_ymd(until.0, until.1, until.2);
    (params.self_signed(&key).unwrap().pem(), key)
}

#[test]
fn a_certificate_with_its_key_is_read_with_its_dates() {
    let (chain, key) = pair((2026, 11, 30), (2051, 2, 28));
    let read = read(chain.as_bytes(), key.serialize_pem().as_bytes()).unwrap();
    assert_eq!(read.validity, Validity { from: Timestamp::from_secs(1_795_996_800), until: Timestamp::from_secs(2_561_155_200) });
    assert_eq!(read.shown.cert.len(), 1);
}

#[test]
fn two_files_that_are_not_one_identity_are_told_apart_by_what_is_wrong() {
    let (chain, key) = pair((2026, 1, 1), (2027, 1, 1));
    let key = key.serialize_pem();
    let other = KeyPair::generate().unwrap().serialize_pem();
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    for (chain, key, half, message) in [
        ("", key.as_str(), Half::Certificate, "there is no certificate"),
        (&chain[..chain.len() / 2], &key, Half::Certificate, "not PEM to its end"),
        (garbage, &key, Half::Certificate, "cannot be read"),
        (&key, &key, Half::Certificate, "there is no certificate"),
        (&chain, "", Half::Key, "there is no private key"),
        (&chain, &key[..key.len() / 2], Half::Key, "there is no private key"),
        (&chain, no_key, Half::Key, "of no kind"),
        (&chain, &chain, Half::Key, "there is no private key"),
        (&chain, &other, Half::Key, "not this certificate's"),
    ] {
        let unfit = read(chain.as_bytes(), key.as_bytes()).unwrap_err();
        assert_eq!(unfit.half, half, "{unfit}");
        assert!(unfit.message.contains(message), "{unfit}");
    }
}

#[test]
fn a_certificate_of_the_first_version_is_called_that_and_not_unreadable() {
    // Made by `openssl x509 -req` without extensions; there is no key, as it is not got to.
    let old = "\
    -----BEGIN CERTIFICATE-----\n\
    MIIBFTCBuwIUfrow75vtuS+p61DnVXw+DgIo9V0wCgYIKoZIzj0EAwIwDDEKMAgG\n\
    A1UEAwwBYTAgFw0yNjEyMDEwMDE1MTBaGA8yMTI2MTEwNzAwMTUxMFowDDEKMAgG\n\
    A1UEAwwBYTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABCDBIpeNYsLPSMAmXZYS\n\
    sIQcBMPAhioHuhYkyahqIJEbwFr7NS8Zq6kwO+9MDYck7m2WLoJ1G/VrwE44zTt1\n\
    4cYwCgYIKoZIzj0EAwIDSQAwRgIhAKJohQM76RR/GqTr9t05nYaTZn11ug9EtYVJ\n\
    w95rtZcUAiEAu6sTBb4JNxXgaR6igUO2qAA7ukpM+Pdd0lEPRlk5+Ug=\n\
    -----END CERTIFICATE-----\n\
    ";
    let unfit = read(old.as_bytes(), b"").unwrap_err();
    assert_eq!(unfit.half, Half::Certificate);
    assert!(unfit.message.contains("X.509 version 1") && unfit.remedy.contains("version 3"), "{unfit}");
}

#[test]
fn its_end_is_warned_of_in_time_and_not_always() {
    let secs = |days: i64| Timestamp::from_secs(days * 86_400 + 60);
    let year = Validity { from: secs(0), until: secs(365) };
    let week = Validity { from: secs(0), until: secs(7) };
    let said = |validity: Validity, day: i64| validity.warning(secs(day)).unwrap_or_default();
    assert_eq!(said(year, 350), "");
    assert_eq!(said(year, 352), "expires in 13 days");
    assert_eq!(said(year, 367), "expired 2 days ago: clients refuse it");
    assert!(said(year, -1).contains("not valid yet"));
    assert_eq!(said(week, 5), "", "a short one is renewed late");
    assert_eq!(said(week, 6), "expires in 1 days");
    assert_eq!(week.warning(Timestamp::from_secs(7 * 86_400 - 7_200)).unwrap(), "expires in 2 hours");
    assert!(week.holds_at(secs(0)) && !week.holds_at(secs(7)) && !week.holds_at(secs(-1)));
}

proptest! {
    #[test]
    fn whatever_the_files_hold_they_are_read_or_refused(chain in any::<Vec<u8>>(), key in any::<Vec<u8>>()) {
        prop_assert_eq!(read(&chain, &key).is_ok(), false);
    }

    #[test]
    fn no_spoilt_certificate_is_a_panic(at in 0_usize..300, byte in any::<u8>()) {
        let (chain, key) = pair((2026, 1, 1), (2027, 1, 1));
        let shown = read(chain.as_bytes(), key.serialize_pem().as_bytes()).unwrap().shown;
        let mut der = shown.cert[0].to_vec();
        der[at] = byte;
        let _ = Validity::of(&der);
        let _ = Validity::of(&der[..at]);
    }
}
