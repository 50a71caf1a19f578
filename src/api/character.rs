//! Characters: made at one provider, kept by their tenant, usable only where they were made.

use std::sync::Arc;

use http::Request;
use hyper::body::Incoming;
use tracing::warn;

use super::intake::{self, Caller};
use crate::gateway::Gateway;
use crate::id::CharacterId;
use crate::plan::{Moment, plan};
use crate::provider::SubmitError;
use crate::refusal::Refusal;
use crate::reply::{self, Reply};
use crate::store::Character;
use crate::video::{Extras, Origin, Wish};
use crate::wire;

/// `POST /videos/characters`: on the first route that the tenant's default model would use and that can.
pub async fn create(gw: &Arc<Gateway>, caller: Caller, request: Request<Incoming>) -> Result<Reply, Refusal> {
    gw.limits.admit(&caller.tenant).map_err(|limited| Refusal::RateLimited { wait: limited.wait })?;
    if gw.reconciling.since().is_some() {
        return Err(Refusal::Reconciling);
    }
    if let Some(why) = gw.halting.why_now(&*gw.store).await {
        return Err(why.into());
    }
    let form = intake::form(gw, &caller.policy, request).await?;
    let wire::NewCharacter { name, video } = wire::character(form)?;

    let (id, at) = (CharacterId::mint(), gw.clock.now());
    let plan = plan(&caller.policy, &caller.tenant, &unspecified(), None, Moment::of(at).drawing(id.seed()).seeing(&gw.traffic))?;
    for candidate in &plan.candidates {
        let (route, provider) = (&candidate.route, candidate.route.provider);
        let mut speaks = true;
        let made = gw.upstream.pay(route, None, |endpoint, proof| {
            let call = provider.create_character(endpoint, proof, &name, &video);
            speaks = call.is_ok();
            call
        });
        match made.await {
            Ok(upstream_id) => {
                let tenant = caller.tenant.name.clone();
                let character = Character {
                    id,
                    tenant,
                    name,
                    route: route.name.clone(),
                    upstream_id,
                    created_at: at,
                    account: Some(route.account.clone()),
                };
                gw.store.add_character(character.clone()).await?;
                return Ok(reply::json(json(&character)));
            }
            Err(SubmitError::Rejected(rejection)) => return Err(Refusal::Rejected(rejection)),
            Err(why) if speaks => warn!(route.name = %route.name, ?why, "a character was not made"),
            Err(_) => continue,
        }
        return Err(Refusal::Upstream);
    }
    Err(Refusal::Unsupported("The providers that serve you have no characters."))
}

/// `GET /videos/characters/{id}`
pub async fn retrieve(gw: &Gateway, caller: &Caller, id: CharacterId) -> Result<Reply, Refusal> {
    let character = gw.store.character(&caller.tenant.name, id).await?.ok_or(Refusal::NoSuchCharacter)?;
    Ok(reply::json(json(&character)))
}

fn json(character: &Character) -> Vec<u8> {
    wire::character_json(character.id, &character.name, character.created_at)
}

/// A wish that says nothing, to find out which routes serve a tenant by default.
fn unspecified() -> Wish {
    Wish {
        origin: Origin::Create,
        prompt: String::new(),
        model: None,
        seconds: None,
        size: None,
        reference: None,
        characters: Vec::new(),
        end_user: None,
        extras: Extras::new(),
    }
}
