use std::time::Duration;

use proptest::prelude::{ProptestConfig, prop, prop_assert, proptest};

use super::{HALF_LIFE, LONGEST, Pace};
use crate::clock::Timestamp;

const USUAL: Duration = Duration::from_secs(30);

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000).after(Duration::from_secs(secs))
}

#[test]
fn the_table_counts_for_one_clip_and_what_was_seen_for_half_as_much_each_quarter_of_an_hour() {
    let nothing = Pace::new(at(0));
    assert_eq!(nothing.expects(USUAL, at(0)), USUAL);
    let one = nothing.seeing(Duration::from_secs(90), at(0));
    assert_eq!(one.expects(USUAL, at(0)), Duration::from_secs(60), "one against one");
    assert_eq!(one.expects(USUAL, at(HALF_LIFE.as_secs())), Duration::from_secs(50), "half a clip against one");
    let many = (0..20).fold(nothing, |pace, _| pace.seeing(Duration::from_secs(90), at(0)));
    assert!(many.expects(USUAL, at(0)) > Duration::from_secs(85));
    assert!(many.expects(USUAL, at(24 * 3_600)).abs_diff(USUAL) < Duration::from_millis(1), "a day later it is as good as forgotten");
}

#[test]
fn what_happened_later_counts_for_more() {
    let (slow, fast) = (Duration::from_secs(90), Duration::from_secs(10));
    let of = |first, second| Pace::new(at(0)).seeing(first, at(0)).seeing(second, at(1_800)).expects(USUAL, at(1_800));
    assert!(of(slow, fast) < of(fast, slow));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_is_expected_lies_between_what_was_seen_and_the_table(clips in prop::collection::vec((0..5_000_u64, 0..100_000_u64), 1..30), later in 0..100_000_u64) {
        let (mut pace, mut secs) = (Pace::new(at(0)), 0);
        for (took, gap) in &clips {
            secs += gap;
            pace = pace.seeing(Duration::from_secs(*took), at(secs));
        }
        let seen = || clips.iter().map(|(took, _)| Duration::from_secs(*took).min(LONGEST)).chain([USUAL]);
        let (least, most) = (seen().min().unwrap(), seen().max().unwrap());
        let slack = Duration::from_micros(1);
        let expected = pace.expects(USUAL, at(secs + later));
        prop_assert!(expected + slack >= least && expected <= most + slack, "{expected:?}");
        prop_assert!(pace.faded(at(secs + later)).weight <= 30.0);
    }
}
