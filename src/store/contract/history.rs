//! Random histories of opens, failovers, ends and restarts, beside a model that fits on one page.
//!
//! The model knows what each job holds and where; the store must accept and refuse exactly what the
//! model does, and every balance must be the model's after every step.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::{Just, ProptestConfig, Strategy, any, proptest};
use proptest::{collection, option, prop_oneof};

use super::queue::place;
use super::{DATABASES, Database, NOON, Wish, World, adds_up, block_on, key, month, route, tenant, user};
use crate::budget::Account;
use crate::clock::Timestamp;
use crate::id::TenantName;
use crate::job::{Event, Hold, State, step};
use crate::money::MicroUsd;
use crate::store::{Change, Correction, Facts, Job, OpenError, ReportBy, ReportQuery};

const TENANTS: [&str; 2] = ["acme", "other"];
/// Of each tenant, by the same names.
const KEYS: [&str; 2] = ["ci", "web"];
const USERS: [&str; 2] = ["u-1", "u-2"];
const ROUTES: [&str; 2] = ["north", "south"];
const MONTHS: [&str; 2] = ["2026-10", "2026-11"];
const TENANT_CAP: i64 = 60;
const KEY_CAP: i64 = 45;
const USER_CAP: i64 = 35;
const ROUTE_CAP: i64 = 50;
const GATEWAY_CAP: i64 = 90;
const TENANT_MAX: u32 = 6;
const ROUTE_MAX: u32 = 5;
const LINE_MAX: u32 = 4;

#[derive(Clone, Debug)]
enum Act {
    Open { tenant: usize, key: Option<usize>, user: Option<usize>, route: usize, month: usize, ceiling: i64, price: i64 },
    Line { tenant: usize, route: usize, month: usize, ceiling: i64 },
    Stand { job: usize },
    Retry { job: usize, route: usize, month: usize, price: i64 },
    See { job: usize, event: Event, reported: Option<i64>, stale: bool },
    Correct { job: usize, amount: i64 },
    Restart,
}

/// Amounts, with nothing among them more often than by chance.
fn amounts() -> impl Strategy<Value = i64> {
    prop_oneof![1 => Just(0), 7 => 0..30i64]
}

fn acts() -> impl Strategy<Value = Act> {
    let who = (0..2usize, option::of(0..2usize), option::of(0..2usize));
    let open = (who, 0..2usize, 0..2usize, amounts(), amounts()).prop_map(|((tenant, key, user), route, month, ceiling, price)| {
        Act::Open { tenant, key, user, route, month, ceiling, price: price.min(ceiling) }
    });
    let retry =
        (any::<usize>(), 0..2usize, 0..2usize, amounts()).prop_map(|(job, route, month, price)| Act::Retry { job, route, month, price });
    let event = proptest::sample::select(Event::ALL.to_vec());
    let see = (any::<usize>(), event, option::of(-1..40i64), proptest::bool::weighted(0.1));
    let see = see.prop_map(|(job, event, reported, stale)| Act::See { job, event, reported, stale });
    let correct = (any::<usize>(), -20..20i64).prop_map(|(job, amount)| Act::Correct { job, amount });
    let line = (0..2usize, 0..2usize, 0..2usize, amounts()).prop_map(|(tenant, route, month, ceiling)| Act::Line {
        tenant,
        route,
        month,
        ceiling,
    });
    let stand = any::<usize>().prop_map(|job| Act::Stand { job });
    prop_oneof![4 => open, 2 => line, 2 => stand, 4 => retry, 10 => see, 2 => correct, 1 => Just(Act::Restart)]
}

/// What the model knows of a job: where its money is booked, its route apart.
struct Known {
    job: Arc<Job>,
    tenant: usize,
    accounts: Vec<Account>,
    month: usize,
    at_route: Option<(usize, usize, i64)>,
    /// Whether it has been in line, and so may come back there.
    had_place: bool,
    /// What it cost, corrections included, once it has ended.
    cost: i64,
}

#[derive(Default)]
struct Model {
    jobs: Vec<Known>,
    /// Held and spent, by account and month.
    books: BTreeMap<(Account, usize), (i64, i64)>,
}

impl Model {
    fn book(&mut self, account: Account, month: usize, held: i64, spent: i64) {
        let entry = self.books.entry((account, month)).or_default();
        *entry = (entry.0 + held, entry.1 + spent);
    }

    fn fits(&self, account: Account, month: usize, amount: i64, cap: i64) -> bool {
        let (held, spent) = self.books.get(&(account, month)).copied().unwrap_or_default();
        held + spent + amount <= cap
    }

    fn route_admits(&self, at: usize, month: usize, price: i64) -> bool {
        let in_flight = self.jobs.iter().filter(|known| known.job.state.is_in_flight() && known.job.route.as_str() == ROUTES[at]).count();
        in_flight < ROUTE_MAX as usize && self.fits(route(ROUTES[at]), month, price, ROUTE_CAP)
    }

    fn admits(&self, wish: &Wish, who: usize, at: usize, month: usize) -> bool {
        self.tenant_admits(who) && self.holds(wish, month) && self.route_admits(at, month, wish.price)
    }

    fn tenant_admits(&self, who: usize) -> bool {
        let open = self.jobs.iter().filter(|known| known.job.state.has_tenants_place() && known.tenant == who).count();
        open < TENANT_MAX as usize
    }

    fn line_admits(&self, who: usize) -> bool {
        self.jobs.iter().filter(|known| known.job.state == State::Waiting && known.tenant == who).count() < LINE_MAX as usize
    }

    fn holds(&self, wish: &Wish, month: usize) -> bool {
        let cap_of = |account: &Account| match account {
            Account::Gateway | Account::Route(_) => GATEWAY_CAP,
            Account::Tenant(_) => TENANT_CAP,
            Account::Key(..) => KEY_CAP,
            Account::User(..) => USER_CAP,
        };
        accounts(wish).into_iter().all(|account| self.fits(account.clone(), month, wish.ceiling, cap_of(&account)))
    }

    /// Moves the money of a job as an edge says.
    fn end(&mut self, n: usize, hold: Hold, to: State, reported: Option<i64>) {
        let known = &self.jobs[n];
        let (accounts, month, ceiling) = (known.accounts.clone(), known.month, known.job.ceiling.get());
        let at_route = known.at_route;
        let cost = match hold {
            Hold::Keep if to == State::Reserved => {
                if let Some((at, month, price)) = at_route {
                    self.book(route(ROUTES[at]), month, -price, 0);
                }
                self.jobs[n].at_route = None;
                return;
            }
            Hold::Keep => return,
            Hold::Release => 0,
            Hold::Settle => reported.filter(|cost| *cost >= 0).unwrap_or(known.job.price.get()).min(ceiling),
        };
        self.jobs[n].cost = cost;
        for account in accounts {
            self.book(account, month, -ceiling, cost);
        }
        if let Some((at, month, price)) = at_route {
            self.book(route(ROUTES[at]), month, -price, cost);
        }
    }
}

/// Whom a wish is booked to, its route apart.
fn accounts(wish: &Wish) -> Vec<Account> {
    let mut accounts = vec![Account::Gateway, tenant(wish.tenant)];
    accounts.extend(wish.key.map(|(name, _)| key(wish.tenant, name)));
    accounts.extend(wish.user.map(|(name, _)| user(wish.tenant, name)));
    accounts
}

fn wish(who: usize, at: usize, in_month: usize, ceiling: i64, price: i64) -> Wish {
    Wish {
        tenant: TENANTS[who],
        route: ROUTES[at],
        account: "0123456789abcdef-fedcba9876543210",
        ceiling,
        price,
        period: month(MONTHS[in_month]),
        gateway_cap: Some(GATEWAY_CAP),
        tenant_cap: Some(TENANT_CAP),
        route_cap: Some(ROUTE_CAP),
        key: None,
        user: None,
        tenant_max: Some(TENANT_MAX),
        route_max: Some(ROUTE_MAX),
        fingerprint: [0; 32],
        marks: None,
        idempotency_key: None,
        at: NOON,
    }
}

/// Does one thing to both, and compares.
async fn act(world: &World, model: &mut Model, act: &Act) {
    match *act {
        Act::Restart => unreachable!("the caller restarts"),
        Act::Open { tenant: who, key, user, route: at, month, ceiling, price } => {
            let (key, user) = (key.map(|n| (KEYS[n], Some(KEY_CAP))), user.map(|n| (USERS[n], Some(USER_CAP))));
            let wish = Wish { key, user, ..wish(who, at, month, ceiling, price) };
            let admitted = model.admits(&wish, who, at, month);
            let opened = world.open(&wish).await;
            assert_eq!(opened.is_ok(), admitted, "{act:?}: {opened:?}");
            let Ok(job) = opened else { return };
            let accounts = accounts(&wish);
            for account in accounts.clone() {
                model.book(account, month, ceiling, 0);
            }
            model.book(route(ROUTES[at]), month, price, 0);
            model.jobs.push(Known { job, tenant: who, accounts, month, at_route: Some((at, month, price)), had_place: false, cost: 0 });
        }
        Act::Line { tenant: who, route: at, month, ceiling } => {
            let wish = wish(who, at, month, ceiling, ceiling);
            let admitted = model.holds(&wish, month) && model.line_admits(who);
            let (new, first) = wish.parts();
            let lined = world.store.line_up(new, first, place(ROUTES[at], LINE_MAX)).await;
            assert_eq!(lined.is_ok(), admitted, "{act:?}: {lined:?}");
            let Ok(job) = lined else { return };
            let accounts = accounts(&wish);
            for account in accounts.clone() {
                model.book(account, month, ceiling, 0);
            }
            model.jobs.push(Known { job, tenant: who, accounts, month, at_route: None, had_place: true, cost: 0 });
        }
        Act::Stand { job } => {
            let Some(n) = job.checked_rem(model.jobs.len()) else { return };
            let known = &model.jobs[n];
            let admitted = known.job.state == State::Reserved && (known.had_place || model.line_admits(known.tenant));
            let stood = world.store.stand(&known.job, Some(place(known.job.route.as_str(), LINE_MAX))).await;
            assert_eq!(stood.is_ok(), admitted, "{act:?}: {stood:?}");
            let Ok(job) = stood else { return };
            (model.jobs[n].job, model.jobs[n].had_place) = (job, true);
        }
        Act::Retry { job, route: at, month, price } => {
            let Some(n) = job.checked_rem(model.jobs.len()) else { return };
            let job = Arc::clone(&model.jobs[n].job);
            let price = price.min(job.ceiling.get());
            let attempt = wish(0, at, month, price, price).attempt();
            let waits = job.state == State::Waiting;
            let may = job.state == State::Reserved || (waits && model.tenant_admits(model.jobs[n].tenant));
            let admitted = may && model.route_admits(at, month, price);
            let opened = world.store.open_attempt(&job, attempt).await;
            assert_eq!(opened.is_ok(), admitted, "{act:?}: {opened:?}");
            assert!(job.state == State::Reserved || waits || opened == Err(OpenError::Moved));
            let Ok(job) = opened else { return };
            model.book(route(ROUTES[at]), month, price, 0);
            model.jobs[n].job = job;
            model.jobs[n].at_route = Some((at, month, price));
        }
        Act::Correct { job, amount } => {
            let Some(n) = job.checked_rem(model.jobs.len()) else { return };
            correct(world, model, n, amount).await;
        }
        Act::See { job, event, reported, stale } => {
            let Some(n) = job.checked_rem(model.jobs.len()) else { return };
            let mut job = Job::clone(&model.jobs[n].job);
            let Ok(step) = step(job.state, event) else { return };
            // Opening an attempt is a fact of its own, which brings the attempt along; and so is standing in line.
            if matches!(event, Event::Attempted | Event::Lined) {
                return;
            }
            job.version -= i64::from(stale);
            let facts = Facts { reported_cost: reported.map(MicroUsd::new), ..Facts::default() };
            let applied = world.store.apply(&job, step, facts, NOON).await;
            assert_eq!(applied.is_ok(), !stale, "{act:?}: {applied:?}");
            let Ok(job) = applied else { return };
            model.end(n, step.hold, step.to, reported);
            model.jobs[n].job = job;
        }
    }
}

/// Corrects a job in both, and compares.
async fn correct(world: &World, model: &mut Model, n: usize, amount: i64) {
    let known = &mut model.jobs[n];
    let correction =
        Correction { job: known.job.id, change: Change::By(MicroUsd::new(amount)), upstream_id: None, note: String::new(), at: NOON };
    let corrected = world.store.correct(correction).await;
    let allowed = known.job.state.is_final() && known.cost + amount >= 0;
    assert_eq!(corrected.is_ok(), allowed, "{corrected:?}");
    if allowed {
        known.cost += amount;
        let (accounts, month, at_route) = (known.accounts.clone(), known.month, known.at_route);
        for account in accounts {
            model.book(account, month, 0, amount);
        }
        if let Some((at, month, _)) = at_route {
            model.book(route(ROUTES[at]), month, 0, amount);
        }
    }
}

/// However what happened is summed up, each tenant's parts are its whole, and the whole is what is booked to it.
async fn sums_up(world: &World, model: &Model) {
    use ReportBy::{Day, Key, Model as Name, Route, User};
    for name in TENANTS {
        let query = |by: &[ReportBy]| ReportQuery {
            from: Timestamp::from_ms(0),
            until: Timestamp::from_ms(i64::MAX),
            tenant: Some(TenantName::new(name)),
            by: by.to_vec(),
            limit: 1_000,
        };
        let booked = MONTHS.iter().enumerate().filter_map(|(month, _)| model.books.get(&(tenant(name), month)));
        let booked = booked.fold((0, 0), |sum, (held, spent)| (sum.0 + held, sum.1 + spent));
        for by in [&[Key][..], &[User], &[Key, User], &[Route, User], &[Day, Key], &[Name, Route, Day, User, Key]] {
            let report = world.store.report(query(by)).await.unwrap();
            let parts = report.rows.iter().map(|row| (row.figures.held.get(), row.figures.spent.get(), row.figures.jobs));
            let parts = parts.fold((0, 0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1, sum.2 + part.2));
            let whole = (report.total.held.get(), report.total.spent.get(), report.total.jobs);
            assert_eq!((parts, report.groups), (whole, report.rows.len() as u64), "{name} by {by:?}");
            assert_eq!((whole.0, whole.1), booked, "{name}");
        }
        for (n, part) in KEYS.iter().enumerate() {
            let of_key = world.store.report(query(&[Key])).await.unwrap();
            let of_user = world.store.report(query(&[User])).await.unwrap();
            for (report, name, account) in [(of_key, *part, key(name, part)), (of_user, USERS[n], user(name, USERS[n]))] {
                let row = report.rows.iter().find(|row| row.names[0].as_deref() == Some(name));
                let told = row.map_or((0, 0), |row| (row.figures.held.get(), row.figures.spent.get()));
                let booked = MONTHS.iter().enumerate().filter_map(|(month, _)| model.books.get(&(account.clone(), month)));
                assert_eq!(told, booked.fold((0, 0), |sum, (held, spent)| (sum.0 + held, sum.1 + spent)), "{account}");
            }
        }
    }
}

async fn compare(world: &World, model: &Model) {
    for ((account, in_month), expected) in &model.books {
        assert_eq!(world.balance(account, &month(MONTHS[*in_month]).key).await, *expected, "{account} {in_month}");
    }
    for known in &model.jobs {
        assert_eq!(world.store.job(&known.job.tenant, known.job.id).await.unwrap().as_ref(), Some(&known.job));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_balances_are_the_models(history in collection::vec(acts(), 1..60)) {
        for (_, fresh) in DATABASES {
            let database: Arc<dyn Database> = fresh().into();
            block_on(async {
                let mut world = World::new(Arc::clone(&database)).await;
                let mut model = Model::default();
                for next in &history {
                    match next {
                        Act::Restart => world = world.restart().await,
                        next => act(&world, &mut model, next).await,
                    }
                    compare(&world, &model).await;
                }
                sums_up(&world, &model).await;
                drop(world);
                adds_up(&*database).await;
            });
        }
    }
}
