//! Fit: which of the lengths and sizes that a route has answers a wish for one.
//!
//! Knows lists and the word of the policy ([`Fit`]), no routes. What is offered exactly is always
//! taken; a picture is made larger or smaller if policy says so, but never turned on its side.

use std::cmp::Ordering;

use super::Fit;
use crate::video::{Seconds, Size};

/// The length to make for one that was asked for.
pub fn seconds(fit: Fit, offered: &[Seconds], asked: Seconds) -> Option<Seconds> {
    closest(fit, offered, asked, |s| u64::from(s.get()))
}

/// The length to make if none was asked for: the protocol's default, or the shortest.
pub fn default_seconds(offered: &[Seconds]) -> Option<Seconds> {
    if offered.contains(&Seconds::DEFAULT) { Some(Seconds::DEFAULT) } else { offered.iter().copied().min() }
}

/// The size to make for one that was asked for: of the same orientation, measured in pixels.
pub fn size(fit: Fit, offered: &[Size], asked: Size) -> Option<Size> {
    let upright: Vec<Size> = offered.iter().copied().filter(|s| orientation(*s) == orientation(asked)).collect();
    closest(fit, &upright, asked, |s| u64::from(s.width) * u64::from(s.height))
}

/// The size to make if none was asked for: the protocol's default, or the first one listed.
pub fn default_size(offered: &[Size]) -> Option<Size> {
    if offered.contains(&Size::DEFAULT) { Some(Size::DEFAULT) } else { offered.first().copied() }
}

/// Portrait, square or landscape.
fn orientation(size: Size) -> Ordering {
    size.width.cmp(&size.height)
}

fn closest<T: Copy + PartialEq>(fit: Fit, offered: &[T], asked: T, measure: impl Fn(T) -> u64) -> Option<T> {
    if offered.contains(&asked) {
        return Some(asked);
    }
    let wanted = measure(asked);
    let offered = offered.iter().copied();
    match fit {
        Fit::Exact => None,
        Fit::Nearest => offered.min_by_key(|o| (measure(*o).abs_diff(wanted), measure(*o))),
        Fit::Up => offered.filter(|o| measure(*o) >= wanted).min_by_key(|o| measure(*o)),
        Fit::Down => offered.filter(|o| measure(*o) <= wanted).max_by_key(|o| measure(*o)),
    }
}

#[cfg(test)]
mod tests {
    use super::{seconds, size};
    use crate::policy::Fit;
    use crate::video::{Seconds, Size};

    fn lengths(list: &[u32]) -> Vec<Seconds> {
        list.iter().map(|n| Seconds::new(*n).unwrap()).collect()
    }

    fn fitted(fit: Fit, asked: u32) -> Option<u32> {
        seconds(fit, &lengths(&[4, 8, 12]), Seconds::new(asked).unwrap()).map(Seconds::get)
    }

    #[test]
    fn a_length_on_the_list_is_taken_whatever_the_fit() {
        for fit in [Fit::Exact, Fit::Nearest, Fit::Up, Fit::Down] {
            assert_eq!(fitted(fit, 8), Some(8), "{fit:?}");
        }
    }

    #[test]
    fn a_length_off_the_list_goes_where_the_fit_says_and_never_past_the_end() {
        assert_eq!((1..=14).map(|n| fitted(Fit::Exact, n)).filter(Option::is_some).count(), 3);
        assert_eq!([5, 6, 7, 1, 99].map(|n| fitted(Fit::Nearest, n)), [Some(4), Some(4), Some(8), Some(4), Some(12)]);
        assert_eq!([5, 6, 7, 1, 99].map(|n| fitted(Fit::Up, n)), [Some(8), Some(8), Some(8), Some(4), None]);
        assert_eq!([5, 6, 7, 1, 99].map(|n| fitted(Fit::Down, n)), [Some(4), Some(4), Some(4), None, Some(12)]);
    }

    #[test]
    fn a_picture_grows_or_shrinks_but_is_not_turned() {
        let offered = ["1280x720", "720x1280", "1080x1920"].map(|s| s.parse::<Size>().unwrap());
        let fitted = |fit, asked: &str| size(fit, &offered, asked.parse().unwrap()).map(|s| s.to_string());
        assert_eq!(fitted(Fit::Nearest, "1024x1792").as_deref(), Some("1080x1920"));
        assert_eq!(fitted(Fit::Up, "1024x1792").as_deref(), Some("1080x1920"));
        assert_eq!(fitted(Fit::Down, "1024x1792").as_deref(), Some("720x1280"));
        assert_eq!(fitted(Fit::Up, "1792x1024"), None, "the only larger one is upright");
        assert_eq!(fitted(Fit::Nearest, "1024x1024"), None, "none of them is square");
    }
}
