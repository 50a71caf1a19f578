//! Credentials: whether a route's provider takes our key. Pure.
//!
//! Orders and polls are told apart: a key may be good for reading and for nothing else. A sound answer to an order
//! ends both refusals, one to a poll only that of polls; so does another key in the policy, which is another route.

use super::breaker::Question;
use crate::clock::Timestamp;
use crate::provider::Credential;

/// A key that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Since when.
    pub since: Timestamp,
    /// With what status, where that is known.
    pub status: Option<u16>,
}

/// What a provider made of our key when it last saw it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keyed {
    orders: Option<Refused>,
    polls: Option<Refused>,
}

impl Keyed {
    /// It was refused; whether that is news.
    pub fn refused(&mut self, question: Question, status: Option<u16>, now: Timestamp) -> bool {
        let is_news = self.standing().is_none();
        let of = match question {
            Question::Submit => &mut self.orders,
            Question::Poll => &mut self.polls,
        };
        *of = Some(Refused { status: status.or(of.and_then(|of| of.status)), since: of.map_or(now, |of| of.since) });
        is_news
    }

    /// It was taken; whether it was refused until now and is not any more.
    pub fn taken(&mut self, question: Question) -> bool {
        let was_refused = self.standing().is_some();
        self.polls = None;
        if question == Question::Submit {
            self.orders = None;
        }
        was_refused && self.standing().is_none()
    }

    /// Whether it is refused.
    pub fn standing(&self) -> Option<Refused> {
        self.orders.or(self.polls)
    }
}

/// What is wrong and what to do, for the operator.
pub fn remedy(refused: Refused, credential: &Credential) -> String {
    let status = refused.status.map_or_else(String::new, |status| format!(" ({status})"));
    let remedy = match credential {
        Credential::Key(_) => "replace its `api_key`, or have the provider permit it video; other routes are asked in its place",
        Credential::Entra(_) => {
            "look at `client_id` and `client_secret` of its `entra`, and at its role; other routes are asked in its place"
        }
        Credential::None => "it has none in the policy, and wants an `api_key`; other routes are asked in its place",
    };
    format!("the provider refused this route's key{status}: {remedy}")
}

#[cfg(test)]
mod tests {
    use super::{Keyed, Refused, remedy};
    use crate::clock::Timestamp;
    use crate::health::Question::{Poll, Submit};
    use crate::provider::Credential;
    use crate::secret::Secret;

    const NOON: Timestamp = Timestamp::from_secs(1_800_000_000);

    #[test]
    fn a_key_that_may_only_read_stays_refused_whatever_polls_say() {
        let mut keyed = Keyed::default();
        assert!(keyed.refused(Submit, Some(403), NOON));
        assert!(!keyed.refused(Submit, Some(401), Timestamp::from_secs(1_800_000_009)), "told once");
        assert_eq!(keyed.standing(), Some(Refused { since: NOON, status: Some(401) }));
        assert!(!keyed.taken(Poll));
        assert!(keyed.standing().is_some());
        assert!(keyed.taken(Submit));
        assert!(!keyed.taken(Submit) && keyed.standing().is_none());
    }

    #[test]
    fn a_poll_that_is_answered_ends_what_polls_said() {
        let mut keyed = Keyed::default();
        assert!(keyed.refused(Poll, None, NOON));
        assert!(keyed.taken(Poll) && keyed.standing().is_none());
    }

    #[test]
    fn the_remedy_names_the_setting() {
        let refused = Refused { since: NOON, status: Some(401) };
        let told = remedy(refused, &Credential::Key(Secret::new("sk-1")));
        assert!(told.starts_with("the provider refused this route's key (401): ") && told.contains("`api_key`") && !told.contains("sk-1"));
        assert!(remedy(Refused { status: None, ..refused }, &Credential::None).contains("key: it has none"));
    }
}
