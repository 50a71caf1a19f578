//! Saying: a wish in the words of the route that would serve it.
//!
//! Knows what a candidate decides and what a wish says; the ids that upstreams know its sources by are
//! given. Whether a dialect has words for it is asked with blanks for those, which changes nothing.

use super::Candidate;
use crate::provider::{Submission, SubmissionOrigin, SubmissionSource, Unsupported};
use crate::video::{Origin, Source, Wish};

/// A wish as it is submitted to `candidate`; `source` and `characters` are upstream ids.
pub fn submission<'a>(candidate: &'a Candidate, wish: &'a Wish, source: &'a str, characters: &'a [String]) -> Submission<'a> {
    let from = |clip: &'a Source| match clip {
        Source::Job(_) => SubmissionSource::Id(source),
        Source::Upload(upload) => SubmissionSource::Upload(upload),
    };
    Submission {
        model: &candidate.upstream_model,
        prompt: &wish.prompt,
        seconds: candidate.seconds,
        size: candidate.size,
        reference: wish.reference.as_ref(),
        characters,
        origin: match &wish.origin {
            Origin::Create => SubmissionOrigin::Create,
            Origin::Remix(_) => SubmissionOrigin::Remix(source),
            Origin::Edit(clip) => SubmissionOrigin::Edit(from(clip)),
            Origin::Extend(clip) => SubmissionOrigin::Extend(from(clip)),
        },
        extras: &wish.extras,
        callback_url: None,
    }
}

/// Whether the candidate's dialect can say the wish.
pub(super) fn can_say(candidate: &Candidate, wish: &Wish) -> Result<(), Unsupported> {
    let blanks = vec![String::new(); wish.characters.len()];
    candidate.route.provider.can_submit(&submission(candidate, wish, "", &blanks))
}
