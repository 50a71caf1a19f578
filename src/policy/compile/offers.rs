//! `[routes.*.models.*]`: what a route offers under a public model name, and at what price.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

use super::Pass;
use crate::id::ModelName;
use crate::money::MicroUsd;
use crate::policy::file::forms::{Placed, Price as WrittenPrice, Written};
use crate::policy::terms::{self, Wrong};
use crate::policy::{Fit, Offer, Price, file};
use crate::video::{EXTRAS_MAX, Seconds, Size, SizeClass};

/// The dearest second that is believed: keeps every clip's price far from overflow.
const SECOND_MAX: MicroUsd = MicroUsd::new(10_000 * 1_000_000);

/// The longest name of an extra, bytes.
const EXTRA_BYTES_MAX: usize = 64;

/// What the protocol says already, by whatever name, and what we say ourselves: never an extra.
const SPOKEN_FOR: [&str; 17] = [
    "callback_url",
    "characters",
    "duration",
    "id",
    "image",
    "input_reference",
    "metadata",
    "model",
    "n",
    "object",
    "prompt",
    "quality",
    "seconds",
    "size",
    "user",
    "variant",
    "video",
];

/// One model of a route. `base` is the path of its table. `None` if it has a fault, which was told.
pub(super) fn compile(base: &str, name: &Placed<String>, model: &file::Model, pass: &mut Pass<'_>) -> Option<Offer> {
    pass.keep(&name.at, format_args!("{base}"), terms::model_name(&name.value));
    let upstream_model = match &model.upstream {
        Some(upstream) => {
            let ok = (1..=256).contains(&upstream.value.len()) && !upstream.value.chars().any(char::is_control);
            let wrong = || Wrong::new("this is not a model's name", "write what the route calls it, 1 to 256 characters");
            pass.keep(&upstream.at, format_args!("{base}.as"), ok.then(|| upstream.value.clone()).ok_or_else(wrong))
        }
        None => Some(name.value.clone()),
    };
    let seconds = lengths(base, name, model, pass);
    let price = price(base, name, model, pass);
    let sizes = price.as_ref().and_then(|price| sizes(base, model, price, pass));
    let sunset = match &model.sunset {
        Some(written) => {
            let wrong = || Wrong::new("this is not a day", "write a date without a time and without quotes: 2026-09-24");
            Some(pass.keep(&written.at, format_args!("{base}.sunset"), day(&written.value).ok_or_else(wrong))?)
        }
        None => None,
    };
    let fit = match model.fit {
        Some(file::Fit::Nearest) => Fit::Nearest,
        Some(file::Fit::Up) => Fit::Up,
        Some(file::Fit::Down) => Fit::Down,
        Some(file::Fit::Exact) | None => Fit::Exact,
    };
    let extras = extras(base, model, pass);
    Some(Offer { upstream_model: upstream_model?, seconds: seconds?, sizes: sizes?, price: price?, sunset, fit, extras })
}

/// What the simulator offers when the file does not say: the models that the protocol is known by, as they were sold.
pub(super) fn published() -> BTreeMap<ModelName, Offer> {
    let sora_2 = ("sora-2", [4, 8, 12], vec![("720p", 100_000)]);
    let sora_2_pro = ("sora-2-pro", [10, 15, 25], vec![("720p", 300_000), ("1024p", 500_000)]);
    [sora_2, sora_2_pro]
        .into_iter()
        .map(|(name, seconds, prices)| {
            let by_size: BTreeMap<SizeClass, MicroUsd> =
                prices.iter().filter_map(|(class, microusd)| Some((class.parse().ok()?, MicroUsd::new(*microusd)))).collect();
            let offer = Offer {
                upstream_model: name.to_owned(),
                seconds: seconds.into_iter().filter_map(Seconds::new).collect(),
                sizes: by_size.keys().flat_map(|class| class.usual_sizes()).collect(),
                price: Price::BySize(by_size),
                sunset: None,
                fit: Fit::Exact,
                extras: BTreeSet::new(),
            };
            (ModelName::new(name), offer)
        })
        .collect()
}

/// The lengths, ascending, each once.
fn lengths(base: &str, name: &Placed<String>, model: &file::Model, pass: &mut Pass<'_>) -> Option<Vec<Seconds>> {
    let Some(written) = &model.seconds else {
        let message = format!("the model `{}` does not say which lengths it makes", name.value);
        pass.faults.add_missing(&name.at, format_args!("{base}.seconds"), message, "add seconds = [4, 8, 12]");
        return None;
    };
    let mut lengths = Vec::new();
    for one in &written.value {
        let wrong = || Wrong::new(format!("{} is not a length", one.value), "write whole seconds from 1 to 3600");
        lengths.extend(pass.keep(&one.at, format_args!("{base}.seconds"), Seconds::new(one.value).ok_or_else(wrong)));
    }
    if written.value.is_empty() {
        pass.faults.add(&written.at, format_args!("{base}.seconds"), "there is no length here", "write at least one, or remove the model");
        return None;
    }
    lengths.sort_unstable();
    lengths.dedup();
    Some(lengths)
}

/// The price of a second.
fn price(base: &str, name: &Placed<String>, model: &file::Model, pass: &mut Pass<'_>) -> Option<Price> {
    let Some(written) = &model.price else {
        let message = format!("the model `{}` has no price", name.value);
        let remedy = "add price = \"0.10\" (per second), or by size class: price = { \"720p\" = \"0.30\", \"1024p\" = \"0.50\" }";
        pass.faults.add_missing(&name.at, format_args!("{base}.price"), message, remedy);
        return None;
    };
    match &written.value {
        WrittenPrice::Flat(price) => pass.keep(&written.at, format_args!("{base}.price"), second(price)).map(Price::Flat),
        WrittenPrice::BySize(classes) => {
            let mut by_size = BTreeMap::new();
            for (class, price) in classes {
                let wrong = |_| {
                    Wrong::new(
                        format!("{} is not a size class", terms::shorten(&class.value)),
                        "write the shorter side and a p: \"720p\", \"1024p\"",
                    )
                };
                let path = format!("{base}.price.{}", class.value);
                let class = pass.keep(&class.at, format_args!("{path}"), class.value.parse().map_err(wrong).and_then(usable));
                let price = pass.keep(&price.at, format_args!("{path}"), second(&price.value));
                by_size.extend(class.zip(price));
            }
            if classes.is_empty() {
                pass.faults.add(
                    &written.at,
                    format_args!("{base}.price"),
                    "there is no price here",
                    "write at least one: { \"720p\" = \"0.10\" }",
                );
            }
            (by_size.len() == classes.len() && !classes.is_empty()).then_some(Price::BySize(by_size))
        }
    }
}

/// Refuses a class whose sizes could not be asked for.
fn usable(class: SizeClass) -> Result<SizeClass, Wrong> {
    let possible = class.usual_sizes().iter().all(|size| size.to_string().parse::<Size>().is_ok() && size.width.min(size.height) % 2 == 0);
    let wrong = || {
        Wrong::new(
            format!("{class} is not a size that anybody can ask for"),
            "write a class such as \"480p\", \"720p\", \"1024p\" or \"1080p\"",
        )
    };
    possible.then_some(class).ok_or_else(wrong)
}

fn second(written: &Written) -> Result<MicroUsd, Wrong> {
    let price = terms::amount("price", written)?;
    let wrong = || Wrong::new(format!("a price of {price} USD for a second is beyond reason"), format!("write at most \"{SECOND_MAX}\""));
    (price <= SECOND_MAX).then_some(price).ok_or_else(wrong)
}

/// The sizes, each with a price.
fn sizes(base: &str, model: &file::Model, price: &Price, pass: &mut Pass<'_>) -> Option<Vec<Size>> {
    let Some(written) = &model.sizes else {
        return Some(match price {
            Price::Flat(_) => vec![Size::new(720, 1280), Size::new(1280, 720)],
            Price::BySize(classes) => classes.keys().flat_map(|class| class.usual_sizes()).collect(),
        });
    };
    let path = format_args!("{base}.sizes");
    let mut sizes = Vec::new();
    for one in &written.value {
        let read = size(&one.value).and_then(|size| match price {
            Price::BySize(classes) if !classes.contains_key(&size.class()) => {
                Err(Wrong::new(format!("{size} has no price"), format!("add \"{}\" to the prices, or take the size out", size.class())))
            }
            _ => Ok(size),
        });
        let read = pass.keep(&one.at, path, read);
        sizes.extend(read.filter(|size| !sizes.contains(size)));
    }
    if written.value.is_empty() {
        pass.faults.add(&written.at, path, "there is no size here", "write at least one, or leave `sizes` out for the usual ones");
        return None;
    }
    Some(sizes)
}

/// The fields beyond the protocol that may be passed on.
fn extras(base: &str, model: &file::Model, pass: &mut Pass<'_>) -> BTreeSet<String> {
    let path = format_args!("{base}.extras");
    let mut extras = BTreeSet::new();
    for one in &model.extras {
        extras.extend(pass.keep(&one.at, path, extra(&one.value)));
    }
    if let Some(beyond) = model.extras.get(EXTRAS_MAX) {
        pass.faults.add(&beyond.at, path, format!("there are more than {EXTRAS_MAX} extras"), "name those that clients use");
    }
    extras
}

/// The name of a field beyond the protocol.
fn extra(name: &str) -> Result<String, Wrong> {
    if SPOKEN_FOR.contains(&name) {
        let message = format!("`{name}` is a parameter of the protocol itself");
        return Err(Wrong::new(message, "take it out: what the protocol has is always passed on"));
    }
    let letters = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let ok = (1..=EXTRA_BYTES_MAX).contains(&name.len()) && letters && !name.starts_with(|c: char| c.is_ascii_digit());
    let wrong = || {
        let message = format!("{} is not the name of a parameter", terms::shorten(name));
        Wrong::new(message, format!("use 1 to {EXTRA_BYTES_MAX} letters, digits and `_`, such as \"seed\""))
    };
    ok.then(|| name.to_owned()).ok_or_else(wrong)
}

/// A frame size.
pub(super) fn size(text: &str) -> Result<Size, Wrong> {
    let wrong = |_| Wrong::new(format!("{} is not a size", terms::shorten(text)), "write width x height in pixels: \"720x1280\"");
    text.parse().map_err(wrong)
}

/// A day without a time.
fn day(written: &toml::value::Datetime) -> Option<Date> {
    let date = written.date.filter(|_| written.time.is_none() && written.offset.is_none())?;
    Date::new(i16::try_from(date.year).ok()?, i8::try_from(date.month).ok()?, i8::try_from(date.day).ok()?).ok()
}
