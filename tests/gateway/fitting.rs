//! Lengths and sizes that a route does not have: what is made instead, as the answer, the books and the bill say.

use serde_json::{Value, json};

use crate::world::{World, id, openai, tenant};

/// A route that makes 6 and 10 s at 720p and 1080p, fitted so.
fn fitting(name: &str, fit: &str) -> String {
    let models = "seconds = [6, 10]\nsizes = [\"720x1280\", \"1280x720\", \"1080x1920\"]\n";
    let route = openai(name, "").replacen("as = \"sora-2\"", "as = \"sora-2-pro\"", 1);
    let prices = "price = { \"720p\" = \"0.30\", \"1080p\" = \"0.70\" }";
    route.replacen("seconds = [4, 8, 12]\nprice = \"0.10\"", &format!("{models}fit = \"{fit}\"\n{prices}"), 1)
}

/// What is made, and for how much, or the refusal.
type Outcome = Result<(&'static str, &'static str, i64), &'static str>;

/// What each wish for a length and a size comes to.
async fn comes_to(fit: &str, cases: &[(&str, &str, Outcome)]) {
    let world = World::start(&[fitting("vendor", fit), tenant("acme", "")]).await;
    let acme = world.tenant("acme");
    let mut total = 0;
    for (seconds, size, comes_to) in cases {
        let wish = json!({ "prompt": "a whale", "seconds": seconds, "size": size });
        let estimate = acme.client.post("/v1/videos/estimate", &wish).await;
        match comes_to {
            Err(refusal) => {
                assert_eq!(acme.wish(&wish).await.refusal(), *refusal, "{fit} {seconds} {size}");
            }
            Ok((made_seconds, made_size, microusd)) => {
                let answer = acme.wish(&wish).await.ok();
                let video = acme.ended(id(&answer.json())).await;
                for told in [&answer.json(), &video] {
                    assert_eq!((&told["seconds"], &told["size"]), (&json!(made_seconds), &json!(made_size)), "{fit} {seconds} {size}");
                }
                let estimate: Value = estimate.ok().json();
                assert_eq!(
                    (&estimate["seconds"], &estimate["size"], &estimate["price_microusd"], &estimate["ceiling_microusd"]),
                    (&video["seconds"], &video["size"], &json!(microusd), &json!(microusd)),
                    "{fit} {seconds} {size}"
                );
                assert_eq!(world.number("SELECT ceiling_microusd FROM jobs ORDER BY id DESC LIMIT 1"), *microusd);
                total += microusd;
            }
        }
    }
    let bill = world.simulator.bill();
    let billed = world.bill();
    assert_eq!(billed, total, "{:?}", bill.jobs);
    world.end().await;
}

#[tokio::test]
async fn exact_makes_what_was_asked_for_or_names_what_could_be_had() {
    comes_to(
        "exact",
        &[
            ("6", "720x1280", Ok(("6", "720x1280", 1_800_000))),
            ("8", "720x1280", Err("400 invalid_value seconds")),
            ("6", "1024x1792", Err("400 invalid_value size")),
        ],
    )
    .await;
}

#[tokio::test]
async fn up_makes_the_next_longer_and_larger_one_at_its_own_price() {
    comes_to(
        "up",
        &[
            ("7", "720x1280", Ok(("10", "720x1280", 3_000_000))),
            ("6", "1024x1792", Ok(("6", "1080x1920", 4_200_000))),
            ("12", "720x1280", Err("400 invalid_value seconds")),
            ("6", "1792x1024", Err("400 invalid_value size")),
        ],
    )
    .await;
}

#[tokio::test]
async fn down_makes_the_next_shorter_and_smaller_one_at_its_own_price() {
    comes_to(
        "down",
        &[
            ("12", "1024x1792", Ok(("10", "720x1280", 3_000_000))),
            ("8", "1792x1024", Ok(("6", "1280x720", 1_800_000))),
            ("4", "720x1280", Err("400 invalid_value seconds")),
        ],
    )
    .await;
}

#[tokio::test]
async fn nearest_makes_the_nearest_one_and_the_shorter_of_two() {
    comes_to(
        "nearest",
        &[
            ("8", "720x1280", Ok(("6", "720x1280", 1_800_000))),
            ("9", "1024x1792", Ok(("10", "1080x1920", 7_000_000))),
            ("60", "1920x1080", Ok(("10", "1280x720", 3_000_000))),
        ],
    )
    .await;
}
