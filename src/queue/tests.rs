use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::{ProptestConfig, proptest};
use proptest::{collection, prop_assert, prop_assert_eq};

use super::{Room, Turns, Waiters, in_turn, starts_in};
use crate::id::{JobId, TenantName};

fn waiters(tenants: &[(u32, usize)]) -> Vec<Waiters> {
    let each = tenants.iter().enumerate().map(|(n, (weight, jobs))| Waiters {
        tenant: TenantName::new(format!("tenant-{n}")),
        weight: *weight,
        jobs: (0..*jobs).map(|_| JobId::mint()).collect(),
    });
    each.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn whoever_waits_gets_its_share_and_nobody_starves(
        tenants in collection::vec((1..20u32, 1..60usize), 1..8),
        earlier in collection::vec(0..8usize, 0..40),
    ) {
        let all = waiters(&tenants);
        let mut turns = Turns::default();
        for n in earlier {
            if let Some(each) = all.get(n) {
                turns.took(&each.tenant, each.weight);
            }
        }
        let start = turns.clone();
        let order = in_turn(&turns, &all);
        let whose: HashMap<JobId, usize> = all.iter().enumerate().flat_map(|(n, each)| each.jobs.iter().map(move |id| (*id, n))).collect();
        prop_assert_eq!(order.len(), whose.len(), "everybody has a turn, once");

        let mut had = vec![0usize; all.len()];
        for id in &order {
            let n = whose[id];
            prop_assert_eq!(*id, all[n].jobs[had[n]], "oldest first within a tenant");
            prop_assert!(turns.tag(&all[n].tenant) == all.iter().enumerate().filter(|(m, each)| had[*m] < each.jobs.len())
                .map(|(_, each)| turns.tag(&each.tenant)).min().unwrap(), "the order foretold is the order of the turns");
            turns.took(&all[n].tenant, all[n].weight);
            had[n] += 1;
            // While two wait from the same tag on, neither is more than one turn ahead of its share.
            for (a, one) in all.iter().enumerate() {
                for (b, other) in all.iter().enumerate() {
                    let both = had[a] < one.jobs.len() && had[b] < other.jobs.len() && start.tag(&one.tenant) == start.tag(&other.tenant);
                    let (turns_a, turns_b) = (had[a] as f64 / f64::from(one.weight), had[b] as f64 / f64::from(other.weight));
                    prop_assert!(!both || turns_a - turns_b <= 1.0 / f64::from(one.weight) + 1e-6, "{had:?} of {tenants:?}");
                }
            }
        }
    }
}

#[test]
fn who_was_away_saves_no_turns_up() {
    let (busy, back) = (TenantName::new("busy"), TenantName::new("back"));
    let mut turns = Turns::default();
    for _ in 0..100 {
        turns.took(&busy, 1);
    }
    let all = [(&busy, 10), (&back, 10)].map(|(tenant, jobs)| Waiters {
        tenant: tenant.clone(),
        weight: 1,
        jobs: (0..jobs).map(|_| JobId::mint()).collect(),
    });
    let order = in_turn(&turns, &all);
    let of_busy = order.iter().take(6).filter(|id| all[0].jobs.contains(id)).count();
    assert!((2..=3).contains(&of_busy), "{of_busy} of 6");
}

#[test]
fn turns_are_forgotten_once_they_say_nothing() {
    let mut turns = Turns::default();
    for n in 0..10_000 {
        turns.took(&TenantName::new(format!("tenant-{n}")), 1);
        turns.took(&TenantName::new("one"), 1);
    }
    assert!(turns.tags.len() < 500, "{}", turns.tags.len());
}

#[test]
fn a_place_comes_up_with_the_jobs_before_it() {
    let room = Room { places: Some(5), rpm: None };
    let alike = [Duration::from_secs(60); 45];
    let starts = starts_in(room, &[], &alike);
    assert_eq!((starts[0], starts[44]), (Duration::from_secs(12), Duration::from_secs(540)));
    assert_eq!(starts_in(Room { rpm: Some(2), ..room }, &[], &alike)[44], Duration::from_secs(1_350), "the slower of the two counts");
    assert_eq!(starts_in(Room { places: None, ..room }, &[], &alike)[44], Duration::ZERO);
    assert!(starts_in(room, &[], &[]).is_empty());
}

#[test]
fn a_long_clip_is_waited_for_by_those_behind_it_and_not_by_those_before() {
    let secs = Duration::from_secs;
    let room = Room { places: Some(1), rpm: None };
    assert_eq!(starts_in(room, &[], &[secs(10), secs(10), secs(280), secs(20)]), [secs(80), secs(90), secs(100), secs(380)]);
    // Of what is under way it is known how far it is.
    assert_eq!(starts_in(room, &[secs(3)], &[secs(10), secs(20)]), [secs(3), secs(13)]);
    // Beside it there is another place.
    let room = Room { places: Some(2), rpm: None };
    assert_eq!(starts_in(room, &[], &[secs(280), secs(20), secs(20)]).last(), Some(&(secs(320) / 3 + secs(20))));
}

proptest! {
    #[test]
    fn nobody_is_told_to_start_before_those_ahead_and_no_place_is_taken_twice(
        clips in collection::vec(1..10_000u64, 1..100),
        places in 1..20u32,
        rpm in 1..600u32,
        is_paced: bool,
    ) {
        let clips: Vec<Duration> = clips.into_iter().map(Duration::from_millis).collect();
        let starts = starts_in(Room { places: Some(places), rpm: is_paced.then_some(rpm) }, &[], &clips);
        prop_assert!(starts.is_sorted());
        for (n, at) in starts.iter().enumerate() {
            let before = starts.iter().zip(&clips).take(n).filter(|(start, clip)| **start + **clip > *at).count();
            prop_assert!(before < places as usize, "{n} starts beside {before}");
            prop_assert!(!is_paced || *at >= Duration::from_secs(60).mul_f64((n + 1) as f64 / f64::from(rpm)));
        }
    }
}
