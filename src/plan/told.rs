//! A plan as a line of a log tells it: names in order, and why others are not among them. And why there is none.

use std::fmt;

use super::{NoPlan, Plan};

/// The candidates by name, in order: `azure, openai`.
#[derive(Debug)]
pub struct InOrder<'a>(pub &'a Plan);

/// Who was passed over, and why: `openai is disabled; own makes clips of 4 s only`.
#[derive(Debug)]
pub struct Reasons<'a>(pub &'a Plan);

impl fmt::Display for InOrder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        separated(f, ", ", self.0.candidates.iter().map(|candidate| &candidate.route.name))
    }
}

impl fmt::Display for Reasons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        separated(f, "; ", &self.0.passed_over)
    }
}

/// In the operator's words.
impl fmt::Display for NoPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownModel { model, known } => write!(f, "no model {model} can be asked for here; those that can: {}", or_none(known)),
            Self::Ended { model, last_day } => {
                write!(f, "{model} was offered until {last_day} by the last who made it, and no longer (`sunset`)")
            }
            Self::Gone { model } => write!(f, "nobody who may make it has {model} any more (`filmgate readmit` if it is there after all)"),
            Self::Extra { name } => write!(f, "no route takes the parameter {name} (extras)"),
            Self::Unsayable { lacks } => write!(f, "no route has words for it: {lacks}"),
            Self::Seconds { asked, offered } => write!(f, "{asked} s cannot be ordered; these can: {} s", or_none(offered)),
            Self::Size { asked, offered } => write!(f, "{asked} cannot be ordered; these sizes can: {}", or_none(offered)),
            Self::TooLong { asked, made: Some(made), max } if asked.is_none_or(|asked| asked <= *max) => {
                let of = asked.map_or(String::new(), |asked| format!(" of {asked} s"));
                write!(f, "{made} s would be made{of}, and the tenant may have {max} s at most (max_seconds)")
            }
            Self::TooLong { asked: Some(asked), made: None, max } if asked <= max => {
                write!(f, "{asked} s cannot be ordered, and what can be is longer than the tenant may have, {max} s (max_seconds)")
            }
            Self::TooLong { max, .. } => write!(f, "the tenant may ask for {max} s at most (max_seconds)"),
            Self::TooDear { made: Some((seconds, size)), price, max } => {
                write!(f, "{seconds} s of {size} would be made and cost {price}, and the tenant may spend {max} on a clip (max_cost)")
            }
            Self::TooDear { made: None, price, max } => {
                write!(f, "a clip costs {price}, and the tenant may spend {max} on one (max_cost)")
            }
            Self::NoRoute { rule: None, passed_over, .. } if passed_over.is_empty() => {
                f.write_str("no rule is for this; end the rules with one that has no `when`")
            }
            Self::NoRoute { rule, passed_over, .. } => {
                f.write_str("no route")?;
                if let Some(index) = rule {
                    write!(f, " of rules[{index}]")?;
                }
                f.write_str(" can serve this: ")?;
                separated(f, "; ", passed_over)
            }
        }
    }
}

fn or_none<T: ToString>(values: &[T]) -> String {
    if values.is_empty() { "none".to_owned() } else { values.iter().map(T::to_string).collect::<Vec<_>>().join(", ") }
}

fn separated<T: fmt::Display>(f: &mut fmt::Formatter<'_>, separator: &str, items: impl IntoIterator<Item = T>) -> fmt::Result {
    for (i, item) in items.into_iter().enumerate() {
        write!(f, "{}{item}", if i == 0 { "" } else { separator })?;
    }
    Ok(())
}
