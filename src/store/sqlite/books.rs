//! The books as a whole: how things stand, and whether everything adds up.

use rusqlite::{Connection, Error};

use super::notices;
use super::read::balance;
use super::rows::Columns;
use crate::clock::Timestamp;
use crate::money::MicroUsd;
use crate::store::{Balance, OpenJobs, Overview};

/// Balances in the periods that run, past those of keys and end users: `;` follows upon `:`. There may be millions of
/// these, and nobody counts them to tell how the others stand. The plus keeps SQLite from walking past them all.
const BALANCES: &str =
    "SELECT account, period, held_microusd, spent_microusd, cap_microusd FROM current_periods JOIN balances USING (account, period)
    WHERE account < 'key:' OR (account >= 'key;' AND account < 'user:') OR account >= 'user;' ORDER BY +account";

/// How things stand at one moment.
pub(super) fn overview(conn: &Connection) -> Result<Overview, Error> {
    let moment = conn.unchecked_transaction()?;
    let sql = "SELECT tenant, route, model, upstream_account, state, count(*), min(created_at_ms) FROM jobs WHERE ended_at_ms IS NULL
        GROUP BY tenant, route, model, upstream_account, state ORDER BY tenant, route, model, upstream_account, state";
    let mut rows = moment.prepare_cached(sql)?;
    let open = rows.query_map([], |row| {
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
    })?;
    let open = open.collect::<Result<_, _>>()?;

    let mut rows = moment.prepare_cached(BALANCES)?;
    let balances = rows.query_map([], balance)?.collect::<Result<_, _>>()?;

    let total = |kind: &str| -> Result<MicroUsd, Error> {
        let sql = format!("SELECT coalesce(sum(amount_microusd), 0) FROM ledger WHERE {kind}");
        moment.prepare_cached(&sql)?.query_row([], |row| Columns::of(row).money())
    };
    let suspense = total("job_id IS NULL AND kind IN ('suspense', 'adjust')")?;
    Ok(Overview { open, balances, suspense, overrun: total("kind = 'overrun'")?, notices: notices::standing(&moment)? })
}

/// The payers of a kind that have used the largest share of their caps.
pub(super) fn fullest(conn: &Connection, accounts: &(String, String), now: Timestamp, n: u32) -> Result<Vec<Balance>, Error> {
    let sql =
        "SELECT account, period, held_microusd, spent_microusd, cap_microusd FROM current_periods JOIN balances USING (account, period)
        WHERE account >= ?1 AND account < ?2 AND (until_at_ms IS NULL OR until_at_ms > ?3)
        ORDER BY CASE WHEN cap_microusd IS NULL THEN -1.0 WHEN cap_microusd <= 0 THEN 1e18
            ELSE (held_microusd + spent_microusd) * 1.0 / cap_microusd END DESC, held_microusd + spent_microusd DESC, account LIMIT ?4";
    let mut rows = conn.prepare_cached(sql)?;
    rows.query_map(rusqlite::params![accounts.0, accounts.1, now.as_ms(), n], balance)?.collect()
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
     SELECT format('%s in %s: held %d, booked %d; spent %d, in the ledger %d', account, period,
        held_microusd, coalesce(held, 0), spent_microusd, coalesce(spent, 0))
     FROM balances LEFT JOIN booked USING (account, period)
     WHERE held_microusd <> coalesce(held, 0) OR spent_microusd <> coalesce(spent, 0)",
    // A job has one hold, of its ceiling; one end if it has ended, and none before.
    "SELECT format('%s is %s: %d of hold, %d ends', id, state,
        coalesce(sum(amount_microusd) FILTER (WHERE kind = 'hold'), 0), count(*) FILTER (WHERE kind IN ('settle', 'release')))
     FROM jobs LEFT JOIN ledger ON ledger.job_id = jobs.id GROUP BY id
     HAVING count(*) FILTER (WHERE kind = 'hold') <> 1
        OR sum(amount_microusd) FILTER (WHERE kind = 'hold') <> ceiling_microusd
        OR count(*) FILTER (WHERE kind IN ('settle', 'release')) <> (ended_at_ms IS NOT NULL)",
    // What a job cost is what its end says: the settled amount, or nothing of what was released whole.
    "SELECT format('%s cost %d, but its ledger has a %s of %d', id, cost_microusd, kind, amount_microusd)
     FROM jobs JOIN ledger ON ledger.job_id = jobs.id
     WHERE (kind = 'settle' AND amount_microusd <> cost_microusd)
        OR (kind = 'release' AND (cost_microusd <> 0 OR amount_microusd <> ceiling_microusd))",
    // A job holds its price against its route while it has one, and its ceiling against everybody else.
    "SELECT format('%s is %s and holds %d against %s', jobs.id, state, amount_microusd, account)
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
     SELECT format('%s has %d places taken by %d jobs', in_flight.account, in_flight.jobs, coalesce(taken.jobs, 0))
     FROM in_flight LEFT JOIN taken USING (account) WHERE in_flight.jobs <> coalesce(taken.jobs, 0)",
    // Who waits stands in line, and nobody else does.
    "SELECT format('%s is %s and %s in line', id, state, CASE stands WHEN 1 THEN 'stands' ELSE 'does not stand' END)
     FROM jobs LEFT JOIN queue ON job_id = id
     WHERE (state = 'waiting') <> (coalesce(stands, 0) = 1) AND (state = 'waiting' OR job_id IS NOT NULL)",
    // The length of a line is the number of those who stand in it.
    "WITH standing AS (SELECT tenant, lane, count(*) AS jobs FROM queue WHERE stands = 1 GROUP BY tenant, lane)
     SELECT format('%d stand in line %s of %s, and it says %d', coalesce(standing.jobs, 0), coalesce(standing.lane, lines.lane),
        coalesce(standing.tenant, lines.tenant), coalesce(lines.jobs, 0))
     FROM standing FULL JOIN lines ON standing.tenant = lines.tenant AND standing.lane = lines.lane
     WHERE coalesce(standing.jobs, 0) <> coalesce(lines.jobs, 0)",
];

/// How much of what does not add up is told.
const FINDINGS_MAX: usize = 100;

/// What does not add up, all of one moment.
pub(super) fn audit(conn: &Connection) -> Result<Vec<String>, Error> {
    let moment = conn.unchecked_transaction()?;
    let mut findings = Vec::new();
    for sql in AUDITS {
        let mut rows = moment.prepare_cached(sql)?;
        for finding in rows.query_map([], |row| row.get(0))?.take(FINDINGS_MAX) {
            findings.push(finding?);
        }
    }
    Ok(findings)
}
