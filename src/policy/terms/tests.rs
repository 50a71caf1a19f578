use std::time::Duration;

use super::{amount, base_url, bytes, did_you_mean, duration, host_pattern, model_name, name, show_duration};
use crate::money::MicroUsd;
use crate::policy::file::forms::Written;

#[test]
fn durations_read_back_as_they_are_shown() {
    for text in ["500ms", "30s", "90s", "15m", "24h", "30d", "0s"] {
        let read = duration(text).unwrap();
        assert_eq!(duration(&show_duration(read)).unwrap(), read, "{text}");
    }
    assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
    for text in ["", "s", "5", "5 s", "-5s", "1.5s", "5S", "1h30m", "٤s", "99999999999999999999s", "18446744073709551615d"] {
        assert!(duration(text).is_err(), "{text}");
    }
}

#[test]
fn bytes_have_binary_units() {
    let text = |t: &str| bytes(&Written::Text(t.to_owned()));
    assert_eq!((text("16MiB"), text("64 KiB"), text("512")), (Ok(16 << 20), Ok(64 << 10), Ok(512)));
    assert_eq!(bytes(&Written::Integer(1024)), Ok(1024));
    for t in ["16MB", "", "MiB", "1.5MiB", "-1", "99999999999GiB"] {
        assert!(text(t).is_err(), "{t}");
    }
    assert!(bytes(&Written::Integer(-1)).is_err() && bytes(&Written::Float(1.0)).is_err());
}

#[test]
fn a_bare_number_is_no_price_and_is_told_how_to_be_one() {
    let remedy = |written| amount("price", &written).unwrap_err().remedy;
    assert_eq!(remedy(Written::Float(0.1)), "write \"0.10\"");
    assert_eq!(remedy(Written::Float(0.125)), "write \"0.125\"");
    assert_eq!(remedy(Written::Integer(3)), "write \"3.00\"");
    assert_eq!(amount("price", &Written::Text("0.10".to_owned())), Ok(MicroUsd::new(100_000)));
    assert!(amount("price", &Written::Float(f64::NAN)).is_err());
}

#[test]
fn names_are_strict() {
    for ok in ["a", "acme", "azure-entra", "7up", "a_b"] {
        assert_eq!(name("tenant", ok), Ok(()));
    }
    for bad in ["", "-a", "_a", "Acme", "a b", "a.b", "é", &"a".repeat(65)] {
        assert!(name("tenant", bad).is_err(), "{bad}");
    }
    assert!(
        model_name("veo3.1-fast").is_ok() && model_name("google/veo:1").is_ok() && model_name("").is_err() && model_name("a b").is_err()
    );
}

#[test]
fn addresses_are_plain() {
    assert_eq!(base_url("https://api.example.com/v1/"), Ok("https://api.example.com/v1".to_owned()));
    assert_eq!(base_url("http://[::1]:8000"), Ok("http://[::1]:8000".to_owned()));
    for bad in
        ["", "api.example.com", "ftp://x/", "https://", "https:///v1", "https://u:p@x/", "https://x/?q", "https://x/#f", "https://x y/"]
    {
        assert!(base_url(bad).is_err(), "{bad}");
    }
    for ok in ["cdn.example.com", "*.example.com", "localhost"] {
        assert_eq!(host_pattern(ok), Ok(()));
    }
    for bad in ["*", "*.com", "*.*.com", "cdn.example.com:443", "https://x", "a..b", ""] {
        assert!(host_pattern(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_slip_of_the_finger_is_recognised() {
    let known = ["model", "answer_after", "routes", "rules"];
    let meant = |wrong| did_you_mean(wrong, known.iter().copied());
    assert_eq!(
        (meant("modle"), meant("route"), meant("Rules"), meant("answer-after")),
        (Some("model"), Some("routes"), Some("rules"), Some("answer_after"))
    );
    assert_eq!((meant("x"), meant("colour")), (None, None));
}
