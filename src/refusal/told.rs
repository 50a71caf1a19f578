//! The one table of what a client is told when it is turned away.
//!
//! Nothing else chooses a status code for a refusal. Two rules shape the table. A refusal that a retry
//! cannot cure says `x-should-retry: false`, because every official SDK re-sends a 429 or a 5xx twice
//! by itself. And what belongs to another tenant is refused exactly as what does not exist.

use std::collections::BTreeSet;
use std::time::Duration;

use http::StatusCode;

use super::{CapInTheWay, Refusal};
use crate::budget::Account;
use crate::id::ModelName;
use crate::money::MicroUsd;
use crate::plan::NoPlan;
use crate::provider::Rejection;
use crate::video::{Seconds, Size};
use crate::wire;

/// One row of the table: what the client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The status.
    pub status: StatusCode,
    /// OpenAI's `type`.
    pub kind: &'static str,
    /// OpenAI's `code`.
    pub code: Option<String>,
    /// The parameter.
    pub param: Option<String>,
    /// For people.
    pub message: String,
    /// `retry-after`, seconds, 1 to 60; if given, a retry may cure it.
    pub retry_after_secs: Option<u64>,
}

const INVALID: &str = "invalid_request_error";

/// How much it is, is not a tenant's business.
const GATEWAY_SPENT: &str = "The gateway's own budget is used up. Ask its operator.";
/// Nor is what a provider may cost, or who it is.
pub const ROUTES_SPENT: &str =
    "Whoever could make this video has cost as much as the operator of this gateway lets them. Ask the operator.";

impl Refusal {
    /// What the client is told.
    #[rustfmt::skip]
    pub fn told(&self) -> Told {
        use StatusCode as S;
        match self {
            Self::Unauthenticated => client(S::UNAUTHORIZED, "invalid_api_key", "Incorrect API key provided. Send a key of this gateway as 'Authorization: Bearer KEY'."),
            Self::Invalid(fault) => invalid(fault),
            Self::Malformed(what) => client(S::BAD_REQUEST, "malformed_request", what),
            Self::NoSuchPath => client(S::NOT_FOUND, "unknown_url", "Unknown request URL. The videos API is under /v1/videos."),
            Self::MethodNotAllowed => client(S::METHOD_NOT_ALLOWED, "method_not_allowed", "This URL has no such method."),
            Self::Expectation => client(S::EXPECTATION_FAILED, "expectation_failed", "Only 'Expect: 100-continue' can be met."),
            Self::BodyTimeout => client(S::REQUEST_TIMEOUT, "body_timeout", "The request body did not arrive in time.").again(1),
            Self::BodyTooLarge { bytes_max } => client(S::PAYLOAD_TOO_LARGE, "request_too_large", &format!("The request body is larger than the {bytes_max} bytes that this gateway takes.")),
            Self::NoSuchVideo => client(S::NOT_FOUND, "video_not_found", "There is no video with this id.").about("video_id"),
            Self::NoSuchCharacter => client(S::NOT_FOUND, "character_not_found", "There is no character with this id.").about("character_id"),
            Self::NotReady => client(S::NOT_FOUND, "video_not_ready", "Video is not ready yet, use GET /v1/videos/{video_id} to check its status."),
            Self::NotTerminal => client(S::CONFLICT, "video_not_terminal", "This video is still being made. It can be deleted once it is completed or failed."),
            Self::NotMade => client(S::NOT_FOUND, "video_failed", "This video failed, so it has no content."),
            Self::Expired => client(S::GONE, "video_expired", "The content of this video has expired."),
            Self::Unsupported(what) => client(S::BAD_REQUEST, "unsupported", what),
            Self::NoPlan(why) => no_plan(why),
            Self::BadKey => client(S::BAD_REQUEST, "invalid_idempotency_key", "An Idempotency-Key is one header of 1 to 255 visible ASCII characters."),
            Self::KeyRequired => client(S::BAD_REQUEST, "idempotency_key_required", "This gateway takes your requests only with an Idempotency-Key header: a key of your own for each video that you want."),
            Self::UserRequired => client(S::BAD_REQUEST, "user_required", "This gateway takes your requests only with the end user that they are for: send 'user', or the header 'x-filmgate-user'.").about("user"),
            Self::KeyReused => client(S::UNPROCESSABLE_ENTITY, "idempotency_key_reused", "This Idempotency-Key was used for another request. Use a new key for a new video."),
            Self::KeyInUse => client(S::CONFLICT, "idempotency_key_in_use", "The first request with this Idempotency-Key is still under way.").again(1),
            Self::Denied | Self::Flagged => client(S::BAD_REQUEST, "moderation_blocked", "Your request was blocked by our moderation system.").about("prompt"),
            Self::PromptTooLong { chars_max } => client(S::BAD_REQUEST, "string_above_max_length", &format!("The prompt is longer than the {chars_max} characters that this gateway takes.")).about("prompt"),
            Self::Unmoderated { cured_by_retry: true, .. } => down("moderation_unavailable", "Your request cannot be moderated at the moment. Nothing was charged.").again(5),
            Self::Unmoderated { .. } => down("moderation_unavailable", "Nobody is set up to moderate your requests. Ask the operator of this gateway."),
            Self::RateLimited { wait } => busy("rate_limit_exceeded", "Too many requests. Try again later.").after(*wait),
            Self::TenantFull { in_flight } => busy("concurrency_limit_exceeded", &format!("{in_flight} videos are being made for you already, which is your limit. Try again when one is done.")).again(10),
            Self::RoutesFull { wait } => busy("rate_limit_exceeded", &format!("Everybody who could make this video is busy, and nothing of yours may wait for them here. Try again in {}.", in_words(*wait))).after(*wait),
            Self::LineFull { waiting, wait } => busy("queue_full", &format!("Everybody who could make this video is busy, and {waiting} of your videos wait for them already, which is as many as may. Try again in {}, when the first of those may have been sent.", in_words(*wait))).after(*wait),
            Self::OverBudget { ceiling, cap } => over_budget(*ceiling, cap),
            Self::Rejected(rejection) => mirrored(rejection),
            Self::NoRoute { wait, .. } => down("no_route_available", "Nobody who could make this video can be reached at the moment. Nothing was charged.").after(*wait),
            Self::ModelGone { model, .. } => withdrawn(model),
            Self::FormerAccount => told(S::BAD_GATEWAY, "server_error", "account_unavailable", "The provider's account that has this video is not set up any more. Ask the operator of this gateway."),
            Self::Upstream => told(S::BAD_GATEWAY, "server_error", "upstream_unavailable", "The provider of this video did not answer.").again(2),
            Self::Unavailable(_) => down("ledger_unavailable", "The gateway cannot keep its books at the moment, so nothing was ordered and nothing was charged.").again(5),
            Self::Reconciling => down("reconciling", "The gateway is looking for videos that it lost sight of, and takes no new ones until its operator says so. Videos that it knows can be read as ever.").again(60),
            Self::Halted(_) => down("halted", "The operator of this gateway has stopped all new videos for now, so nothing was ordered and nothing was charged. Videos that were ordered before are made, and can be read as ever.").again(60),
            Self::Stopping => down("server_is_stopping", "The gateway is restarting.").again(2),
            Self::Overloaded => down("server_is_overloaded", "Too much at once.").again(1),
            Self::Internal => told(S::INTERNAL_SERVER_ERROR, "server_error", "internal_error", "The gateway made a mistake. If a video was ordered all the same, GET /v1/videos lists it."),
        }
    }

    /// The same refusal, also naming the lengths or sizes that could be had, if it is about one.
    pub fn naming(mut self, (seconds, sizes): (BTreeSet<Seconds>, BTreeSet<Size>)) -> Self {
        if let Self::Invalid(wire::Fault { param: Some(param), code: Some("invalid_value"), message, .. }) = &mut self {
            let offered = match param.as_str() {
                "seconds" | "duration" => quoted(&Vec::from_iter(seconds)),
                "size" => quoted(&Vec::from_iter(sizes)),
                _ => return self,
            };
            message.push_str(&format!(" Supported values are: {offered}."));
        }
        self
    }
}

/// As `retry-after` has it.
fn in_words(wait: Duration) -> String {
    match whole_secs(wait).clamp(1, 60) {
        1 => "a second".to_owned(),
        secs => format!("{secs} seconds"),
    }
}

fn whole_secs(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

fn told(status: StatusCode, kind: &'static str, code: &str, message: &str) -> Told {
    Told { status, kind, code: Some(code.to_owned()), param: None, message: message.to_owned(), retry_after_secs: None }
}

/// The request is at fault.
fn client(status: StatusCode, code: &str, message: &str) -> Told {
    told(status, INVALID, code, message)
}

/// The same request may pass later.
fn busy(code: &str, message: &str) -> Told {
    told(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", code, message)
}

/// The gateway, or everybody behind it, is not up to it now.
fn down(code: &str, message: &str) -> Told {
    told(StatusCode::SERVICE_UNAVAILABLE, "service_unavailable_error", code, message)
}

/// What an upstream said of the wish itself.
fn mirrored(rejection: &Rejection) -> Told {
    Told {
        status: rejection.status,
        kind: INVALID,
        code: rejection.code.clone(),
        param: rejection.param.clone(),
        message: rejection.message.clone(),
        retry_after_secs: None,
    }
}

impl Told {
    fn about(mut self, param: &str) -> Self {
        self.param = Some(param.to_owned());
        self
    }

    fn again(mut self, secs: u64) -> Self {
        self.retry_after_secs = Some(secs.clamp(1, 60));
        self
    }

    fn after(self, wait: Duration) -> Self {
        self.again(whole_secs(wait))
    }
}

fn invalid(fault: &wire::Fault) -> Told {
    let status = match fault.kind {
        wire::FaultKind::Invalid => StatusCode::BAD_REQUEST,
        wire::FaultKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        wire::FaultKind::UnsupportedMedia => StatusCode::UNSUPPORTED_MEDIA_TYPE,
    };
    Told {
        status,
        kind: INVALID,
        code: fault.code.map(str::to_owned),
        param: fault.param.clone(),
        message: fault.message.clone(),
        retry_after_secs: None,
    }
}

fn withdrawn(model: &ModelName) -> Told {
    let message =
        format!("The model '{model}' has been withdrawn by everybody who made it. GET /v1/models lists the models that can be had.");
    told(StatusCode::NOT_FOUND, INVALID, "model_not_found", &message).about("model")
}

fn no_plan(why: &NoPlan) -> Told {
    let bad = StatusCode::BAD_REQUEST;
    match why {
        NoPlan::UnknownModel { model, known } => told(
            StatusCode::NOT_FOUND,
            INVALID,
            "model_not_found",
            &format!("The model '{model}' does not exist or you do not have access to it. Available models are: {}.", quoted(known)),
        )
        .about("model"),
        NoPlan::Ended { model, last_day } => {
            let message =
                format!("The model '{model}' was offered until {last_day} and no longer. GET /v1/models lists the models that can be had.");
            told(StatusCode::NOT_FOUND, INVALID, "model_not_found", &message).about("model")
        }
        NoPlan::Gone { model } => withdrawn(model),
        NoPlan::Extra { name } => told(
            bad,
            INVALID,
            "unknown_parameter",
            &format!("Unknown parameter: '{name}'. Nobody who may make this video for you takes it."),
        )
        .about(name),
        NoPlan::Unsayable { lacks } => told(bad, INVALID, "unsupported", lacks),
        NoPlan::Seconds { asked, offered } => told(bad, INVALID, "invalid_value", &not_among(*asked, offered)).about("seconds"),
        NoPlan::Size { asked, offered } => told(bad, INVALID, "invalid_value", &not_among(*asked, offered)).about("size"),
        NoPlan::TooLong { asked, made, max } => told(bad, INVALID, "invalid_value", &too_long(*asked, *made, *max)).about("seconds"),
        NoPlan::TooDear { made, price, max } => {
            let made = made.map_or(String::new(), |(seconds, size)| format!("be made as {seconds} seconds of {size} and "));
            let message =
                format!("This video would {made}cost {price} USD, and yours may cost at most {max} USD. Ask for a shorter or smaller one.");
            told(bad, INVALID, "cost_above_limit", &message)
        }
        NoPlan::NoRoute { may_return: true, .. } => down(
            "no_route_available",
            "Nobody who makes such videos takes new ones for now, at the word of this gateway's operator. Nothing was charged.",
        )
        .again(60),
        NoPlan::NoRoute { .. } => told(
            StatusCode::SERVICE_UNAVAILABLE,
            "service_unavailable_error",
            "no_route_available",
            "Nobody is set up to make this video for you. Ask the operator of this gateway.",
        ),
    }
}

/// What stands in the way may not be the length that was asked for, but the one that would be made of it.
fn too_long(asked: Option<Seconds>, made: Option<Seconds>, max: Seconds) -> String {
    let most = format!("yours may be at most {max} seconds long");
    match (asked, made) {
        (Some(asked), _) if asked > max => format!("Your videos may be at most {max} seconds long."),
        (Some(asked), Some(made)) => format!("A video of {asked} seconds would be made {made} seconds long, and {most}."),
        (Some(asked), None) => format!("Videos of {asked} seconds cannot be had, what can be is longer, and {most}."),
        (None, Some(made)) => format!("This video would be made {made} seconds long, and {most}. Ask for a length."),
        (None, None) => format!("Your videos may be at most {max} seconds long."),
    }
}

/// What is left under caps that are not the tenant's is not told.
fn over_budget(ceiling: MicroUsd, cap: &CapInTheWay) -> Told {
    let (of, left) = match cap {
        CapInTheWay::Of(Account::Tenant(_), left) => ("your budget", left),
        CapInTheWay::Of(Account::Key(..), left) => ("the budget of your key", left),
        CapInTheWay::Of(Account::User(..), left) => ("your end user's budget", left),
        CapInTheWay::Of(Account::Gateway, _) => return spent(GATEWAY_SPENT),
        CapInTheWay::Of(Account::Route(_), _) | CapInTheWay::Routes(_) => return spent(ROUTES_SPENT),
    };
    // One that costs nothing fits under any cap but one that is passed.
    if ceiling <= *left {
        return spent(&format!("You exceeded your current quota: more than {of} is used already."));
    }
    spent(&format!("You exceeded your current quota: this video needs {ceiling} USD and {left} USD are left of {of}."))
}

fn spent(message: &str) -> Told {
    told(StatusCode::TOO_MANY_REQUESTS, "insufficient_quota", "insufficient_quota", message)
}

/// OpenAI's wording for a value off a list.
fn not_among<T: std::fmt::Display>(asked: T, offered: &[T]) -> String {
    format!("Invalid value: '{asked}'. Supported values are: {}.", quoted(offered))
}

/// `'a', 'b', and 'c'`
fn quoted<T: std::fmt::Display>(values: &[T]) -> String {
    let quoted: Vec<String> = values.iter().map(|v| format!("'{v}'")).collect();
    match quoted.as_slice() {
        [] => "none".to_owned(),
        [one] => one.clone(),
        [one, two] => format!("{one} and {two}"),
        [rest @ .., last] => format!("{}, and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use crate::money::MicroUsd;
    use crate::plan::NoPlan;
    use crate::refusal::Refusal;
    use crate::video::{Seconds, Size};

    #[test]
    fn a_client_is_told_what_would_be_made_where_that_stands_in_the_way() {
        let seconds = |n: u32| Seconds::new(n);
        let too_long = |asked, made| {
            let max = Seconds::new(8).unwrap();
            Refusal::NoPlan(NoPlan::TooLong { asked, made, max }).told().message
        };
        assert_eq!(too_long(seconds(9), seconds(10)), "Your videos may be at most 8 seconds long.");
        let fitted = "A video of 6 seconds would be made 10 seconds long, and yours may be at most 8 seconds long.";
        assert_eq!(too_long(seconds(6), seconds(10)), fitted);
        let usual = "This video would be made 10 seconds long, and yours may be at most 8 seconds long. Ask for a length.";
        assert_eq!(too_long(None, seconds(10)), usual);
        let none = "Videos of 6 seconds cannot be had, what can be is longer, and yours may be at most 8 seconds long.";
        assert_eq!(too_long(seconds(6), None), none);
        let made = Some((Seconds::new(10).unwrap(), Size::new(1280, 720)));
        let dear = Refusal::NoPlan(NoPlan::TooDear { made, price: MicroUsd::new(1_000_000), max: MicroUsd::new(900_000) }).told();
        let message = "This video would be made as 10 seconds of 1280x720 and cost 1.00 USD, and yours may cost at most 0.90 USD. \
                       Ask for a shorter or smaller one.";
        assert_eq!(dear.message, message);
    }
}
