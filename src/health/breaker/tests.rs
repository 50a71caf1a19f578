use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::{Breaker, Cause, Question, REQUEST_MAX, State};
use crate::clock::Timestamp;
use crate::policy::BreakerPolicy;

const POLICY: BreakerPolicy =
    BreakerPolicy { failures: 3, permille: 500, count_min: 6, window: Duration::from_secs(60), rest: Duration::from_secs(30) };

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000).after(Duration::from_secs(secs))
}

/// One that three failures have opened at second 0.
fn open() -> Breaker {
    let mut breaker = Breaker::default();
    assert_eq!(breaker.failed(Question::Submit, at(0), &POLICY), None);
    assert_eq!(breaker.failed(Question::Submit, at(0), &POLICY), None);
    assert_eq!(breaker.failed(Question::Submit, at(0), &POLICY), Some(Cause::Failures));
    breaker
}

#[test]
fn it_opens_after_failures_in_a_row_and_polls_that_are_answered_do_not_hide_them() {
    let mut breaker = Breaker::default();
    for question in [Question::Submit, Question::Poll] {
        breaker.failed(question, at(0), &POLICY);
        breaker.failed(question, at(0), &POLICY);
        assert!(!breaker.is_asked_last(at(0)), "two of each kind are not three of one");
    }
    breaker.answered(Question::Poll, at(1), &POLICY);
    assert_eq!(breaker.failed(Question::Submit, at(1), &POLICY), Some(Cause::Failures));
    assert!(breaker.is_asked_last(at(1)) && breaker.is_failing(at(1)));
}

#[test]
fn it_opens_by_share_of_enough_answers_within_the_window() {
    let mut breaker = Breaker::default();
    for second in 0..2 {
        breaker.failed(Question::Submit, at(second), &POLICY);
        breaker.answered(Question::Submit, at(second), &POLICY);
    }
    assert_eq!(breaker.failed(Question::Submit, at(3), &POLICY), None, "three of five are too few answers");
    let mut later = breaker.clone();
    assert_eq!(breaker.failed(Question::Submit, at(4), &POLICY), Some(Cause::Rate), "four of six");
    later.answered(Question::Submit, at(5), &POLICY);
    assert_eq!(later.failed(Question::Submit, at(65), &POLICY), None, "the early ones are over a minute old");
}

#[test]
fn it_is_tried_once_its_rest_is_over_and_a_free_question_is_answered() {
    let mut breaker = open();
    breaker.free_answer(at(29));
    breaker.answered(Question::Poll, at(29), &POLICY);
    assert!(breaker.is_failing(at(29)), "it rests");
    assert!(breaker.is_asked_last(at(3_600)), "time alone does not heal it");
    assert!(!breaker.wants_a_free_answer(at(29)) && breaker.wants_a_free_answer(at(30)));
    breaker.free_failure(at(30), &POLICY);
    assert!(!breaker.wants_a_free_answer(at(59)) && breaker.wants_a_free_answer(at(60)));

    breaker.free_answer(at(60));
    assert!(!breaker.is_asked_last(at(60)) && matches!(breaker.state(at(60)), State::HalfOpen { .. }));
    breaker.asking(at(61), Duration::from_secs(10));
    assert!(breaker.is_asked_last(at(62)), "one at a time");
    assert!(!breaker.is_asked_last(at(71)), "whoever it was is not waited for without end");
    breaker.answered(Question::Submit, at(72), &POLICY);
    assert_eq!(breaker.state(at(72)), State::Closed);
}

#[test]
fn a_trial_that_fails_makes_the_next_rest_longer_up_to_a_bound() {
    let mut breaker = open();
    let mut now = at(30);
    for rest in [60, 120, 240, 480, 480] {
        breaker.free_answer(now);
        assert_eq!(breaker.failed(Question::Submit, now, &POLICY), Some(Cause::Failures));
        let State::Open { until, .. } = breaker.state(now) else { panic!("it is open") };
        assert_eq!(until.since(now), Duration::from_secs(rest));
        now = until;
    }
    breaker.free_answer(now);
    breaker.answered(Question::Submit, now, &POLICY);
    for _ in 0..3 {
        breaker.failed(Question::Submit, now, &POLICY);
    }
    let State::Open { until, .. } = breaker.state(now) else { panic!("it is open") };
    assert_eq!(until.since(now), POLICY.rest, "it was well in between");
}

#[test]
fn a_rest_by_request_ends_by_itself_and_is_bounded() {
    let mut breaker = Breaker::default();
    breaker.asks_for_rest(Duration::from_secs(7), at(0));
    assert!(breaker.is_asked_last(at(6)) && !breaker.is_failing(at(6)));
    breaker.answered(Question::Submit, at(1), &POLICY);
    assert!(breaker.is_asked_last(at(6)), "a late answer does not take it back");
    assert!(!breaker.is_asked_last(at(7)));
    breaker.asks_for_rest(Duration::MAX, at(10));
    assert!(!breaker.is_asked_last(at(10).after(REQUEST_MAX)));

    let mut failing = open();
    failing.asks_for_rest(Duration::from_secs(5), at(1));
    assert!(failing.is_failing(at(29)), "a request shortens no other rest");
}

/// What may happen, and how many seconds after the one before.
fn happening() -> impl Strategy<Value = (u8, u64)> {
    (0_u8..7, prop_oneof![Just(0), 0_u64..20, 0_u64..400])
}

proptest! {
    /// Every step of any history, against the rules in words.
    #[test]
    fn whatever_happens_it_opens_at_its_thresholds_and_is_tried_only_after_rest_and_a_free_answer(
        history in vec(happening(), 1..80),
        failures in 1_u32..6,
        count_min in 1_u32..12,
        permille in 1_u32..=1_000,
    ) {
        let policy = BreakerPolicy { failures, permille, count_min, ..POLICY };
        let (mut breaker, mut second) = (Breaker::default(), 0);
        // Of submissions and polls: failures in a row, and all that were answered or not since it last opened or closed.
        let (mut row, mut seen) = ([0_u32; 2], [(0_u32, 0_u32); 2]);
        for (what, later) in history {
            second += later;
            let (now, before) = (at(second), breaker.state(at(second)));
            let question = if what % 2 == 0 { Question::Submit } else { Question::Poll };
            let kind = usize::from(what % 2);
            let mut opened = None;
            match what {
                0 | 1 => {
                    breaker.answered(question, now, &policy);
                    row[kind] = 0;
                    seen[kind].0 += 1;
                }
                2 | 3 => {
                    opened = breaker.failed(question, now, &policy);
                    row[kind] += 1;
                    seen[kind] = (seen[kind].0 + 1, seen[kind].1 + 1);
                }
                4 => breaker.free_answer(now),
                5 => breaker.free_failure(now, &policy),
                _ => breaker.asks_for_rest(Duration::from_secs(later), now),
            }
            let after = breaker.state(now);
            match (before, after) {
                (State::Closed, State::Open { cause: Cause::Failures, since, until }) => {
                    prop_assert!(opened.is_some() && row[kind] >= failures && since == now && until >= now.after(policy.rest));
                }
                (State::Closed, State::Open { cause: Cause::Rate, .. }) => {
                    let (all, bad) = seen[kind];
                    prop_assert!(opened.is_some() && all >= count_min && bad > 0, "{all} {bad}");
                }
                (State::Closed, State::Open { cause: Cause::Request, .. }) => prop_assert_eq!(what, 6),
                (State::Closed, State::HalfOpen { .. }) => prop_assert!(false, "nothing to be tried"),
                (State::Closed, State::Closed) => {
                    prop_assert!(!matches!(what, 2 | 3) || row[kind] < failures);
                }
                (State::Open { until, cause, .. }, State::HalfOpen { .. }) => {
                    prop_assert!(until <= now && cause != Cause::Request && matches!(what, 1 | 4));
                }
                (State::Open { cause, .. }, State::Closed) => prop_assert!(what == 0 && cause != Cause::Request),
                (State::HalfOpen { .. }, State::Closed) => prop_assert_eq!(what, 0),
                (State::HalfOpen { .. }, State::Open { .. }) => prop_assert!(matches!(what, 2 | 3 | 6)),
                (State::Open { until: earlier, .. }, State::Open { until, cause, .. }) => {
                    prop_assert!(until >= earlier, "{cause:?}");
                }
                (State::HalfOpen { .. }, State::HalfOpen { .. }) => {}
            }
            if before != after && !matches!((before, after), (State::Open { .. }, State::Open { .. })) {
                (row, seen) = match after {
                    State::HalfOpen { .. } | State::Open { cause: Cause::Request, .. } => (row, seen),
                    State::Open { .. } if what == 6 => (row, seen),
                    State::Closed | State::Open { .. } => ([0; 2], [(0, 0); 2]),
                };
            }
            prop_assert_eq!(breaker.is_asked_last(now), !matches!(after, State::Closed) && !matches!(after, State::HalfOpen { trial_until: None, .. }));
        }
    }
}
