//! The report: what jobs came to, by whatever they share.

use rusqlite::{Connection, Error, Row, params};

use super::rows::Columns;
use crate::store::{Figures, Report, ReportBy, ReportQuery, ReportRow};

const FIGURES: &str = "count(*) AS jobs,
    count(*) FILTER (WHERE state = 'completed'),
    count(*) FILTER (WHERE state IN ('failed', 'lost', 'released')),
    coalesce(sum(seconds) FILTER (WHERE state = 'completed'), 0),
    coalesce(sum(cost_microusd), 0) + coalesce(sum((SELECT sum(amount_microusd) FROM ledger
        WHERE ledger.job_id = jobs.id AND kind = 'adjust')), 0) AS spent,
    coalesce(sum(ceiling_microusd) FILTER (WHERE ended_at_ms IS NULL), 0) AS held,
    coalesce(sum(max(attempts, 1) - 1), 0),
    coalesce(sum(cost_microusd) FILTER (WHERE attempts > 1), 0),
    coalesce(sum(charge_microusd) FILTER (WHERE state = 'completed'), 0)";

const CHOSEN: &str = "FROM jobs WHERE created_at_ms >= ?1 AND created_at_ms < ?2 AND (?3 IS NULL OR tenant = ?3)";

const fn column(by: ReportBy) -> &'static str {
    match by {
        ReportBy::Tenant => "tenant",
        ReportBy::Key => "key_name",
        ReportBy::User => "end_user",
        ReportBy::Route => "route",
        ReportBy::Model => "model",
        ReportBy::Day => "strftime('%Y-%m-%d', created_at_ms / 1000, 'unixepoch')",
    }
}

/// Sums up, all of one moment.
pub(super) fn report(conn: &Connection, query: &ReportQuery) -> Result<Report, Error> {
    let moment = conn.unchecked_transaction()?;
    let ReportQuery { from, until, tenant, by, limit } = query;
    let (from, until, tenant) = (from.as_ms(), until.as_ms(), tenant.as_ref().map(|name| name.as_str()));
    let total = moment.prepare_cached(&format!("SELECT {FIGURES} {CHOSEN}"))?;
    let total = { total }.query_row(params![from, until, tenant], |row| figures(&mut Columns::of(row)))?;

    let names: Vec<&str> = by.iter().map(|by| column(*by)).collect();
    let places: Vec<String> = (1..=by.len()).map(|place| place.to_string()).collect();
    let (names, places) = (names.join(", "), places.join(", "));
    let sql = format!(
        "WITH found AS (SELECT {names}, {FIGURES} {CHOSEN} GROUP BY {places})
         SELECT *, count(*) OVER () FROM found ORDER BY spent + held DESC, jobs DESC, {places} LIMIT ?4"
    );
    let mut groups = 0;
    let mut found = moment.prepare_cached(&sql)?;
    let rows = found.query_map(params![from, until, tenant, limit], |row: &Row<'_>| {
        let mut columns = Columns::of(row);
        let names = by.iter().map(|_| columns.take()).collect::<Result<_, _>>()?;
        let row = ReportRow { names, figures: figures(&mut columns)? };
        groups = columns.count()?;
        Ok(row)
    })?;
    let rows = rows.collect::<Result<_, _>>()?;
    Ok(Report { rows, groups, total })
}

fn figures(columns: &mut Columns<'_>) -> Result<Figures, Error> {
    Ok(Figures {
        jobs: columns.count()?,
        completed: columns.count()?,
        failed: columns.count()?,
        seconds: columns.count()?,
        spent: columns.money()?,
        held: columns.money()?,
        retries: columns.count()?,
        retry_cost: columns.money()?,
        charged: columns.money()?,
    })
}
