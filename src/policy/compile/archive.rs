//! `[archive]`: where finished clips are kept.

use std::path::PathBuf;
use std::time::Duration;

use super::Pass;
use crate::policy::file::forms::Placed;
use crate::policy::terms::{self, Wrong};
use crate::policy::{Archive, ArchivePlace, Bucket, file};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);
/// When the file does not say. Stores of one's own take it too.
const REGION_DEFAULT: &str = "us-east-1";
/// The longest prefix, bytes: names in a bucket have 1,024.
const PREFIX_BYTES_MAX: usize = 512;

pub(super) fn archive(file: &file::Archive, pass: &mut Pass<'_>) -> Archive {
    Archive {
        place: file.url.as_ref().filter(|url| url.value != "off").and_then(|url| place(file, url, pass)),
        keep: pass.duration(format_args!("archive.keep"), &file.keep, 30 * DAY, 3_600 * SECOND..=3_650 * DAY),
        give_up: pass.duration(format_args!("archive.give_up"), &file.give_up, 600 * SECOND, Duration::ZERO..=DAY),
    }
}

fn place(file: &file::Archive, url: &Placed<String>, pass: &mut Pass<'_>) -> Option<ArchivePlace> {
    let (scheme, rest) = url.value.split_once(':').unwrap_or_default();
    let bucket = rest.strip_prefix("//").unwrap_or_default();
    match scheme {
        "file" if !rest.is_empty() => return Some(ArchivePlace::Folder(PathBuf::from(rest))),
        "s3" if !bucket.is_empty() => return self::bucket(file, url, bucket, pass).map(ArchivePlace::Bucket),
        "az" | "gs" if !bucket.is_empty() => pass.warn_not_in_force("archive.url"),
        _ => {
            let remedy = "write \"off\", \"file:DIR\", \"s3://bucket/prefix\", \"az://…\" or \"gs://…\"";
            pass.faults.add(&url.at, "archive.url", "this is not a place to keep clips", remedy);
        }
    }
    None
}

fn bucket(file: &file::Archive, url: &Placed<String>, text: &str, pass: &mut Pass<'_>) -> Option<Bucket> {
    let named = pass.keep(&url.at, format_args!("archive.url"), name_and_prefix(text));
    let endpoint = pass.url(format_args!("archive.endpoint"), &file.endpoint);
    if endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://")) {
        pass.warnings.push("`archive.endpoint` begins with http://: finished clips travel unencrypted".to_owned());
    }
    let region = match &file.region {
        Some(region) => {
            let is_one = !region.value.is_empty()
                && region.value.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
            let wrong = || Wrong::new(format!("{} is not a region", terms::shorten(&region.value)), "write it like \"eu-central-1\"");
            pass.keep(&region.at, format_args!("archive.region"), is_one.then(|| region.value.clone()).ok_or_else(wrong))
        }
        None => Some(REGION_DEFAULT.to_owned()),
    };
    let mut key = |name: &str, written: &Option<Placed<String>>| match written {
        Some(written) => pass.secret(format_args!("archive.{name}"), written),
        None => {
            let remedy = format!("add {name} = \"env:NAME\" to [archive]");
            pass.faults.add(&url.at, format_args!("archive.{name}"), "this bucket has nothing that opens it", remedy);
            None
        }
    };
    let (access_key, secret_key) = (key("access_key", &file.access_key), key("secret_key", &file.secret_key));
    let (name, prefix) = named?;
    Some(Bucket { name, prefix, endpoint, region: region?, access_key: access_key?, secret_key: secret_key? })
}

/// Reads `bucket/pre/fix`.
fn name_and_prefix(text: &str) -> Result<(String, String), Wrong> {
    let (name, prefix) = text.split_once('/').unwrap_or((text, ""));
    let may_be = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    if !(3..=63).contains(&name.len()) || !name.bytes().all(may_be) {
        let message = format!("{} is not the name of a bucket", terms::shorten(name));
        return Err(Wrong::new(message, "write 3 to 63 lower-case letters, digits, `-` and `.`, as in \"s3://clips/filmgate\""));
    }
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    let may_be = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_folder = |part: &str| !part.is_empty() && part.bytes().all(may_be) && part != "." && part != "..";
    if prefix.len() > PREFIX_BYTES_MAX || !(prefix.is_empty() || prefix.split('/').all(is_folder)) {
        let message = format!("{} cannot begin the names in a bucket", terms::shorten(prefix));
        return Err(Wrong::new(message, "write folders of letters, digits, `-`, `_` and `.`, as in \"s3://clips/filmgate\""));
    }
    Ok((name.to_owned(), prefix.to_owned()))
}
