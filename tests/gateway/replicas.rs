//! Several gateways on the same books in PostgreSQL: one cap, one memory, and no death that costs anything.

use serde_json::json;

use crate::process::Site;
use crate::world::{id, openai, tenant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_replica_was_asked_for_every_replica_knows() {
    let policy = [openai("openai", ""), tenant("acme", "")];
    let site = Site::on_postgres(1_000, 0, &policy).await;
    let replicas = site.replicas(3, &policy).await;
    let video = replicas[0].tenant("acme").post("/v1/videos", &json!({ "prompt": "a whale" })).await.ok().json();
    for replica in &replicas {
        assert_eq!(id(&replica.tenant("acme").get(&format!("/v1/videos/{}", id(&video))).await.ok().json()), id(&video));
    }
    site.cut_off(1);
    replicas[0].tenant("acme").post("/v1/videos", &json!({ "prompt": "two whales" })).await.ok();
    site.until_quiet().await;
    site.settle_up();
    assert_eq!(site.simulator.bill().jobs.len(), 2);
}
