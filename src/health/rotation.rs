//! Rotation: a model that a route says it does not have any more, until it has it again. Pure.
//!
//! Kept in memory only: after a restart it is learnt anew at the cost of one submission that is refused
//! and costs nothing. A route's list of models is believed where it has been seen to tell: one that
//! went on naming a model whose orders are refused brings nothing back by naming it.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::policy::Offer;

/// Between two looks at the route's list.
pub const LOOK_EVERY: Duration = Duration::from_secs(60);
/// The status of a relay that has nobody for a model at the moment.
const NO_CHANNEL: u16 = 503;

/// A model that is out of rotation on a route.
#[derive(Clone, Debug)]
pub struct Gone {
    /// Since when.
    pub since: Timestamp,
    /// With what status the route said so.
    pub status: u16,
    /// What the file offered then: another entry is another model.
    pub offer: Offer,
    /// Whether the route's list named it when it was last read.
    named: Option<bool>,
    looked_at: Option<Timestamp>,
}

impl Gone {
    /// The route has just said so.
    pub fn new(offer: Offer, status: u16, now: Timestamp) -> Self {
        Self { since: now, status, offer, named: None, looked_at: None }
    }

    /// Whether it is time to look at the route's list again.
    pub fn wants_a_look(&self, now: Timestamp) -> bool {
        self.looked_at.is_none_or(|at| now.since(at) >= LOOK_EVERY)
    }

    /// Takes in what the route's list names; whether the model is to be had again.
    ///
    /// It is if the list names it *again*; a relay that only had nobody for it, as soon as its list names it.
    pub fn looked(&mut self, names: Option<&[String]>, now: Timestamp) -> bool {
        self.looked_at = Some(now);
        let Some(names) = names else { return false };
        let named = names.contains(&self.offer.upstream_model);
        let before = self.named.replace(named);
        let had_nobody = self.status == NO_CHANNEL && now.since(self.since) >= LOOK_EVERY;
        named && (before == Some(false) || had_nobody)
    }

    /// The look was in vain.
    pub fn not_looked(&mut self, now: Timestamp) {
        self.looked_at = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Gone;
    use crate::clock::Timestamp;
    use crate::policy::sample::sora_2;

    fn names(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn a_list_that_named_it_all_along_tells_nothing() {
        let mut gone = Gone::new(sora_2(), 410, at(0));
        for secs in [1, 61, 3_600] {
            assert!(!gone.looked(Some(&names("other upstream-model")), at(secs)));
        }
        assert!(!gone.looked(Some(&names("other")), at(3_700)), "and now it does");
        assert!(!gone.looked(None, at(3_800)), "no list is no news");
        assert!(gone.looked(Some(&names("upstream-model")), at(3_900)));
    }

    #[test]
    fn a_relay_that_had_nobody_has_it_again_as_soon_as_its_list_names_it() {
        let mut gone = Gone::new(sora_2(), 503, at(0));
        assert!(!gone.looked(Some(&names("upstream-model")), at(5)), "lists lag");
        assert!(gone.looked(Some(&names("upstream-model")), at(60)));
    }

    #[test]
    fn the_list_is_looked_at_once_a_minute() {
        let mut gone = Gone::new(sora_2(), 404, at(0));
        assert!(gone.wants_a_look(at(0)));
        gone.not_looked(at(0));
        assert!(!gone.wants_a_look(at(59)));
        assert!(gone.wants_a_look(at(0).after(Duration::from_secs(60))));
    }
}
