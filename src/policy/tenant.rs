//! Tenants: who pays, what opens their doors, and what they may ask for.

use super::{Budget, Limits, Queue, Webhook};
use crate::id::{ModelName, TenantName};
use crate::money::MicroUsd;
use crate::video::Seconds;

/// Who pays.
#[derive(Clone, Debug, PartialEq)]
pub struct Tenant {
    /// Its name in the file.
    pub name: TenantName,
    /// What opens its doors.
    pub keys: Vec<Key>,
    /// What it may spend; a tenant without a budget may spend nothing.
    pub budget: Budget,
    /// What each of its end users may spend.
    pub user_budget: Option<Budget>,
    /// Whether what costs money has to name its end user.
    pub require_user: bool,
    /// Its own limits.
    pub limits: Limits,
    /// Whether its jobs may wait while all routes are full.
    pub queue: Option<Queue>,
    /// Its share of what becomes free while several wait, beside theirs.
    pub weight: u32,
    /// The models it may ask for; empty allows all.
    pub models: Vec<ModelName>,
    /// The longest clip it may ask for.
    pub seconds_max: Option<Seconds>,
    /// The dearest clip it may ask for.
    pub cost_max: Option<MicroUsd>,
    /// Where its jobs may be processed.
    pub residency: Option<String>,
    /// What it is charged, for reports.
    pub charge: Option<Charge>,
    /// Whether answers tell it which route served.
    pub show_route: bool,
    /// Whether it has to send an `Idempotency-Key` with what costs money.
    pub require_idempotency_key: bool,
    /// Whether an SDK's resend without a key gets the job of its earlier sending.
    pub claim_resends: bool,
    /// Where its events go.
    pub webhook: Option<Webhook>,
}

/// One of a tenant's keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// SHA-256 of it.
    pub hash: [u8; 32],
    /// What its spend is booked under, unique among the tenant's keys.
    pub name: String,
    /// What may be spent by it.
    pub budget: Option<Budget>,
}

/// What a tenant is charged for a clip that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charge {
    /// The same for every clip.
    PerClip(MicroUsd),
    /// By its length.
    PerSecond(MicroUsd),
}
