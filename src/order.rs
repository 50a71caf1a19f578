//! Orders that can be put away: all that a submission needs beside what its candidate decides, as text.
//!
//! What a job's row says (its tenant, its prompt, what it says beyond the protocol) is not said again, and a file that was sent along is kept
//! beside the text. Pure, and strict: what was put away by another gateway and cannot be read whole is no order.

use serde::{Deserialize, Serialize};

use crate::id::{AccountId, Home, ModelName, RouteName};
use crate::plan::{Pin, Plan};
use crate::video::{Extras, MediaType, Origin, Reference, Source, Upload, Wish};

/// What a submission is made of, beside what the candidate decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The wish as parsed.
    pub wish: Wish,
    /// The upstream's id of the clip it is made from.
    pub source: Option<String>,
    /// The upstream's ids of its characters.
    pub characters: Vec<String>,
}

/// What ties an order to a route, whatever the policy says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ties {
    /// Where the clip is that it is made from.
    pub pin: Option<Pin>,
    /// Where its characters live.
    pub lives_on: Option<Home>,
}

/// The text is no order that was put away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what was put away of this order cannot be read")]
pub struct Unreadable;

/// In which line the jobs of a plan stand: those that the same routes may make, with the model's name before them.
pub fn lane(plan: &Plan) -> String {
    let mut routes: Vec<&str> = plan.candidates.iter().map(|candidate| candidate.route.name.as_str()).collect();
    routes.sort_unstable();
    format!("{} {}", plan.model, routes.join(","))
}

/// Which routes the jobs in a line may be made by, as of when they came there.
pub fn lane_routes(lane: &str) -> impl Iterator<Item = RouteName> {
    lane.rsplit(' ').next().unwrap_or_default().split(',').map(RouteName::new)
}

/// The order as text, and the file that goes with it.
pub fn put_away(parts: &Parts, ties: &Ties) -> (String, Option<Upload>) {
    // Whole: a field that a wish gets is one that is put away.
    let Wish { origin, prompt: _, model, seconds, size, reference, characters, end_user, extras: _ } = &parts.wish;
    let mut upload = None;
    let (operation, source) = match origin {
        Origin::Create => (Operation::Create, None),
        Origin::Remix(id) => (Operation::Remix, Some(id.to_string())),
        Origin::Edit(source) => (Operation::Edit, source_id(source, &mut upload)),
        Origin::Extend(source) => (Operation::Extend, source_id(source, &mut upload)),
    };
    let reference = reference.as_ref().map(|reference| match reference {
        Reference::Upload(picture) => {
            upload = Some(picture.clone());
            Picture::Upload
        }
        Reference::ImageUrl(url) => Picture::Url(url.clone()),
        Reference::FileId(id) => Picture::File(id.clone()),
    });
    let away = Away {
        operation,
        source,
        model: model.as_ref().map(ModelName::to_string),
        seconds: seconds.map(|seconds| seconds.to_string()),
        size: size.map(|size| size.to_string()),
        reference,
        characters: characters.iter().map(ToString::to_string).collect(),
        end_user: end_user.clone(),
        media_type: upload.as_ref().map(|upload| upload.media_type.as_str().to_owned()),
        upstream_source: parts.source.clone(),
        upstream_characters: parts.characters.clone(),
        pin: ties.pin.as_ref().map(|pin| AwayPin {
            route: pin.home.route.to_string(),
            account: pin.home.account.as_ref().map(AccountId::to_string),
            model: pin.model.to_string(),
            seconds: pin.seconds.to_string(),
            size: pin.size.to_string(),
            residency: pin.residency.clone(),
        }),
        lives_on: ties.lives_on.as_ref().map(|home| home.route.to_string()),
        lives_in: ties.lives_on.as_ref().and_then(|home| home.account.as_ref()).map(AccountId::to_string),
    };
    // Strings and numbers: it has no way to fail.
    (serde_json::to_string(&away).unwrap_or_default(), upload)
}

fn source_id(source: &Source, upload: &mut Option<Upload>) -> Option<String> {
    match source {
        Source::Job(id) => Some(id.to_string()),
        Source::Upload(clip) => {
            *upload = Some(clip.clone());
            None
        }
    }
}

/// The order again. `prompt` and `extras` are the job's; `file` is what went with it, or empty while nobody needs it.
pub fn take_out(text: &str, prompt: &str, extras: &Extras, file: bytes::Bytes) -> Result<(Parts, Ties), Unreadable> {
    let away: Away = serde_json::from_str(text).map_err(|_| Unreadable)?;
    let upload = match &away.media_type {
        Some(text) => Some(Upload { media_type: MediaType::named(text).ok_or(Unreadable)?, bytes: file }),
        None => None,
    };
    let source = |upload: Option<Upload>| match &away.source {
        Some(id) => id.parse().map(Source::Job).map_err(|_| Unreadable),
        None => upload.map(Source::Upload).ok_or(Unreadable),
    };
    let origin = match away.operation {
        Operation::Create => Origin::Create,
        Operation::Remix => Origin::Remix(read(away.source.as_deref().ok_or(Unreadable)?)?),
        Operation::Edit => Origin::Edit(source(upload.clone())?),
        Operation::Extend => Origin::Extend(source(upload.clone())?),
    };
    let reference = match away.reference {
        None => None,
        Some(Picture::Upload) => Some(Reference::Upload(upload.ok_or(Unreadable)?)),
        Some(Picture::Url(url)) => Some(Reference::ImageUrl(url)),
        Some(Picture::File(id)) => Some(Reference::FileId(id)),
    };
    let wish = Wish {
        origin,
        prompt: prompt.to_owned(),
        model: away.model.map(ModelName::new),
        seconds: away.seconds.as_deref().map(read).transpose()?,
        size: away.size.as_deref().map(read).transpose()?,
        reference,
        characters: away.characters.iter().map(|id| read(id)).collect::<Result<_, _>>()?,
        end_user: away.end_user,
        extras: extras.clone(),
    };
    let pin = away.pin.map(|pin| {
        Ok(Pin {
            home: Home { route: RouteName::new(pin.route), account: pin.account.map(AccountId::new) },
            model: ModelName::new(pin.model),
            seconds: read(&pin.seconds)?,
            size: read(&pin.size)?,
            residency: pin.residency,
        })
    });
    let account = away.lives_in.map(AccountId::new);
    let lives_on = away.lives_on.map(|route| Home { route: RouteName::new(route), account });
    let ties = Ties { pin: pin.transpose()?, lives_on };
    Ok((Parts { wish, source: away.upstream_source, characters: away.upstream_characters }, ties))
}

fn read<T: std::str::FromStr>(text: &str) -> Result<T, Unreadable> {
    text.parse().map_err(|_| Unreadable)
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Away {
    operation: Operation,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<Picture>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    characters: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_source: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    upstream_characters: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pin: Option<AwayPin>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lives_on: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lives_in: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Operation {
    Create,
    Remix,
    Edit,
    Extend,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Picture {
    Upload,
    Url(String),
    File(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AwayPin {
    route: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    model: String,
    seconds: String,
    size: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    residency: Option<String>,
}

#[cfg(test)]
mod tests;
