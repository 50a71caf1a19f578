//! The outbox: notices that are owed, and how their sending goes.

use crate::clock::Timestamp;
use crate::id::NoticeId;
use crate::notice::{Addressee, Kind};

/// A notice as the books have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Its event's id, the same at every sending.
    pub id: NoticeId,
    /// Who is told.
    pub to: Addressee,
    /// Of what kind of event.
    pub kind: Kind,
    /// About what.
    pub subject: String,
    /// The event's text, byte for byte.
    pub body: String,
    /// How often it was sent in vain.
    pub tries: u32,
    /// When it is due.
    pub due_at: Timestamp,
    /// When it was taken.
    pub sent_at: Option<Timestamp>,
    /// When it was given up.
    pub dead_at: Option<Timestamp>,
    /// Why it was not taken when it was last sent.
    pub last_error: Option<String>,
    /// When it was first owed.
    pub created_at: Timestamp,
}

/// How a sending went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It was taken.
    Taken,
    /// It was not, and is due again.
    Failed {
        /// Why not.
        why: String,
        /// When it is due again.
        due_at: Timestamp,
    },
    /// It was not, and is given up.
    Dead {
        /// Why.
        why: String,
    },
}

/// Which notices an operator wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticesIn {
    /// Those that are owed and were not sent in vain yet.
    Pending,
    /// Those that are owed and were.
    Failing,
    /// Those that were given up.
    Dead,
    /// Those that were taken.
    Sent,
}

/// How many notices of a kind are in which state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwedNotices {
    /// Of what kind.
    pub kind: Kind,
    /// How many are owed.
    pub owed: u64,
    /// When the oldest of them was first owed.
    pub oldest_at: Option<Timestamp>,
    /// How many were given up.
    pub dead: u64,
}
