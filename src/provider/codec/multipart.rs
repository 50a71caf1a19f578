//! Writes `multipart/form-data`: what every current SDK sends, and all that some servers accept.
//!
//! The invariant: the same parts make the same bytes, and the boundary occurs in none of them.

use std::borrow::Cow;

use bytes::{BufMut as _, Bytes, BytesMut};
use memchr::memmem;
use sha2::{Digest as _, Sha256};

use crate::video::{MediaType, Upload};

/// A form, part by part.
#[derive(Debug, Default)]
pub(super) struct Form(Vec<Part>);

/// One part: a text, or a file of a known type.
#[derive(Debug)]
struct Part {
    name: Cow<'static, str>,
    file: Option<MediaType>,
    bytes: Bytes,
}

/// A form as it is sent.
pub(super) struct Encoded {
    /// The media type, with the boundary.
    pub content_type: String,
    /// The bytes.
    pub body: Bytes,
}

impl Form {
    /// Adds a text. A name of ours, or one that policy vouches for: it has nothing in it that would end it.
    pub fn text(&mut self, name: impl Into<Cow<'static, str>>, text: &str) {
        self.0.push(Part { name: name.into(), file: None, bytes: Bytes::copy_from_slice(text.as_bytes()) });
    }

    /// Adds a file; named after its type, because some upstreams look at names.
    pub fn file(&mut self, name: &'static str, upload: &Upload) {
        self.0.push(Part { name: name.into(), file: Some(upload.media_type), bytes: upload.bytes.clone() });
    }

    /// The form as it is sent.
    pub fn encode(&self) -> Encoded {
        let boundary = self.boundary();
        let sum: usize = self.0.iter().map(|part| part.bytes.len() + 256).sum();
        let mut body = BytesMut::with_capacity(sum);
        for part in &self.0 {
            body.put_slice(format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"", part.name).as_bytes());
            if let Some(media_type) = part.file {
                let file = format!("; filename=\"{}\"\r\nContent-Type: {}", media_type.file_name(), media_type.as_str());
                body.put_slice(file.as_bytes());
            }
            body.put_slice(b"\r\n\r\n");
            body.put_slice(&part.bytes);
            body.put_slice(b"\r\n");
        }
        body.put_slice(format!("--{boundary}--\r\n").as_bytes());
        Encoded { content_type: format!("multipart/form-data; boundary={boundary}"), body: body.freeze() }
    }

    /// A boundary made from the content. A part would have to contain its own hash to hold it, and
    /// can hold only finitely many of the ones that follow.
    fn boundary(&self) -> String {
        let mut hash = Sha256::new();
        for part in &self.0 {
            hash.update(part.name.as_bytes());
            hash.update(part.bytes.len().to_be_bytes());
            hash.update(&part.bytes);
        }
        loop {
            let digest: [u8; 32] = hash.clone().finalize().into();
            let boundary = format!("filmgate-{}", hexadecimal(&digest[..16]));
            if !self.0.iter().any(|part| occurs(boundary.as_bytes(), &part.bytes)) {
                return boundary;
            }
            hash.update(digest);
        }
    }
}

/// Whether `needle` is somewhere in `bytes`.
fn occurs(needle: &[u8], bytes: &[u8]) -> bool {
    memmem::find(bytes, needle).is_some()
}

/// Bytes in lower-case hexadecimal digits.
fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::{Form, occurs};
    use crate::video::{MediaType, Upload};
    use bytes::Bytes;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    fn form(prompt: &str, file: Vec<u8>) -> Form {
        let mut form = Form::default();
        form.text("prompt", prompt);
        form.file("input_reference", &Upload { media_type: MediaType::Png, bytes: Bytes::from(file) });
        form
    }

    #[test]
    fn the_same_parts_make_the_same_bytes_and_others_make_another_boundary() {
        let (one, same, other) = (form("a", vec![1]), form("a", vec![1]), form("a", vec![2]));
        assert_eq!(one.encode().body, same.encode().body);
        assert_ne!(one.boundary(), other.boundary());
    }

    #[test]
    fn a_part_that_holds_the_boundary_of_another_form_is_sent_unharmed() {
        let boundary = form("a", vec![1]).boundary();
        let hostile = form(&format!("--{boundary}--\r\n"), vec![1]);
        assert!(hostile.boundary() != boundary && occurs(boundary.as_bytes(), &hostile.encode().body));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(prompt in any::<String>(), file in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            let encoded = form(&prompt, file.clone()).encode();
            let boundary = multer::parse_boundary(&encoded.content_type).unwrap();
            let body = encoded.body;
            let read = async {
                let stream = futures_util::stream::once(async { Ok::<_, std::io::Error>(body) });
                let mut parts = multer::Multipart::new(stream, boundary);
                let text = parts.next_field().await.unwrap().unwrap().bytes().await.unwrap();
                let field = parts.next_field().await.unwrap().unwrap();
                let names = (field.name().map(str::to_owned), field.file_name().map(str::to_owned));
                let mime = field.content_type().map(ToString::to_string);
                let bytes = field.bytes().await.unwrap();
                let end = parts.next_field().await.unwrap().is_none();
                (text, names, mime, bytes, end)
            };
            let (text, names, mime, bytes, end) = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(read);
            prop_assert_eq!((&text[..], &bytes[..]), (prompt.as_bytes(), &file[..]));
            prop_assert_eq!(names, (Some("input_reference".to_owned()), Some("upload.png".to_owned())));
            prop_assert_eq!(mime.as_deref(), Some("image/png"));
            prop_assert!(end);
        }
    }
}
