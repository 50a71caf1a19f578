//! The books: every job and character, who is running how much, and the journal behind them.
//!
//! All under one lock, held by `studio` for the length of one call here and never over a wait.
//! The invariant of the whole simulator is kept by [`Books::accept`]: journal first, then memory,
//! and only then does anybody hear of it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;
use std::path::Path;

use super::account::Account;
use super::bill::{Bill, BilledJob, Outcome, Stats};
use super::dialect::Dialect;
use super::faults::{Misfortune, Webhook};
use super::job::{Job, Stage};
use super::journal::{Character, Entry, Journal};
use crate::clock::Timestamp;

/// Everything that changes.
#[derive(Debug, Default)]
pub struct Books {
    /// What was asked so far.
    pub stats: Stats,
    /// What goes wrong.
    pub faults: Misfortune,
    /// Who is told when jobs end.
    pub webhook: Option<Webhook>,
    /// Which job was taken under an account's key, since the start.
    pub keys: HashMap<(String, String), String>,
    jobs: Vec<Job>,
    by_id: HashMap<String, usize>,
    characters: HashMap<String, Character>,
    /// When each running job of an account ends, soonest first.
    ends_at_ms: HashMap<Account, BinaryHeap<Reverse<i64>>>,
    /// When each job of which the courier has still to tell ends, soonest first, and its place.
    untold: BinaryHeap<Reverse<(i64, usize)>>,
    journal: Option<Journal>,
}

impl Books {
    /// Empty books, or those that a journal holds.
    pub fn open(journal: Option<&Path>) -> io::Result<Self> {
        let mut books = Self::default();
        let Some(path) = journal else { return Ok(books) };
        let (journal, entries) = Journal::open(path)?;
        for entry in entries {
            match entry {
                Entry::Accepted(job) => books.remember(job),
                Entry::Deleted(id) => books.forget(&id),
                Entry::Character(character) => books.meet(character),
            }
        }
        books.journal = Some(journal);
        Ok(books)
    }

    /// Takes a job: from here on it is charged.
    pub fn accept(&mut self, job: Job) -> io::Result<()> {
        self.write(&Entry::Accepted(job.clone()))?;
        let account = Account { dialect: job.dialect, name: job.account.clone() };
        let now = Timestamp::from_ms(job.created_at_ms);
        if job.dialect == Dialect::Openai && !job.lost {
            self.untold.push(Reverse((job.ends_at().as_ms(), self.jobs.len())));
        }
        self.remember(job);
        let running = self.running(&account, now);
        let most = self.stats.in_flight_max.entry(account.to_string()).or_default();
        *most = running.max(*most);
        Ok(())
    }

    /// A job that the account ordered, can see and has not deleted.
    pub fn find(&self, account: &Account, id: &str) -> Option<&Job> {
        self.find_any(id).filter(|job| job.dialect == account.dialect && job.account == account.name)
    }

    /// A job of any account, for those who hold the link to its clip.
    pub fn find_any(&self, id: &str) -> Option<&Job> {
        self.by_id.get(id).and_then(|place| self.jobs.get(*place)).filter(|job| !job.deleted && !job.lost)
    }

    /// The account's jobs that were accepted at `until` or before, oldest first.
    pub fn list<'a>(&'a self, account: &'a Account, until: Timestamp) -> impl DoubleEndedIterator<Item = &'a Job> {
        self.jobs.iter().filter(move |job| {
            let visible = !job.deleted && !job.lost && job.created_at_ms <= until.as_ms();
            visible && job.dialect == account.dialect && job.account == account.name
        })
    }

    /// Deletes a job; its charge stays.
    pub fn delete(&mut self, id: &str) -> io::Result<()> {
        self.write(&Entry::Deleted(id.to_owned()))?;
        self.forget(id);
        Ok(())
    }

    /// Keeps a character.
    pub fn add_character(&mut self, character: Character) -> io::Result<()> {
        self.write(&Entry::Character(character.clone()))?;
        self.meet(character);
        Ok(())
    }

    /// A character that the account made.
    pub fn character(&self, account: &Account, id: &str) -> Option<&Character> {
        self.characters.get(id).filter(|character| character.account == account.name)
    }

    /// How many jobs of the account have not ended.
    pub fn running(&mut self, account: &Account, now: Timestamp) -> u64 {
        let Some(ends) = self.ends_at_ms.get_mut(account) else { return 0 };
        while ends.peek().is_some_and(|Reverse(end)| *end <= now.as_ms()) {
            ends.pop();
        }
        u64::try_from(ends.len()).unwrap_or(u64::MAX)
    }

    /// The jobs that have ended since this was last asked.
    pub fn take_ended(&mut self, now: Timestamp) -> Vec<Job> {
        let mut ended = Vec::new();
        while let Some(Reverse((_, place))) = self.untold.peek().filter(|Reverse((end, _))| *end <= now.as_ms()) {
            ended.extend(self.jobs.get(*place).cloned());
            self.untold.pop();
        }
        ended
    }

    /// The bill as it stands.
    pub fn bill(&self, now: Timestamp) -> Bill {
        let mut bill = Bill::default();
        for job in &self.jobs {
            let line = line(job, now);
            bill.total_microusd = bill.total_microusd.saturating_add(line.microusd);
            if line.outcome == Outcome::Completed {
                bill.completed_microusd = bill.completed_microusd.saturating_add(line.microusd);
            }
            bill.jobs.push(line);
        }
        bill
    }

    fn write(&mut self, entry: &Entry) -> io::Result<()> {
        self.journal.as_mut().map_or(Ok(()), |journal| journal.write(entry))
    }

    fn remember(&mut self, job: Job) {
        let account = Account { dialect: job.dialect, name: job.account.clone() };
        self.ends_at_ms.entry(account).or_default().push(Reverse(job.ends_at().as_ms()));
        self.by_id.insert(job.id.clone(), self.jobs.len());
        self.jobs.push(job);
    }

    fn forget(&mut self, id: &str) {
        if let Some(job) = self.by_id.get(id).and_then(|place| self.jobs.get_mut(*place)) {
            job.deleted = true;
        }
    }

    fn meet(&mut self, character: Character) {
        self.characters.insert(character.id.clone(), character);
    }
}

/// A job as the bill shows it.
fn line(job: &Job, now: Timestamp) -> BilledJob {
    let (outcome, microusd) = match job.stage(now) {
        Stage::Queued | Stage::Running(_) => (Outcome::Running, job.price_microusd),
        Stage::Completed => (Outcome::Completed, job.price_microusd),
        Stage::Failed { .. } => (Outcome::Failed, 0),
    };
    BilledJob {
        account: job.account.clone(),
        dialect: job.dialect,
        upstream_id: job.id.clone(),
        operation: job.operation.clone(),
        model: job.model.clone(),
        seconds: job.billed_seconds,
        size: job.size().to_string(),
        microusd,
        created_at_ms: job.created_at_ms,
        outcome,
        lost: job.lost,
        intent: job.intent.clone(),
        extras: job.extras.clone(),
    }
}
