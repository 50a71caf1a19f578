//! The books as a whole: how things stand, and whether everything adds up. What takes more
//! than one query is called in a transaction that sees one moment.

use super::fault::Fault;
use super::notices;
use super::read::balance;
use super::rows::Columns;
use super::session::Session;
use crate::clock::Timestamp;
use crate::money::MicroUsd;
use crate::store::{Balance, OpenJobs, Overview};

/// Balances in the periods that run, past those of keys and end users: `;` follows upon `:`. There may be millions of
/// these, and nobody counts them to tell how the others stand.
pub(super) const BALANCES: &str =
    "SELECT account, period, held_microusd, spent_microusd, cap_microusd FROM current_periods JOIN balances USING (account, period)
    WHERE account < 'key:' OR (account >= 'key;' AND account < 'user:') OR account >= 'user;' ORDER BY account";

/// How things stand at one moment.
pub(super) async fn overview(session: &Session) -> Result<Overview, Fault> {
    let sql = "SELECT tenant, route, model, upstream_account, state, count(*), min(created_at_ms) FROM jobs WHERE ended_at_ms IS NULL
        GROUP BY tenant, route, model, upstream_account, state
        ORDER BY tenant, route, model, upstream_account COLLATE \"C\", state COLLATE \"C\"";
    let open = session.rows(sql, &[]).await?;
    let open = open.iter().map(|row| {
        let mut columns = Columns::of(row);
        Ok(OpenJobs {
            tenant: columns.take()?,
            route: columns.take()?,
            model: columns.take()?,
            account: columns.account()?,
            state: columns.parse("state")?,
            count: columns.count()?,
            oldest_at: columns.moment()?,
        })
    });
    let open = open.collect::<Result<_, Fault>>()?;

    let balances = session.rows(BALANCES, &[]).await?.iter().map(balance).collect::<Result<_, _>>()?;

    let suspense = total(session, "job_id IS NULL AND kind IN ('suspense', 'adjust')").await?;
    Ok(Overview {
        open,
        balances,
        suspense,
        overrun: total(session, "kind = 'overrun'").await?,
        notices: notices::standing(session).await?,
    })
}

async fn total(session: &Session, lines: &str) -> Result<MicroUsd, Fault> {
    let sql = format!("SELECT coalesce(sum(amount_microusd), 0)::bigint FROM ledger WHERE {lines}");
    let found = session.row_if_any(&sql, &[]).await?;
    found.map_or(Ok(MicroUsd::ZERO), |row| Columns::of(&row).money())
}

/// The payers of a kind that have used the largest share of their caps.
pub(super) async fn fullest(session: &Session, accounts: &(String, String), now: Timestamp, n: u32) -> Result<Vec<Balance>, Fault> {
    let sql = "SELECT account, period, held_microusd, spent_microusd, cap_microusd FROM current_periods JOIN balances USING (account, period)
        WHERE account >= $1 AND account < $2 AND (until_at_ms IS NULL OR until_at_ms > $3)
        ORDER BY CASE WHEN cap_microusd IS NULL THEN -1.0 WHEN cap_microusd <= 0 THEN 1e18
            ELSE (held_microusd::float8 + spent_microusd) / cap_microusd END DESC, held_microusd::numeric + spent_microusd DESC, account LIMIT $4";
    let rows = session.rows(sql, &[&accounts.0, &accounts.1, &now.as_ms(), &i64::from(n)]).await?;
    rows.iter().map(balance).collect()
}

/// What must hold of the books, as a query that finds what does not, and says so in its one column.
const AUDITS: [&str; 7] = [
    // Balances are the sums of what is booked to them.
    "WITH booked AS (
        SELECT account, period,
            sum(CASE WHEN ended_at_ms IS NULL THEN amount_microusd ELSE 0 END) AS held,
            sum((SELECT coalesce(sum(amount_microusd), 0) FROM ledger WHERE ledger.job_id = jobs.id AND kind IN ('settle', 'adjust')))
                AS spent
        FROM bookings JOIN jobs ON jobs.id = bookings.job_id GROUP BY account, period
     )
     SELECT format('%s in %s: held %s, booked %s; spent %s, in the ledger %s', account, period,
        held_microusd, coalesce(held, 0), spent_microusd, coalesce(spent, 0))
     FROM balances LEFT JOIN booked USING (account, period)
     WHERE held_microusd <> coalesce(held, 0) OR spent_microusd <> coalesce(spent, 0)",
    // A job has one hold, of its ceiling; one end if it has ended, and none before.
    "SELECT format('%s is %s: %s of hold, %s ends', id, state,
        coalesce(sum(amount_microusd) FILTER (WHERE kind = 'hold'), 0), count(*) FILTER (WHERE kind IN ('settle', 'release')))
     FROM jobs LEFT JOIN ledger ON ledger.job_id = jobs.id GROUP BY id
     HAVING count(*) FILTER (WHERE kind = 'hold') <> 1
        OR sum(amount_microusd) FILTER (WHERE kind = 'hold') <> ceiling_microusd
        OR count(*) FILTER (WHERE kind IN ('settle', 'release')) <> (ended_at_ms IS NOT NULL)::integer",
    // What a job cost is what its end says: the settled amount, or nothing of what was released whole.
    "SELECT format('%s cost %s, but its ledger has a %s of %s', id, cost_microusd, kind, amount_microusd)
     FROM jobs JOIN ledger ON ledger.job_id = jobs.id
     WHERE (kind = 'settle' AND amount_microusd <> cost_microusd)
        OR (kind = 'release' AND (cost_microusd <> 0 OR amount_microusd <> ceiling_microusd))",
    // A job holds its price against its route while it has one, and its ceiling against everybody else.
    "SELECT format('%s is %s and holds %s against %s', jobs.id, state, amount_microusd, account)
     FROM jobs JOIN bookings ON bookings.job_id = jobs.id
     WHERE amount_microusd <> CASE
        WHEN account = 'route:' || route AND state NOT IN ('reserved', 'waiting') THEN price_microusd
        WHEN account LIKE 'route:%' THEN -1
        ELSE ceiling_microusd END",
    // Places taken are the jobs that take them.
    "WITH taken AS (
        SELECT 'tenant:' || tenant AS account, count(*) AS jobs FROM jobs
        WHERE ended_at_ms IS NULL AND state NOT IN ('waiting', 'lost') GROUP BY tenant
        UNION ALL
        SELECT 'route:' || route, count(*) FROM jobs WHERE ended_at_ms IS NULL AND state NOT IN ('reserved', 'waiting', 'lost')
        GROUP BY route
     )
     SELECT format('%s has %s places taken by %s jobs', in_flight.account, in_flight.jobs, coalesce(taken.jobs, 0))
     FROM in_flight LEFT JOIN taken USING (account) WHERE in_flight.jobs <> coalesce(taken.jobs, 0)",
    // Who waits stands in line, and nobody else does.
    "SELECT format('%s is %s and %s in line', id, state, CASE stands WHEN TRUE THEN 'stands' ELSE 'does not stand' END)
     FROM jobs LEFT JOIN queue ON job_id = id
     WHERE (state = 'waiting') <> (coalesce(stands, FALSE) = TRUE) AND (state = 'waiting' OR job_id IS NOT NULL)",
    // The length of a line is the number of those who stand in it.
    "WITH standing AS (SELECT tenant, lane, count(*) AS jobs FROM queue WHERE stands = TRUE GROUP BY tenant, lane)
     SELECT format('%s stand in line %s of %s, and it says %s', coalesce(standing.jobs, 0), coalesce(standing.lane, lines.lane),
        coalesce(standing.tenant, lines.tenant), coalesce(lines.jobs, 0))
     FROM standing FULL JOIN lines ON standing.tenant = lines.tenant AND standing.lane = lines.lane
     WHERE coalesce(standing.jobs, 0) <> coalesce(lines.jobs, 0)",
];

/// How much of what does not add up is told.
const FINDINGS_MAX: usize = 100;

/// What does not add up, all of one moment.
pub(super) async fn audit(session: &Session) -> Result<Vec<String>, Fault> {
    let mut findings = Vec::new();
    for sql in AUDITS {
        for row in session.rows(sql, &[]).await?.iter().take(FINDINGS_MAX) {
            findings.push(Columns::of(row).take()?);
        }
    }
    Ok(findings)
}
