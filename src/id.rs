//! Names and identifiers: what things are called, on the wire and in the file.
//!
//! Public ids are minted here and never derived from an upstream's; an id is opaque to everyone
//! but sorts by the moment it was made, which is what makes it a paging cursor too.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use uuid::Uuid;

/// Defines a name: a short text that is cheap to clone, chosen by the operator.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes a text as the name.
            pub fn new(text: impl AsRef<str>) -> Self {
                Self(Arc::from(text.as_ref()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &self.0)
            }
        }
    };
}

name! {
    /// Who pays: the key of a `[tenants.*]` table.
    TenantName
}
name! {
    /// One way to get video made: the key of a `[routes.*]` table.
    RouteName
}
name! {
    /// A model as clients ask for it (`sora-2`), not as a route calls it.
    ModelName
}

name! {
    /// An account at a provider, by a fingerprint that tells nothing of the secret: see [`crate::provider::Endpoint::account`].
    AccountId
}

impl AccountId {
    /// The fingerprint of the dialect and the address alone: the same for all who are known there.
    pub fn address(&self) -> &str {
        self.0.split_once('-').map_or(&*self.0, |(address, _)| address)
    }
}

/// Where an attempt is: its route, and the account that it was sent to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Home {
    /// By which route.
    pub route: RouteName,
    /// To which account; `None` is of before that was written down, and means whatever account the route has now.
    pub account: Option<AccountId>,
}

/// The text is not an id that we mint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id of ours")]
pub struct BadId;

/// Defines an identifier: a fixed prefix and 32 hexadecimal digits of a UUIDv7.
macro_rules! id {
    ($(#[$doc:meta])* $id:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $id(Uuid);

        impl $id {
            /// Mints a new one; later ones sort after earlier ones.
            pub fn mint() -> Self {
                Self(Uuid::now_v7())
            }

            /// Bits for a decision that must be stable for this id.
            #[allow(dead_code, reason = "not every kind of id decides something")]
            pub fn seed(&self) -> u64 {
                self.0.as_u64_pair().1
            }
        }

        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0.simple())
            }
        }

        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        /// Accepts exactly what `Display` writes: lower-case digits and no separators.
        impl FromStr for $id {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                let hex = text.strip_prefix($prefix).ok_or(BadId)?;
                let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
                if hex.len() != 32 || !hex.bytes().all(lower) {
                    return Err(BadId);
                }
                Uuid::try_parse(hex).map(Self).map_err(|_| BadId)
            }
        }
    };
}

id! {
    /// A job, and the public id of its video.
    JobId, "video_"
}
id! {
    /// One submission of a job to one route.
    AttemptId, "att_"
}
id! {
    /// A character that a tenant made.
    CharacterId, "char_"
}
id! {
    /// A notice, and the id of its event: what its receiver tells a repetition by.
    NoticeId, "evt_"
}
id! {
    /// One request of a client, as `x-request-id` shows it.
    RequestId, "req_"
}

#[cfg(test)]
mod tests {
    use super::{BadId, JobId};

    #[test]
    fn ids_read_back_and_sort_by_age() {
        let (first, second) = (JobId::mint(), JobId::mint());
        assert!(first < second && first.to_string() < second.to_string());
        assert_eq!(first.to_string().parse(), Ok(first));
    }

    #[test]
    fn only_our_own_spelling_is_an_id() {
        for text in ["", "video_", "video_123", "edits", "video_0192E3B4C5D6700081920A1B2C3D4E5F", "video_../../etc"] {
            assert_eq!(text.parse::<JobId>(), Err(BadId), "{text}");
        }
    }
}
