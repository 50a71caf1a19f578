//! What reconciling needs of the books: the mode itself, and what they say of a route's attempts.

use super::fault::Fault;
use super::money::latest_line;
use super::rows::Columns;
use super::session::Session;
use crate::clock::Timestamp;
use crate::id::RouteName;
use crate::store::{Booked, StoreError};

/// The most attempts that are answered at once.
const BOOKED_MAX: i64 = 100_000;

/// Whether the ledger may lack what was bought, and since when.
pub(super) async fn since(session: &Session) -> Result<Option<Timestamp>, Fault> {
    let sql = "SELECT convert_from(value, 'UTF8')::bigint FROM meta WHERE name = 'reconciling'";
    session.row_if_any(sql, &[]).await?.map(|row| Columns::of(&row).moment()).transpose()
}

/// See [`crate::store::Store::reconcile_only`]. Books that are marked stay as they are.
pub(super) async fn reconcile_only(session: &Session) -> Result<Timestamp, StoreError> {
    let last = latest_line(session).await?.unwrap_or(Timestamp::from_ms(0));
    let sql = "INSERT INTO meta (name, value) VALUES ('reconciling', $1) ON CONFLICT (name) DO NOTHING";
    session.execute(sql, &[&last.as_ms().to_string().as_bytes()]).await?;
    Ok(since(session).await?.unwrap_or(last))
}

/// See [`crate::store::Store::reconciled`].
pub(super) async fn reconciled(session: &Session) -> Result<bool, StoreError> {
    Ok(session.execute("DELETE FROM meta WHERE name = 'reconciling'", &[]).await? > 0)
}

/// See [`crate::store::Store::booked`].
pub(super) async fn booked(session: &Session, route: &RouteName, since: Timestamp) -> Result<Vec<Booked>, Fault> {
    let sql = "SELECT job_id, state, attempts.upstream_id, attempts.price_microusd, attempts.created_at_ms,
            CASE WHEN ended_at_ms IS NULL THEN NULL WHEN attempt <> attempts.id THEN 0 ELSE
                (SELECT coalesce(sum(amount_microusd), 0)::bigint FROM ledger
                 WHERE ledger.job_id = jobs.id AND kind IN ('settle', 'adjust', 'overrun')) END,
            deleted_at_ms IS NOT NULL, attempts.account
        FROM jobs JOIN attempts ON attempts.job_id = jobs.id
        WHERE jobs.created_at_ms >= $2 AND attempts.route = $1 AND (attempt = attempts.id OR attempts.upstream_id IS NOT NULL)
        ORDER BY jobs.created_at_ms DESC LIMIT $3";
    let rows = session.rows(sql, &[&route.as_str(), &since.as_ms(), &BOOKED_MAX]).await?;
    let booked = rows.iter().map(|row| {
        let mut columns = Columns::of(row);
        Ok(Booked {
            job: columns.parse("job's id")?,
            state: columns.parse("state")?,
            upstream_id: columns.take()?,
            price: columns.money()?,
            at: columns.moment()?,
            cost: columns.money_if_any()?,
            deleted: columns.take()?,
            account: columns.account()?,
        })
    });
    booked.collect()
}
