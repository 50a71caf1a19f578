//! Notices by their own rules.

use std::time::Duration;

use super::{Addressee, Kind, NewNotice, next_try, of_refusal, of_step, of_use};
use crate::budget::{Account, Booking, Period};
use crate::clock::Timestamp;
use crate::id::{JobId, NoticeId, TenantName};
use crate::job::{Event, State, step};
use crate::money::MicroUsd;

const NOW: Timestamp = Timestamp::from_secs(1_795_420_800);
const ANSWER_AFTER: Duration = Duration::from_secs(5);

fn acme() -> TenantName {
    TenantName::new("acme")
}

fn booking(account: Account, marks: Option<&[u8]>) -> Booking {
    Booking { account, period: Period::total(), cap: Some(MicroUsd::new(10_000_000)), marks: marks.map(<[u8]>::to_vec) }
}

/// What is owed at such a use, as `kind subject`.
fn owed(marks: Option<&[u8]>, used: i64) -> Vec<String> {
    let notices = of_use(&booking(Account::Tenant(acme()), marks), MicroUsd::new(used), NOW);
    notices.iter().map(|notice| format!("{} {}", notice.kind.as_str(), notice.subject)).collect()
}

#[test]
fn addressees_and_kinds_read_back() {
    for to in [Addressee::Operator, Addressee::Tenant(acme())] {
        assert_eq!(to.to_string().parse(), Ok(to));
    }
    for kind in Kind::ALL {
        assert_eq!(kind.as_str().parse(), Ok(kind));
    }
    assert!("nobody".parse::<Addressee>().is_err() && "video.begun".parse::<Kind>().is_err());
}

#[test]
fn an_event_looks_like_openais() {
    let (job, id) = (JobId::mint(), NoticeId::mint());
    let finished = step(State::Running, Event::Finished).unwrap();
    let notice = of_step(&acme(), job, NOW, finished, NOW, ANSWER_AFTER).unwrap();
    let expected = format!(r#"{{"id":"{id}","object":"event","created_at":1795420800,"type":"video.completed","data":{{"id":"{job}"}}}}"#);
    assert_eq!(notice.body(id), expected);
    assert!(!id.to_string().contains('.'), "a point separates the parts of what is signed");
}

#[test]
fn a_client_is_told_once_when_its_job_ends_for_it() {
    let told = |from: State, event: Event, after_ms: u64| {
        let at = NOW.after(Duration::from_millis(after_ms));
        of_step(&acme(), JobId::mint(), NOW, step(from, event).unwrap(), at, ANSWER_AFTER).map(|NewNotice { kind, .. }| kind)
    };
    assert_eq!(told(State::Accepted, Event::Running, 9_000), None);
    assert_eq!(told(State::Submitting, Event::TurnedAway, 9_000), None, "another route may have it");
    assert_eq!(told(State::Running, Event::Finished, 0), Some(Kind::VideoCompleted));
    assert_eq!(told(State::Accepted, Event::Failed, 0), Some(Kind::VideoFailed));
    assert_eq!(told(State::Running, Event::Vanished, 0), Some(Kind::VideoFailed), "a lost job has failed for its client");
    assert_eq!(told(State::Lost, Event::WrittenOffSpent, 0), None, "and does not fail again");
    assert_eq!(told(State::Submitting, Event::Rejected, 100), None, "the answer to its creation said so");
    assert_eq!(told(State::Submitting, Event::Rejected, 4_900), Some(Kind::VideoFailed), "its client may have been told `queued`");
}

#[test]
fn a_cap_is_warned_of_by_its_highest_mark() {
    let marks = Some(&[50, 80][..]);
    assert_eq!(owed(marks, 4_999_999), [""; 0]);
    assert_eq!(owed(marks, 5_000_000), ["budget.warning total/50 of 10.00"]);
    assert_eq!(owed(marks, 9_999_999), ["budget.warning total/80 of 10.00"]);
    assert_eq!(owed(marks, 10_000_000), ["budget.warning total/80 of 10.00", "budget.exhausted total of 10.00"]);
    assert_eq!(owed(None, 10_000_000), [""; 0], "nobody is told");
    assert_eq!(owed(Some(&[]), 10_000_000), ["budget.exhausted total of 10.00"]);
    assert_eq!(owed(marks, i64::MAX).len(), 2);

    let unlimited = Booking { cap: None, ..booking(Account::Tenant(acme()), marks) };
    assert!(of_use(&unlimited, MicroUsd::MAX, NOW).is_empty() && of_refusal(&unlimited, NOW).is_none());
    let refused = of_refusal(&booking(Account::Tenant(acme()), marks), NOW).unwrap();
    assert_eq!(refused.subject, "total of 10.00", "the same as that of a cap that is used up");
    let gateway = of_refusal(&booking(Account::Gateway, marks), NOW).unwrap();
    assert_eq!((gateway.to, gateway.subject.as_str()), (Addressee::Operator, "gateway/total of 10.00"));
}

#[test]
fn a_notice_is_sent_for_more_than_a_day() {
    let id = NoticeId::mint();
    let mut now = NOW;
    let mut tries = 0;
    loop {
        tries += 1;
        let Some(next) = next_try(id, tries, now) else { break };
        assert!(next > now);
        now = next;
    }
    assert_eq!(tries, 8);
    let took = now.since(NOW);
    assert!(took >= Duration::from_secs(27 * 3_600) && took <= Duration::from_secs(31 * 3_600), "{took:?}");
    assert!(next_try(id, 0, NOW).is_none());
}
