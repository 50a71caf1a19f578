//! Legal streams are never objected to, however they are cut up; illegal ones always are, at the request
//! that is.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};

use super::{Framing, Place, Verdict};

const HEAD_BYTES_MAX: usize = 32 * 1024;

fn framing() -> (Framing, Verdict) {
    let verdict = Verdict::default();
    (Framing::new(HEAD_BYTES_MAX, 100, verdict.clone()), verdict)
}

/// Whether the guard stands exactly between two requests.
fn is_between(framing: &Framing) -> bool {
    matches!(&framing.place, Place::Head(partial) if partial.bytes == 0 && partial.kept.is_empty())
}

/// What a stream of one read is objected to with, and at which request.
fn objection(stream: &[u8]) -> Option<(u64, &'static str)> {
    let (mut framing, verdict) = framing();
    framing.follow(stream);
    verdict.against(u64::MAX).map(|objection| (objection.request, objection.why))
}

#[derive(Clone, Debug)]
enum Payload {
    None,
    Sized(Vec<u8>),
    Chunked { chunks: Vec<(String, Vec<u8>)>, last: String, trailers: Vec<(String, String)> },
}

/// A request that nobody may object to.
#[derive(Clone, Debug)]
pub struct Legal {
    blank_lines: usize,
    method: &'static str,
    target: &'static str,
    version: &'static str,
    fields: Vec<(String, String)>,
    payload: Payload,
}

impl Legal {
    /// The same, in a version that keeps the connection.
    pub fn kept_alive(self) -> Self {
        Self { version: "HTTP/1.1", ..self }
    }

    /// As it is sent.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"\r\n".repeat(self.blank_lines);
        let put = |bytes: &mut Vec<u8>, text: &str| bytes.extend_from_slice(text.as_bytes());
        put(&mut bytes, &format!("{} {} {}\r\n", self.method, self.target, self.version));
        for (name, value) in &self.fields {
            put(&mut bytes, &format!("{name}: {value}\r\n"));
        }
        put(&mut bytes, "hOsT:gateway.example:8080 \r\n");
        match &self.payload {
            Payload::None => put(&mut bytes, "\r\n"),
            Payload::Sized(body) => {
                put(&mut bytes, &format!("content-LENGTH:\t{}\r\n\r\n", body.len()));
                bytes.extend_from_slice(body);
            }
            Payload::Chunked { chunks, last, trailers } => {
                put(&mut bytes, "Transfer-Encoding: Chunked\r\n\r\n");
                for (extension, data) in chunks {
                    put(&mut bytes, &format!("{:X}{extension}\r\n", data.len()));
                    bytes.extend_from_slice(data);
                    bytes.extend_from_slice(b"\r\n");
                }
                put(&mut bytes, &format!("{last}\r\n"));
                for (name, value) in trailers {
                    put(&mut bytes, &format!("{name}: {value}\r\n"));
                }
                put(&mut bytes, "\r\n");
            }
        }
        bytes
    }
}

fn fields() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = "x-[a-z0-9!#$%&'*+.^_`|~-]{0,12}";
    let value = "([!-~]([ -~\t]{0,30}[!-~])?)?";
    vec((name, value), 0..8).prop_map(|fields: Vec<(String, String)>| fields)
}

fn payload() -> impl Strategy<Value = Payload> {
    // Bodies that look like requests must be taken for bodies.
    let body = prop_oneof![
        vec(any::<u8>(), 0..200),
        Just(b"GET / HTTP/1.1\nHost: a\nHost: b\r\n\r\n0\r\n\r\n".to_vec()),
        Just(vec![b'\n'; 5_000]),
    ];
    let extension = prop_oneof![Just(String::new()), Just(" \t".to_owned()), "( ?;[a-z]{1,5}(=[a-z0-9]{1,5}|=\"[ -!#-~]{0,5}\")?){1,3}"];
    let chunk = (extension.clone(), prop_oneof![vec(any::<u8>(), 1..40), Just(b"\r\n0\r\n\r\n".to_vec())]);
    let last = (prop_oneof![Just("0"), Just("000")], extension).prop_map(|(zero, extension)| format!("{zero}{extension}"));
    prop_oneof![
        Just(Payload::None),
        body.prop_map(Payload::Sized),
        (vec(chunk, 0..5), last, fields()).prop_map(|(chunks, last, trailers)| Payload::Chunked { chunks, last, trailers }),
    ]
}

/// Any of them.
pub fn legal() -> impl Strategy<Value = Legal> {
    let method = prop_oneof![Just("GET"), Just("POST"), Just("DELETE"), Just("OPTIONS"), Just("get")];
    let target = prop_oneof![Just("/"), Just("/v1/videos?after=a://b&limit=2"), Just("*"), Just("http://GATEWAY.example:8080/v1/videos")];
    let version = prop_oneof![4 => Just("HTTP/1.1"), 1 => Just("HTTP/1.0")];
    (0..3_usize, method, target, version, fields(), payload()).prop_map(|(blank_lines, method, target, version, fields, payload)| {
        let version = if matches!(payload, Payload::Chunked { .. }) { "HTTP/1.1" } else { version };
        Legal { blank_lines, method, target, version, fields, payload }
    })
}

/// A stream of requests, and where each ends.
fn stream(requests: &[Legal]) -> (Vec<u8>, Vec<usize>) {
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for request in requests {
        bytes.extend_from_slice(&request.bytes());
        ends.push(bytes.len());
    }
    (bytes, ends)
}

proptest! {
    #[test]
    fn a_legal_stream_is_followed_exactly_however_it_is_cut(requests in vec(legal(), 1..5), cuts in vec(any::<prop::sample::Index>(), 0..12)) {
        let (bytes, ends) = stream(&requests);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).chain([0, bytes.len()]).collect();
        cuts.sort_unstable();
        let (mut framing, verdict) = framing();
        for piece in cuts.windows(2) {
            framing.follow(&bytes[piece[0]..piece[1]]);
            assert_eq!(verdict.against(u64::MAX), None);
            assert_eq!(is_between(&framing), piece[1] == 0 || ends.contains(&piece[1]));
            assert!(framing.heads as usize >= ends.iter().filter(|end| **end <= piece[1]).count());
        }
        assert_eq!(framing.heads as usize, requests.len());
    }

    #[test]
    fn a_legal_stream_is_followed_byte_by_byte(requests in vec(legal(), 1..4)) {
        let (bytes, ends) = stream(&requests);
        let (mut framing, verdict) = framing();
        for (at, byte) in bytes.iter().enumerate() {
            framing.follow(&[*byte]);
            assert_eq!(is_between(&framing), ends.contains(&(at + 1)));
        }
        assert_eq!((framing.heads as usize, verdict.against(u64::MAX)), (requests.len(), None));
    }

    #[test]
    fn behind_legal_requests_the_illegal_one_is_named(
        requests in vec(legal(), 0..4),
        which in 0..ILLEGAL.len(),
        cuts in vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let (mut bytes, _) = stream(&requests);
        bytes.extend_from_slice(ILLEGAL[which].as_bytes());
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).chain([0, bytes.len()]).collect();
        cuts.sort_unstable();
        let (mut framing, verdict) = framing();
        for piece in cuts.windows(2) {
            framing.follow(&bytes[piece[0]..piece[1]]);
        }
        let bad = requests.len() as u64;
        assert!(bad == 0 || verdict.against(bad - 1).is_none());
        assert!(verdict.against(bad).is_some());
    }

    #[test]
    fn no_bytes_upset_it(bytes in vec(any::<u8>(), 0..600), cut in any::<prop::sample::Index>()) {
        let (mut framing, _) = framing();
        let (front, back) = bytes.split_at(cut.index(bytes.len() + 1));
        framing.follow(front);
        framing.follow(back);
    }
}

/// Heads that must not be believed.
pub const ILLEGAL: &[&str] = &[
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ,chunked\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n",
    "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n12345",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n12345",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n12345",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n12345",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1_0\r\n\r\n12345",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n12345",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n12345",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n12345",
    "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
    "GET / HTTP/1.1\nHost: a\n\n",
    "GET / HTTP/1.1\r\nHost: a\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n\n",
    "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
    "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET http://a@b/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET http://a:80/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /\r\n\r\n",
    "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.32\r\nHost: a\r\n\r\n",
    "G\x00T / HTTP/1.1\r\nHost: a\r\n\r\n",
];

#[test]
fn each_illegal_head_is_objected_to() {
    for head in ILLEGAL {
        assert_eq!(objection(head.as_bytes()).map(|(request, _)| request), Some(0), "{head:?}");
    }
}

#[test]
fn bad_chunks_condemn_what_follows_and_not_their_own_request() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let bad = [
        "0x5\r\n",
        "+5\r\n",
        "5_\r\n",
        "\r\n",
        "5 5\r\n",
        "11111111111111111\r\n",
        "1\n",
        "1;a\nb\r\n",
        "1;a\rb\r\n",
        "1\r\naX",
        "1\r\na\n",
        "0\r\nX: y\n\r\n",
        "0\r\n\n",
        "0\r\nX: y\rz",
    ];
    for chunks in bad {
        let (request, _) = objection(format!("{head}{chunks}").as_bytes()).unwrap_or_else(|| panic!("{chunks:?}"));
        assert_eq!(request, 1, "{chunks:?}");
    }
}

#[test]
fn a_head_is_bounded_in_bytes_and_in_fields() {
    let of_bytes = |n: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "b".repeat(n)).into_bytes();
    let base = of_bytes(0).len();
    assert_eq!(objection(&of_bytes(HEAD_BYTES_MAX - base)), None);
    assert!(objection(&of_bytes(HEAD_BYTES_MAX - base + 1)).is_some());
    let of_fields = |n: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: b\r\n".repeat(n - 1)).into_bytes();
    assert_eq!(objection(&of_fields(100)), None);
    assert!(objection(&of_fields(101)).is_some());
    assert!(objection(&b"\r\n".repeat(HEAD_BYTES_MAX)).is_some(), "empty lines are no way around it");

    let (mut framing, verdict) = framing();
    framing.follow(b"GET / HTTP/1.1\r\nHost: a\r\nX: ");
    for _ in 0..10_000 {
        framing.follow(b"bbbbbbbb");
        if let Place::Head(partial) = &framing.place {
            assert!(partial.kept.len() <= HEAD_BYTES_MAX);
        }
    }
    assert!(verdict.against(0).is_some());
}

#[test]
fn a_head_that_comes_in_one_piece_is_not_copied() {
    let (mut framing, _) = framing();
    framing.follow(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(matches!(&framing.place, Place::Head(partial) if partial.kept.capacity() == 0));
}
