//! Words: the closed sets that label values come from.
//!
//! An outcome is told from the very value that decided it, so that no caller spells one.

use http::StatusCode;

use crate::provider::{Accepted, AskError, Phase, Progress, RefusedReason, SubmitError};
use crate::store::Delivery;

/// Defines a closed set of words, each with its spelling in a label.
macro_rules! words {
    ($(#[$doc:meta])* $set:ident { $($(#[$word_doc:meta])* $word:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $set { $($(#[$word_doc])* $word,)+ }

        impl $set {
            /// Every word of the set, in the order of declaration.
            #[allow(dead_code, reason = "not every set is walked")]
            pub const ALL: &'static [Self] = &[$(Self::$word),+];

            /// The word as labels write it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$word => $text,)+ }
            }
        }
    };
}

words! {
    /// How a job left the line.
    QueueOutcome {
        /// Its turn came, and it was sent to a route
        Sent = "sent",
        /// It had waited for as long as it may
        Expired = "expired",
        /// Its client deleted it
        Deleted = "deleted",
        /// Whoever may make it is at its cap
        Capped = "capped",
    }
}

words! {
    /// What a client asks of the public listener.
    Operation {
        /// `POST /videos`
        Create = "create",
        /// `GET /videos/{id}`
        Read = "read",
        /// `GET /videos`
        List = "list",
        /// `DELETE /videos/{id}`
        Delete = "delete",
        /// `GET /videos/{id}/content`
        Content = "content",
        /// `POST /videos/{id}/remix`
        Remix = "remix",
        /// `POST /videos/edits`
        Edit = "edit",
        /// `POST /videos/extensions`
        Extend = "extend",
        /// `POST /videos/characters`
        CreateCharacter = "create_character",
        /// `GET /videos/characters/{id}`
        ReadCharacter = "read_character",
        /// `GET /models`, and one of them
        Models = "models",
        /// `POST /videos/estimate`
        Estimate = "estimate",
        /// A provider's callback
        Hook = "hook",
        /// Anything else: mostly wrong addresses
        Other = "other",
    }
}

words! {
    /// How a request went.
    Outcome {
        /// 1xx to 3xx
        Ok = "ok",
        /// 4xx
        Refused = "refused",
        /// 5xx
        Failed = "failed",
    }
}

impl Outcome {
    /// How a request went that was answered with `status`.
    pub fn of(status: StatusCode) -> Self {
        match status.as_u16() {
            ..400 => Self::Ok,
            400..500 => Self::Refused,
            _ => Self::Failed,
        }
    }
}

words! {
    /// Why we turned a request down.
    Refusal {
        /// No key, or none of ours
        Key = "key",
        /// More requests a minute than the tenant may send
        Rate = "rate",
        /// As many jobs in flight as the tenant may have
        InFlight = "in_flight",
        /// The hold does not fit under the tenant's cap
        Budget = "budget",
        /// The cap of one of the tenant's keys
        KeyBudget = "key_budget",
        /// The cap of one of the tenant's end users
        UserBudget = "user_budget",
        /// The hold does not fit under the gateway's cap
        GatewayBudget = "gateway_budget",
        /// The caps of all routes that may make it leave too little
        RouteBudget = "route_budget",
        /// The tenant may not ask for that: model, length or price
        Permission = "permission",
        /// The prompt is too long or on the deny list
        Guard = "guard",
        /// The request makes no sense
        Invalid = "invalid",
        /// No route can serve it
        NoRoute = "no_route",
        /// Every route is at its limit, and it may not wait
        RoutesFull = "routes_full",
        /// Every route is at its limit, and as many wait as may
        QueueFull = "queue_full",
        /// Every route was asked, and none took it
        Exhausted = "exhausted",
        /// A provider refused the wish itself
        Upstream = "upstream",
        /// The books cannot be written
        Store = "store",
        /// Nothing is bought at present: the gateway is halted or being reconciled
        Halted = "halted",
        /// The gateway is stopping
        Stopping = "stopping",
    }
}

words! {
    /// Which guard turned a wish down.
    Guarded {
        /// The prompt is longer than the operator allows
        PromptTooLong = "prompt_too_long",
        /// It matches a pattern on the deny list
        Denied = "denied",
        /// The moderation service flags it
        Flagged = "flagged",
        /// The moderation service said nothing of it
        Unmoderated = "unmoderated",
    }
}

words! {
    /// What came of asking a moderation service about a wish.
    ModerationOutcome {
        /// Nothing against it
        Passed = "passed",
        /// It was flagged
        Flagged = "flagged",
        /// No answer, and refused for that
        Refused = "refused",
        /// No answer, and let through all the same
        LetThrough = "let_through",
    }
}

words! {
    /// How one submission went.
    AttemptOutcome {
        /// The upstream has it
        Accepted = "accepted",
        /// Nothing reached the upstream
        NotSent = "not_sent",
        /// Nothing may be bought from anybody at present
        Withheld = "withheld",
        /// Our credential was refused
        Credential = "credential",
        /// Too many requests
        RateLimited = "rate_limited",
        /// Too many jobs at a time
        TooManyJobs = "too_many_jobs",
        /// Our account there is empty
        Quota = "quota",
        /// The model is not to be had there
        ModelGone = "model_gone",
        /// Something that the wish brings is not to be had there
        InputGone = "input_gone",
        /// The address is wrong or the service away
        Unavailable = "unavailable",
        /// The wish itself was refused
        Rejected = "rejected",
        /// It may or may not have been accepted
        Unclear = "unclear",
    }
}

impl AttemptOutcome {
    /// How a submission went that was answered like this.
    pub fn of(reply: &Result<Accepted, SubmitError>) -> Self {
        match reply {
            Ok(_) => Self::Accepted,
            Err(SubmitError::NotSent(_)) => Self::NotSent,
            Err(SubmitError::Withheld(_)) => Self::Withheld,
            Err(SubmitError::Refused { reason, .. }) => match reason {
                RefusedReason::Credential => Self::Credential,
                RefusedReason::RateLimited => Self::RateLimited,
                RefusedReason::TooManyJobs => Self::TooManyJobs,
                RefusedReason::Quota => Self::Quota,
                RefusedReason::ModelGone => Self::ModelGone,
                RefusedReason::InputGone => Self::InputGone,
                RefusedReason::Unavailable => Self::Unavailable,
            },
            Err(SubmitError::Rejected(_)) => Self::Rejected,
            Err(SubmitError::Unclear(_)) => Self::Unclear,
        }
    }
}

words! {
    /// What a route answered when asked about a job.
    PollOutcome {
        /// Not begun
        Queued = "queued",
        /// At work
        Running = "running",
        /// Made
        Completed = "completed",
        /// Not made
        Failed = "failed",
        /// It does not know the job
        NotFound = "not_found",
        /// It wants us to slow down
        RateLimited = "rate_limited",
        /// Our credential was refused
        Credential = "credential",
        /// It will not say
        Refused = "refused",
        /// No usable answer
        Transient = "transient",
    }
}

impl PollOutcome {
    /// What this answer amounts to.
    pub fn of(reply: Result<&Progress, &AskError>) -> Self {
        match reply {
            Ok(progress) => match progress.phase {
                Phase::Queued => Self::Queued,
                Phase::Running => Self::Running,
                Phase::Completed => Self::Completed,
                Phase::Failed { .. } => Self::Failed,
            },
            Err(AskError::NotFound) => Self::NotFound,
            Err(AskError::RateLimited { .. }) => Self::RateLimited,
            Err(AskError::Credential) => Self::Credential,
            Err(AskError::Refused(_)) => Self::Refused,
            Err(AskError::Transient(_)) => Self::Transient,
        }
    }
}

words! {
    /// How a route is asked how jobs stand.
    PollKind {
        /// About one job
        Single = "single",
        /// For a page of its list
        List = "list",
    }
}

words! {
    /// How a model stands on a route.
    RouteState {
        /// It is asked in its turn
        Closed = "closed",
        /// It is asked last: it failed lately, or asked to be left alone
        Open = "open",
        /// It answers again, and is tried with one job at a time
        HalfOpen = "half_open",
        /// It is not asked: the provider says that it does not have the model
        Gone = "gone",
        /// The provider refuses the route's key
        KeyRefused = "key_refused",
    }
}

words! {
    /// What became of a callback from a provider.
    WebhookOutcome {
        /// Its job is asked about at once
        Accepted = "accepted",
        /// Its signature or age does not hold
        BadSignature = "bad_signature",
        /// It has come before
        Repeated = "repeated",
        /// Its job was asked about a moment ago
        Merged = "merged",
        /// There are too many at once
        Excess = "excess",
        /// It is about no job of ours
        UnknownJob = "unknown_job",
        /// It cannot be read
        Malformed = "malformed",
    }
}

words! {
    /// How the copying of a file into the archive went.
    CopyOutcome {
        /// It is kept
        Copied = "copied",
        /// The provider did not deliver it
        Provider = "provider",
        /// What came was not a whole file
        Damaged = "damaged",
        /// It could not be put away
        Storage = "storage",
    }
}

words! {
    /// Why a file was removed from the archive.
    RemovalCause {
        /// Its tenant deleted the job
        Deleted = "deleted",
        /// It was kept for as long as policy says
        Expired = "expired",
    }
}

words! {
    /// How an event was taken by a webhook.
    NoticeOutcome {
        /// It was
        Taken = "taken",
        /// It was not, and is sent again
        Failed = "failed",
        /// It was not, and is given up
        Dead = "dead",
    }
}

impl NoticeOutcome {
    /// What this delivery amounts to.
    pub fn of(delivery: &Delivery) -> Self {
        match delivery {
            Delivery::Taken => Self::Taken,
            Delivery::Failed { .. } => Self::Failed,
            Delivery::Dead { .. } => Self::Dead,
        }
    }
}

words! {
    /// What we ask of an upstream.
    UpstreamCall {
        /// Make a clip
        Submit = "submit",
        /// How is it doing
        Progress = "progress",
        /// What is there
        List = "list",
        /// Remove it
        Delete = "delete",
        /// Its bytes, until they begin
        Content = "content",
        /// Make a character
        Character = "character",
        /// Are you well
        Ping = "ping",
        /// A bearer token
        Token = "token",
    }
}

words! {
    /// Which of the two listeners.
    Listener {
        /// For clients
        Public = "public",
        /// For operators
        Admin = "admin",
    }
}
