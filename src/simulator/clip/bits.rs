//! Bits in a row: the codes that H.264, VP8L and JPEG are written in.

/// Writes bits, the highest of a byte first.
#[derive(Debug, Default)]
pub struct Bits {
    bytes: Vec<u8>,
    /// Bits in use of the last byte; 0 when the next bit starts a new one.
    used: u32,
}

impl Bits {
    /// Appends the `count` lowest bits of `value`, highest first.
    pub fn put(&mut self, value: u32, count: u32) {
        for bit in (0..count).rev() {
            if self.used == 0 {
                self.bytes.push(0);
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= u8::from(value >> bit & 1 == 1) << (7 - self.used);
            }
            self.used = (self.used + 1) % 8;
        }
    }

    /// Appends an unsigned Exp-Golomb code: as many zeros as the number has bits after its first.
    pub fn put_ue(&mut self, value: u32) {
        let code = value + 1;
        let length = code.ilog2();
        self.put(0, length);
        self.put(code, length + 1);
    }

    /// Fills up the last byte with `bit`.
    pub fn align(&mut self, bit: u32) {
        while self.used != 0 {
            self.put(bit, 1);
        }
    }

    /// Appends whole bytes; what went before must end on a byte.
    pub fn put_bytes(&mut self, bytes: &[u8]) {
        debug_assert!(self.used == 0, "bytes are put on a byte boundary");
        self.bytes.extend_from_slice(bytes);
    }

    /// What was written, the last byte filled up with zeros.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Writes bits the other way round, the lowest of a byte first, as WebP wants them.
#[derive(Debug, Default)]
pub struct LowFirstBits {
    bytes: Vec<u8>,
    used: u32,
}

impl LowFirstBits {
    /// Appends the `count` lowest bits of `value`, lowest first.
    pub fn put(&mut self, value: u32, count: u32) {
        for bit in 0..count {
            if self.used == 0 {
                self.bytes.push(0);
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= u8::from(value >> bit & 1 == 1) << self.used;
            }
            self.used = (self.used + 1) % 8;
        }
    }

    /// What was written, the last byte filled up with zeros.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}
