use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body as _;
use http_body_util::Full;
use tokio::time::Instant;

use super::{REQUESTS_MAX, Stay, TAKEN_BACK_MAX, Taken, Verdict, age};
use crate::server::Timeouts;

fn after(secs: u64) -> Instant {
    Instant::now() + Duration::from_secs(secs)
}

#[test]
fn who_asks_nothing_for_too_long_leaves_and_who_is_stuck_then_is_out() {
    let stay = Stay::new(Timeouts::default());
    assert_eq!(stay.verdict(after(9)), Verdict::Stays);
    let stream = stay.stream();
    assert_eq!(stay.verdict(after(3_000)), Verdict::Stays, "we are the ones who keep it waiting");
    drop(stream);
    assert_eq!(stay.verdict(after(59)), Verdict::Stays);
    assert_eq!(stay.verdict(after(61)), Verdict::Leaves);
    assert_eq!(stay.verdict(after(62)), Verdict::Stays, "it is told once");
    assert_eq!(stay.verdict(after(125)), Verdict::Out);
    assert_eq!(Stay::new(Timeouts::default()).verdict(after(11)), Verdict::Leaves, "who never asks anything leaves earlier");
}

#[test]
fn an_answer_that_is_not_taken_ends_the_connection_and_one_that_we_owe_does_not() {
    let stay = Stay::new(Timeouts::default());
    let mut cx = Context::from_waker(Waker::noop());
    let (sender, late) = tokio::sync::mpsc::channel::<Bytes>(2);
    let late = http_body_util::StreamBody::new(futures_util::stream::unfold(late, |mut late| async move {
        late.recv().await.map(|data| (Ok::<_, std::convert::Infallible>(http_body::Frame::data(data)), late))
    }));
    let mut body = pin!(Taken::new(Box::pin(late), stay.stream()));
    assert!(body.as_mut().poll_frame(&mut cx).is_pending());
    assert_eq!(stay.verdict(after(1_000)), Verdict::Stays);
    sender.try_send(Bytes::from_static(b"clip")).unwrap();
    assert!(body.as_mut().poll_frame(&mut cx).is_ready());
    assert_eq!(stay.verdict(after(59)), Verdict::Stays);
    assert_eq!(stay.verdict(after(61)), Verdict::Out);
}

#[tokio::test]
async fn who_takes_back_most_of_what_it_asks_is_out() {
    let stay = Stay::new(Timeouts::default());
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..100 {
        let mut body = Taken::new(Full::new(Bytes::from_static(b"{}")), stay.stream());
        assert!(std::pin::Pin::new(&mut body).poll_frame(&mut cx).is_ready());
    }
    for _ in 0..TAKEN_BACK_MAX + 100 {
        drop(stay.stream());
    }
    assert!(tokio::time::timeout(Duration::ZERO, stay.out.notified()).await.is_err(), "as many as it let end are no offence");
    drop(stay.stream());
    tokio::time::timeout(Duration::ZERO, stay.out.notified()).await.expect("out");
}

#[test]
fn a_connection_has_its_requests_and_its_time_and_no_more() {
    let stay = Stay::new(Timeouts::default());
    let _stream = stay.stream();
    assert_eq!(stay.verdict(after(3_601)), Verdict::Leaves);
    let stay = Stay::new(Timeouts::default());
    for _ in 0..REQUESTS_MAX {
        assert_eq!(stay.verdict(after(0)), Verdict::Stays);
        drop(stay.stream());
    }
    assert_eq!(stay.verdict(after(0)), Verdict::Leaves);
    let ages: Vec<Duration> = (0..50).map(|_| age(Duration::from_secs(3_600))).collect();
    assert!(ages.iter().all(|age| (3_240..=3_600).contains(&age.as_secs())));
    assert!(ages.iter().any(|age| *age != ages[0]), "not all at once");
}
