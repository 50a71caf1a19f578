//! The outbox in SQLite.
//!
//! Claims go round the addressees, a few of each: one who has thousands due, or takes long to answer,
//! does not stand before the others.

use rusqlite::{Connection, Error, OptionalExtension as _, Row, params};

use super::rows::Columns;
use super::writer::Tx;
use crate::budget::Booking;
use crate::clock::Timestamp;
use crate::id::NoticeId;
use crate::money::MicroUsd;
use crate::notice::{self, Addressee, NewNotice};
use crate::store::{Delivery, Notice, NoticesIn, OwedNotices, StoreError};

/// The longest list that is answered at once.
const NOTICES_MAX: u32 = 10_000;
/// The most notices that one call forgets.
const FORGOTTEN_MAX: u32 = 1_000;

macro_rules! select_notices {
    ($rest:literal) => {
        concat!(
            "SELECT id, addressee, kind, subject, body, tries, due_at_ms, sent_at_ms, dead_at_ms, last_error, created_at_ms FROM notices ",
            $rest
        )
    };
}

fn read(row: &Row<'_>) -> Result<Notice, Error> {
    let mut columns = Columns::of(row);
    Ok(Notice {
        id: columns.parse("notice's id")?,
        to: columns.parse("addressee")?,
        kind: columns.parse("kind of notice")?,
        subject: columns.take()?,
        body: columns.take()?,
        tries: columns.take()?,
        due_at: columns.moment()?,
        sent_at: columns.moment_if_any()?,
        dead_at: columns.moment_if_any()?,
        last_error: columns.take()?,
        created_at: columns.moment()?,
    })
}

/// Owes a notice, unless it is owed or was; whether it is new.
pub(super) fn owe(conn: &Connection, new: &NewNotice) -> Result<bool, Error> {
    let id = NoticeId::mint();
    let sql = "INSERT INTO notices (id, addressee, kind, subject, body, due_at_ms, created_at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
        ON CONFLICT (addressee, kind, subject) DO NOTHING";
    let (to, kind, at) = (new.to.to_string(), new.kind.as_str(), new.at.as_ms());
    let rows = conn.prepare_cached(sql)?.execute(params![id.to_string(), to, kind, new.subject, new.body(id), at])?;
    Ok(rows == 1)
}

/// Owes what the use of a cap is worth.
pub(super) fn owe_for_use(conn: &Connection, booking: &Booking, used: MicroUsd, at: Timestamp) -> Result<(), Error> {
    for new in notice::of_use(booking, used, at) {
        owe(conn, &new)?;
    }
    Ok(())
}

/// See [`crate::store::Store::owe`].
pub(super) fn owe_all(tx: &mut Tx<'_>, news: &[NewNotice]) -> Result<u64, StoreError> {
    let mut count = 0;
    for new in news {
        count += u64::from(owe(tx.conn, new)?);
    }
    Ok(count)
}

/// Whether any notice can be claimed: asked before the writer is.
pub(super) fn any_due(conn: &Connection, now: Timestamp) -> Result<bool, Error> {
    let sql = "SELECT 1 FROM notices WHERE sent_at_ms IS NULL AND dead_at_ms IS NULL AND due_at_ms <= ?1
        AND (lease_until_ms IS NULL OR lease_until_ms <= ?1)";
    conn.prepare_cached(sql)?.exists([now.as_ms()])
}

/// See [`crate::store::Store::lease_notices`].
pub(super) fn lease(tx: &mut Tx<'_>, now: Timestamp, until: Timestamp, n: u32, each: u32) -> Result<Vec<Notice>, StoreError> {
    let sql = "SELECT addressee FROM notices WHERE sent_at_ms IS NULL AND dead_at_ms IS NULL AND addressee > ?1 ORDER BY addressee LIMIT 1";
    let mut next = tx.conn.prepare_cached(sql)?;
    // An addressee's first ones, claimed ones among them, so that no more than `each` are under way.
    let mut first = tx.conn.prepare_cached(
        "SELECT id, lease_until_ms FROM notices
        WHERE sent_at_ms IS NULL AND dead_at_ms IS NULL AND addressee = ?1 AND due_at_ms <= ?2 ORDER BY due_at_ms LIMIT ?3",
    )?;
    let mut claim = tx.conn.prepare_cached("UPDATE notices SET lease_until_ms = ?2 WHERE id = ?1")?;
    let mut whole = tx.conn.prepare_cached(select_notices!("WHERE id = ?1"))?;
    let (mut claimed, mut after) = (Vec::new(), String::new());
    let room = usize::try_from(n).unwrap_or(usize::MAX);
    while claimed.len() < room
        && let Some(addressee) = next.query_row([&after], |row| row.get::<_, String>(0)).optional()?
    {
        let rows = first.query_map(params![addressee, now.as_ms(), each], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let found = rows.collect::<Result<Vec<(String, Option<i64>)>, Error>>()?;
        let free = found.into_iter().filter(|(_, until)| until.is_none_or(|until| until <= now.as_ms()));
        for (id, _) in free.take(room - claimed.len()) {
            claim.execute(params![id, until.as_ms()])?;
            claimed.push(whole.query_row([&id], read)?);
        }
        after = addressee;
    }
    Ok(claimed)
}

/// See [`crate::store::Store::note_delivery`].
pub(super) fn note(tx: &mut Tx<'_>, id: NoticeId, delivery: &Delivery, at: Timestamp) -> Result<bool, StoreError> {
    let id = id.to_string();
    let rows = match delivery {
        Delivery::Taken => {
            // Also what somebody else has given up meanwhile: it was taken.
            let sql = "UPDATE notices SET sent_at_ms = ?2, dead_at_ms = NULL, lease_until_ms = NULL WHERE id = ?1 AND sent_at_ms IS NULL";
            tx.conn.prepare_cached(sql)?.execute(params![id, at.as_ms()])?
        }
        Delivery::Failed { why, due_at } => {
            let sql = "UPDATE notices SET tries = tries + 1, last_error = ?2, due_at_ms = ?3, lease_until_ms = NULL
                WHERE id = ?1 AND sent_at_ms IS NULL AND dead_at_ms IS NULL";
            tx.conn.prepare_cached(sql)?.execute(params![id, why, due_at.as_ms()])?
        }
        Delivery::Dead { why } => {
            let sql = "UPDATE notices SET tries = tries + 1, last_error = ?2, dead_at_ms = ?3, lease_until_ms = NULL
                WHERE id = ?1 AND sent_at_ms IS NULL AND dead_at_ms IS NULL";
            tx.conn.prepare_cached(sql)?.execute(params![id, why, at.as_ms()])?
        }
    };
    Ok(rows == 1)
}

/// See [`crate::store::Store::revive_notice`].
pub(super) fn revive(tx: &mut Tx<'_>, id: NoticeId, at: Timestamp) -> Result<bool, StoreError> {
    let sql = "UPDATE notices SET tries = 0, due_at_ms = ?2, sent_at_ms = NULL, dead_at_ms = NULL, lease_until_ms = NULL WHERE id = ?1";
    Ok(tx.conn.prepare_cached(sql)?.execute(params![id.to_string(), at.as_ms()])? == 1)
}

/// See [`crate::store::Store::revive_notices`].
pub(super) fn revive_all(tx: &mut Tx<'_>, to: &Addressee, at: Timestamp) -> Result<u64, StoreError> {
    let sql = "UPDATE notices SET tries = 0, due_at_ms = ?2, dead_at_ms = NULL, lease_until_ms = NULL
        WHERE addressee = ?1 AND dead_at_ms IS NOT NULL";
    let rows = tx.conn.prepare_cached(sql)?.execute(params![to.to_string(), at.as_ms()])?;
    Ok(u64::try_from(rows).unwrap_or(u64::MAX))
}

/// See [`crate::store::Store::forget_notices`].
pub(super) fn forget(tx: &mut Tx<'_>, videos: Timestamp, others: Timestamp) -> Result<u64, StoreError> {
    let sql = "DELETE FROM notices WHERE id IN (SELECT id FROM notices
        WHERE coalesce(sent_at_ms, dead_at_ms) < CASE WHEN kind LIKE 'video.%' THEN ?1 ELSE ?2 END
            AND (sent_at_ms < max(?1, ?2) OR dead_at_ms < max(?1, ?2)) LIMIT ?3)";
    let rows = tx.conn.prepare_cached(sql)?.execute(params![videos.as_ms(), others.as_ms(), FORGOTTEN_MAX])?;
    Ok(u64::try_from(rows).unwrap_or(u64::MAX))
}

/// See [`crate::store::Store::notices`].
pub(super) fn list(conn: &Connection, wanted: NoticesIn, limit: u32) -> Result<Vec<Notice>, Error> {
    let sql = match wanted {
        NoticesIn::Pending => {
            select_notices!("WHERE sent_at_ms IS NULL AND dead_at_ms IS NULL AND tries = 0 ORDER BY due_at_ms LIMIT ?1")
        }
        NoticesIn::Failing => {
            select_notices!("WHERE sent_at_ms IS NULL AND dead_at_ms IS NULL AND tries > 0 ORDER BY due_at_ms LIMIT ?1")
        }
        NoticesIn::Dead => select_notices!("WHERE dead_at_ms IS NOT NULL ORDER BY dead_at_ms DESC LIMIT ?1"),
        NoticesIn::Sent => select_notices!("WHERE sent_at_ms IS NOT NULL ORDER BY sent_at_ms DESC LIMIT ?1"),
    };
    let mut rows = conn.prepare_cached(sql)?;
    let rows = rows.query_map([limit.min(NOTICES_MAX)], read)?;
    rows.collect()
}

/// How many are owed and dead, by kind.
pub(super) fn standing(conn: &Connection) -> Result<Vec<OwedNotices>, Error> {
    let sql = "SELECT kind, sum(owed), min(oldest_at_ms), sum(dead) FROM (
            SELECT kind, 1 AS owed, created_at_ms AS oldest_at_ms, 0 AS dead FROM notices WHERE sent_at_ms IS NULL AND dead_at_ms IS NULL
            UNION ALL SELECT kind, 0, NULL, 1 FROM notices WHERE dead_at_ms IS NOT NULL)
        GROUP BY kind ORDER BY kind";
    let mut rows = conn.prepare_cached(sql)?;
    let rows = rows.query_map([], |row| {
        let mut columns = Columns::of(row);
        Ok(OwedNotices {
            kind: columns.parse("kind of notice")?,
            owed: columns.count()?,
            oldest_at: columns.moment_if_any()?,
            dead: columns.count()?,
        })
    })?;
    rows.collect()
}
