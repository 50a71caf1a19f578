//! WebP: one flat colour, lossless, in fewer than fifty bytes.
//!
//! Each of the five prefix codes has a single symbol, and such a code takes no bits: once the
//! colour is named, all pixels are said.

use super::bits::LowFirstBits;
use super::colour::Rgb;
use crate::video::Size;

/// The file.
pub fn flat(size: Size, colour: Rgb) -> Vec<u8> {
    let mut bits = LowFirstBits::default();
    bits.put(0x2f, 8); // signature
    bits.put(u32::from(size.width) - 1, 14);
    bits.put(u32::from(size.height) - 1, 14);
    bits.put(0, 1); // no transparency
    bits.put(0, 3); // version
    bits.put(0, 1); // no transform
    bits.put(0, 1); // no colour cache
    bits.put(0, 1); // one group of prefix codes
    for symbol in [colour.green, colour.red, colour.blue, u8::MAX] {
        bits.put(0b101, 3); // simple; one symbol; of eight bits
        bits.put(u32::from(symbol), 8);
    }
    bits.put(0b0001, 4); // distances, unused: simple; one symbol; of one bit; 0
    let mut stream = bits.into_bytes();
    let length = u32::try_from(stream.len()).unwrap_or(u32::MAX);
    if stream.len() % 2 == 1 {
        stream.push(0);
    }
    let riff_length = u32::try_from(stream.len()).unwrap_or(u32::MAX) + 12;
    [b"RIFF", &riff_length.to_le_bytes()[..], b"WEBPVP8L", &length.to_le_bytes(), &stream].concat()
}
