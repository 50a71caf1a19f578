//! The one colour of a job, in the terms of each format.

/// A colour as screens take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rgb {
    /// 0 to 255.
    pub red: u8,
    /// 0 to 255.
    pub green: u8,
    /// 0 to 255.
    pub blue: u8,
}

/// The same as brightness and two colour differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ycc {
    /// Brightness.
    pub luma: u8,
    /// Blueness.
    pub cb: u8,
    /// Redness.
    pub cr: u8,
}

impl Rgb {
    /// A colour of middling brightness, chosen by `seed`.
    pub fn chosen_by(seed: u64) -> Self {
        let [_, _, _, _, _, red, green, blue] = seed.to_be_bytes();
        let middling = |byte: u8| 40 + byte / 2;
        Self { red: middling(red), green: middling(green), blue: middling(blue) }
    }

    /// As video keeps it: ITU-R BT.601, luma 16 to 235.
    pub fn for_video(self) -> Ycc {
        let [r, g, b] = [self.red, self.green, self.blue].map(i32::from);
        Ycc {
            luma: byte(16 + (66 * r + 129 * g + 25 * b + 128) / 256),
            cb: byte(128 + (-38 * r - 74 * g + 112 * b + 128) / 256),
            cr: byte(128 + (112 * r - 94 * g - 18 * b + 128) / 256),
        }
    }

    /// As JPEG keeps it: likewise, luma 0 to 255.
    pub fn for_jpeg(self) -> Ycc {
        let [r, g, b] = [self.red, self.green, self.blue].map(i32::from);
        Ycc {
            luma: byte((77 * r + 150 * g + 29 * b) / 256),
            cb: byte(128 + (-43 * r - 85 * g + 128 * b) / 256),
            cr: byte(128 + (128 * r - 107 * g - 21 * b) / 256),
        }
    }
}

fn byte(value: i32) -> u8 {
    u8::try_from(value.clamp(0, 255)).unwrap_or(u8::MAX)
}
