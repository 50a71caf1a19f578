//! The usher: takes jobs out of the line when there is room for them, and ends those that waited for long enough.
//!
//! A round asks how long the lines are, which is a small table, and how many places the routes have; it reads the heads
//! of lines only where there is room. Each head is planned anew, by the policy of now, never dearer than what is held
//! for it and never where it may not be processed; one that nobody may make at present waits on. Knows nothing for
//! certain: the books let one gateway take a job out, and keep the limits exact. Can be killed at any instant.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;
use tracing::{Instrument as _, debug, info, info_span, warn};

use super::sweeper;
use crate::budget::Account;
use crate::dispatch::{Order, Subject, dispatch};
use crate::eta;
use crate::gateway::Gateway;
use crate::hall::{Board, Place};
use crate::halting::Halted;
use crate::id::{JobId, RouteName, TenantName};
use crate::job::{Event, State};
use crate::metrics::QueueOutcome;
use crate::order;
use crate::plan::{Moment, Plan, may_process, plan};
use crate::policy::Policy;
use crate::queue::{Room, Turns, Waiters, in_turn, starts_in};
use crate::store::{InLine, Line, Standing, StoreError};

/// The longest pause between two rounds: places that other gateways freed ring no bell here.
const EVERY: Duration = Duration::from_secs(1);
/// Jobs that are on their way from the line to a route at a time.
const UNDER_WAY_MAX: usize = 64;
/// Heads of a line that are looked at: whoever stands behind those waits until they are gone.
const HEADS: u32 = 16;
/// Jobs that are ended in one round because their time is up.
const EXPIRED_MAX: u32 = 500;
/// Jobs whose place is worked out.
const BOARD_MAX: u32 = 20_000;
/// A board is made anew when its making is this small a share of the time.
const BOARD_SHARE: u32 = 50;
/// Whom a line's heads may be made by changes with the policy, and with the date.
const KNOWN_FOR: Duration = Duration::from_secs(30);
/// What jobs needed that are gone is forgotten so often.
const TIDY_EVERY: Duration = Duration::from_secs(30);

/// Why a job was not made that stood in line, as its client is told.
const EXPIRED: (&str, &str) = ("queue_timeout", "Nobody had room to make this video for as long as it could wait.");
const EXPIRED_HALTED: &str = "Its time to wait ran out while the operator of this gateway had stopped all new videos.";

/// Runs until the gateway stops.
pub async fn run(gw: Arc<Gateway>) {
    let mut usher = Usher::new(gw.clone());
    loop {
        if let Err(why) = usher.round().await {
            warn!(%why, "nobody was taken out of the line");
        }
        tokio::select! {
            () = gw.stop.cancelled() => return,
            () = gw.hall.rung() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
        // Bells that ring together are one.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Jobs that are on their way from the line to a route.
#[derive(Clone, Default)]
struct UnderWay(Arc<Mutex<HashMap<JobId, Option<RouteName>>>>);

impl UnderWay {
    fn jobs(&self) -> MutexGuard<'_, HashMap<JobId, Option<RouteName>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_to(&self, route: &RouteName) -> bool {
        self.jobs().values().any(|to| to.as_ref() == Some(route))
    }
}

/// What the usher keeps in mind.
struct Usher {
    gw: Arc<Gateway>,
    turns: Turns,
    /// Who is on the way out, and to which route.
    under_way: UnderWay,
    /// Which routes a line's head may be made by, by the policy of that revision, and when that was found out.
    known: HashMap<(TenantName, String), Known>,
    board_at: Option<(Instant, Duration)>,
    tidied_at: Option<Instant>,
}

struct Known {
    revision: String,
    at: Instant,
    routes: Vec<RouteName>,
}

/// A line in this round.
struct Open {
    line: Line,
    heads: Vec<InLine>,
    /// Whether there are more behind the heads.
    more: bool,
    read: bool,
}

impl Usher {
    fn new(gw: Arc<Gateway>) -> Self {
        Self { gw, turns: Turns::default(), under_way: UnderWay::default(), known: HashMap::new(), board_at: None, tidied_at: None }
    }

    async fn round(&mut self) -> Result<(), StoreError> {
        self.end_the_late().await?;
        let lines = self.gw.store.lines().await?;
        self.tidy(&lines).await?;
        if lines.is_empty() {
            self.board_at = None;
            self.gw.hall.show(Board::default(), Instant::now());
            return Ok(());
        }
        let policy = self.gw.policy.snapshot();
        // Whatever stops buying stops this: nothing is taken out of the line.
        let may_buy = self.gw.halting.why().is_none() && self.gw.reconciling.since().is_none();
        if may_buy && !self.gw.stop.is_cancelled() {
            self.take_out(&policy, &lines).await?;
        }
        self.put_up(&policy, &lines).await
    }

    /// Ends those that stood in line for as long as they may.
    async fn end_the_late(&self) -> Result<(), StoreError> {
        let halted = matches!(self.gw.halting.why(), Some(Halted::ByFile | Halted::ByOperator(_)));
        let message = if halted { EXPIRED_HALTED } else { EXPIRED.1 };
        for job in self.gw.store.out_of_time(self.gw.clock.now(), EXPIRED_MAX).await? {
            if sweeper::end(&self.gw, &job, Event::Expired, EXPIRED.0, message).await {
                self.gw.metrics.left_line(&job, QueueOutcome::Expired, Duration::ZERO);
            }
        }
        Ok(())
    }

    async fn tidy(&mut self, lines: &[Line]) -> Result<(), StoreError> {
        if self.tidied_at.is_some_and(|at| at.elapsed() < TIDY_EVERY) {
            return Ok(());
        }
        self.tidied_at = Some(Instant::now());
        let there: HashSet<(&TenantName, &str)> = lines.iter().map(|line| (&line.tenant, line.lane.as_str())).collect();
        self.known.retain(|(tenant, lane), known| there.contains(&(tenant, lane.as_str())) && known.at.elapsed() < KNOWN_FOR);
        self.gw.store.forget_places().await.map(drop)
    }

    /// Takes out whoever there is room for, tenant by tenant as their turns come.
    async fn take_out(&mut self, policy: &Arc<Policy>, lines: &[Line]) -> Result<(), StoreError> {
        let mut rooms = Rooms { gw: &self.gw.clone(), policy, under_way: self.under_way.clone(), left: HashMap::new() };
        let mut open: HashMap<TenantName, Vec<Open>> = HashMap::new();
        for line in lines {
            let line = Open { line: line.clone(), heads: Vec::new(), more: true, read: false };
            open.entry(line.line.tenant.clone()).or_default().push(line);
        }
        while self.under_way.jobs().len() < UNDER_WAY_MAX {
            let next = open.keys().map(|tenant| (self.turns.tag(tenant), tenant)).min().map(|(_, tenant)| tenant.clone());
            let Some(tenant) = next else { break };
            let Some(lines) = open.get_mut(&tenant) else { break };
            match self.first_with_room(policy, &mut rooms, lines).await? {
                Some(order) => {
                    self.turns.took(&tenant, policy.tenants.get(&tenant).map_or(1, |tenant| tenant.weight));
                    self.send(order);
                }
                None => {
                    open.remove(&tenant);
                }
            }
        }
        Ok(())
    }

    /// The oldest of a tenant's jobs that somebody has room for, who has taken it then.
    async fn first_with_room(
        &mut self,
        policy: &Arc<Policy>,
        rooms: &mut Rooms<'_>,
        lines: &mut [Open],
    ) -> Result<Option<Order>, StoreError> {
        for open in lines.iter_mut().filter(|open| !open.read) {
            if !self.may_have_room(policy, rooms, &open.line).await? {
                (open.read, open.more) = (true, false);
            }
        }
        loop {
            for open in lines.iter_mut().filter(|open| open.heads.is_empty() && open.more && !open.read) {
                open.heads = self.gw.store.heads(&open.line.tenant, &open.line.lane, None, HEADS).await?;
                (open.more, open.read) = (false, true);
                self.remember(policy, open);
            }
            let oldest = lines.iter_mut().filter(|open| !open.heads.is_empty()).min_by_key(|open| open.heads[0].job.id);
            let Some(open) = oldest else { return Ok(None) };
            let head = open.heads.remove(0);
            if self.under_way.jobs().contains_key(&head.job.id) {
                continue;
            }
            let Some(planned) = self.planned(policy, &head) else { continue };
            for candidate in &planned.candidates {
                if rooms.takes(&candidate.route.name).await? {
                    let route = candidate.route.name.clone();
                    let Some(order) = self.order(policy, head, route).await? else { break };
                    return Ok(Some(order));
                }
            }
        }
    }

    /// Whether it is worth reading a line: somebody who may make its head has room, as far as that is known.
    async fn may_have_room(&self, policy: &Policy, rooms: &mut Rooms<'_>, line: &Line) -> Result<bool, StoreError> {
        let Some(known) = self.known.get(&(line.tenant.clone(), line.lane.clone())) else { return Ok(true) };
        let lasts = if known.routes.is_empty() { EVERY } else { KNOWN_FOR };
        if known.revision != policy.revision || known.at.elapsed() > lasts {
            return Ok(true);
        }
        for route in &known.routes {
            if rooms.has(route).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Remembers whom a line's heads may be made by.
    fn remember(&mut self, policy: &Policy, open: &Open) {
        if open.heads.is_empty() {
            // Whoever stood there has just gone, and may come back.
            self.known.remove(&(open.line.tenant.clone(), open.line.lane.clone()));
            return;
        }
        let planned = open.heads.iter().filter_map(|head| self.planned(policy, head));
        let mut routes: Vec<RouteName> = planned.flat_map(|plan| plan.candidates).map(|candidate| candidate.route.name.clone()).collect();
        routes.sort_unstable();
        routes.dedup();
        let known = Known { revision: policy.revision.clone(), at: Instant::now(), routes };
        self.known.insert((open.line.tenant.clone(), open.line.lane.clone()), known);
    }

    /// Who may make a job by the policy of now, at no more than what is held for it and where it may be processed.
    fn planned(&self, policy: &Policy, head: &InLine) -> Option<Plan> {
        let job = &head.job;
        let tenant = policy.tenants.get(&job.tenant)?;
        let (parts, ties) = order::take_out(&head.wish, &job.prompt, &job.extras, Bytes::new())
            .inspect_err(|why| warn!(job.id = %job.id, %why, "it waits until its time is up"))
            .ok()?;
        let planned = plan(
            policy,
            tenant,
            &parts.wish,
            ties.pin.as_ref(),
            Moment::of(self.gw.clock.now()).drawing(job.id.seed()).seeing(&self.gw.traffic),
        );
        let mut planned = planned.inspect_err(|why| debug!(job.id = %job.id, ?why, "nobody may make it at present")).ok()?;
        let model = planned.model.clone();
        planned.candidates.retain(|candidate| {
            let route = &candidate.route;
            !self.gw.health.is_gone(route, &model)
                && candidate.price <= job.ceiling
                && ties.lives_on.as_ref().is_none_or(|name| *name == route.name)
                && may_process(route, job.residency.as_deref())
        });
        Some(planned)
    }

    /// The order of a job that comes out of the line, with the file that went with it.
    async fn order(&self, policy: &Policy, head: InLine, admitted: RouteName) -> Result<Option<Order>, StoreError> {
        let Some(plan) = self.planned(policy, &head) else { return Ok(None) };
        let file = if head.has_upload { self.gw.store.upload(head.job.id).await? } else { None };
        let Ok((parts, ties)) = order::take_out(&head.wish, &head.job.prompt, &head.job.extras, file.unwrap_or_default()) else {
            return Ok(None);
        };
        let tenant_in_flight_max = policy.tenants.get(&head.job.tenant).and_then(|tenant| tenant.limits.in_flight);
        let (subject, begun) = (Subject::Known(head.job), Instant::now());
        Ok(Some(Order { subject, plan, parts, ties, queue: None, admitted: Some(admitted), tenant_in_flight_max, begun }))
    }

    /// Sends a job on its way, in a task that a stop waits for.
    fn send(&self, order: Order) {
        let (gw, under_way) = (self.gw.clone(), self.under_way.clone());
        let Subject::Known(job) = &order.subject else { return };
        let (id, waited) = (job.id, gw.clock.now().since(job.created_at));
        let span = info_span!("usher", job.id = %id);
        under_way.jobs().insert(id, order.admitted.clone());
        self.gw.tasks.spawn(
            async move {
                let (on_disk, mut sent) = oneshot::channel();
                let made = dispatch(&gw, order, on_disk).await;
                let is_out = made.as_ref().map_or(true, |job| job.state != State::Waiting);
                under_way.jobs().remove(&id);
                if is_out {
                    // Where another gateway was faster, it says so.
                    if let Ok(job) = sent.try_recv() {
                        info!(waited_secs = waited.as_secs(), "out of the line");
                        gw.metrics.left_line(&job, QueueOutcome::Sent, waited);
                    }
                    gw.hall.ring();
                }
            }
            .instrument(span),
        );
    }

    /// Works out where everybody stands, unless that was done a moment ago.
    async fn put_up(&mut self, policy: &Policy, lines: &[Line]) -> Result<(), StoreError> {
        if self.board_at.is_some_and(|(at, cost)| at.elapsed() < EVERY.max(cost * BOARD_SHARE)) {
            return Ok(());
        }
        let read_at = Instant::now();
        let standing = self.gw.store.standing(BOARD_MAX).await?;
        let board = self.board(policy, lines, standing);
        self.gw.hall.show(board, read_at);
        self.board_at = Some((read_at, read_at.elapsed()));
        Ok(())
    }

    fn board(&self, policy: &Policy, lines: &[Line], standing: Vec<Standing>) -> Board {
        let mut board = Board::default();
        let mut jobs: HashMap<(TenantName, String), Vec<JobId>> = HashMap::new();
        for each in standing {
            jobs.entry((each.tenant, each.lane)).or_default().push(each.id);
        }
        for (routes, members) in self.halls(lines) {
            let mut by_tenant: HashMap<&TenantName, Vec<JobId>> = HashMap::new();
            for line in members {
                let ids = jobs.remove(&(line.tenant.clone(), line.lane.clone())).unwrap_or_default();
                by_tenant.entry(&line.tenant).or_default().extend(ids);
            }
            let waiters = by_tenant.into_iter().map(|(tenant, mut jobs)| {
                jobs.sort_unstable();
                Waiters { tenant: tenant.clone(), weight: policy.tenants.get(tenant).map_or(1, |tenant| tenant.weight), jobs }
            });
            let order = in_turn(&self.turns, &waiters.collect::<Vec<_>>());
            let room = room(policy, &routes);
            for (position, id) in (1..).zip(order) {
                board.places.insert(id, Place { position, starts_in: starts_in(position, room) });
            }
            board.waited_for.extend(routes);
        }
        board
    }

    /// Lines that share a route, directly or by others: they wait for each other.
    fn halls<'l>(&self, lines: &'l [Line]) -> Vec<(HashSet<RouteName>, Vec<&'l Line>)> {
        let mut halls: Vec<(HashSet<RouteName>, Vec<&Line>)> = Vec::new();
        for line in lines {
            let known = self.known.get(&(line.tenant.clone(), line.lane.clone())).map(|known| known.routes.clone());
            let mut routes: HashSet<RouteName> = known.unwrap_or_else(|| order::lane_routes(&line.lane).collect()).into_iter().collect();
            let mut members = vec![line];
            let (touching, apart): (Vec<_>, Vec<_>) = halls.into_iter().partition(|(others, _)| !others.is_disjoint(&routes));
            halls = apart;
            for (others, theirs) in touching {
                routes.extend(others);
                members.extend(theirs);
            }
            halls.push((routes, members));
        }
        halls
    }
}

/// What becomes free on some routes, by their limits and by how long an ordinary clip takes.
fn room(policy: &Policy, routes: &HashSet<RouteName>) -> Room {
    let routes: Vec<_> = routes.iter().filter_map(|route| policy.routes.get(route)).collect();
    let sum = |limits: Vec<Option<u32>>| limits.into_iter().try_fold(0_u32, |sum, limit| Some(sum.saturating_add(limit?)));
    let speed = routes.iter().map(|route| if route.simulated { route.speed.max(1) } else { 1 }).min().unwrap_or(1);
    Room {
        places: sum(routes.iter().map(|route| route.limits.in_flight).collect()),
        rpm: sum(routes.iter().map(|route| route.limits.rpm).collect()),
        clip: eta::usual() / speed,
    }
}

/// How many more jobs each route may have, as far as the books said in this round.
struct Rooms<'a> {
    gw: &'a Gateway,
    policy: &'a Policy,
    under_way: UnderWay,
    left: HashMap<RouteName, u32>,
}

impl Rooms<'_> {
    async fn has(&mut self, name: &RouteName) -> Result<bool, StoreError> {
        if self.gw.hall.is_resting(name) {
            return Ok(false);
        }
        let Some(route) = self.policy.routes.get(name) else { return Ok(false) };
        if let Some(left) = self.left.get(name) {
            return Ok(*left > 0);
        }
        let left = match route.limits.in_flight {
            Some(max) => max.saturating_sub(self.gw.store.places_taken(&Account::Route(name.clone())).await?),
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
    async fn takes(&mut self, name: &RouteName) -> Result<bool, StoreError> {
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
