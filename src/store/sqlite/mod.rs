//! The store in one SQLite file.
//!
//! One thread writes, two read, and a cache of recent jobs answers polls without either. Every answer
//! of a writing method is durable: `synchronous = FULL`, committed together with whatever else waited
//! (see [`writer`]). When the disk is full or fails, writing methods say so and change nothing, and
//! reading goes on. Knows nothing of other gateways: the file is locked against them.

mod books;
mod corrections;
mod fault;
mod file;
mod halts;
mod migrate;
mod money;
mod notices;
mod place;
mod polls;
mod queue;
mod read;
mod readers;
mod reconcile;
mod report;
mod rows;
mod wishes;
mod workers;
mod write;
mod writer;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use self::file::{Held, Opened};
use self::readers::Readers;
use self::writer::{RecentJobs, Writer, recent_jobs};
use crate::budget::{Account, Booking};
use crate::clock::Timestamp;
use crate::id::{AttemptId, CharacterId, Home, JobId, NoticeId, RouteName, TenantName};
use crate::job::{State, Step};
use crate::money::MicroUsd;
use crate::notice::{Addressee, NewNotice};
use crate::store::{
    ApplyError, Attempt, Balance, Booked, Character, Correction, CorrectionError, Delivery, Due, Facts, Halt, InLine, Inhabited, Job, Jobs,
    Keyed, Leased, LedgerEntry, Line, NewAttempt, NewJob, NewPlace, Notice, NoticesIn, OpenError, Overview, Page, Payers, Postponed,
    Removed, Report, ReportQuery, Standing, Store, StoreError, Unexplained,
};

/// A store in one SQLite file. Dropping it writes what still waits and closes the file in order.
pub struct Sqlite {
    recent: Arc<RecentJobs>,
    signing_key: [u8; 32],
    // Fields are dropped in this order: the file is let go when nobody uses it any more.
    readers: Readers,
    writer: Writer,
    _file: Option<Held>,
}

impl Sqlite {
    /// Opens the database at `path`, or begins one where there has been none. Refuses a file that is
    /// not ours, not whole, not the one that was here before, or in use by another gateway. One that is an
    /// older copy of what was here, or whose lock file did not come with it, is marked as one to reconcile.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::start(file::open(path, false)?)
    }

    /// Likewise, and takes it for a backup that was restored: what is missing beside it is no fault.
    pub fn open_restored(path: &Path) -> Result<Self, StoreError> {
        Self::start(file::open(path, true)?)
    }

    /// Opens the database at `path` for looking only: beside the gateway that is at it, or after it.
    /// Whatever would write is refused.
    pub fn open_to_read(path: &Path) -> Result<Self, StoreError> {
        Self::start(file::open_to_read(path)?)
    }

    fn start(mut opened: Opened) -> Result<Self, StoreError> {
        writer::keep_the_log_short(&mut opened.writer)?;
        let recent = Arc::new(recent_jobs());
        for job in read::open_jobs(&opened.writer)? {
            recent.insert(job.id, job);
        }
        let unavailable = |error: std::io::Error| StoreError::Unavailable(format!("no thread for the store: {error}"));
        Ok(Self {
            readers: Readers::start(opened.readers).map_err(unavailable)?,
            writer: Writer::start(opened.writer, Arc::clone(&recent)).map_err(unavailable)?,
            recent,
            signing_key: opened.signing_key,
            _file: opened.held,
        })
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn open_job(&self, job: NewJob, attempt: NewAttempt) -> Result<Arc<Job>, OpenError> {
        self.writer.write(move |tx| write::open_job(tx, &job, &attempt)).await
    }

    async fn open_attempt(&self, job: &Job, attempt: NewAttempt) -> Result<Arc<Job>, OpenError> {
        let (id, version) = (job.id, job.version);
        self.writer.write(move |tx| write::open_attempt(tx, id, version, &attempt)).await
    }

    async fn line_up(&self, job: NewJob, first: NewAttempt, place: NewPlace) -> Result<Arc<Job>, OpenError> {
        self.writer.write(move |tx| queue::line_up(tx, &job, &first, &place)).await
    }

    async fn stand(&self, job: &Job, place: Option<NewPlace>) -> Result<Arc<Job>, OpenError> {
        let (id, version) = (job.id, job.version);
        self.writer.write(move |tx| queue::stand(tx, id, version, place.as_ref())).await
    }

    async fn lines(&self) -> Result<Vec<Line>, StoreError> {
        self.readers.read(queue::lines).await
    }

    async fn heads(&self, tenant: &TenantName, lane: &str, after: Option<JobId>, n: u32) -> Result<Vec<InLine>, StoreError> {
        let (tenant, lane) = (tenant.clone(), lane.to_owned());
        self.readers.read(move |conn| queue::heads(conn, &tenant, &lane, after, n)).await
    }

    async fn upload(&self, id: JobId) -> Result<Option<Bytes>, StoreError> {
        self.readers.read(move |conn| queue::upload(conn, id)).await
    }

    async fn out_of_time(&self, now: Timestamp, n: u32) -> Result<Vec<Arc<Job>>, StoreError> {
        self.readers.read(move |conn| queue::out_of_time(conn, now, n)).await
    }

    async fn standing(&self, n: u32) -> Result<Vec<Standing>, StoreError> {
        self.readers.read(move |conn| queue::standing(conn, n)).await
    }

    async fn forget_places(&self) -> Result<u64, StoreError> {
        self.writer.write(queue::forget_places).await
    }

    async fn apply(&self, job: &Job, step: Step, facts: Facts, at: Timestamp) -> Result<Arc<Job>, ApplyError> {
        let (id, version) = (job.id, job.version);
        self.writer.write(move |tx| write::apply(tx, id, version, step, facts, at)).await
    }

    async fn keyed_job(&self, tenant: &TenantName, key: &str) -> Result<Option<Keyed>, StoreError> {
        let (tenant, key) = (tenant.clone(), key.to_owned());
        self.readers.read(move |conn| wishes::keyed_job(conn, &tenant, &key)).await
    }

    async fn alike(&self, tenant: &TenantName, fingerprint: &[u8; 32], resend: u32, since: Timestamp) -> Result<Vec<Arc<Job>>, StoreError> {
        let (tenant, fingerprint) = (tenant.clone(), *fingerprint);
        self.readers.read(move |conn| wishes::alike(conn, &tenant, &fingerprint, resend, since)).await
    }

    async fn claim(&self, id: JobId, resend: u32) -> Result<bool, StoreError> {
        self.writer.write(move |tx| wishes::claim(tx, id, resend)).await
    }

    async fn job(&self, tenant: &TenantName, id: JobId) -> Result<Option<Arc<Job>>, StoreError> {
        if let Some(job) = self.recent.get(&id) {
            return Ok((job.tenant == *tenant && job.deleted_at.is_none()).then_some(job));
        }
        let tenant = tenant.clone();
        self.readers.read(move |conn| read::job_of(conn, &tenant, id)).await
    }

    async fn jobs(&self, tenant: &TenantName, page: Page) -> Result<Jobs, StoreError> {
        let tenant = tenant.clone();
        self.readers.read(move |conn| read::jobs(conn, &tenant, &page)).await
    }

    async fn remove(&self, tenant: &TenantName, id: JobId, at: Timestamp) -> Result<Removed, StoreError> {
        let tenant = tenant.clone();
        self.writer.write(move |tx| write::remove(tx, &tenant, id, at)).await
    }

    async fn inhabited(&self) -> Result<Vec<Inhabited>, StoreError> {
        self.readers.read(polls::inhabited).await
    }

    async fn due(&self, now: Timestamp) -> Result<Vec<Due>, StoreError> {
        self.readers.read(move |conn| polls::due(conn, now)).await
    }

    async fn lease_due(&self, home: &Home, now: Timestamp, lease: Duration, n: u32) -> Result<Leased, StoreError> {
        let home = home.clone();
        self.writer.write(move |tx| polls::lease_due(tx, &home, now, lease, n)).await
    }

    async fn postpone(&self, jobs: Vec<Postponed>, at: Timestamp) -> Result<(), StoreError> {
        self.writer.write(move |tx| polls::postpone(tx, &jobs, at)).await
    }

    async fn hasten(&self, route: &RouteName, upstream_id: &str, at: Timestamp) -> Result<bool, StoreError> {
        let (route, upstream_id) = (route.clone(), upstream_id.to_owned());
        self.writer.write(move |tx| polls::hasten(tx, &route, &upstream_id, at)).await
    }

    async fn in_state(&self, state: State, route: &RouteName) -> Result<Vec<Arc<Job>>, StoreError> {
        let route = route.clone();
        self.readers.read(move |conn| read::in_state(conn, state, &route)).await
    }

    async fn deleted_among(&self, ids: &[JobId]) -> Result<HashSet<JobId>, StoreError> {
        let ids = ids.to_vec();
        self.readers.read(move |conn| read::deleted_among(conn, ids)).await
    }

    async fn let_go(&self, route: &RouteName, since: Timestamp) -> Result<Vec<Arc<Job>>, StoreError> {
        let route = route.clone();
        self.readers.read(move |conn| read::let_go(conn, &route, since)).await
    }

    async fn known_upstream_ids(&self, home: &Home, ids: &[String]) -> Result<HashSet<String>, StoreError> {
        let (home, ids) = (home.clone(), ids.to_vec());
        self.readers.read(move |conn| read::known_upstream_ids(conn, &home, ids)).await
    }

    async fn of_upstream(&self, home: &Home, ids: &[String]) -> Result<Vec<Arc<Job>>, StoreError> {
        let (home, ids) = (home.clone(), ids.to_vec());
        self.readers.read(move |conn| polls::of_upstream(conn, &home, &ids)).await
    }

    async fn latest_line_at(&self) -> Result<Option<Timestamp>, StoreError> {
        self.readers.read(money::latest_line).await
    }

    async fn job_of_attempt(&self, attempt: AttemptId) -> Result<Option<JobId>, StoreError> {
        self.readers.read(move |conn| read::job_of_attempt(conn, attempt)).await
    }

    fn is_shared(&self) -> bool {
        false
    }

    async fn recover(&self, at: Timestamp) -> Result<u64, StoreError> {
        self.writer.write(move |tx| write::recover(tx, at)).await
    }

    async fn add_character(&self, character: Character) -> Result<(), StoreError> {
        self.writer.write(move |tx| write::add_character(tx, &character)).await
    }

    async fn character(&self, tenant: &TenantName, id: CharacterId) -> Result<Option<Character>, StoreError> {
        let tenant = tenant.clone();
        self.readers.read(move |conn| read::character(conn, &tenant, id)).await
    }

    async fn balance(&self, account: &Account, period: &str) -> Result<Option<Balance>, StoreError> {
        let (account, period) = (account.to_string(), period.to_owned());
        self.readers.read(move |conn| read::account_balance(conn, &account, &period)).await
    }

    async fn prospect(&self, booking: &Booking) -> Result<Balance, StoreError> {
        let booking = booking.clone();
        self.readers.read(move |conn| money::prospect(conn, &booking)).await
    }

    async fn follow_budgets(&self, bookings: Vec<Booking>, at: Timestamp) -> Result<u64, StoreError> {
        let mut followed = 0;
        for booking in self.readers.read(move |conn| money::strayed(conn, bookings, at)).await? {
            self.writer.write(move |tx| money::follow(tx.conn, &booking)).await?;
            followed += 1;
        }
        Ok(followed)
    }

    async fn places_taken(&self, account: &Account) -> Result<u32, StoreError> {
        let account = account.clone();
        self.readers.read(move |conn| money::places_taken(conn, &account)).await
    }

    async fn places_taken_in(&self, home: &Home) -> Result<u32, StoreError> {
        let home = home.clone();
        self.readers.read(move |conn| money::places_taken_in(conn, &home)).await
    }

    async fn fullest(&self, of: Payers, tenant: Option<&TenantName>, now: Timestamp, n: u32) -> Result<Vec<Balance>, StoreError> {
        let accounts = of.range(tenant);
        self.readers.read(move |conn| books::fullest(conn, &accounts, now, n)).await
    }

    async fn overview(&self) -> Result<Overview, StoreError> {
        self.readers.read(books::overview).await
    }

    async fn report(&self, query: ReportQuery) -> Result<Report, StoreError> {
        self.readers.read(move |conn| report::report(conn, &query)).await
    }

    async fn latest_jobs(&self, tenant: Option<&TenantName>, state: Option<State>, limit: u32) -> Result<Vec<Arc<Job>>, StoreError> {
        let tenant = tenant.cloned();
        self.readers.read(move |conn| read::latest_jobs(conn, tenant.as_ref(), state, limit)).await
    }

    async fn job_file(&self, id: JobId) -> Result<Option<(Arc<Job>, Vec<Attempt>, Vec<LedgerEntry>)>, StoreError> {
        self.readers.read(move |conn| read::job_file(conn, id)).await
    }

    async fn suspend(&self, charge: Unexplained) -> Result<bool, StoreError> {
        self.writer.write(move |tx| corrections::suspend(tx, &charge)).await
    }

    async fn charged(&self, route: &RouteName, ids: &[String]) -> Result<HashSet<String>, StoreError> {
        let (route, ids) = (route.clone(), ids.to_vec());
        self.readers.read(move |conn| corrections::charged(conn, &route, ids)).await
    }

    async fn explain(&self, route: &RouteName, upstream_id: &str, note: &str, at: Timestamp) -> Result<bool, StoreError> {
        let (route, upstream_id, note) = (route.clone(), upstream_id.to_owned(), note.to_owned());
        self.writer.write(move |tx| corrections::explain(tx, &route, &upstream_id, &note, at)).await
    }

    async fn unexplained(&self) -> Result<Vec<Unexplained>, StoreError> {
        self.readers.read(corrections::unexplained).await
    }

    async fn correct(&self, correction: Correction) -> Result<MicroUsd, CorrectionError> {
        self.writer.write(move |tx| corrections::correct(tx, &correction)).await
    }

    async fn booked(&self, route: &RouteName, since: Timestamp) -> Result<Vec<Booked>, StoreError> {
        let route = route.clone();
        self.readers.read(move |conn| reconcile::booked(conn, &route, since)).await
    }

    async fn reconciling(&self) -> Result<Option<Timestamp>, StoreError> {
        self.readers.read(reconcile::since).await
    }

    async fn reconcile_only(&self) -> Result<Timestamp, StoreError> {
        self.writer.write(reconcile::reconcile_only).await
    }

    async fn reconciled(&self) -> Result<bool, StoreError> {
        self.writer.write(reconcile::reconciled).await
    }

    async fn halt(&self, by: &str, reason: &str, at: Timestamp) -> Result<bool, StoreError> {
        let (by, reason) = (by.to_owned(), reason.to_owned());
        self.writer.write(move |tx| halts::begin(tx, &by, &reason, at)).await
    }

    async fn resume(&self, by: &str, at: Timestamp) -> Result<bool, StoreError> {
        let by = by.to_owned();
        self.writer.write(move |tx| halts::end(tx, &by, at)).await
    }

    async fn halted(&self) -> Result<Option<Halt>, StoreError> {
        self.readers.read(halts::halted).await
    }

    async fn halts(&self, limit: u32) -> Result<Vec<Halt>, StoreError> {
        self.readers.read(move |conn| halts::halts(conn, limit)).await
    }

    async fn owe(&self, notices: Vec<NewNotice>) -> Result<u64, StoreError> {
        self.writer.write(move |tx| notices::owe_all(tx, &notices)).await
    }

    async fn lease_notices(&self, now: Timestamp, lease: Duration, n: u32, each: u32) -> Result<Vec<Notice>, StoreError> {
        if !self.readers.read(move |conn| notices::any_due(conn, now)).await? {
            return Ok(Vec::new());
        }
        self.writer.write(move |tx| notices::lease(tx, now, now.after(lease), n, each)).await
    }

    async fn note_delivery(&self, id: NoticeId, delivery: Delivery, at: Timestamp) -> Result<bool, StoreError> {
        self.writer.write(move |tx| notices::note(tx, id, &delivery, at)).await
    }

    async fn notices(&self, wanted: NoticesIn, limit: u32) -> Result<Vec<Notice>, StoreError> {
        self.readers.read(move |conn| notices::list(conn, wanted, limit)).await
    }

    async fn revive_notice(&self, id: NoticeId, at: Timestamp) -> Result<bool, StoreError> {
        self.writer.write(move |tx| notices::revive(tx, id, at)).await
    }

    async fn revive_notices(&self, to: &Addressee, at: Timestamp) -> Result<u64, StoreError> {
        let to = to.clone();
        self.writer.write(move |tx| notices::revive_all(tx, &to, at)).await
    }

    async fn forget_notices(&self, videos: Timestamp, others: Timestamp) -> Result<u64, StoreError> {
        self.writer.write(move |tx| notices::forget(tx, videos, others)).await
    }

    async fn signing_key(&self) -> Result<[u8; 32], StoreError> {
        Ok(self.signing_key)
    }

    async fn takes_writes(&self, at: Timestamp) -> Result<(), StoreError> {
        self.writer.write(move |tx| write::wrote(tx, at)).await?;
        self.writer.failed_lately().map_or(Ok(()), Err)
    }

    async fn audit(&self) -> Result<Vec<String>, StoreError> {
        self.readers.read(books::audit).await
    }
}

#[cfg(test)]
mod growth;
#[cfg(test)]
mod tests;
