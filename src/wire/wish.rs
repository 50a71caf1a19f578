//! The four ways to wish for a clip, each as the list of fields it accepts.
//!
//! Knows which field belongs to which operation and what its text may be; not who offers it, but for the
//! names of the fields beyond the protocol that somebody takes. An id is judged last: one that cannot
//! exist has to be refused exactly like one that does not.

use std::collections::BTreeSet;

use crate::id::{CharacterId, JobId, ModelName};
use crate::video::{END_USER_CHARS_MAX, EXTRA_CHARS_MAX, Extra, Extras, Origin, PROMPT_CHARS_MAX, Reference, Seconds, Size, Source, Wish};
use crate::wire::error::{Fault, FormError, shown};
use crate::wire::form::{Field, Form};
use crate::wire::{media, reference};

/// The longest model name, bytes.
const MODEL_BYTES_MAX: usize = 100;

/// The most characters in one clip.
const CHARACTERS_MAX: usize = 2;

/// Reads `POST /videos`. `extras` are the fields beyond the protocol that anybody takes.
pub fn create(mut form: Form, extras: &BTreeSet<String>) -> Result<Wish, FormError> {
    let characters = take_characters(&mut form);
    let mut wish = Wish {
        origin: Origin::Create,
        prompt: take_prompt(&mut form)?,
        model: take_model(&mut form)?,
        seconds: take_seconds(&mut form)?,
        size: take_size(&mut form)?,
        reference: reference::take(&mut form)?,
        characters: Vec::new(),
        end_user: take_idle(&mut form)?,
        extras: take_extras(&mut form, extras)?,
    };
    form.finish(None)?;

    if let (Some(Reference::Upload(upload)), Some(size)) = (&wish.reference, wish.size) {
        media::check_reference_size(upload, size)?;
    }
    wish.characters = characters?;
    Ok(wish)
}

/// Reads `POST /videos/{source}/remix`: all but the prompt is the source's.
pub fn remix(source: JobId, mut form: Form, extras: &BTreeSet<String>) -> Result<Wish, FormError> {
    let wish = take_bare(&mut form, Origin::Remix(source), extras)?;
    form.finish(None)?;
    Ok(wish)
}

/// Reads `POST /videos/edits`.
pub fn edit(mut form: Form, extras: &BTreeSet<String>) -> Result<Wish, FormError> {
    let source = take_source(&mut form);
    let mut wish = take_bare(&mut form, Origin::Create, extras)?;
    wish.model = take_model(&mut form)?;
    form.finish(None)?;

    wish.origin = Origin::Edit(source?);
    Ok(wish)
}

/// Reads `POST /videos/extensions`.
pub fn extend(mut form: Form, extras: &BTreeSet<String>) -> Result<Wish, FormError> {
    let source = take_source(&mut form);
    let mut wish = take_bare(&mut form, Origin::Create, extras)?;
    wish.model = take_model(&mut form)?;
    wish.seconds = Some(take_seconds(&mut form)?.ok_or_else(|| Fault::missing("seconds"))?);
    form.finish(None)?;

    wish.origin = Origin::Extend(source?);
    Ok(wish)
}

/// What every operation has: a prompt, the fields without effect, and extras.
fn take_bare(form: &mut Form, origin: Origin, extras: &BTreeSet<String>) -> Result<Wish, Fault> {
    Ok(Wish {
        origin,
        prompt: take_prompt(form)?,
        model: None,
        seconds: None,
        size: None,
        reference: None,
        characters: Vec::new(),
        end_user: take_idle(form)?,
        extras: take_extras(form, extras)?,
    })
}

fn take_prompt(form: &mut Form) -> Result<String, Fault> {
    let prompt = form.take("prompt").ok_or_else(|| Fault::missing("prompt"))?.text("prompt")?;
    let chars = prompt.chars().count();
    if chars > PROMPT_CHARS_MAX {
        return Err(Fault::too_long("prompt", chars, PROMPT_CHARS_MAX));
    }
    if prompt.trim().is_empty() {
        return Err(Fault::invalid("prompt", "empty_string", "Invalid 'prompt': empty string. Say what the clip shall show."));
    }
    if prompt.contains('\0') {
        return Err(Fault::invalid("prompt", "invalid_value", "Invalid 'prompt': it contains a NUL character. Remove it."));
    }
    Ok(prompt)
}

fn take_model(form: &mut Form) -> Result<Option<ModelName>, Fault> {
    let Some(field) = form.take("model") else { return Ok(None) };
    let text = field.text("model")?;
    if (1..=MODEL_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(Some(ModelName::new(text)))
    } else {
        Err(Fault::bad_value("model", &text, "A model name is 1 to 100 visible ASCII characters, such as 'sora-2'."))
    }
}

fn take_seconds(form: &mut Form) -> Result<Option<Seconds>, Fault> {
    let Some((param, field)) = form.take_any(&["seconds", "duration"])? else { return Ok(None) };
    let text = field.text_or_integer(param)?;
    let rule = "A length is a whole number of seconds in plain digits, such as '8'.";
    text.parse().map(Some).map_err(|_| Fault::bad_value(param, &text, rule))
}

fn take_size(form: &mut Form) -> Result<Option<Size>, Fault> {
    let Some(field) = form.take("size") else { return Ok(None) };
    let text = field.text("size")?;
    let rule = "A size is width, a small x and height in pixels, such as '1280x720'.";
    text.parse().map(Some).map_err(|_| Fault::bad_value("size", &text, rule))
}

/// Takes the fields that change nothing about the clip; `user` is the one worth keeping.
fn take_idle(form: &mut Form) -> Result<Option<String>, Fault> {
    for (name, only) in [("n", "1"), ("quality", "standard")] {
        let Some(field) = form.take(name) else { continue };
        let text = field.text_or_integer(name)?;
        if text != only {
            return Err(Fault::bad_value(name, &text, &format!("Only '{only}' can be had.")));
        }
    }
    form.take("metadata");

    let Some(field) = form.take("user") else { return Ok(None) };
    let user = field.text("user")?;
    check_end_user("user", &user)?;
    Ok(Some(user).filter(|user| !user.is_empty()))
}

/// Whether a text may name who asked; `param` is where it stands.
fn check_end_user(param: &str, user: &str) -> Result<(), Fault> {
    let chars = user.chars().count();
    if chars > END_USER_CHARS_MAX {
        return Err(Fault::too_long(param, chars, END_USER_CHARS_MAX));
    }
    if user.chars().any(char::is_control) {
        let message = format!("Invalid '{param}': it contains a control character. Remove it.");
        return Err(Fault::invalid(param, "invalid_value", message));
    }
    Ok(())
}

/// Reads the header that names who asked, given all its values; none is like an empty one.
pub fn end_user(header: &str, mut values: impl Iterator<Item = impl AsRef<[u8]>>) -> Result<Option<String>, Fault> {
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Fault::twice(header));
    }
    let not_text = || Fault::invalid(header, "invalid_value", format!("Invalid '{header}': it is not UTF-8."));
    let user = std::str::from_utf8(value.as_ref()).map_err(|_| not_text())?;
    check_end_user(header, user)?;
    Ok(Some(user.to_owned()).filter(|user| !user.is_empty()))
}

/// Puts the end user that a header names into a wish. One that the body names too has to be the same: or it would be for
/// whoever writes the body to choose whose cap and whose rules are meant.
pub fn name_end_user(wish: &mut Wish, header: &str, named: Option<String>) -> Result<(), Fault> {
    match (&wish.end_user, named) {
        (_, None) => {}
        (None, named) => wish.end_user = named,
        (Some(said), Some(named)) if *said == named => {}
        (Some(_), Some(_)) => {
            let message = format!("'user' and the header '{header}' name different end users. Send one of them, or the same in both.");
            return Err(Fault::invalid("user", "invalid_value", message));
        }
    }
    Ok(())
}

/// Takes the fields beyond the protocol that somebody takes; all others are left for [`Form::finish`] to refuse.
fn take_extras(form: &mut Form, known: &BTreeSet<String>) -> Result<Extras, Fault> {
    let mut extras = Extras::new();
    for name in known {
        let Some(field) = form.take(name) else { continue };
        let extra = match field {
            Field::Text(text) => Extra::Text(text),
            Field::Integer(number) => Extra::Number(number.to_string()),
            Field::Decimal(number) => Extra::Number(number),
            Field::Bool(flag) => Extra::Flag(flag),
            other => return Err(Fault::wrong_type(name, "a string, a number or a boolean", other.kind())),
        };
        if let Extra::Text(text) | Extra::Number(text) = &extra {
            let chars = text.chars().count();
            if chars > EXTRA_CHARS_MAX {
                return Err(Fault::too_long(name, chars, EXTRA_CHARS_MAX));
            }
            if text.contains('\0') {
                let message = format!("Invalid '{name}': it contains a NUL character. Remove it.");
                return Err(Fault::invalid(name, "invalid_value", message));
            }
        }
        extras.insert(name.clone(), extra);
    }
    Ok(extras)
}

fn take_characters(form: &mut Form) -> Result<Vec<CharacterId>, FormError> {
    let Some(field) = form.take("characters") else { return Ok(Vec::new()) };
    let items = match field.unfold("characters")? {
        Field::List(items) => items,
        other => return Err(Fault::wrong_type("characters", "an array of objects with 'id'", other.kind()).into()),
    };
    if items.len() > CHARACTERS_MAX {
        let message = format!("At most {CHARACTERS_MAX} characters can appear in one clip, but {} are given.", items.len());
        return Err(Fault::invalid("characters", "array_above_max_length", message).into());
    }
    items.into_iter().enumerate().map(|(n, item)| character_id(&format!("characters[{n}]"), item)).collect()
}

fn character_id(param: &str, item: Field) -> Result<CharacterId, FormError> {
    let id = only_id(param, item, "an object with 'id'")?;
    id.parse().map_err(|_| FormError::UnknownCharacter(shown(&id)))
}

fn take_source(form: &mut Form) -> Result<Source, FormError> {
    match form.take("video").ok_or_else(|| Fault::missing("video"))? {
        Field::File(bytes) => Ok(Source::Upload(media::mp4("video", bytes)?)),
        field => {
            let id = only_id("video", field, "a file, or an object with 'id'")?;
            id.parse().map(Source::Job).map_err(|_| FormError::UnknownVideo(shown(&id)))
        }
    }
}

/// The `id` of an object that has nothing else.
fn only_id(param: &str, field: Field, expected: &str) -> Result<String, Fault> {
    let mut object = match field.unfold(param)? {
        Field::Object(object) => object,
        other => return Err(Fault::wrong_type(param, expected, other.kind())),
    };
    let inside = format!("{param}.id");
    let id = object.take("id").ok_or_else(|| Fault::missing(&inside))?.text(&inside)?;
    object.finish(Some(param))?;
    Ok(id)
}
