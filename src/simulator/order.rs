//! Orders: what a paid request asks for, once everything the real service checks has been checked.
//!
//! Pure. Which account asks and whether the source exists has been settled before.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::dialect::Dialect;
use super::form::{Field, Form};
use super::job::Job;
use super::picture;
use super::refusal::Refusal;
use crate::video::{PROMPT_CHARS_MAX, Seconds, Size};

const SIZES_720P: [&str; 2] = ["720x1280", "1280x720"];
const SIZES_ALL: [&str; 6] = ["720x1280", "1280x720", "1024x1792", "1792x1024", "1080x1920", "1920x1080"];
/// What relays of the protocol take beside it; the clip does not follow it.
pub const EXTRAS: &[&str] = &["negative_prompt", "seed"];
/// The longest clip that is made from a prompt.
const SECONDS_MAX: u32 = 60;
/// The longest clip that extensions can reach.
const SECONDS_EXTENDED_MAX: u32 = 120;

/// A clip to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// `create`, `remix`, `edit` or `extend`.
    pub operation: &'static str,
    /// The model, as ordered.
    pub model: String,
    /// What it shall show.
    pub prompt: String,
    /// Its length.
    pub seconds: u32,
    /// The part of the length that is charged.
    pub billed_seconds: u32,
    /// Its frame size.
    pub size: Size,
    /// The clip it is remixed from.
    pub remixed_from: Option<String>,
}

/// `POST /videos`
pub fn create(dialect: Dialect, form: &Form) -> Result<Order, Refusal> {
    only(dialect, form, &["prompt", "model", "seconds", "size", "input_reference", "characters"])?;
    let prompt = prompt(dialect, form)?;
    let model = model(dialect, form)?;
    let seconds = seconds(dialect, form)?.unwrap_or(Seconds::DEFAULT).get();
    let size = size(dialect, &model, form)?;
    if dialect != Dialect::Cometapi {
        reference(form, size)?;
    }
    Ok(Order { operation: "create", model, prompt, seconds, billed_seconds: seconds, size, remixed_from: None })
}

/// `POST /videos/{id}/remix`: another clip of the same kind.
pub fn remix(dialect: Dialect, form: &Form, source: &Job) -> Result<Order, Refusal> {
    only(dialect, form, &["prompt"])?;
    Ok(Order { remixed_from: Some(source.id.clone()), ..again("remix", prompt(dialect, form)?, source) })
}

/// `POST /videos/edits`: likewise; an uploaded clip counts as one of the default kind.
pub fn edit(dialect: Dialect, form: &Form, source: Option<&Job>) -> Result<Order, Refusal> {
    only(dialect, form, &["prompt", "video", "model"])?;
    let prompt = prompt(dialect, form)?;
    match source {
        Some(source) => Ok(again("edit", prompt, source)),
        None => uploaded("edit", dialect, prompt, form),
    }
}

/// `POST /videos/extensions`: the source and `seconds` more, of which only those are charged.
pub fn extend(dialect: Dialect, form: &Form, source: Option<&Job>) -> Result<Order, Refusal> {
    only(dialect, form, &["prompt", "video", "seconds", "model"])?;
    let prompt = prompt(dialect, form)?;
    let added = seconds(dialect, form)?.ok_or_else(|| Refusal::missing("seconds"))?.get();
    let order = match source {
        Some(source) => again("extend", prompt, source),
        None => uploaded("extend", dialect, prompt, form)?,
    };
    let seconds = order.seconds + added;
    if seconds > SECONDS_EXTENDED_MAX {
        let message = format!("The extended video would be {seconds} seconds long; the most is {SECONDS_EXTENDED_MAX}.");
        return Err(Refusal::field("seconds", "invalid_value", message));
    }
    Ok(Order { seconds, billed_seconds: added, ..order })
}

fn again(operation: &'static str, prompt: String, source: &Job) -> Order {
    Order {
        operation,
        model: source.model.clone(),
        prompt,
        seconds: source.seconds,
        billed_seconds: source.seconds,
        size: source.size(),
        remixed_from: None,
    }
}

fn uploaded(operation: &'static str, dialect: Dialect, prompt: String, form: &Form) -> Result<Order, Refusal> {
    clip(form)?;
    let (model, seconds) = (model(dialect, form)?, Seconds::DEFAULT.get());
    Ok(Order { operation, model, prompt, seconds, billed_seconds: seconds, size: Size::DEFAULT, remixed_from: None })
}

/// Checks that `video` is an MP4.
pub fn clip(form: &Form) -> Result<(), Refusal> {
    match form.field("video") {
        Some(Field::File { bytes, .. }) if bytes.get(4..8) == Some(b"ftyp") => Ok(()),
        Some(Field::File { .. }) => Err(Refusal::field("video", "invalid_value", "Invalid file 'video': expected an MP4 video.")),
        Some(_) => Err(wrong_type("video", "a file or an object with an 'id'")),
        None => Err(Refusal::missing("video")),
    }
}

/// The real service refuses fields it does not know; aggregators drop them.
fn only(dialect: Dialect, form: &Form, known: &[&str]) -> Result<(), Refusal> {
    // Some aggregators take an address to call about each order.
    match form.stranger(&[known, &["callback_url"], EXTRAS].concat()).filter(|_| dialect != Dialect::Cometapi) {
        Some(name) => Err(Refusal::field(name, "unknown_parameter", format!("Unknown parameter: '{name}'."))),
        None => Ok(()),
    }
}

fn prompt(dialect: Dialect, form: &Form) -> Result<String, Refusal> {
    let prompt = match form.field("prompt") {
        Some(Field::Text(text)) if !text.is_empty() => text,
        Some(Field::Scalar(_) | Field::File { .. }) => return Err(wrong_type("prompt", "a string")),
        // Seen at CometAPI: what is missing counts as its own fault.
        _ if dialect == Dialect::Cometapi => {
            return Err(Refusal::new(500, "comet_api_error", Some("invalid_request"), "prompt is required"));
        }
        _ => return Err(Refusal::missing("prompt")),
    };
    if prompt.chars().count() > PROMPT_CHARS_MAX {
        let message = format!("Invalid 'prompt': string too long. Expected a string with maximum length {PROMPT_CHARS_MAX}.");
        return Err(Refusal::field("prompt", "string_above_max_length", message));
    }
    if prompt.contains("[moderation]") {
        let message = "Your request was blocked by our moderation system.";
        return Err(Refusal::new(400, "invalid_request_error", Some("moderation_blocked"), message));
    }
    Ok(prompt.clone())
}

fn model(dialect: Dialect, form: &Form) -> Result<String, Refusal> {
    let model = match (form.field("model"), dialect) {
        (Some(Field::Text(model)), _) if !model.is_empty() => model.clone(),
        (None, Dialect::Openai) => "sora-2".to_owned(),
        (Some(Field::Scalar(_) | Field::File { .. }), _) => return Err(wrong_type("model", "a string")),
        _ => return Err(Refusal::missing("model")),
    };
    let unknown_there = dialect == Dialect::Cometapi && model.starts_with("unknown-");
    if model.starts_with("gone-") || unknown_there { Err(Refusal::no_such_model(dialect, &model)) } else { Ok(model) }
}

fn seconds(dialect: Dialect, form: &Form) -> Result<Option<Seconds>, Refusal> {
    let text = match form.field("seconds") {
        None => return Ok(None),
        Some(Field::Text(text)) => text.clone(),
        Some(Field::Scalar(number)) if dialect == Dialect::Cometapi => number.to_string(),
        Some(_) => return Err(wrong_type("seconds", "a string")),
    };
    let offered: Vec<u32> = if dialect == Dialect::Azure { vec![4, 8, 12] } else { (1..=SECONDS_MAX).collect() };
    match text.parse::<Seconds>() {
        Ok(seconds) if offered.contains(&seconds.get()) => Ok(Some(seconds)),
        _ => Err(not_offered("seconds", &text, offered.iter().map(ToString::to_string))),
    }
}

fn size(dialect: Dialect, model: &str, form: &Form) -> Result<Size, Refusal> {
    let text = match form.field("size") {
        None => return Ok(Size::DEFAULT),
        Some(Field::Text(text)) => text,
        Some(_) => return Err(wrong_type("size", "a string")),
    };
    let offered: &[&str] = match dialect {
        Dialect::Azure => &SIZES_720P,
        Dialect::Openai if model.starts_with("sora-2-pro") => &SIZES_ALL,
        Dialect::Openai if model.starts_with("sora-2") => &SIZES_720P,
        Dialect::Openai | Dialect::Cometapi => &[],
    };
    match text.parse::<Size>() {
        Ok(size) if offered.contains(&text.as_str()) => Ok(size),
        // Half of each side is the size of the colour planes.
        Ok(size) if offered.is_empty() && size.width % 2 == 0 && size.height % 2 == 0 => Ok(size),
        _ => {
            let offered = if offered.is_empty() { &SIZES_ALL } else { offered };
            Err(not_offered("size", text, offered.iter().map(ToString::to_string)))
        }
    }
}

/// Checks that the picture to start from is one, and of the clip's own size.
fn reference(form: &Form, size: Size) -> Result<(), Refusal> {
    match form.field("input_reference") {
        Some(Field::File { media_type, bytes }) => {
            let said = media_type.as_deref().unwrap_or("application/octet-stream");
            if !["image/jpeg", "image/png", "image/webp"].contains(&said) {
                let formats = "Supported file formats are 'image/jpeg', 'image/png', and 'image/webp'.";
                let message = format!("Invalid file 'input_reference': unsupported mimetype ('{said}'). {formats}");
                return Err(Refusal::field("input_reference", "unsupported_file_mimetype", message));
            }
            return same_size(bytes, size);
        }
        Some(_) => return Err(wrong_type("input_reference", "a file or an object")),
        None => {}
    }
    match (form.text("input_reference[image_url]"), form.text("input_reference[file_id]")) {
        (Some(_), Some(_)) => Err(Refusal::field("input_reference", "invalid_value", "Provide exactly one of 'image_url' and 'file_id'.")),
        (Some(url), None) if url.starts_with("data:image/") => {
            let encoded = url.split_once(";base64,").map(|(_, encoded)| encoded).unwrap_or_default();
            same_size(&STANDARD.decode(encoded).unwrap_or_default(), size)
        }
        (Some(url), None) if !url.starts_with("https://") => {
            Err(Refusal::field("input_reference.image_url", "invalid_value", "Expected an https or a data URL."))
        }
        _ => Ok(()),
    }
}

fn same_size(image: &[u8], size: Size) -> Result<(), Refusal> {
    match picture::dimensions(image) {
        Some((_, pixels)) if pixels == size => Ok(()),
        Some(_) => Err(Refusal::body("Inpaint image must match the requested width and height")),
        None => Err(Refusal::field("input_reference", "invalid_value", "Invalid image: it is neither a JPEG, a PNG nor a WebP.")),
    }
}

fn wrong_type(param: &str, expected: &str) -> Refusal {
    Refusal::field(param, "invalid_type", format!("Invalid type for '{param}': expected {expected}."))
}

/// `Invalid value: '7'. Supported values are: '4', '8', and '12'.`
fn not_offered(param: &str, value: &str, offered: impl Iterator<Item = String>) -> Refusal {
    let mut offered: Vec<String> = offered.map(|value| format!("'{value}'")).collect();
    if offered.len() > 1 {
        offered.last_mut().into_iter().for_each(|last| last.insert_str(0, "and "));
    }
    let message = format!("Invalid value: '{value}'. Supported values are: {}.", offered.join(", "));
    Refusal::field(param, "invalid_value", message)
}
