//! What is written into the books, and why something was not.

use bytes::Bytes;

use crate::budget::{self, Booking};
use crate::clock::Timestamp;
use crate::id::{AccountId, AttemptId, JobId, ModelName, RouteName, TenantName};
use crate::money::MicroUsd;
use crate::notice::NewNotice;
use crate::store::JobError;
use crate::video::{Extras, Seconds, Size};

/// A wish that is about to become a job.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// The public id, minted by the caller.
    pub id: JobId,
    /// Who pays.
    pub tenant: TenantName,
    /// `create`, `remix`, `edit` or `extend`.
    pub operation: &'static str,
    /// The public model name.
    pub model: ModelName,
    /// What it shall show.
    pub prompt: String,
    /// The tenant's job that it is made from.
    pub source: Option<JobId>,
    /// Whether it has a picture, characters or a source, which its row does not tell.
    pub hidden_inputs: bool,
    /// What was said beyond the protocol.
    pub extras: Extras,
    /// The client's own word for who asked.
    pub end_user: Option<String>,
    /// By which of the tenant's keys it is ordered.
    pub key_name: Option<String>,
    /// Where it may be processed.
    pub residency: Option<String>,
    /// What to hold: the dearest price over its plan.
    pub ceiling: MicroUsd,
    /// Whom to hold it against, in this order: the gateway, the tenant, and the key and the end user that have a cap.
    pub bookings: Vec<Booking>,
    /// How many jobs the tenant may have in flight.
    pub tenant_in_flight_max: Option<u32>,
    /// What the tenant is charged for it if it is made.
    pub charge: Option<MicroUsd>,
    /// By which the same wish is known again.
    pub fingerprint: [u8; 32],
    /// The client's own name for this wish; a tenant's second job under one name is refused.
    pub idempotency_key: Option<String>,
    /// The moment.
    pub at: Timestamp,
}

/// An attempt that is about to be sent.
#[derive(Clone, Debug)]
pub struct NewAttempt {
    /// Minted by the caller.
    pub id: AttemptId,
    /// To which route.
    pub route: RouteName,
    /// To which account at its provider.
    pub account: AccountId,
    /// What the route calls the model.
    pub upstream_model: String,
    /// The length it will be asked for.
    pub seconds: Seconds,
    /// The size it will be asked for.
    pub size: Size,
    /// What it will cost there.
    pub price: MicroUsd,
    /// The route's account; `price` is held against it.
    pub booking: Booking,
    /// How many jobs the route may have in flight, in that account.
    pub in_flight_max: Option<u32>,
    /// How many its tenant may: counts for a job that comes out of the line, and takes its tenant's place now.
    pub tenant_in_flight_max: Option<u32>,
    /// The moment.
    pub at: Timestamp,
    /// When the poller should look, should nobody else move the job on.
    pub due_at: Timestamp,
}

/// A place in line that is about to be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPlace {
    /// In which line: those of a tenant's jobs in one may be made by the same routes, and are taken in the order of their ids.
    pub lane: String,
    /// Until when the job may wait.
    pub until: Timestamp,
    /// How many of its tenant's jobs may wait, in all lines.
    pub max: u32,
    /// All that its submission needs and that its row does not say, as [`crate::order`] writes it.
    pub wish: String,
    /// The file that was sent along.
    pub upload: Option<Bytes>,
}

/// Why a job or an attempt was not written down. Nothing was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The tenant has as many jobs in flight as it may.
    #[error("the tenant has {in_flight} jobs in flight")]
    TenantFull {
        /// How many there are.
        in_flight: u32,
    },
    /// The route has as many jobs in flight as it may: another may have room.
    #[error("route {route} has {in_flight} jobs in flight")]
    RouteFull {
        /// Which route.
        route: RouteName,
        /// How many there are.
        in_flight: u32,
    },
    /// As many of the tenant's jobs wait as may.
    #[error("{waiting} of the tenant's jobs wait already")]
    LineFull {
        /// How many there are.
        waiting: u32,
    },
    /// The tenant has a job under this idempotency key already.
    #[error("the idempotency key is taken")]
    KeyTaken,
    /// The hold does not fit under a cap.
    #[error("{} has {left} left of its cap for {}", booking.account, booking.period.key)]
    OverBudget {
        /// Whose cap.
        booking: Box<Booking>,
        /// What is left of it.
        left: MicroUsd,
    },
    /// The job is not in a state for it, or somebody else moved it.
    #[error("the job has moved on")]
    Moved,
    /// The database did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl OpenError {
    /// A booking under whose cap, of which `used` is held or spent, a hold does not fit.
    pub fn over_budget(booking: &Booking, used: MicroUsd) -> Self {
        let left = budget::left(booking.cap, used).unwrap_or(MicroUsd::ZERO);
        Self::OverBudget { booking: Box::new(booking.clone()), left }
    }
}

/// What an event told us, to be written with the step it caused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The upstream's id.
    pub upstream_id: Option<String>,
    /// 0 to 100; never written backwards.
    pub progress: Option<u8>,
    /// Where the bytes are.
    pub result_url: Option<String>,
    /// Until when they can be had.
    pub expires_at: Option<Timestamp>,
    /// Why it was not made.
    pub error: Option<JobError>,
    /// What the upstream says it cost; settled instead of the price if it is not above the ceiling.
    pub reported_cost: Option<MicroUsd>,
    /// How the attempt went, in one of the words of `attempts.outcome`.
    pub outcome: Option<&'static str>,
    /// When to look again.
    pub due_at: Option<Timestamp>,
    /// Why, for a person, if a person decided it: goes with the line that the step adds to the ledger, or
    /// is a line of nothing of its own.
    pub note: Option<String>,
    /// What is owed to webhooks for it.
    pub notices: Vec<NewNotice>,
}

/// Why a step was not written. Nothing was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// Somebody else moved the job since it was read: read it again.
    #[error("the job has moved on")]
    Moved,
    /// Another job already has this upstream id on this route.
    #[error("another job already has upstream id {0}")]
    Duplicate(String),
    /// The database did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The database did not do what was asked. Money: fail closed. Reads: say so and go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It may work later: the disk is full, the connection is gone, it is stopping.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// It will not: what is stored is not what we wrote.
    #[error("the database is damaged: {0}")]
    Damaged(String),
}
