//! Fingerprints: whether two requests wish for the same.
//!
//! Taken over what was parsed and never over raw bytes, since an SDK that sends a request again draws
//! another multipart boundary. File names and the order of fields do not count.

use sha2::{Digest, Sha256};

use crate::video::{Origin, Reference, Source, Upload, Wish};

/// SHA-256 over everything a wish says.
pub fn fingerprint(wish: &Wish) -> [u8; 32] {
    let mut print = Print(Sha256::new());
    print.part(wish.origin.operation());
    match &wish.origin {
        Origin::Create => print.part(""),
        Origin::Remix(id) | Origin::Edit(Source::Job(id)) | Origin::Extend(Source::Job(id)) => print.part(&id.to_string()),
        Origin::Edit(Source::Upload(upload)) | Origin::Extend(Source::Upload(upload)) => print.upload(upload),
    }
    print.part(&wish.prompt);
    print.part(wish.model.as_ref().map_or("", |model| model.as_str()));
    print.part(&wish.seconds.map(|seconds| seconds.to_string()).unwrap_or_default());
    print.part(&wish.size.map(|size| size.to_string()).unwrap_or_default());
    match &wish.reference {
        None => print.part(""),
        Some(Reference::Upload(upload)) => print.upload(upload),
        Some(Reference::ImageUrl(url)) => print.part(&format!("url {url}")),
        Some(Reference::FileId(id)) => print.part(&format!("file {id}")),
    }
    for character in &wish.characters {
        print.part(&character.to_string());
    }
    print.part(wish.end_user.as_deref().unwrap_or_default());
    for (name, extra) in &wish.extras {
        [name, extra.kind(), extra.plain()].into_iter().for_each(|part| print.part(part));
    }
    print.0.finalize().into()
}

struct Print(Sha256);

impl Print {
    /// Adds a text with its length, so that no two lists of parts read the same.
    fn part(&mut self, text: &str) {
        self.0.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        self.0.update(text.as_bytes());
    }

    fn upload(&mut self, upload: &Upload) {
        self.part(upload.media_type.as_str());
        self.0.update(Sha256::digest(&upload.bytes));
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::fingerprint;
    use crate::video::{Extra, Extras, MediaType, Origin, Reference, Seconds, Upload, Wish};

    #[test]
    fn wishes_differ_by_everything_they_say() {
        let plain = Wish {
            origin: Origin::Create,
            prompt: "a fox".to_owned(),
            model: None,
            seconds: None,
            size: None,
            reference: None,
            characters: Vec::new(),
            end_user: None,
            extras: Extras::new(),
        };
        let seed = |extra| Extras::from([("seed".to_owned(), extra)]);
        let upload = |bytes: &'static [u8]| Upload { media_type: MediaType::Png, bytes: Bytes::from_static(bytes) };
        let others = [
            Wish { prompt: "a fo".to_owned(), end_user: Some("x".to_owned()), ..plain.clone() },
            Wish { seconds: Seconds::new(4), ..plain.clone() },
            Wish { reference: Some(Reference::Upload(upload(b"1"))), ..plain.clone() },
            Wish { reference: Some(Reference::Upload(upload(b"2"))), ..plain.clone() },
            Wish { reference: Some(Reference::FileId("1".to_owned())), ..plain.clone() },
            Wish { extras: seed(Extra::Number("1".to_owned())), ..plain.clone() },
            Wish { extras: seed(Extra::Number("2".to_owned())), ..plain.clone() },
            Wish { extras: seed(Extra::Text("1".to_owned())), ..plain.clone() },
            Wish { extras: Extras::from([("seeds".to_owned(), Extra::Number("1".to_owned()))]), ..plain.clone() },
            Wish { origin: Origin::Remix(crate::id::JobId::mint()), ..plain.clone() },
        ];
        let mut prints: Vec<_> = others.iter().map(fingerprint).collect();
        prints.push(fingerprint(&plain));
        prints.sort_unstable();
        prints.dedup();
        assert_eq!(prints.len(), others.len() + 1);
        assert_eq!(fingerprint(&plain), fingerprint(&plain.clone()));
    }
}
