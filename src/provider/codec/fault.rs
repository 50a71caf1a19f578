//! Reads complaints: the shapes that upstreams put an error in, and the codes that decide something.
//!
//! Whatever is kept of a complaint has been scrubbed: upstreams echo keys.

use super::json::{Object, text};
use crate::provider::RefusedReason;

/// The longest message that is kept, in characters.
const MESSAGE_CHARS_MAX: usize = 500;
/// The longest code that is kept, in bytes.
const CODE_BYTES_MAX: usize = 64;
/// From this length on, a run of key characters after a word for a credential is taken for one.
const KEY_CHARS_MIN: usize = 24;

/// The model, or the deployment, is not to be had.
const MODEL_GONE: [&str; 8] = [
    "model_not_found",
    "model_gone",
    "model_deprecated",
    "model_retired",
    "model_withdrawn",
    "ModelDeprecated",
    "DeploymentNotFound",
    "DeploymentDeprecated",
];
/// Our account there is empty, or has reached a limit that somebody set.
const QUOTA: [&str; 8] = [
    "insufficient_quota",
    "credit_balance_exhausted",
    "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
    "billing_hard_limit_reached",
    "insufficient_user_quota",
    "insufficient_credits",
];
/// The prompt or the picture broke a rule.
const MODERATION: [&str; 4] = ["moderation_blocked", "content_policy_violation", "content_filter", "ResponsibleAIPolicyViolation"];
/// The wish was malformed.
const INVALID: [&str; 4] = ["invalid_request_error", "invalid_request", "invalid_value", "invalid_type"];

/// An upstream's complaint.
#[derive(Debug, Default)]
pub(super) struct Fault {
    /// Its code, if it is a word and not a number.
    pub code: Option<String>,
    /// OpenAI's `type`.
    kind: Option<String>,
    /// The parameter it is about.
    pub param: Option<String>,
    /// For people, scrubbed.
    message: Option<String>,
}

impl Fault {
    /// Reads the body of a reply, whatever it is.
    pub fn read(body: &[u8]) -> Self {
        match Object::parse(body) {
            Some(object) => Self::of(&object),
            None => {
                let beginning = body.get(..4 * MESSAGE_CHARS_MAX).unwrap_or(body);
                Self { message: said(Some(String::from_utf8_lossy(beginning).into_owned())), ..Self::default() }
            }
        }
    }

    /// Reads the complaint in an object: `{"error": {…}}` or `{"error": "…"}`, FastAPI's `{"detail": …}`,
    /// or a flat `{"code", "message"}`.
    pub fn of(object: &Object<'_>) -> Self {
        if let Some(error) = object.object("error") {
            return Self::flat(&error);
        }
        if let Some(message) = object.text("error").or_else(|| object.text("detail")) {
            return Self { code: code(object), message: said(Some(message)), ..Self::default() };
        }
        if let Some(first) = object.items("detail").and_then(|items| items.first().copied()).and_then(Object::of) {
            let place = first.items("loc").unwrap_or_default();
            return Self {
                param: place.last().and_then(|last| text(last)).map(|p| scrub(&p)),
                message: said(first.text("msg")),
                ..Self::default()
            };
        }
        if let Some(detail) = object.object("detail") {
            return Self::flat(&detail);
        }
        Self::flat(object)
    }

    fn flat(object: &Object<'_>) -> Self {
        let inner = object.object("inner_error").or_else(|| object.object("innererror"));
        Self {
            code: code(object).or_else(|| inner.as_ref().and_then(code)),
            kind: object.text("type"),
            param: object.text("param").map(|param| scrub(&param)),
            message: said(object.text("message")),
        }
    }

    /// What it says, for people.
    pub fn message(&self) -> String {
        let code = || self.code.as_ref().map(|code| format!("the provider said only {code:?}"));
        self.message.clone().or_else(code).unwrap_or_else(|| "the provider did not say why".to_owned())
    }

    /// Whether it says anything at all.
    pub fn is_silent(&self) -> bool {
        self.message.is_none() && self.code.is_none()
    }

    /// Why the upstream itself cannot serve, if the code tells. Never read off the message: it may quote the prompt.
    pub fn refused_reason(&self) -> Option<RefusedReason> {
        if self.is_one_of(&MODEL_GONE) {
            return Some(RefusedReason::ModelGone);
        }
        self.is_one_of(&QUOTA).then_some(RefusedReason::Quota)
    }

    /// Whether the parameter it is about is the model.
    pub fn is_about_model(&self) -> bool {
        self.param.as_deref() == Some("model")
    }

    /// Whether the parameter it is about is another one: something that the wish brings.
    pub fn is_about_input(&self) -> bool {
        self.param.is_some() && !self.is_about_model()
    }

    /// Whether its message names that model, and not one whose name only begins or ends like it.
    pub fn names(&self, model: &str) -> bool {
        let goes_on = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/');
        self.message.as_ref().is_some_and(|message| {
            message
                .match_indices(model)
                .any(|(at, _)| !message[..at].ends_with(goes_on) && !message[at + model.len()..].starts_with(goes_on))
        })
    }

    /// Whether a 429 is about jobs at a time and not requests per minute; only the message tells.
    pub fn is_too_many_jobs(&self) -> bool {
        self.mentions("too many running") || self.mentions("concurren")
    }

    /// Whether a relay has nobody to pass the request on to.
    pub fn is_no_channel(&self) -> bool {
        self.is_one_of(&MODEL_GONE) && self.mentions("no available channel")
    }

    /// Whether the wish broke a rule on content.
    pub fn is_moderation(&self) -> bool {
        self.is_one_of(&MODERATION)
    }

    /// Whether the wish was malformed.
    pub fn is_invalid(&self) -> bool {
        self.is_one_of(&INVALID)
    }

    /// Whether the job is not known, which New-API relays tell with a 400.
    pub fn is_no_such_job(&self) -> bool {
        self.is_one_of(&["task_not_exist"])
    }

    fn is_one_of(&self, codes: &[&str]) -> bool {
        let is = |word: &Option<String>| word.as_ref().is_some_and(|word| codes.iter().any(|code| code.eq_ignore_ascii_case(word)));
        is(&self.code) || is(&self.kind)
    }

    fn mentions(&self, phrase: &str) -> bool {
        self.message.as_ref().is_some_and(|message| message.to_ascii_lowercase().contains(phrase))
    }
}

/// The code of a complaint, if it is a word: `500` repeats the status and tells nobody anything.
fn code(object: &Object<'_>) -> Option<String> {
    let code = object.text("code")?;
    let is_word = code.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    let tells = code.len() <= CODE_BYTES_MAX && is_word && code.bytes().any(|b| b.is_ascii_alphabetic());
    tells.then_some(code)
}

/// A message worth keeping: scrubbed, and not empty.
fn said(message: Option<String>) -> Option<String> {
    message.map(|message| scrub(&message)).filter(|message| !message.is_empty())
}

/// `text` on one line, at most 500 characters, with everything that looks like a key starred out.
pub(super) fn scrub(text: &str) -> String {
    let mut clean = String::new();
    let mut speaks_of_keys = false;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = rest.find(|c| !is_key_char(c)).unwrap_or(rest.len());
        let (run, after) = rest.split_at(if length == 0 { first.len_utf8() } else { length });
        // A full stop ends the sentence and not the key.
        let (run, stop) = run.split_at(run.trim_end_matches('.').len());
        rest = after;
        if length == 0 {
            clean.push(if first.is_control() { ' ' } else { first });
        } else if holds_openai_key(run) || (speaks_of_keys && run.len() >= KEY_CHARS_MIN) {
            clean.push_str("***");
        } else {
            let word = run.to_ascii_lowercase();
            speaks_of_keys |= ["key", "token", "secret", "bearer", "authorization"].iter().any(|name| word.contains(name));
            clean.push_str(run);
        }
        clean.push_str(stop);
    }
    let clean = clean.trim();
    let mut short: String = clean.chars().take(MESSAGE_CHARS_MAX).collect();
    if short.len() < clean.len() {
        short.pop();
        short.push('…');
    }
    short
}

/// Whether a key of OpenAI's form begins somewhere in `run`, and not in the middle of a word such as `task-1`.
fn holds_openai_key(run: &str) -> bool {
    run.match_indices("sk-").any(|(at, _)| !run[..at].ends_with(|c: char| c.is_ascii_alphanumeric()))
}

/// Whether a key may contain `c`; the star, because upstreams mask the middle of what they echo.
fn is_key_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+' | '/' | '=' | '*' | '.' | '~')
}

#[cfg(test)]
mod tests {
    use super::{Fault, MESSAGE_CHARS_MAX, scrub};
    use proptest::prelude::{prop_assert, proptest};

    #[test]
    fn keys_are_starred_out_wherever_an_upstream_echoes_them() {
        for (said, kept) in [
            ("Incorrect API key provided: sk-proj-abcd1234.", "Incorrect API key provided: ***."),
            ("api_key=sk-1, twice: (sk-2)", "***, twice: (***)"),
            ("masked: sk-ab**********yz", "masked: ***"),
            ("invalid subscription key 0123456789abcdef0123456789abcdef", "invalid subscription key ***"),
            ("Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl expired", "Bearer *** expired"),
        ] {
            assert_eq!(scrub(said), kept);
        }
    }

    #[test]
    fn what_only_looks_a_little_like_a_key_stays() {
        for text in ["task-1 and risk-free", "Video with id 'video_68e6bd5c4f2c8190a1b2c3d4e5f60718' not found.", "The key is missing."] {
            assert_eq!(scrub(text), text);
        }
    }

    #[test]
    fn a_message_is_one_line_of_bounded_length() {
        assert_eq!(scrub("a\r\nb\u{1b}[31mc\0"), "a  b [31mc");
        assert_eq!(scrub(&"é".repeat(2 * MESSAGE_CHARS_MAX)).chars().count(), MESSAGE_CHARS_MAX);
    }

    #[test]
    fn a_complaint_is_found_in_every_shape() {
        for (body, code, param, message) in [
            (r#"{"error":{"message":"m","type":"t","param":"p","code":"c"}}"#, Some("c"), Some("p"), "m"),
            (r#"{"error":{"code":null,"message":"m","innererror":{"code":"inner"}}}"#, Some("inner"), None, "m"),
            (r#"{"error":"m"}"#, None, None, "m"),
            (r#"{"detail":"m"}"#, None, None, "m"),
            (r#"{"detail":{"code":"c","message":"m"}}"#, Some("c"), None, "m"),
            (r#"{"detail":[{"loc":["body","size"],"msg":"m"}]}"#, None, Some("size"), "m"),
            (r#"{"code":"c","message":"m","data":null}"#, Some("c"), None, "m"),
            (r#"{"code":1008,"message":"m"}"#, None, None, "m"),
            (r#"{"error":{"code":"only_a_code"}}"#, Some("only_a_code"), None, "the provider said only \"only_a_code\""),
            ("<html>busy</html>", None, None, "<html>busy</html>"),
            ("", None, None, "the provider did not say why"),
            ("[]", None, None, "[]"),
        ] {
            let fault = Fault::read(body.as_bytes());
            assert_eq!((fault.code.as_deref(), fault.param.as_deref(), fault.message().as_str()), (code, param, message), "{body}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_said_no_key_and_no_line_break_is_kept(before in "\\PC{0,40}", after in "\\PC{0,40}") {
            let clean = scrub(&format!("{before} sk-secret0123456789\n{after}"));
            prop_assert!(!clean.contains("sk-secret") && !clean.contains(char::is_control));
            prop_assert!(clean.chars().count() <= MESSAGE_CHARS_MAX);
        }
    }
}
