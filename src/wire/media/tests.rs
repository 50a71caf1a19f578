use bytes::Bytes;

use crate::video::{MediaType, Size};
use crate::wire::media::{check_reference_size, dimensions, image, mp4};

/// Headers of pictures of 720 by 1280 pixels.
fn pictures() -> Vec<(&'static str, MediaType, Vec<u8>)> {
    let riff = |rest: &[u8]| [b"RIFF\x1a\0\0\0WEBP", rest].concat();
    let bits: u32 = 719 | (1279 << 14);
    vec![
        ("png", MediaType::Png, b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\xd0\0\0\x05\0\x08\x02\0\0\0".to_vec()),
        ("baseline jpeg", MediaType::Jpeg, b"\xff\xd8\xff\xe0\0\x04JF\xff\xdb\0\x03q\xff\xc0\0\x11\x08\x05\0\x02\xd0\x03".to_vec()),
        (
            "progressive jpeg after fill bytes",
            MediaType::Jpeg,
            b"\xff\xd8\xff\xff\xff\xc4\0\x02\xff\x01\xff\xc2\0\x11\x08\x05\0\x02\xd0".to_vec(),
        ),
        ("lossy webp, scaled", MediaType::Webp, riff(b"VP8 \x0e\0\0\0\x30\x01\0\x9d\x01\x2a\xd0\x42\0\x85")),
        ("lossless webp", MediaType::Webp, riff(&[&b"VP8L\x0d\0\0\0\x2f"[..], &bits.to_le_bytes()].concat())),
        ("extended webp", MediaType::Webp, riff(b"VP8X\x0a\0\0\0\x10\0\0\0\xcf\x02\0\xff\x04\0")),
    ]
}

#[test]
fn the_sides_of_a_picture_are_read_from_its_header() {
    for (name, media_type, bytes) in pictures() {
        let upload = image("input_reference", Bytes::from(bytes)).unwrap();
        assert_eq!((upload.media_type, dimensions(&upload)), (media_type, Some((720, 1280))), "{name}");
        assert_eq!(check_reference_size(&upload, Size::DEFAULT), Ok(()));
        assert!(check_reference_size(&upload, Size::new(1280, 720)).is_err());
    }
}

#[test]
fn a_picture_that_ends_in_its_header_is_none() {
    for (name, _, bytes) in pictures() {
        let needed = (0..=bytes.len()).find(|&n| image("i", Bytes::copy_from_slice(&bytes[..n])).is_ok()).unwrap();
        assert!(needed > 18, "{name} told its sides after {needed} bytes");
    }
    for bytes in [&b"\xff\xd8\xff\xda\0\x02\xff\xc0\0\x11\x08\x05\0\x02\xd0"[..], b"\xff\xd8\xff\xd9", b"\xff\xd8\xff\xe0\0\0\xff\xc0"] {
        assert!(image("i", Bytes::from_static(bytes)).is_err());
    }
}

#[test]
fn a_clip_is_told_by_its_first_box() {
    assert!(mp4("video", Bytes::from_static(b"\0\0\0\x18ftypmp42")).is_ok());
    for bytes in [&b""[..], b"ftypmp42", b"\0\0\0\x18moov", b"\x89PNG\r\n\x1a\n", b"\x1aE\xdf\xa3webm"] {
        assert_eq!(mp4("video", Bytes::from_static(bytes)).unwrap_err().param.as_deref(), Some("video"));
    }
}
