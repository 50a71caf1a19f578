//! Below the tenant: what its keys and its end users spend is seen wherever the tenant's spend is.

use std::process::Output;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::client::Client;
use crate::process::run_in;
use crate::world::{Tenant, World, eventually, key_of, openai, tenant};

/// Four seconds of sora-2, micro-dollars.
const CLIP: i64 = 400_000;

fn whale() -> Value {
    json!({ "prompt": "a whale", "seconds": "4" })
}

/// A tenant with two named keys: `ci`, which has this budget, and `web`, which has none.
fn acme(ci_budget: &str, more: &str) -> String {
    let hash = |key: &str| Sha256::digest(key_of(key)).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let (ci, web) = (hash("acme-ci"), hash("acme-web"));
    format!(
        "[tenants.acme]\nbudget = {{ cap = \"100.00\" }}\nkeys = [{{ hash = \"sha256:{ci}\", name = \"ci\", budget = {ci_budget} }}, \
         {{ hash = \"sha256:{web}\", name = \"web\" }}]\n{more}\n"
    )
}

fn by_key(world: &World, key: &str) -> Tenant {
    Tenant { client: world.stranger().bearer(&key_of(key)) }
}

async fn wish_for(client: &Client, user: Option<&str>) {
    let client = user.map_or_else(|| client.clone(), |user| client.with("x-filmgate-user", user));
    client.post("/v1/videos", &whale()).await.ok();
}

fn reported(world: &World, options: &str) -> Output {
    let policy = world.policy_file();
    let args = ["report", "--config", policy.to_str().unwrap()];
    let told = run_in(policy.parent().unwrap(), &args.into_iter().chain(options.split_whitespace()).collect::<Vec<_>>());
    assert!(told.status.success(), "{told:?}");
    told
}

#[tokio::test]
async fn a_report_goes_down_to_keys_and_end_users_and_adds_up_to_their_tenants() {
    let world = World::at_speed(1, &[openai("openai", ""), acme("{ cap = \"50.00\" }", ""), tenant("b-corp", "")]).await;
    let (ci, web, b_corp) = (by_key(&world, "acme-ci").client, by_key(&world, "acme-web").client, world.tenant("b-corp").client);
    for (client, user, clips) in
        [(&ci, Some("u-1"), 2), (&ci, None, 1), (&web, Some("u-1"), 1), (&web, Some("=2+3"), 3), (&b_corp, Some("u-1"), 1)]
    {
        for _ in 0..clips {
            wish_for(client, user).await;
        }
    }
    world.turn_clock(std::time::Duration::from_secs(600));
    eventually("all are settled", || world.spent("gateway") == 8 * CLIP).await;

    let json = |options: &str| serde_json::from_slice::<Value>(&reported(&world, options).stdout).unwrap();
    let of_tenants = json("--by tenant --json");
    for by in ["key", "user", "user,key", "day,user,model", "route,key"] {
        let parts = json(&format!("--by {by} --json"));
        assert_eq!(parts["total"], of_tenants["total"], "{by}");
        for whole in of_tenants["rows"].as_array().unwrap() {
            let of_it = parts["rows"].as_array().unwrap().iter().filter(|row| row["tenant"] == whole["tenant"]);
            let sum: i64 = of_it.map(|row| row["spent_microusd"].as_i64().unwrap()).sum();
            assert_eq!(sum, whole["spent_microusd"].as_i64().unwrap(), "{} by {by}", whole["tenant"]);
        }
    }
    assert_eq!(of_tenants["total"]["spent_microusd"], json!(world.bill()), "the bill is the judge");

    let csv = |options: &str| {
        let text = String::from_utf8(reported(&world, options).stdout).unwrap();
        let cells = |line: &str| {
            line.split(',').filter(|cell| !["0", "0.00"].contains(cell)).take(6).map(str::to_owned).collect::<Vec<_>>().join(" ")
        };
        text.lines().skip(1).map(cells).collect::<Vec<_>>()
    };
    assert_eq!(csv("--by key --tenant acme --format csv"), ["acme ci 3 3 12 1.20", "acme web 4 4 16 1.60"]);
    let users = ["acme  1 1 4 0.40", "acme '=2+3 3 3 12 1.20", "acme u-1 3 3 12 1.20", "b-corp u-1 1 1 4 0.40"];
    assert_eq!(csv("--by user --format csv"), users);
    assert_eq!(csv("--by user --top 1 --tenant acme --format csv"), ["acme '=2+3 3 3 12 1.20", "(2 others)  4 4 16 1.60"]);
    world.end().await;
}

#[tokio::test]
async fn the_balances_of_keys_and_end_users_are_told_by_how_much_of_their_caps_is_used() {
    let users = "user_budget = { cap = \"1.60\", per = \"day\" }";
    let world = World::at_speed(
        1,
        &[openai("openai", ""), acme("{ cap = \"8.00\" }", users), tenant("b-corp", &format!("budget = {{ cap = \"50.00\" }}\n{users}"))],
    )
    .await;
    let (ci, web, b_corp) = (by_key(&world, "acme-ci").client, by_key(&world, "acme-web").client, world.tenant("b-corp").client);
    for (client, user, clips) in [(&ci, Some("u-1"), 1), (&web, Some("u-2"), 3), (&web, None, 2), (&b_corp, Some("u-1"), 4)] {
        for _ in 0..clips {
            wish_for(client, user).await;
        }
    }
    let told = async |query: &str| {
        let answer = world.operator().get(&format!("/api/purses?{query}")).await.ok().json();
        let line = |purse: &Value| {
            let word = |name: &str| purse[name].as_str().unwrap_or("-").to_owned();
            format!("{} {} {} {} {} {}", word("tenant"), word("name"), word("cap"), word("held"), word("left"), purse["used_permille"])
        };
        answer["purses"].as_array().unwrap().iter().map(line).collect::<Vec<_>>()
    };
    let users =
        ["b-corp u-1 1.60 1.60 0.00 1000", "acme u-2 1.60 1.20 0.40 750", "acme - 1.60 0.80 0.80 500", "acme u-1 1.60 0.40 1.20 250"];
    assert_eq!(told("of=users").await, users);
    assert_eq!(told("of=users&limit=1&tenant=acme").await, users[1..2]);
    assert_eq!(told("of=keys").await, ["acme ci 8.00 0.40 7.60 50"], "the other has no cap");
    for nonsense in ["", "of=tenants", "of=users&limit=many"] {
        assert_eq!(world.operator().get(&format!("/api/purses?{nonsense}")).await.status, 422, "{nonsense}");
    }
    assert!(!world.operator().get("/metrics").await.ok().text().contains("u-2"), "no end user is a label");
    world.turn_clock(std::time::Duration::from_secs(600));
    eventually("all are settled", || world.spent("gateway") == 10 * CLIP).await;
    world.end().await;
}
