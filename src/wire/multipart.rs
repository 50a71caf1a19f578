//! Multipart into a form: the several ways in which SDKs spell nested fields, folded into one tree.
//!
//! Knows part names and no field by name. A part is a file if it has a file name, or a media type
//! that no text has; Java's SDK puts `text/plain` on every text, so a type alone says nothing.
//! Parts may come in any order. The parser sets no limits of its own that are worth having: the
//! body is bounded by the caller, the number of parts, their names and headers are bounded here.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream;
use multer::Multipart;

use crate::wire::error::Fault;
use crate::wire::form::{Field, Form, NAME_BYTES_MAX};

/// The most parts that one body may have.
const PARTS_MAX: usize = 16;

/// The most bytes that the headers of one part may have.
const PART_HEADER_BYTES_MAX: usize = 8 * 1024;

/// The longest boundary that RFC 2046 allows.
const BOUNDARY_BYTES_MAX: usize = 70;

const UNBALANCED: &str = "The part's name has unbalanced brackets. Nested fields are written 'f[key]'.";

/// Reads a whole multipart body.
pub(super) async fn read(content_type: &str, body: Bytes) -> Result<Form, Fault> {
    let boundary = boundary(content_type)?;
    let whole = stream::iter([Ok::<_, Infallible>(body)]);
    let mut parts = Multipart::new(whole, boundary);
    let mut form = Form::default();

    let mut count = 0;
    while let Some(part) = parts.next_field().await.map_err(broken)? {
        count += 1;
        if count > PARTS_MAX {
            return Err(Fault::unreadable(format!("The multipart body has more than {PARTS_MAX} parts.")));
        }
        let name = checked_name(&part)?;
        // The parser hands out one part at a time: this one has to be read to its end here.
        if let Some(field) = read_part(&name, part).await? {
            let (first, rest) = path(&name).ok_or_else(|| Fault::invalid(&name, "unknown_parameter", UNBALANCED))?;
            put(form.entry(first), &rest, field).map_err(|Taken| Fault::twice(&name))?;
        }
    }
    Ok(form)
}

fn boundary(content_type: &str) -> Result<String, Fault> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&b);
    multer::parse_boundary(content_type)
        .ok()
        .filter(|b| (1..=BOUNDARY_BYTES_MAX).contains(&b.len()) && b.bytes().all(allowed) && !b.ends_with(' '))
        .ok_or_else(|| Fault::unreadable("The content type of a multipart body has to name a boundary of 1 to 70 characters."))
}

fn broken(error: multer::Error) -> Fault {
    use multer::Error as E;
    let what = match error {
        E::IncompleteFieldData { .. } | E::IncompleteStream | E::IncompleteHeaders => "it ends before its closing boundary",
        _ => "the headers of a part are malformed",
    };
    Fault::unreadable(format!("The multipart body cannot be read: {what}."))
}

fn checked_name(part: &multer::Field<'_>) -> Result<String, Fault> {
    let header_bytes: usize = part.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if header_bytes > PART_HEADER_BYTES_MAX {
        return Err(Fault::unreadable(format!("A part of the multipart body has more than {PART_HEADER_BYTES_MAX} bytes of headers.")));
    }
    match part.name() {
        Some(name) if (1..=NAME_BYTES_MAX).contains(&name.len()) => Ok(name.to_owned()),
        _ => Err(Fault::unreadable(format!("Every part of a multipart body needs a name of 1 to {NAME_BYTES_MAX} bytes."))),
    }
}

/// The part's value, or nothing for a file input that a browser left empty.
async fn read_part(name: &str, part: multer::Field<'_>) -> Result<Option<Field>, Fault> {
    let textual = part.content_type().is_none_or(|mime| mime.type_() == "text" || mime.subtype() == "json");
    let file_name = part.file_name().map(str::to_owned);
    let bytes = part.bytes().await.map_err(broken)?;

    match file_name {
        Some(file_name) if file_name.is_empty() && bytes.is_empty() => Ok(None),
        None if textual => match String::from_utf8(bytes.into()) {
            Ok(text) => Ok(Some(Field::Text(text))),
            Err(_) => Err(Fault::invalid(name, "invalid_value", "The text is not UTF-8. Send files with a file name.")),
        },
        _ => Ok(Some(Field::File(bytes))),
    }
}

/// One step into the tree.
#[derive(Clone, Copy)]
enum Step<'a> {
    /// Into the member of that name.
    Member(&'a str),
    /// Into the last item of a list, or a new one.
    Item,
}

/// What a part's name describes: a field and the way on from there.
fn path(name: &str) -> Option<(&str, Vec<Step<'_>>)> {
    let (first, mut rest) = name.split_at_checked(name.find(['[', '.']).unwrap_or(name.len()))?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let key;
        if let Some(open) = rest.strip_prefix('[') {
            (key, rest) = open.split_once(']')?;
        } else {
            let open = rest.strip_prefix('.')?;
            (key, rest) = open.split_at_checked(open.find(['[', '.']).unwrap_or(open.len()))?;
        }
        steps.push(if key.is_empty() { Step::Item } else { Step::Member(key) });
    }
    Some((first, steps))
}

/// There is a value already where another one should go.
struct Taken;

fn put(slot: &mut Field, steps: &[Step<'_>], value: Field) -> Result<(), Taken> {
    match steps {
        [] => match slot {
            Field::Null => *slot = value,
            _ => return Err(Taken),
        },
        [Step::Member(name), rest @ ..] => {
            if matches!(slot, Field::Null) {
                *slot = Field::Object(Form::default());
            }
            let Field::Object(form) = slot else { return Err(Taken) };
            put(form.entry(name), rest, value)?;
        }
        [Step::Item, rest @ ..] => {
            if matches!(slot, Field::Null) {
                *slot = Field::List(Vec::new());
            }
            let Field::List(items) = slot else { return Err(Taken) };
            match items.last_mut() {
                Some(last) if has_room(last, rest) => put(last, rest, value)?,
                _ => {
                    let mut item = Field::Null;
                    put(&mut item, rest, value)?;
                    items.push(item);
                }
            }
        }
    }
    Ok(())
}

/// Whether an item of a list still lacks what `steps` leads to; if not, a new item begins.
fn has_room(item: &Field, steps: &[Step<'_>]) -> bool {
    match (item, steps) {
        (Field::Object(form), [Step::Member(name), rest @ ..]) => form.peek(name).is_none_or(|member| has_room(member, rest)),
        _ => false,
    }
}
