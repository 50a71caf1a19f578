use crate::provider::{
    Credential, Download, Endpoint, Handle, PROVIDERS, Proof, Provider as _, Unsupported, Variant, azure, cometapi, openai,
    openai_compatible,
};
use crate::secret::Secret;

fn download(base_url: &str, url: &str) -> Result<Download, Unsupported> {
    let endpoint = Endpoint { base_url: base_url.to_owned(), credential: Credential::None };
    let job = Handle { upstream_id: "task_1", result_url: Some(url) };
    openai_compatible::PROFILE.content(&endpoint, &Proof::Key(&Secret::new("k")), job, Variant::Video, None)
}

fn shows_key(download: &Download) -> bool {
    download.request.headers().contains_key("authorization")
}

#[test]
fn a_strangers_address_is_foreign_and_sees_no_key() {
    for url in [
        "https://cdn.example/a.mp4?sig=1&exp=2",
        "http://up.example/v1/videos/a/content",
        "https://up.example:8443/v1/videos/a/content",
        "https://up.example.evil.example/v1/a",
        "http://169.254.169.254/latest",
    ] {
        let download = download("https://up.example/v1", url).unwrap();
        assert!(download.foreign && !shows_key(&download), "{url}");
        assert_eq!(download.request.uri().to_string(), url);
    }
}

#[test]
fn the_routes_own_host_is_not_foreign_and_sees_the_key_below_its_own_path_only() {
    for (url, is_below) in [
        ("https://up.example/v1/videos/a/content", true),
        ("https://UP.example:443/v1/videos/a/content", true),
        ("https://up.example/files/a.mp4", false),
        ("https://up.example/v10/a.mp4", false),
        ("https://up.example/v1", false),
        ("https://up.example/v1/../admin", false),
        ("https://up.example/v1/%2e%2e/admin", false),
        ("https://up.example/v1/..%2Fadmin", false),
    ] {
        let download = download("https://up.example/v1", url).unwrap();
        assert!(!download.foreign, "{url}");
        assert_eq!(shows_key(&download), is_below, "{url}");
    }
}

#[test]
fn an_address_that_is_none_is_not_followed() {
    for url in [
        "",
        "/v1/a",
        "a.mp4",
        "ftp://up.example/a",
        "file:///etc/passwd",
        "https://",
        "https://u:p@up.example/a",
        "https://up.example/a b",
        "gs://b/a",
        "https://[::1",
    ] {
        assert!(download("https://up.example/v1", url).is_err(), "{url}");
    }
}

#[test]
fn without_an_address_the_bytes_are_on_the_endpoints_own_content_path() {
    let endpoint = Endpoint { base_url: "https://up.example/v1".to_owned(), credential: Credential::None };
    let (key, job) = (Secret::new("k"), Handle { upstream_id: "a/b", result_url: None });
    for provider in PROVIDERS {
        let download = provider.content(&endpoint, &Proof::Bearer(&key), job, Variant::Video, Some("bytes=5-")).unwrap();
        assert!(!download.foreign && shows_key(&download), "{}", provider.name());
        assert_eq!(download.request.uri().path(), "/v1/videos/a%2Fb/content", "{}", provider.name());
        assert_eq!(download.request.headers()["range"], "bytes=5-");
    }
}

#[test]
fn stills_come_from_those_who_make_them_even_if_the_clip_is_elsewhere() {
    let endpoint = Endpoint { base_url: "https://up.example/v1".to_owned(), credential: Credential::None };
    let job = Handle { upstream_id: "a", result_url: Some("https://cdn.example/a.mp4") };
    for variant in [Variant::Thumbnail, Variant::Spritesheet] {
        for profile in [openai::PROFILE, azure::PROFILE, cometapi::PROFILE] {
            let download = profile.content(&endpoint, &Proof::None, job, variant, None).unwrap();
            assert_eq!(download.request.uri().query(), Some(format!("variant={}", variant.as_str()).as_str()));
        }
        assert!(openai_compatible::PROFILE.content(&endpoint, &Proof::None, job, variant, None).is_err());
    }
}
