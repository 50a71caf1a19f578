//! H.264, as little of it as a flat picture with beads needs: Constrained Baseline, CAVLC.
//!
//! The first frame has one raw macroblock (I_PCM) that sets the colour exactly; each of the others
//! is "predict from your neighbours and add nothing", eight bits. Every later frame skips all
//! macroblocks but one, which is raw again: the bead. No transform, no quantisation, no rounding.
//!
//! Section numbers are those of ITU-T H.264.

use super::bits::Bits;
use super::colour::Ycc;
use crate::video::Size;

/// Pixels along the side of a macroblock.
const BLOCK: u32 = 16;
/// Bits in which a frame says its number; numbers wrap.
const FRAME_NUM_BITS: u32 = 8;

/// What a decoder must have before the first frame.
#[derive(Debug)]
pub struct ParameterSets {
    /// The sequence parameter set, a NAL unit.
    pub sequence: Vec<u8>,
    /// The picture parameter set, a NAL unit.
    pub picture: Vec<u8>,
}

/// Width and height in macroblocks.
fn blocks(size: Size) -> (u32, u32) {
    (u32::from(size.width).div_ceil(BLOCK), u32::from(size.height).div_ceil(BLOCK))
}

/// The parameter sets for pictures of that size (7.3.2.1, 7.3.2.2).
pub fn parameter_sets(size: Size) -> ParameterSets {
    let (wide, high) = blocks(size);
    let mut sps = Bits::default();
    sps.put(66, 8); // profile_idc: Baseline …
    sps.put(0b1100_0000, 8); // … and constrained
    sps.put(level(wide * high), 8);
    sps.put_ue(0); // seq_parameter_set_id
    sps.put_ue(FRAME_NUM_BITS - 4);
    sps.put_ue(2); // pic_order_cnt_type: shown in the order they are decoded
    sps.put_ue(1); // max_num_ref_frames
    sps.put(0, 1); // gaps_in_frame_num_value_allowed_flag
    sps.put_ue(wide - 1);
    sps.put_ue(high - 1);
    sps.put(0b11, 2); // frame_mbs_only_flag, direct_8x8_inference_flag
    let (right, bottom) = (wide * BLOCK - u32::from(size.width), high * BLOCK - u32::from(size.height));
    sps.put(u32::from(right + bottom > 0), 1); // frame_cropping_flag
    if right + bottom > 0 {
        // In units of two pixels, the size of a colour sample: left, right, top, bottom.
        [0, right / 2, 0, bottom / 2].into_iter().for_each(|cut| sps.put_ue(cut));
    }
    sps.put(0, 1); // vui_parameters_present_flag

    let mut pps = Bits::default();
    pps.put_ue(0); // pic_parameter_set_id
    pps.put_ue(0); // seq_parameter_set_id
    pps.put(0b00, 2); // CAVLC; no extra field order
    pps.put_ue(0); // one slice group
    pps.put_ue(0); // one reference in list 0 …
    pps.put_ue(0); // … and in list 1
    pps.put(0b000, 3); // no weighted prediction
    [0, 0, 0].into_iter().for_each(|offset| pps.put_ue(offset)); // quantisers, unused
    pps.put(0b100, 3); // deblocking_filter_control_present_flag
    ParameterSets { sequence: nal(0x67, sps), picture: nal(0x68, pps) }
}

/// The lowest level whose frame size suffices (table A-1); our bit rates are far below any limit.
fn level(macroblocks: u32) -> u32 {
    match macroblocks {
        0..=3_600 => 31,
        3_601..=8_192 => 40,
        8_193..=36_864 => 51,
        _ => 62,
    }
}

/// The first frame: one colour.
pub fn flat_frame(size: Size, colour: Ycc) -> Vec<u8> {
    let (wide, high) = blocks(size);
    let mut slice = Bits::default();
    slice.put_ue(0); // first_mb_in_slice
    slice.put_ue(7); // slice_type: all I
    slice.put_ue(0); // pic_parameter_set_id
    slice.put(0, FRAME_NUM_BITS);
    slice.put_ue(0); // idr_pic_id
    slice.put(0b00, 2); // dec_ref_pic_marking
    slice.put_ue(0); // slice_qp_delta
    slice.put_ue(1); // disable_deblocking_filter_idc
    slice.put_ue(25); // mb_type I_PCM
    raw_block(&mut slice, colour);
    for block in 1..wide * high {
        slice.put_ue(3); // mb_type I_16x16_2_0_0: the mean of the neighbours, no AC, no chroma
        slice.put_ue(0); // intra_chroma_pred_mode: likewise
        slice.put_ue(0); // mb_qp_delta
        // "No coefficients" is coded by how many the neighbours have: a raw one counts as sixteen
        // (9.2.1), and only the blocks right of it and below it see it.
        if block == 1 || block == wide { slice.put(0b00_0011, 6) } else { slice.put(1, 1) }
    }
    nal(0x65, slice)
}

/// Frame `number`: the frame before with one more bead of `colour`, at macroblock `at` counted
/// from the top left.
pub fn bead_frame(size: Size, number: u32, at: u32, colour: Ycc) -> Vec<u8> {
    let (wide, high) = blocks(size);
    let at = at.min(wide * high - 1);
    let mut slice = Bits::default();
    slice.put_ue(0); // first_mb_in_slice
    slice.put_ue(5); // slice_type: all P
    slice.put_ue(0); // pic_parameter_set_id
    slice.put(number, FRAME_NUM_BITS);
    slice.put(0b000, 3); // default references, unmodified; sliding-window marking
    slice.put_ue(0); // slice_qp_delta
    slice.put_ue(1); // disable_deblocking_filter_idc
    slice.put_ue(at); // mb_skip_run
    slice.put_ue(5 + 25); // mb_type I_PCM, after the five P types
    raw_block(&mut slice, colour);
    let rest = wide * high - 1 - at;
    if rest > 0 {
        slice.put_ue(rest); // mb_skip_run
    }
    nal(0x41, slice)
}

/// The macroblock that is `done` of `total` along the middle row.
pub fn place(size: Size, done: u32, total: u32) -> u32 {
    let (wide, high) = blocks(size);
    high / 2 * wide + done * wide / total.max(1)
}

/// 256 brightness and 2 × 64 colour samples, on a byte boundary (7.3.5).
fn raw_block(slice: &mut Bits, colour: Ycc) {
    slice.align(0);
    slice.put_bytes(&[colour.luma; 256]);
    slice.put_bytes(&[colour.cb; 64]);
    slice.put_bytes(&[colour.cr; 64]);
}

/// A NAL unit: header, payload and stop bit, with no byte pattern that looks like a start code
/// (7.4.1.1).
fn nal(header: u8, mut payload: Bits) -> Vec<u8> {
    payload.put(1, 1);
    payload.align(0);
    let mut unit = vec![header];
    let mut zeros = 0;
    for byte in payload.into_bytes() {
        if zeros == 2 && byte <= 3 {
            unit.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        unit.push(byte);
    }
    unit
}
