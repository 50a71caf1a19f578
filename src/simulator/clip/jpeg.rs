//! JPEG: a row of flat tiles, baseline.
//!
//! A flat block of 8 × 8 has one coefficient, eight times its distance from middle grey; with a
//! quantiser of 8 throughout it is stored as that distance, exactly.

use super::bits::Bits;
use super::colour::Ycc;

/// Pixels along the side of the smallest unit: four blocks of brightness, one of each colour.
pub const UNIT: u16 = 16;
/// In bits, the lengths of codes for "the difference to the block before has so many bits".
const DC_SAME: (u32, u32) = (0b0, 1);
const DC_CODE_BITS: u32 = 5;
/// The code for "no more coefficients in this block".
const END_OF_BLOCK: (u32, u32) = (0b0, 1);

/// The file: one tile per colour, side by side, each so many units wide and high.
pub fn tiles(colours: &[Ycc], units_wide: u16, units_high: u16) -> Vec<u8> {
    let width = u16::try_from(colours.len()).unwrap_or(u16::MAX).saturating_mul(units_wide * UNIT);
    let height = units_high * UNIT;
    let mut file = vec![0xff, 0xd8];
    segment(&mut file, 0xe0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
    segment(&mut file, 0xdb, &[&[0][..], &[8; 64]].concat());
    let [h, w] = [height, width].map(u16::to_be_bytes);
    // Three components: brightness with twice the resolution each way, then the colours.
    segment(&mut file, 0xc0, &[&[8][..], &h, &w, &[3, 1, 0x22, 0, 2, 0x11, 0, 3, 0x11, 0]].concat());
    // DC: one code of one bit for 0, and 1 to 8 in codes of five bits, 10000 and up.
    segment(&mut file, 0xc4, &[&[0x00][..], &[1, 0, 0, 0, 8], &[0; 11], &[0, 1, 2, 3, 4, 5, 6, 7, 8]].concat());
    // AC: one code of one bit for the end of the block.
    segment(&mut file, 0xc4, &[&[0x10][..], &[1], &[0; 15], &[0]].concat());
    segment(&mut file, 0xda, &[3, 1, 0x00, 2, 0x00, 3, 0x00, 0, 63, 0]);
    for byte in scan(colours, units_wide, units_high) {
        file.push(byte);
        if byte == 0xff {
            file.push(0); // or it would read as a marker
        }
    }
    file.extend([0xff, 0xd9]);
    file
}

fn scan(colours: &[Ycc], units_wide: u16, units_high: u16) -> Vec<u8> {
    let mut bits = Bits::default();
    let mut before = Ycc { luma: 128, cb: 128, cr: 128 };
    for _ in 0..units_high {
        for colour in colours {
            for _ in 0..units_wide {
                block(&mut bits, colour.luma, before.luma);
                (0..3).for_each(|_| block(&mut bits, colour.luma, colour.luma));
                block(&mut bits, colour.cb, before.cb);
                block(&mut bits, colour.cr, before.cr);
                before = *colour;
            }
        }
    }
    bits.align(1);
    bits.into_bytes()
}

/// One flat block, said as the difference to the block before.
fn block(bits: &mut Bits, value: u8, before: u8) {
    let difference = i32::from(value) - i32::from(before);
    let size = u32::BITS - difference.unsigned_abs().leading_zeros();
    if size == 0 {
        bits.put(DC_SAME.0, DC_SAME.1);
    } else {
        bits.put(0b1_0000 + size - 1, DC_CODE_BITS);
        // A negative difference is written one less, so that its first bit is 0.
        let written = if difference < 0 { difference - 1 } else { difference };
        bits.put(written.cast_unsigned(), size);
    }
    bits.put(END_OF_BLOCK.0, END_OF_BLOCK.1);
}

fn segment(file: &mut Vec<u8>, marker: u8, body: &[u8]) {
    file.extend([0xff, marker]);
    file.extend(u16::try_from(body.len() + 2).unwrap_or(u16::MAX).to_be_bytes());
    file.extend_from_slice(body);
}
