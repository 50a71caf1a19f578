//! Money: whole micro-dollars in an `i64`, and nothing else.
//!
//! Knows no prices, budgets or ledgers. The invariant: an amount is exact. It is parsed from a
//! decimal *string* (a TOML or JSON float has lost the cent before we see it), every sum is
//! checked, and no float appears in this file.

#![deny(clippy::float_arithmetic)]

use std::fmt;
use std::str::FromStr;

/// An amount in millionths of a US dollar. Columns and metrics that hold one end in `_microusd`.
///
/// An `i64` reaches 9.2 × 10¹² dollars; overflow is answered with `None`, never wrapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MicroUsd(i64);

/// Micro-dollars in a dollar.
const PER_USD: i64 = 1_000_000;

impl MicroUsd {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount that can be written.
    pub const MAX: Self = Self(i64::MAX);

    /// An amount of `microusd` millionths of a dollar.
    pub const fn new(microusd: i64) -> Self {
        Self(microusd)
    }

    /// The amount in millionths of a dollar.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The sum, or `None` past the end of the range.
    pub const fn plus(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// The difference, or `None` past the end of the range.
    pub const fn minus(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(rest) => Some(Self(rest)),
            None => None,
        }
    }

    /// This amount `n` times, or `None` past the end of the range.
    pub const fn times(self, n: i64) -> Option<Self> {
        match self.0.checked_mul(n) {
            Some(product) => Some(Self(product)),
            None => None,
        }
    }

    /// The amount with a comma after each third digit, for people: `18,000.00`.
    pub fn grouped(self) -> String {
        let plain = self.to_string();
        let (whole, decimals) = plain.split_once('.').unwrap_or((&plain, "00"));
        let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
        let mut grouped = String::with_capacity(plain.len() + digits.len() / 3);
        for (i, digit) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        format!("{sign}{grouped}.{decimals}")
    }

    /// Whether this is less than nothing.
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }
}

/// Why a text is not an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAmount {
    /// Something other than an optional sign, digits and one decimal point.
    #[error("an amount is written as digits with an optional decimal point, such as \"0.10\"")]
    NotDecimal,
    /// More than six decimals: finer than a micro-dollar.
    #[error("an amount has at most six decimals: a micro-dollar is the smallest unit")]
    TooFine,
    /// More dollars than the type holds.
    #[error("the amount is too large")]
    TooLarge,
}

impl FromStr for MicroUsd {
    type Err = BadAmount;

    fn from_str(text: &str) -> Result<Self, BadAmount> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) {
            return Err(BadAmount::NotDecimal);
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > 6 {
            return Err(BadAmount::TooFine);
        }
        let whole: i64 = whole.parse().map_err(|_| BadAmount::TooLarge)?;
        let micros: i64 = format!("{fraction:0<6}").parse().map_err(|_| BadAmount::NotDecimal)?;
        let amount = whole.checked_mul(PER_USD).and_then(|w| w.checked_add(micros)).ok_or(BadAmount::TooLarge)?;
        Ok(Self(if negative { -amount } else { amount }))
    }
}

/// Dollars with at least two decimals and as many as are needed: `0.80`, `0.000125`.
impl fmt::Display for MicroUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let amount = self.0.unsigned_abs();
        let (whole, micros) = (amount / PER_USD.unsigned_abs(), amount % PER_USD.unsigned_abs());
        let decimals = format!("{micros:06}");
        let kept = decimals.trim_end_matches('0').len().max(2);
        write!(f, "{sign}{whole}.{}", &decimals[..kept])
    }
}

#[cfg(test)]
mod tests {
    use super::{BadAmount, MicroUsd};
    use proptest::prelude::{Strategy as _, any, prop_assert_eq, proptest};

    #[test]
    fn amounts_are_read_from_decimal_text() {
        assert_eq!("0.10".parse(), Ok(MicroUsd::new(100_000)));
        assert_eq!("12".parse(), Ok(MicroUsd::new(12_000_000)));
        assert_eq!("0.000001".parse(), Ok(MicroUsd::new(1)));
        assert_eq!("0.1000000000".parse(), Ok(MicroUsd::new(100_000)));
    }

    #[test]
    fn people_read_thousands() {
        let grouped = |text: &str| text.parse::<MicroUsd>().unwrap().grouped();
        assert_eq!(grouped("18000"), "18,000.00");
        assert_eq!(grouped("-1234567.890001"), "-1,234,567.890001");
        assert_eq!([grouped("999.5"), grouped("-100"), grouped("0.10")], ["999.50", "-100.00", "0.10"]);
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", ".", ".5", "5.", "1e3", "0x1", "NaN", "+1", " 1", "1,5", "--1", "٤"] {
            assert_eq!(text.parse::<MicroUsd>(), Err(BadAmount::NotDecimal), "{text:?}");
        }
        assert_eq!("0.0000001".parse::<MicroUsd>(), Err(BadAmount::TooFine));
        assert_eq!("99999999999999999999".parse::<MicroUsd>(), Err(BadAmount::TooLarge));
        assert_eq!("9999999999999".parse::<MicroUsd>(), Err(BadAmount::TooLarge));
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(amount in any::<i64>().prop_filter("has an opposite", |a| *a != i64::MIN)) {
            let amount = MicroUsd::new(amount);
            prop_assert_eq!(amount.to_string().parse(), Ok(amount));
        }
    }
}
