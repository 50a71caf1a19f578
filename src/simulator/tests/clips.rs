//! The files, as judged by programs that know the formats.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::refusing::job;
use crate::simulator::clip::{Variant, file};

/// Sizes with and without a rest over whole macroblocks, lengths odd and even.
const CASES: [(u16, u16, u32); 7] =
    [(720, 1280, 4), (1280, 720, 1), (1024, 1792, 25), (1792, 1024, 10), (1080, 1920, 3), (854, 480, 7), (16, 16, 60)];

/// A file that is gone when the test is over.
struct Scratch(PathBuf);

impl Scratch {
    fn new(extension: &str, bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("filmgate-{}.{extension}", uuid::Uuid::new_v4()));
        std::fs::write(&path, bytes).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

/// What the program prints; it must succeed and have nothing to complain of.
fn run(program: &str, arguments: &[&str], file: &Path) -> Vec<u8> {
    let output = Command::new(program)
        .args(["-v", "error"])
        .args(arguments.iter().map(|argument| if *argument == "FILE" { file.as_os_str() } else { argument.as_ref() }))
        .output()
        .unwrap_or_else(|error| panic!("{program} does not run ({error}): install it, on Debian with `apt-get install ffmpeg`"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaint.is_empty(), "{program}: {complaint}");
    output.stdout
}

fn probe(file: &Path) -> Value {
    let text = run("ffprobe", &["-count_frames", "-show_streams", "-show_format", "-of", "json", "FILE"], file);
    serde_json::from_slice(&text).unwrap()
}

#[test]
fn clips_are_as_long_and_as_large_as_was_ordered() {
    for (width, height, seconds) in CASES {
        let clip = file(&job(width, height, seconds), Variant::Video, 0);
        let scratch = Scratch::new("mp4", &clip.head);
        let seen = probe(&scratch.0);
        let stream = &seen["streams"][0];
        assert_eq!((stream["codec_name"].as_str(), stream["pix_fmt"].as_str()), (Some("h264"), Some("yuv420p")));
        assert_eq!((stream["width"].as_u64(), stream["height"].as_u64()), (Some(width.into()), Some(height.into())), "{seen}");
        for place in [&stream["duration"], &seen["format"]["duration"]] {
            assert_eq!(place.as_str().and_then(|text| text.parse::<f64>().ok()), Some(f64::from(seconds)));
        }
        assert_eq!(stream["nb_read_frames"], (seconds * 2).to_string());
        let comment = seen["format"]["tags"]["comment"].as_str();
        assert_eq!(comment, Some(job(width, height, seconds).watermark().as_str()));
    }
}

#[test]
fn clips_decode_to_one_colour_and_a_growing_row_of_beads() {
    for (width, height, seconds) in CASES {
        let clip = file(&job(width, height, seconds), Variant::Video, 0);
        let scratch = Scratch::new("mp4", &clip.head);
        let pixels =
            run("ffmpeg", &["-xerror", "-i", "FILE", "-f", "rawvideo", "-pix_fmt", "gray", "-vf", "extractplanes=y", "-"], &scratch.0);
        let frame = usize::from(width) * usize::from(height);
        let frames: Vec<&[u8]> = pixels.chunks(frame).collect();
        assert_eq!(frames.len() as u32, seconds * 2);
        let background = frames[0][0];
        assert!(frames[0].iter().all(|pixel| *pixel == background), "the first frame is flat");
        let beads: Vec<usize> = frames.iter().map(|frame| frame.iter().filter(|pixel| **pixel != background).count() / 256).collect();
        assert!(beads.is_sorted() && beads[1] == 1, "{width}x{height}: {beads:?}");
        let columns = usize::from(width).div_ceil(16);
        let most = frames.len() - 1;
        assert_eq!(*beads.last().unwrap(), most.min(columns), "{width}x{height}: {beads:?}");
    }
}

#[test]
fn jobs_are_told_apart_by_their_colour() {
    let clips = [1, 2, 3].map(|seconds| file(&job(720, 1280, seconds), Variant::Thumbnail, 0).head);
    assert!(clips[0] != clips[1] && clips[1] != clips[2]);
}

#[test]
fn thumbnails_and_spritesheets_are_pictures() {
    for (width, height, seconds) in CASES.into_iter().step_by(2) {
        let job = job(width, height, seconds);
        let tile = if width > height { (160, 96) } else { (96, 160) };
        for (variant, extension, codec, size) in [
            (Variant::Thumbnail, "webp", "webp", (u32::from(width), u32::from(height))),
            (Variant::Spritesheet, "jpg", "mjpeg", (tile.0 * seconds, tile.1)),
        ] {
            let scratch = Scratch::new(extension, &file(&job, variant, 0).head);
            let seen = probe(&scratch.0);
            let stream = &seen["streams"][0];
            let shown = (stream["codec_name"].as_str(), stream["width"].as_u64(), stream["height"].as_u64());
            assert_eq!(shown, (Some(codec), Some(size.0.into()), Some(size.1.into())));
            let pixels = run("ffmpeg", &["-xerror", "-i", "FILE", "-f", "rawvideo", "-pix_fmt", "gray", "-"], &scratch.0);
            assert_eq!(pixels.len() as u32, size.0 * size.1);
            assert!(pixels.iter().zip(&pixels[1..]).take(95).all(|(left, right)| left == right), "flat");
        }
    }
}

#[test]
fn a_padded_clip_plays_like_the_bare_one() {
    let job = job(720, 1280, 4);
    let bare = file(&job, Variant::Video, 0);
    for bytes_min in [bare.len() + 1, bare.len() + 16, 5_000_000] {
        let padded = file(&job, Variant::Video, bytes_min);
        assert!(padded.len() >= bytes_min && padded.len() <= bytes_min + 16);
        assert!(padded.head.len() < 32_000, "only the clip itself is held");
        let mut bytes = padded.head.to_vec();
        bytes.resize(padded.len() as usize, 0);
        let scratch = Scratch::new("mp4", &bytes);
        assert_eq!(probe(&scratch.0)["streams"], probe(&Scratch::new("mp4", &bare.head).0)["streams"]);
    }
    let huge = file(&job, Variant::Video, 1 << 33);
    assert_eq!(huge.len(), 1 << 33, "more than four gigabytes need a longer head");
}
