//! The outbox in PostgreSQL.
//!
//! Claims go round the addressees, a few of each: one who has thousands due, or takes long to answer,
//! does not stand before the others. Of two replicas that claim at once, one gets a notice.

use tokio_postgres::Row;

use super::fault::Fault;
use super::rows::Columns;
use super::session::{Session, values};
use crate::budget::Booking;
use crate::clock::Timestamp;
use crate::id::NoticeId;
use crate::money::MicroUsd;
use crate::notice::{self, Addressee, NewNotice};
use crate::store::{Delivery, Notice, NoticesIn, OwedNotices, StoreError};

/// The longest list that is answered at once.
const NOTICES_MAX: u32 = 10_000;
/// The most notices that one call forgets.
const FORGOTTEN_MAX: i64 = 1_000;

macro_rules! select_notices {
    ($rest:literal) => {
        concat!("SELECT id, addressee, kind, subject, body, tries, due_at_ms, sent_at_ms, dead_at_ms, last_error, created_at_ms ", $rest)
    };
}

fn read(row: &Row) -> Result<Notice, Fault> {
    let mut columns = Columns::of(row);
    Ok(Notice {
        id: columns.parse("notice's id")?,
        to: columns.parse("addressee")?,
        kind: columns.parse("kind of notice")?,
        subject: columns.take()?,
        body: columns.take()?,
        tries: columns.number("number of tries")?,
        due_at: columns.moment()?,
        sent_at: columns.moment_if_any()?,
        dead_at: columns.moment_if_any()?,
        last_error: columns.take()?,
        created_at: columns.moment()?,
    })
}

/// Adds a notice, unless it is owed or was.
const OWE: &str = "INSERT INTO notices (id, addressee, kind, subject, body, due_at_ms, created_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $6)
    ON CONFLICT (addressee, kind, subject) DO NOTHING";

/// Owes a notice, unless it is owed or was.
pub(super) fn owe(session: &Session, new: &NewNotice) {
    let id = NoticeId::mint();
    let (to, kind, at) = (new.to.to_string(), new.kind.as_str(), new.at.as_ms());
    session.write(OWE, values![id.to_string(), to, kind, new.subject.clone(), new.body(id), at]);
}

/// Owes what the use of a cap is worth.
pub(super) fn owe_for_use(session: &Session, booking: &Booking, used: MicroUsd, at: Timestamp) {
    for new in notice::of_use(booking, used, at) {
        owe(session, &new);
    }
}

/// See [`crate::store::Store::owe`].
pub(super) async fn owe_all(session: &Session, news: &[NewNotice]) -> Result<u64, StoreError> {
    let mut count = 0;
    for new in news {
        let id = NoticeId::mint();
        let (to, kind, at) = (new.to.to_string(), new.kind.as_str(), new.at.as_ms());
        count += session.execute(OWE, &[&id.to_string(), &to, &kind, &new.subject, &new.body(id), &at]).await?;
    }
    Ok(count)
}

/// See [`crate::store::Store::lease_notices`].
pub(super) async fn lease(session: &Session, now: Timestamp, until: Timestamp, n: u32, each: u32) -> Result<Vec<Notice>, StoreError> {
    // An addressee's first ones, claimed ones among them, so that no more than `each` are under way.
    let sql = concat!(
        "WITH first AS (
            SELECT one.* FROM (SELECT DISTINCT addressee FROM notices WHERE sent_at_ms IS NULL AND dead_at_ms IS NULL) AS owed
            CROSS JOIN LATERAL (
                SELECT id, addressee, due_at_ms, lease_until_ms FROM notices
                WHERE sent_at_ms IS NULL AND dead_at_ms IS NULL AND notices.addressee = owed.addressee AND due_at_ms <= $1
                ORDER BY due_at_ms, id LIMIT $3
            ) AS one
        ),
        free AS (
            SELECT id FROM first WHERE lease_until_ms IS NULL OR lease_until_ms <= $1 ORDER BY addressee, due_at_ms, id LIMIT $2
        ),
        claimed AS (
            UPDATE notices SET lease_until_ms = $4 FROM free
            WHERE notices.id = free.id AND (lease_until_ms IS NULL OR lease_until_ms <= $1) RETURNING notices.*
        ) ",
        select_notices!("FROM claimed ORDER BY addressee, due_at_ms, id")
    );
    let rows = session.rows(sql, &[&now.as_ms(), &i64::from(n), &i64::from(each), &until.as_ms()]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

/// See [`crate::store::Store::note_delivery`].
pub(super) async fn note(session: &Session, id: NoticeId, delivery: &Delivery, at: Timestamp) -> Result<bool, StoreError> {
    let id = id.to_string();
    let rows = match delivery {
        Delivery::Taken => {
            // Also what somebody else has given up meanwhile: it was taken.
            let sql = "UPDATE notices SET sent_at_ms = $2, dead_at_ms = NULL, lease_until_ms = NULL WHERE id = $1 AND sent_at_ms IS NULL";
            session.execute(sql, &[&id, &at.as_ms()]).await?
        }
        Delivery::Failed { why, due_at } => {
            let sql = "UPDATE notices SET tries = tries + 1, last_error = $2, due_at_ms = $3, lease_until_ms = NULL
                WHERE id = $1 AND sent_at_ms IS NULL AND dead_at_ms IS NULL";
            session.execute(sql, &[&id, &why.replace('\0', "\u{fffd}"), &due_at.as_ms()]).await?
        }
        Delivery::Dead { why } => {
            let sql = "UPDATE notices SET tries = tries + 1, last_error = $2, dead_at_ms = $3, lease_until_ms = NULL
                WHERE id = $1 AND sent_at_ms IS NULL AND dead_at_ms IS NULL";
            session.execute(sql, &[&id, &why.replace('\0', "\u{fffd}"), &at.as_ms()]).await?
        }
    };
    Ok(rows == 1)
}

/// See [`crate::store::Store::revive_notice`].
pub(super) async fn revive(session: &Session, id: NoticeId, at: Timestamp) -> Result<bool, StoreError> {
    let sql = "UPDATE notices SET tries = 0, due_at_ms = $2, sent_at_ms = NULL, dead_at_ms = NULL, lease_until_ms = NULL WHERE id = $1";
    Ok(session.execute(sql, &[&id.to_string(), &at.as_ms()]).await? == 1)
}

/// See [`crate::store::Store::revive_notices`].
pub(super) async fn revive_all(session: &Session, to: &Addressee, at: Timestamp) -> Result<u64, StoreError> {
    let sql = "UPDATE notices SET tries = 0, due_at_ms = $2, dead_at_ms = NULL, lease_until_ms = NULL
        WHERE addressee = $1 AND dead_at_ms IS NOT NULL";
    Ok(session.execute(sql, &[&to.to_string(), &at.as_ms()]).await?)
}

/// See [`crate::store::Store::forget_notices`].
pub(super) async fn forget(session: &Session, videos: Timestamp, others: Timestamp) -> Result<u64, StoreError> {
    let sql = "DELETE FROM notices WHERE id IN (SELECT id FROM notices
        WHERE coalesce(sent_at_ms, dead_at_ms) < CASE WHEN kind LIKE 'video.%' THEN $1::bigint ELSE $2::bigint END
            AND (sent_at_ms < greatest($1, $2) OR dead_at_ms < greatest($1, $2)) LIMIT $3)";
    Ok(session.execute(sql, &[&videos.as_ms(), &others.as_ms(), &FORGOTTEN_MAX]).await?)
}

/// See [`crate::store::Store::notices`].
pub(super) async fn list(session: &Session, wanted: NoticesIn, limit: u32) -> Result<Vec<Notice>, Fault> {
    let sql = match wanted {
        NoticesIn::Pending => {
            select_notices!("FROM notices WHERE sent_at_ms IS NULL AND dead_at_ms IS NULL AND tries = 0 ORDER BY due_at_ms, id LIMIT $1")
        }
        NoticesIn::Failing => {
            select_notices!("FROM notices WHERE sent_at_ms IS NULL AND dead_at_ms IS NULL AND tries > 0 ORDER BY due_at_ms, id LIMIT $1")
        }
        NoticesIn::Dead => select_notices!("FROM notices WHERE dead_at_ms IS NOT NULL ORDER BY dead_at_ms DESC, id LIMIT $1"),
        NoticesIn::Sent => select_notices!("FROM notices WHERE sent_at_ms IS NOT NULL ORDER BY sent_at_ms DESC, id LIMIT $1"),
    };
    session.rows(sql, &[&i64::from(limit.min(NOTICES_MAX))]).await?.iter().map(read).collect()
}

/// How many are owed and dead, by kind.
pub(super) async fn standing(session: &Session) -> Result<Vec<OwedNotices>, Fault> {
    let sql = "SELECT kind, count(*) FILTER (WHERE dead_at_ms IS NULL), min(created_at_ms) FILTER (WHERE dead_at_ms IS NULL),
            count(*) FILTER (WHERE dead_at_ms IS NOT NULL)
        FROM notices WHERE sent_at_ms IS NULL GROUP BY kind ORDER BY kind";
    let rows = session.rows(sql, &[]).await?;
    let standing = rows.iter().map(|row| {
        let mut columns = Columns::of(row);
        Ok(OwedNotices {
            kind: columns.parse("kind of notice")?,
            owed: columns.count()?,
            oldest_at: columns.moment_if_any()?,
            dead: columns.count()?,
        })
    });
    standing.collect()
}
