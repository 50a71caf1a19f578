//! What is asked about: a wish by its traits, as a command line or a query says them.

use std::str::FromStr;

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::id::{JobId, ModelName, TenantName};
use crate::video::{Extra, Extras, MediaType, Origin, Reference, Seconds, Size, Upload, Wish};
use crate::wire;

/// A wish that nobody has made, and the moment at which it would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Who would wish.
    pub tenant: TenantName,
    /// The public model; the policy's default if not said.
    pub model: Option<ModelName>,
    /// The length.
    pub seconds: Option<Seconds>,
    /// The frame size.
    pub size: Option<Size>,
    /// By which of the tenant's keys, by its name.
    pub key: Option<String>,
    /// The end user.
    pub user: Option<String>,
    /// How a picture comes that it starts from, if it starts from one.
    pub reference: Option<Picture>,
    /// Names of parameters beyond the protocol.
    pub extras: Vec<String>,
    /// When; now if not said.
    pub at: Option<Timestamp>,
    /// What its lot is drawn by; none is drawn if not said.
    pub lot: Option<u64>,
}

/// How a picture comes: not every dialect takes every way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picture {
    /// Sent along.
    File,
    /// By its address.
    Url,
    /// By the id of a file that the provider has.
    Id,
}

impl FromStr for Picture {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        [Self::File, Self::Url, Self::Id].into_iter().find(|picture| picture.as_str() == word).ok_or("write file, url or id")
    }
}

impl Picture {
    const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Url => "url",
            Self::Id => "id",
        }
    }

    fn reference(self) -> Reference {
        match self {
            Self::File => Reference::Upload(Upload { media_type: MediaType::Png, bytes: Bytes::new() }),
            Self::Url => Reference::ImageUrl(String::new()),
            Self::Id => Reference::FileId(String::new()),
        }
    }
}

impl Question {
    /// The wish itself. Its prompt, its picture and the values of its extras are blank: nothing goes by them.
    pub fn wish(&self) -> Wish {
        Wish {
            origin: Origin::Create,
            prompt: String::new(),
            model: self.model.clone(),
            seconds: self.seconds,
            size: self.size,
            reference: self.reference.map(Picture::reference),
            characters: Vec::new(),
            end_user: self.user.clone(),
            extras: self.extras.iter().map(|name| (name.clone(), Extra::Text(String::new()))).collect::<Extras>(),
        }
    }

    /// As a query writes it.
    pub fn to_query(&self) -> String {
        let said = [
            ("tenant", Some(self.tenant.to_string())),
            ("model", self.model.as_ref().map(ToString::to_string)),
            ("seconds", self.seconds.map(|seconds| seconds.to_string())),
            ("size", self.size.map(|size| size.to_string())),
            ("key", self.key.clone()),
            ("user", self.user.clone()),
            ("reference", self.reference.map(|picture| picture.as_str().to_owned())),
            ("extras", Some(self.extras.join(",")).filter(|names| !names.is_empty())),
            ("at", self.at.map(written)),
            ("seed", self.lot.map(|lot| lot.to_string())),
        ];
        let pairs = said.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", escaped(&value?))));
        pairs.collect::<Vec<_>>().join("&")
    }

    /// Reads a query, or says what is wrong with it.
    pub fn of_query(query: Option<&str>) -> Result<Self, String> {
        let value = |key: &str| match wire::query_value(query, key) {
            Ok(value) => Ok(value.filter(|value| !value.is_empty())),
            Err(fault) => Err(fault.message),
        };
        let lot = match (read(value("job")?, "job", "the id of a video")?, read(value("seed")?, "seed", "a whole number")?) {
            (Some::<JobId>(job), _) => Some(job.seed()),
            (None, seed) => seed,
        };
        Ok(Self {
            tenant: value("tenant")?.map(TenantName::new).ok_or("say with 'tenant' who wishes")?,
            model: value("model")?.map(ModelName::new),
            seconds: read(value("seconds")?, "seconds", "whole seconds from 1 to 3600")?,
            size: read(value("size")?, "size", "width x height in pixels, such as 720x1280")?,
            key: value("key")?,
            user: value("user")?,
            reference: read(value("reference")?, "reference", "file, url or id")?,
            extras: value("extras")?.iter().flat_map(|names| names.split(',')).map(str::to_owned).collect(),
            at: value("at")?.map(|at| moment(&at)).transpose()?,
            lot,
        })
    }
}

fn read<T: FromStr>(text: Option<String>, key: &str, rule: &str) -> Result<Option<T>, String> {
    text.map(|text| text.parse().map_err(|_| format!("'{key}' is {rule}"))).transpose()
}

/// Reads a moment, or says how to write one.
pub fn moment(text: &str) -> Result<Timestamp, String> {
    let read = text.parse::<jiff::Timestamp>().map(|at| Timestamp::from_ms(at.as_millisecond()));
    read.map_err(|_| "write a moment such as 2027-05-01T09:00:00Z".to_owned())
}

/// A moment in UTC for people: `2027-05-01T09:00:00Z`.
pub(super) fn to_the_second(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_ms()).map(|at| at.strftime("%FT%TZ").to_string()).unwrap_or_default()
}

/// A moment in UTC, exactly.
fn written(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_ms()).map(|at| at.to_string()).unwrap_or_default()
}

/// `text` as the value of a query.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    use super::{Picture, Question};
    use crate::clock::Timestamp;
    use crate::id::{ModelName, TenantName};
    use crate::video::{Seconds, Size};

    proptest! {
        #[test]
        fn a_question_is_the_same_once_it_was_asked_over_a_wire(
            tenant in "[a-z][a-z0-9-]{0,20}",
            model in prop::option::of("[!-~]{1,40}"),
            seconds in prop::option::of(1..=3_600_u32),
            key in prop::option::of("[a-z0-9-]{1,12}"),
            user in prop::option::of(".{1,40}"),
            lot in prop::option::of(any::<u64>()),
            at in prop::option::of(0..=253_402_300_799_000_i64),
            extras in prop::collection::vec("[a-z_]{1,9}", 0..3),
        ) {
            let question = Question {
                tenant: TenantName::new(tenant),
                model: model.map(ModelName::new),
                seconds: seconds.and_then(Seconds::new),
                size: Some(Size::DEFAULT),
                key,
                user,
                reference: Some(Picture::Url),
                extras,
                at: at.map(Timestamp::from_ms),
                lot,
            };
            prop_assert_eq!(Question::of_query(Some(&question.to_query())), Ok(question));
        }

        #[test]
        fn no_query_is_fatal(query in ".{0,80}") {
            let _ = Question::of_query(Some(&query));
            let _ = Question::of_query(Some(&format!("tenant=a&at={query}&seconds={query}&size={query}&job={query}&seed={query}")));
        }
    }
}
