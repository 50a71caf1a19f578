//! The usher: takes jobs out of the line when there is room for them, and ends those that waited for long enough.
//!
//! A round asks how long the lines are, which is a small table, and how many places the routes have; it reads the heads
//! of lines only where there is room. Each head is planned anew, by the policy of now, never dearer than what is held
//! for it and never where it may not be processed; one that nobody may make at present waits on. Knows nothing for
//! certain: the books let one gateway take a job out, and keep the limits exact. Can be killed at any instant.

mod board;
mod ends;
mod heads;
mod rooms;
mod under_way;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::warn;

use super::sweeper;
use crate::dispatch::Order;
use crate::gateway::Gateway;
use crate::hall::Board;
use crate::halting::Halted;
use crate::id::TenantName;
use crate::job::Event;
use crate::metrics::QueueOutcome;
use crate::policy::Policy;
use crate::queue::Turns;
use crate::store::{InLine, Line, StoreError};
use board::{Known, board};
use ends::ends;
use heads::{Heads, order, planned};
use rooms::Rooms;
use under_way::UnderWay;

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
/// What is gone is forgotten so often.
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

/// What the usher keeps in mind.
struct Usher {
    gw: Arc<Gateway>,
    turns: Turns,
    under_way: UnderWay,
    heads: Heads,
    board_at: Option<(Instant, Duration)>,
    tidied_at: Option<Instant>,
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
        Self { gw, turns: Turns::default(), under_way: UnderWay::default(), heads: Heads::default(), board_at: None, tidied_at: None }
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

    /// Forgets what jobs needed that are gone, and what was known of lines and of routes that are.
    async fn tidy(&mut self, lines: &[Line]) -> Result<(), StoreError> {
        if self.tidied_at.is_some_and(|at| at.elapsed() < TIDY_EVERY) {
            return Ok(());
        }
        self.tidied_at = Some(Instant::now());
        let there: HashSet<(&TenantName, &str)> = lines.iter().map(|line| (&line.tenant, line.lane.as_str())).collect();
        self.heads.tidy(|tenant, lane| there.contains(&(tenant, lane)));
        let policy = self.gw.policy.snapshot();
        self.gw.hall.retain(|route| policy.routes.contains_key(route));
        self.gw.store.forget_places().await.map(drop)
    }

    /// Takes out whoever there is room for, tenant by tenant as their turns come.
    async fn take_out(&mut self, policy: &Arc<Policy>, lines: &[Line]) -> Result<(), StoreError> {
        let (gw, under_way) = (self.gw.clone(), self.under_way.clone());
        let mut rooms = Rooms::new(&gw, policy, &under_way);
        let mut open: HashMap<TenantName, Vec<Open>> = HashMap::new();
        for line in lines {
            let line = Open { line: line.clone(), heads: Vec::new(), more: true, read: false };
            open.entry(line.line.tenant.clone()).or_default().push(line);
        }
        while under_way.count() < UNDER_WAY_MAX {
            let next = open.keys().map(|tenant| (self.turns.tag(tenant), tenant)).min().map(|(_, tenant)| tenant.clone());
            let Some(tenant) = next else { break };
            let Some(lines) = open.get_mut(&tenant) else { break };
            match self.first_with_room(policy, &mut rooms, lines).await? {
                Some(order) => {
                    self.turns.took(&tenant, policy.tenants.get(&tenant).map_or(1, |tenant| tenant.weight));
                    under_way.send(&gw, order);
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
            if !self.heads.may_have_room(policy, rooms, &open.line).await? {
                (open.read, open.more) = (true, false);
            }
        }
        loop {
            for open in lines.iter_mut().filter(|open| open.heads.is_empty() && open.more && !open.read) {
                open.heads = self.gw.store.heads(&open.line.tenant, &open.line.lane, None, HEADS).await?;
                (open.more, open.read) = (false, true);
                self.heads.remember(&self.gw, policy, &open.line, &open.heads);
            }
            let oldest = lines.iter_mut().filter(|open| !open.heads.is_empty()).min_by_key(|open| open.heads[0].job.id);
            let Some(open) = oldest else { return Ok(None) };
            let head = open.heads.remove(0);
            if self.under_way.has(head.job.id) {
                continue;
            }
            let Some(planned) = planned(&self.gw, policy, &head) else { continue };
            let mut admitted = None;
            for candidate in &planned.candidates {
                if rooms.takes(&candidate.route.name).await? {
                    admitted = Some(candidate.route.name.clone());
                    break;
                }
            }
            let Some(route) = admitted else { continue };
            if let Some(order) = order(&self.gw, policy, head, planned, route).await? {
                return Ok(Some(order));
            }
        }
    }

    /// Puts up where everybody stands, unless that was done a moment ago.
    async fn put_up(&mut self, policy: &Policy, lines: &[Line]) -> Result<(), StoreError> {
        if self.board_at.is_some_and(|(at, cost)| at.elapsed() < EVERY.max(cost * BOARD_SHARE)) {
            return Ok(());
        }
        let read_at = Instant::now();
        let standing = self.gw.store.standing(BOARD_MAX).await?;
        let routes = lines.iter().flat_map(|line| self.heads.routes(line)).collect();
        let ends = ends(&self.gw, policy, routes).await?;
        let (turns, heads, traffic) = (&self.turns, &self.heads, &self.gw.traffic);
        let known = Known { policy, turns, heads, traffic, ends: &ends, now: self.gw.clock.now() };
        self.gw.hall.show(board(&known, lines, standing), read_at);
        self.board_at = Some((read_at, read_at.elapsed()));
        Ok(())
    }
}
