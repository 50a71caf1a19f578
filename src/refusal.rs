//! Refusals: every way a request is turned away, what each is counted as, and what the log is told of it.
//!
//! What the client is told is one table, in `told`.

mod told;

use std::time::Duration;

use crate::budget::Account;
use crate::halting::Halted;
use crate::id::ModelName;
use crate::metrics::{Guarded, Refusal as Counted};
use crate::money::MicroUsd;
use crate::plan::NoPlan;
use crate::provider::Rejection;
use crate::store::StoreError;
use crate::wire;

pub use told::ROUTES_SPENT;

/// Why a request is turned away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No key, or none that is in force.
    Unauthenticated,
    /// The request itself is wrong.
    Invalid(wire::Fault),
    /// The request's framing or headers are wrong; the connection is not used again.
    Malformed(&'static str),
    /// No such path.
    NoSuchPath,
    /// The path has other methods.
    MethodNotAllowed,
    /// `Expect` asks for something we do not do.
    Expectation,
    /// The body stopped coming.
    BodyTimeout,
    /// The body is larger than allowed.
    BodyTooLarge {
        /// What is allowed.
        bytes_max: usize,
    },
    /// The tenant has no such video.
    NoSuchVideo,
    /// The tenant has no such character.
    NoSuchCharacter,
    /// The video has not ended.
    NotReady,
    /// The video has not ended, and only ended ones can be deleted.
    NotTerminal,
    /// The video was not made, so it has no bytes.
    NotMade,
    /// The video was made and its bytes are gone.
    Expired,
    /// This route cannot give that variant or do that operation.
    Unsupported(&'static str),
    /// Nobody may serve the wish.
    NoPlan(NoPlan),
    /// The idempotency key is none.
    BadKey,
    /// The tenant has to send one and did not.
    KeyRequired,
    /// The tenant has to say for which end user a wish is, and did not.
    UserRequired,
    /// The idempotency key names another wish.
    KeyReused,
    /// The idempotency key's first request is still under way.
    KeyInUse,
    /// The prompt matches what the operator denies.
    Denied,
    /// The prompt is longer than the operator allows.
    PromptTooLong {
        /// What is allowed.
        chars_max: usize,
    },
    /// The moderation service flags it.
    Flagged,
    /// No moderation service said anything of it, and policy lets nothing pass unseen.
    Unmoderated {
        /// For the log.
        why: String,
        /// Whether it may be asked later.
        cured_by_retry: bool,
    },
    /// The tenant asks too often.
    RateLimited {
        /// When to come back.
        wait: Duration,
    },
    /// The tenant has as many jobs in flight as it may.
    TenantFull {
        /// How many there are.
        in_flight: u32,
    },
    /// Every eligible route is at its limit.
    RoutesFull {
        /// When to come back.
        wait: Duration,
    },
    /// Every eligible route is at its limit, and as many of the tenant's jobs wait for that as may.
    LineFull {
        /// How many wait.
        waiting: u32,
        /// When the first of them is expected to be sent.
        wait: Duration,
    },
    /// The hold does not fit under a cap.
    OverBudget {
        /// What the wish would hold.
        ceiling: MicroUsd,
        /// Which cap.
        cap: CapInTheWay,
    },
    /// An upstream refused the wish itself.
    Rejected(Rejection),
    /// Everybody who could make it has said that the model is not to be had any more.
    ModelGone {
        /// Which model.
        model: ModelName,
        /// For the log.
        why: String,
    },
    /// Every eligible route was asked or passed over, and none took it.
    NoRoute {
        /// For the log.
        why: String,
        /// When to come back.
        wait: Duration,
    },
    /// The clip is in a provider's account that no route is of any more.
    FormerAccount,
    /// An upstream did not answer something free.
    Upstream,
    /// Money cannot be held, or the books cannot be read.
    Unavailable(StoreError),
    /// The books come from a backup, and nobody has said yet that they are complete.
    Reconciling,
    /// An operator has stopped all buying.
    Halted(Halted),
    /// The gateway is stopping.
    Stopping,
    /// Too much at once.
    Overloaded,
    /// A bug of ours.
    Internal,
}

/// The cap that stands in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CapInTheWay {
    /// An account's, and what is left under it: the gateway's, the tenant's, or that of its key or end user.
    Of(Account, MicroUsd),
    /// That of every route that may make it; for the log, what became of each.
    Routes(String),
}

impl Refusal {
    /// A hold that does not fit under an account's cap.
    pub fn over_budget(account: &Account, ceiling: MicroUsd, left: MicroUsd) -> Self {
        Self::OverBudget { ceiling, cap: CapInTheWay::Of(account.clone(), left) }
    }

    /// What only the log is told; never a prompt.
    pub fn cause(&self) -> Option<String> {
        match self {
            Self::NoRoute { why, .. } | Self::ModelGone { why, .. } | Self::Unmoderated { why, .. } => Some(why.clone()),
            Self::NoPlan(NoPlan::NoRoute { passed_over, .. }) => {
                let each = passed_over.iter().map(|passed| format!("{}: {}", passed.route, passed.why));
                Some(each.collect::<Vec<_>>().join("; "))
            }
            Self::Unavailable(why) => Some(why.to_string()),
            Self::Halted(Halted::ByOperator(halt)) => Some(format!("halted by {}: {}", halt.by, halt.reason)),
            Self::Halted(Halted::ByFile | Halted::NotKnown) => Some("halted by the policy file".to_owned()),
            Self::OverBudget { ceiling, cap: CapInTheWay::Of(account, left) } if ceiling <= left => {
                Some(format!("more than the cap of {account} is used already"))
            }
            Self::OverBudget { ceiling, cap: CapInTheWay::Of(account, left) } => {
                Some(format!("{ceiling} does not fit under the cap of {account}, which has {left} left"))
            }
            Self::OverBudget { ceiling, cap: CapInTheWay::Routes(each) } => Some(format!("{ceiling} fits under no route's cap: {each}")),
            _ => None,
        }
    }

    /// What it is counted as.
    pub const fn counted(&self) -> Counted {
        match self {
            Self::Unauthenticated => Counted::Key,
            Self::RateLimited { .. } => Counted::Rate,
            Self::TenantFull { .. } => Counted::InFlight,
            Self::OverBudget { cap, .. } => cap.counted(),
            Self::NoPlan(NoPlan::UnknownModel { .. } | NoPlan::Ended { .. } | NoPlan::TooLong { .. } | NoPlan::TooDear { .. }) => {
                Counted::Permission
            }
            Self::NoPlan(NoPlan::NoRoute { .. }) => Counted::NoRoute,
            Self::Denied | Self::PromptTooLong { .. } | Self::Flagged | Self::Unmoderated { .. } => Counted::Guard,
            Self::RoutesFull { .. } => Counted::RoutesFull,
            Self::LineFull { .. } => Counted::QueueFull,
            Self::NoRoute { .. } | Self::ModelGone { .. } => Counted::Exhausted,
            Self::Rejected(_) | Self::Upstream | Self::FormerAccount => Counted::Upstream,
            Self::Unavailable(_) | Self::Internal => Counted::Store,
            Self::Reconciling | Self::Halted(_) => Counted::Halted,
            Self::Stopping | Self::Overloaded => Counted::Stopping,
            _ => Counted::Invalid,
        }
    }

    /// Which guard turned the request down, if one did.
    pub const fn guard(&self) -> Option<Guarded> {
        match self {
            Self::PromptTooLong { .. } => Some(Guarded::PromptTooLong),
            Self::Denied => Some(Guarded::Denied),
            Self::Flagged => Some(Guarded::Flagged),
            Self::Unmoderated { .. } => Some(Guarded::Unmoderated),
            _ => None,
        }
    }

    /// Whether a retry may cure it, and SDKs will make one. A person's work is not done by then.
    pub fn invites_again(&self) -> bool {
        !matches!(self, Self::Reconciling | Self::Halted(_)) && self.told().retry_after_secs.is_some()
    }

    /// Whether the connection must not be used again.
    pub const fn closes(&self) -> bool {
        matches!(self, Self::Malformed(_) | Self::BodyTimeout | Self::BodyTooLarge { .. } | Self::Expectation | Self::Stopping)
    }
}

impl CapInTheWay {
    const fn counted(&self) -> Counted {
        match self {
            Self::Of(Account::Tenant(_), _) => Counted::Budget,
            Self::Of(Account::Key(..), _) => Counted::KeyBudget,
            Self::Of(Account::User(..), _) => Counted::UserBudget,
            Self::Of(Account::Gateway, _) => Counted::GatewayBudget,
            Self::Of(Account::Route(_), _) | Self::Routes(_) => Counted::RouteBudget,
        }
    }
}

impl From<wire::Fault> for Refusal {
    fn from(fault: wire::Fault) -> Self {
        Self::Invalid(fault)
    }
}

impl From<wire::FormError> for Refusal {
    fn from(error: wire::FormError) -> Self {
        match error {
            wire::FormError::Fault(fault) => Self::Invalid(fault),
            wire::FormError::UnknownVideo(_) => Self::NoSuchVideo,
            wire::FormError::UnknownCharacter(_) => Self::NoSuchCharacter,
        }
    }
}

impl From<NoPlan> for Refusal {
    fn from(why: NoPlan) -> Self {
        match why {
            NoPlan::Gone { ref model } => Self::ModelGone { model: model.clone(), why: why.to_string() },
            why => Self::NoPlan(why),
        }
    }
}

impl From<Halted> for Refusal {
    fn from(why: Halted) -> Self {
        match why {
            Halted::ByFile | Halted::ByOperator(_) => Self::Halted(why),
            Halted::NotKnown => Self::Unavailable(StoreError::Unavailable("they did not say lately whether buying is halted".to_owned())),
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error)
    }
}
