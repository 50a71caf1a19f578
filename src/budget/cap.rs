//! Caps: what is left under one, and what fits.

use crate::money::MicroUsd;

/// What is left under a cap where `used` is held or spent; `None` without a cap.
///
/// More than a cap may be used: it was lowered since, or a correction added to what was spent. Then nothing is
/// left, not less.
pub fn left(cap: Option<MicroUsd>, used: MicroUsd) -> Option<MicroUsd> {
    cap.map(|cap| cap.minus(used).unwrap_or(MicroUsd::ZERO).max(MicroUsd::ZERO))
}

/// Whether `amount` may be held besides what is `used`: then no more than the cap is. Where more is already, not
/// even an amount of nothing fits.
pub fn fits(cap: Option<MicroUsd>, used: MicroUsd, amount: MicroUsd) -> bool {
    used.plus(amount).is_some_and(|used| cap.is_none_or(|cap| used <= cap))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    proptest! {
        #[test]
        fn what_is_left_is_the_most_that_fits(cap in any::<i64>(), used in 0..=i64::MAX, amount in 0..=i64::MAX) {
            let [cap, used, amount] = [cap, used, amount].map(MicroUsd::new);
            let left = left(Some(cap), used).unwrap();
            assert!(!left.is_negative());
            assert_eq!(fits(Some(cap), used, amount), used <= cap && amount <= left);
        }
    }

    #[test]
    fn without_a_cap_all_fits_that_can_be_counted() {
        let [one, most] = [1, i64::MAX].map(MicroUsd::new);
        assert_eq!(left(None, most), None);
        assert!(fits(None, MicroUsd::ZERO, most));
        assert!(!fits(None, one, most));
    }
}
