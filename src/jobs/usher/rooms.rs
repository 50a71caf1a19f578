//! Rooms: how many more jobs each route may have, as far as the books said in one round.
//!
//! Each route is asked about once, and only if somebody's turn depends on it. The books keep the limits
//! themselves: what is wrong here costs a trip to a route in vain, never a place too many.

use std::collections::HashMap;

use super::under_way::UnderWay;
use crate::gateway::Gateway;
use crate::id::RouteName;
use crate::policy::Policy;
use crate::store::StoreError;

/// What is left on the routes in this round.
pub struct Rooms<'a> {
    gw: &'a Gateway,
    policy: &'a Policy,
    under_way: &'a UnderWay,
    left: HashMap<RouteName, u32>,
}

impl<'a> Rooms<'a> {
    /// Nobody was asked yet.
    pub fn new(gw: &'a Gateway, policy: &'a Policy, under_way: &'a UnderWay) -> Self {
        Self { gw, policy, under_way, left: HashMap::new() }
    }

    /// Whether a route has room for one more.
    pub async fn has(&mut self, name: &RouteName) -> Result<bool, StoreError> {
        if self.gw.hall.is_resting(name) {
            return Ok(false);
        }
        let Some(route) = self.policy.routes.get(name) else { return Ok(false) };
        if let Some(left) = self.left.get(name) {
            return Ok(*left > 0);
        }
        let left = match route.limits.in_flight {
            Some(max) => max.saturating_sub(self.gw.store.places_taken_in(&route.home()).await?),
            None => u32::MAX,
        };
        let left = match self.gw.hall.takes_one_at_a_time(name) {
            true if self.under_way.is_to(name) => 0,
            true => left.min(1),
            false => left,
        };
        self.left.insert(name.clone(), left);
        Ok(left > 0)
    }

    /// Whether a route has room and takes one more create this minute, which is then counted.
    pub async fn takes(&mut self, name: &RouteName) -> Result<bool, StoreError> {
        if !self.has(name).await? {
            return Ok(false);
        }
        if let Some(route) = self.policy.routes.get(name)
            && let Err(limited) = self.gw.limits.take(route)
        {
            self.gw.hall.rests(name, Some(limited.wait), limited.wait);
            return Ok(false);
        }
        if let Some(left) = self.left.get_mut(name) {
            *left = left.saturating_sub(1);
        }
        Ok(true)
    }
}
