//! Estimates as JSON. Money is written twice: as a decimal text for people and for whoever reads
//! decimals exactly, and as an integer of micro-dollars under the same name with `_microusd`.

use serde_json::{Map, Value, json};

use super::{Estimate, LineEstimate, Margin, Nearest, Quote, Spend, WishEstimate};
use crate::money::MicroUsd;

impl WishEstimate {
    /// The body of the answer to `POST /v1/videos/estimate`. Names no route.
    pub fn to_json(&self) -> Value {
        let mut body = Map::new();
        body.insert("object".into(), json!("video.estimate"));
        self.put(&mut body);
        body.insert("currency".into(), json!("usd"));
        body.insert("remarks".into(), json!(self.remarks()));
        Value::Object(body)
    }

    fn put(&self, into: &mut Map<String, Value>) {
        into.insert("model".into(), json!(self.model.as_str()));
        into.insert("seconds".into(), json!(self.seconds().to_string()));
        into.insert("size".into(), json!(self.size().to_string()));
        into.insert("can_be_ordered".into(), json!(self.can_be_ordered()));
        money(into, "price", self.price());
        money(into, "ceiling", self.ceiling());
        into.insert("alternatives".into(), self.nearest.iter().map(alternative).collect());
    }
}

impl Estimate {
    /// The whole, routes by name: for the operator.
    pub fn to_json(&self) -> Value {
        json!({
            "object": "estimate",
            "currency": "usd",
            "lines": self.lines.iter().map(line).collect::<Value>(),
            "once": self.once.map(spend),
            "day": self.day.map(spend),
            "month": self.month.map(spend),
        })
    }
}

fn line(line: &LineEstimate) -> Value {
    let mut body = Map::new();
    line.each.put(&mut body);
    body.insert("routes".into(), line.each.quotes.iter().map(quote).collect());
    body.insert("per".into(), json!(if line.line.per_day.is_some() { "day" } else { "once" }));
    body.insert("clips".into(), json!(line.clips));
    body.insert("retakes".into(), json!(line.retakes));
    body.insert("cost".into(), spend(line.spend));
    body.insert("margin".into(), line.margin.map_or(Value::Null, margin));
    body.insert("remarks".into(), json!(line.remarks()));
    Value::Object(body)
}

fn quote(quote: &Quote) -> Value {
    let mut body = Map::new();
    body.insert("route".into(), json!(quote.route.as_str()));
    body.insert("seconds".into(), json!(quote.seconds.to_string()));
    body.insert("size".into(), json!(quote.size.to_string()));
    money(&mut body, "price", quote.price);
    Value::Object(body)
}

fn alternative(nearest: &Nearest) -> Value {
    let mut body = Map::new();
    body.insert("seconds".into(), json!(nearest.seconds.to_string()));
    money(&mut body, "price", nearest.price);
    Value::Object(body)
}

fn spend(spend: Spend) -> Value {
    let mut body = Map::new();
    money(&mut body, "clips", spend.clips);
    money(&mut body, "retakes", spend.retakes);
    money(&mut body, "total", spend.total().unwrap_or(MicroUsd::MAX));
    money(&mut body, "ceiling", spend.ceiling);
    Value::Object(body)
}

fn margin(margin: Margin) -> Value {
    let mut body = Map::new();
    money(&mut body, "charge", margin.charge);
    money(&mut body, "break_even", margin.break_even);
    money(&mut body, "suggested_charge", margin.suggested);
    money(&mut body, "per_clip", margin.per_clip);
    money(&mut body, "total", margin.total);
    Value::Object(body)
}

/// Puts an amount in, as decimal text and as an integer.
fn money(into: &mut Map<String, Value>, name: &str, amount: MicroUsd) {
    into.insert(name.into(), json!(amount.to_string()));
    into.insert(format!("{name}_microusd"), json!(amount.get()));
}
