//! Writes `multipart/form-data`: what every current SDK sends, and all that some servers accept.
//!
//! The invariant: the same parts make the same bytes, and the boundary occurs in none of them.

use bytes::{BufMut as _, Bytes, BytesMut};
use sha2::{Digest as _, Sha256};

use crate::video::{MediaType, Upload};

/// A form, part by part.
#[derive(Debug, Default)]
pub(super) struct Form(Vec<Part>);

/// One part: a text, or a file of a known type.
#[derive(Debug)]
struct Part {
    name: &'static str,
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
    /// Adds a text.
    pub fn text(&mut self, name: &'static str, text: &str) {
        self.0.push(Part { name, file: None, bytes: Bytes::copy_from_slice(text.as_bytes()) });
    }

    /// Adds a file; named after its type, because some upstreams look at names.
    pub fn file(&mut self, name: &'static str, upload: &Upload) {
        self.0.push(Part { name, file: Some(upload.media_type), bytes: upload.bytes.clone() });
    }

    /// The form as it is sent.
    pub fn encode(&self) -> Encoded {
        let boundary = self.boundary();
        let sum: usize = self.0.iter().map(|part| part.bytes.len() + 256).sum();
        let mut body = BytesMut::with_capacity(sum);
        for part in &self.0 {
            body.put_slice(format!("--{boundary}\r\ncontent-disposition: form-data; name=\"{}\"", part.name).as_bytes());
            if let Some(media_type) = part.file {
                let file = format!("; filename=\"{}\"\r\ncontent-type: {}", media_type.file_name(), media_type.as_str());
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
    bytes.windows(needle.len()).any(|window| window == needle)
}

/// Bytes in lower-case hexadecimal digits.
fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
