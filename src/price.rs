//! Prices: what a clip costs on a route, and what a tenant is charged for it.
//!
//! Knows no routes, budgets or plans: an offer or a charge goes in, an amount comes out. The
//! invariant: an amount is the rate times whole seconds, exactly. What has no price, or no amount
//! that can be written, is `None` and never nothing.

use crate::money::MicroUsd;
use crate::policy::{Charge, Offer, Price};
use crate::video::{Seconds, Size};

/// The price of `seconds` of `size` under `offer`, or `None` if that size has no price there.
///
/// The length need not be one that is offered: estimates ask about those too.
pub fn of(offer: &Offer, seconds: Seconds, size: Size) -> Option<MicroUsd> {
    let per_second = match &offer.price {
        Price::Flat(price) => *price,
        Price::BySize(prices) => *prices.get(&size.class())?,
    };
    per_second.times(i64::from(seconds.get()))
}

/// What a tenant is charged for a clip of `seconds` that was made, or `None` past the end of the range.
pub fn charge(charge: Charge, seconds: Seconds) -> Option<MicroUsd> {
    match charge {
        Charge::PerClip(amount) => Some(amount),
        Charge::PerSecond(amount) => amount.times(i64::from(seconds.get())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, prop_assert, prop_assert_eq, proptest};

    use super::{charge, of};
    use crate::money::MicroUsd;
    use crate::policy::{Charge, Price, sample};
    use crate::video::{Seconds, Size};

    fn seconds(n: u32) -> Seconds {
        Seconds::new(n).unwrap()
    }

    #[test]
    fn the_published_table_comes_out_to_the_cent() {
        let (sora, pro) = (sample::sora_2(), sample::sora_2_pro());
        let usd = |offer, s, size: &str| of(offer, seconds(s), size.parse().unwrap()).map(|p| p.to_string());
        assert_eq!(usd(&sora, 8, "720x1280").as_deref(), Some("0.80"));
        assert_eq!(usd(&pro, 10, "1280x720").as_deref(), Some("3.00"));
        assert_eq!(usd(&pro, 10, "1024x1792").as_deref(), Some("5.00"));
    }

    #[test]
    fn a_size_without_a_price_costs_none_rather_than_nothing() {
        assert_eq!(of(&sample::sora_2_pro(), seconds(10), Size::new(1080, 1920)), None);
    }

    #[test]
    fn an_amount_that_cannot_be_written_is_none() {
        let mut offer = sample::sora_2();
        offer.price = Price::Flat(MicroUsd::MAX);
        assert_eq!(of(&offer, seconds(2), Size::DEFAULT), None);
        assert_eq!(charge(Charge::PerSecond(MicroUsd::MAX), seconds(2)), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn a_price_is_exact_and_a_longer_clip_is_never_cheaper(rate in 0..=1_000_000_000_i64, a in 1..=3_600_u32, b in 1..=3_600_u32) {
            let mut offer = sample::sora_2();
            offer.price = Price::Flat(MicroUsd::new(rate));
            let price = |s| of(&offer, seconds(s), Size::DEFAULT).map(|p| i128::from(p.get()));
            prop_assert_eq!(price(a), Some(i128::from(rate) * i128::from(a)));
            prop_assert!(price(a.min(b)) <= price(a.max(b)));
        }

        #[test]
        fn a_charge_is_the_clip_or_its_seconds(rate in 0..=1_000_000_000_i64, s in 1..=3_600_u32) {
            let amount = MicroUsd::new(rate);
            prop_assert_eq!(charge(Charge::PerClip(amount), seconds(s)), Some(amount));
            prop_assert_eq!(charge(Charge::PerSecond(amount), seconds(s)), Some(MicroUsd::new(rate * i64::from(s))));
        }
    }
}
