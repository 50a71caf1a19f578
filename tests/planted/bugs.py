"""The bugs that somebody will write one day, each with the tests that have to notice.

An edit is a file, a text that it has exactly once, and what stands there instead.
"""

from dataclasses import dataclass, field

GATEWAY = ("--test", "gateway")
UNIT = ("--lib",)


@dataclass
class Bug:
    """A bug and where it is looked for."""

    name: str
    edits: list[tuple[str, str, str]]
    tests: list[str]
    target: tuple[str, ...] = field(default=GATEWAY)


BUGS = [
    Bug(
        "What was being submitted when the process died is submitted again",
        [
            (
                "src/jobs/resubmit.rs",
                "if withheld || !policy.all_routes().any(|route| route.idempotency_key) {",
                "if withheld {",
            ),
            (
                "src/jobs/resubmit.rs",
                "let may = route.idempotency_key && !gw.health",
                "let may = !gw.health",
            ),
        ],
        ["crashing", "failover"],
    ),
    Bug(
        "What was being submitted when the process died is released at the start",
        [
            (
                "src/store/sqlite/write.rs",
                """        job.state = step(job.state, Event::Unclear).map_err(|illegal| StoreError::Damaged(illegal.to_string()))?.to;
        job.version += 1;
""",
                """        job.state = step(job.state, Event::Exhausted).map_err(|illegal| StoreError::Damaged(illegal.to_string()))?.to;
        job.version += 1;
        release(tx.conn, &mut job, at, None)?;
        money::leave_place(tx.conn, &Account::Route(job.route.clone()))?;
        money::leave_place(tx.conn, &Account::Tenant(job.tenant.clone()))?;
""",
            )
        ],
        ["crashing"],
    ),
    Bug(
        "A commit is acknowledged before it is on the disk",
        [
            (
                "src/store/sqlite/file.rs",
                """conn.pragma_update(None, "synchronous", crash::synchronous())?;""",
                """conn.pragma_update(None, "synchronous", "NORMAL")?;""",
            )
        ],
        ["power"],
    ),
    Bug(
        "A submission that is not in the list yet counts as never accepted, without a grace",
        [
            (
                "src/jobs/unknowns.rs",
                "let over = as_of > job.attempted_at.after(route.submit_timeout).after(route.unknown.grace);",
                "let over = true;",
            ),
        ],
        ["unknowns"],
    ),
    Bug(
        "The submission runs in the request's own future",
        [
            (
                "src/api/create.rs",
                """    let mut task = gw.tasks.spawn({
        let gw = gw.clone();
        async move { dispatch(&gw, order, tell).await }.in_current_span()
    });
""",
                """    let mut task = Box::pin({
        let gw = gw.clone();
        async move { Ok::<_, tokio::task::JoinError>(dispatch(&gw, order, tell).await) }.in_current_span()
    });
""",
            )
        ],
        ["creating"],
    ),
    Bug(
        "A cap is looked at, and then held against in another transaction",
        [
            (
                "src/store/sqlite/money.rs",
                "let (true, Some(held)) = (budget::fits(booking.cap, used, amount), held.plus(amount)) else {",
                "let (true, Some(held)) = (true, held.plus(amount)) else {",
            ),
            (
                "src/store/sqlite/mod.rs",
                "    async fn open_job(&self, job: NewJob, attempt: NewAttempt) -> Result<Arc<Job>, OpenError> {\n",
                """    async fn open_job(&self, job: NewJob, attempt: NewAttempt) -> Result<Arc<Job>, OpenError> {
        for booking in &job.bookings {
            let balance = self.balance(&booking.account, &booking.period.key).await?;
            let used = balance.map_or(0, |balance| balance.held.get() + balance.spent.get());
            if booking.cap.is_some_and(|cap| used + job.ceiling.get() > cap.get()) {
                return Err(OpenError::OverBudget { booking: Box::new(booking.clone()), left: crate::money::MicroUsd::ZERO });
            }
        }
""",
            ),
        ],
        ["budgets"],
    ),
    Bug(
        "What is used of a cap is remembered for a tenth of a second",
        [
            (
                "src/store/sqlite/money.rs",
                "    let used = held.plus(spent).unwrap_or(MicroUsd::MAX);\n",
                """    static REMEMBERED: std::sync::Mutex<Vec<(std::time::Instant, String, MicroUsd)>> = std::sync::Mutex::new(Vec::new());
    let mut remembered = REMEMBERED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    remembered.retain(|(at, _, _)| at.elapsed().as_millis() < 100);
    let known = remembered.iter().find(|(_, of, _)| *of == account).map(|(_, _, used)| *used);
    let used = known.or(held.plus(spent)).unwrap_or(MicroUsd::MAX);
    if known.is_none() {
        remembered.push((std::time::Instant::now(), account.clone(), used));
    }
    drop(remembered);
""",
            )
        ],
        ["budgets"],
    ),
    Bug(
        "A 5xx counts as a refusal, and the next route is asked",
        [
            (
                "src/provider/codec/paid.rs",
                "        _ => unclear(reply, &fault.message()),\n",
                "        500..=599 => refused(reply, &fault, Why::Unavailable),\n        _ => unclear(reply, &fault.message()),\n",
            )
        ],
        ["failover"],
    ),
    Bug(
        "A fingerprint is of the bytes that came, multipart boundary and all",
        [
            (
                "src/wire/fingerprint.rs",
                "    print.part(wish.end_user.as_deref().unwrap_or_default());\n",
                "    print.part(wish.end_user.as_deref().unwrap_or_default());\n    print.part(&crate::id::JobId::mint().to_string());\n",
            )
        ],
        ["resending"],
    ),
    Bug(
        "A listed job is adopted for whichever tenant's wish looks like it",
        [("src/jobs/adopt.rs", "if !one_tenant || !one_model", "if !one_model")],
        ["failover"],
    ),
    Bug(
        "A job is settled at the price of the policy in force when it ends",
        [
            (
                "src/jobs/settle.rs",
                "    let facts = Facts { due_at: Some(due_at).filter(|_| step.to.is_in_flight()), ..facts };\n",
                """    let now_priced = || crate::price::of(route.models.get(&job.model)?, job.seconds, job.size);
    let reported_cost = facts.reported_cost.or_else(now_priced);
    let facts = Facts { due_at: Some(due_at).filter(|_| step.to.is_in_flight()), reported_cost, ..facts };
""",
            )
        ],
        ["budgets"],
    ),
    Bug(
        "Spend is booked to the period in which the job ends",
        [
            (
                "src/store/sqlite/money.rs",
                "        end_booking(conn, account, period, *amount, cost)?;\n",
                """        end_booking(conn, account, period, *amount, MicroUsd::ZERO)?;
        let sql = "UPDATE balances SET spent_microusd = spent_microusd + ?2
            WHERE account = ?1 AND period = (SELECT period FROM current_periods WHERE account = ?1)";
        conn.prepare_cached(sql)?.execute(params![account, cost.get()])?;
""",
            )
        ],
        ["budgets"],
    ),
    Bug(
        "A client whose submission has no clear outcome is told of an error",
        [
            (
                "src/dispatch.rs",
                "            Ok(_) | Err(SubmitError::Unclear(_)) => {\n",
                """            Err(SubmitError::Unclear(_)) => return Err(Refusal::Upstream),
            Ok(_) => {
""",
            )
        ],
        ["failover"],
    ),
    Bug(
        "A paid request that failed is sent once more",
        [
            (
                "src/upstream.rs",
                "read(paid::send(&self.paid, request, route.submit_timeout, || self.may_pay()).await?)",
                """read(match paid::send(&self.paid, request.clone(), route.submit_timeout, || self.may_pay()).await {
            Err(SubmitError::Unclear(_)) => paid::send(&self.paid, request, route.submit_timeout, || self.may_pay()).await?,
            first => first?,
        })""",
            )
        ],
        ["failover"],
    ),
    Bug(
        "A foreign address is looked at before its name is resolved, and not after",
        [
            (
                "src/upstream/address.rs",
                "match found.iter().find(|address| !is_public(address.ip())) {",
                "match found.iter().find(|_| false) {",
            )
        ],
        ["upstream::address"],
        UNIT,
    ),
    Bug(
        "A connection that is idle is kept for a day",
        [("src/server.rs", ".header_read_timeout(timeouts.idle)", ".header_read_timeout(Duration::from_secs(86_400))")],
        ["server::"],
        UNIT,
    ),
    Bug(
        "An unknown key in the policy is read over",
        [
            (
                "src/policy/file.rs",
                """#[serde(deny_unknown_fields, default)]
pub struct Gateway {""",
                """#[serde(default)]
pub struct Gateway {""",
            )
        ],
        ["policy::"],
        UNIT,
    ),
    Bug(
        "A submission that takes long is sent by somebody else as well",
        [
            (
                "src/jobs/sweeper.rs",
                "        if gw.clock.now().since(job.attempted_at) > route.submit_timeout + FOLLOWED_FOR {\n",
                """        if gw.clock.now().since(job.attempted_at) > Duration::from_secs(2) {
            let submission = crate::provider::Submission {
                model: &job.upstream_model,
                prompt: &job.prompt,
                seconds: job.seconds,
                size: job.size,
                reference: None,
                characters: &[],
                extras: &job.extras,
                origin: crate::provider::SubmissionOrigin::Create,
                callback_url: None,
            };
            let sent = gw.upstream.pay(route, None, |endpoint, proof| route.provider.submit(endpoint, proof, &submission)).await;
            if let Ok(accepted) = sent {
                let facts = Facts { upstream_id: Some(accepted.upstream_id), due_at: Some(gw.clock.now()), ..Facts::default() };
                apply(gw, &job, Event::Accepted, facts).await;
                continue;
            }
""",
            )
        ],
        ["crashing"],
    ),
    Bug(
        "A callback is believed",
        [
            (
                "src/hooks.rs",
                "    let outcome = match gw.doorbells.ring(&route.name, &id, Instant::now()) {\n",
                """    let word = String::from_utf8_lossy(body);
    for state in [crate::job::State::Accepted, crate::job::State::Running] {
        for job in gw.store.in_state(state, &route.name).await?.into_iter().filter(|job| job.upstream_id.as_ref() == Some(&id)) {
            let event = if word.contains("completed") { crate::job::Event::Finished } else { crate::job::Event::Failed };
            if let Ok(step) = crate::job::step(job.state, event) {
                let _ = gw.store.apply(&job, step, crate::store::Facts::default(), gw.clock.now()).await;
            }
        }
    }
    let outcome = match gw.doorbells.ring(&route.name, &id, Instant::now()) {
""",
            )
        ],
        ["callbacks"],
    ),
    Bug(
        "A download that breaks off ends as if it were whole",
        [
            ("src/api/content.rs", "            Ok(Err(error)) => Err(error),\n", "            Ok(Err(_)) => Ok(None),\n"),
            ("src/api/content.rs", "for name in [CONTENT_LENGTH, CONTENT_RANGE] {", "for name in [CONTENT_RANGE] {"),
        ],
        ["content"],
    ),
    Bug(
        "Clients may take every file that the process may open",
        [("src/server/seats.rs", "(files.saturating_sub(FILES) / 3)", "files")],
        ["starving"],
    ),
    Bug(
        "A sync that failed is asked again",
        [("src/store/sqlite/fault.rs", "        std::process::exit(1);\n", "")],
        ["disk"],
    ),
    Bug(
        "A rule's residency is looked at and not kept",
        [
            (
                "src/plan/eligible.rs",
                "let Bound { region, whose } = bounds.iter().find(|bound| !may_process(route, Some(bound.region)))?;",
                "let Bound { region, whose } = bounds.iter().take(0).find(|bound| !may_process(route, Some(bound.region)))?;",
            )
        ],
        ["rules"],
    ),
    Bug(
        "Of several rules for a wish, the one that an index finds first decides",
        [
            (
                "src/policy/rules.rs",
                "let earlier = list.iter().copied().take_while(|i| first.is_none_or(|first| *i < first));",
                "let earlier = list.iter().copied().take_while(|_| first.is_none());",
            )
        ],
        ["policy::rules"],
        UNIT,
    ),
    Bug(
        "A halt is looked at when a wish comes in, and not again before it is sent",
        [
            (
                "src/upstream.rs",
                'self.halting.why().map_or(Ok(()), |_| Err(SubmitError::Withheld("buying is halted")))',
                "Ok(())",
            ),
            ("src/dispatch.rs", "if gw.halting.why_now(&*gw.store).await.is_some() {", "if false {"),
            ("src/dispatch/keyed.rs", "if gw.halting.why_now(&*gw.store).await.is_some() {", "if false {"),
        ],
        ["halting"],
    ),
    Bug(
        "A halt is not looked at again once there is a connection",
        [
            (
                "src/upstream.rs",
                'self.halting.why().map_or(Ok(()), |_| Err(SubmitError::Withheld("buying is halted")))',
                "Ok(())",
            ),
        ],
        ["halting"],
    ),
    Bug(
        "A resend is asked about at the moderation service again",
        [
            (
                "src/api/create.rs",
                "    let fingerprint = *fingerprint.insert(wire::fingerprint(&wish));",
                """    let fingerprint = *fingerprint.insert(wire::fingerprint(&wish));
    if let Some(moderation) = &caller.policy.guard.moderation {
        let _ = gw.upstream.moderate(moderation, &wish).await;
    }""",
            )
        ],
        ["guarding"],
    ),
    Bug(
        "Without a verdict a wish passes, whatever the policy says",
        [
            (
                "src/api/guarding.rs",
                "            Err(Refusal::Unmoderated { why: unasked.why, cured_by_retry: unasked.may_be_asked_later })",
                "            Ok(())",
            )
        ],
        ["guarding"],
    ),
    Bug(
        "A newcomer takes the place that somebody waits for",
        [
            (
                "src/dispatch/line.rs",
                "order.queue.is_some() && gw.hall.is_busy(&route.name)",
                "false",
            )
        ],
        ["queueing"],
    ),
    Bug(
        "Turns go to whoever waited longest, whatever the weights",
        [("src/queue.rs", "TURN / u64::from(weight.max(1))", "TURN / u64::from(weight.clamp(1, 1))")],
        ["queue"],
        UNIT,
    ),
    Bug(
        "Who waited for too long stands in line for ever",
        [
            (
                "src/jobs/usher.rs",
                "self.end_the_late().await?;",
                "if false { self.end_the_late().await?; }",
            )
        ],
        ["queueing"],
    ),
    Bug(
        "A line forgets how many stand in it",
        [
            (
                "src/store/sqlite/queue.rs",
                "if waiting >= place.max {",
                "if waiting > place.max {",
            )
        ],
        ["queueing"],
    ),
    Bug(
        "A breaker closes when its rest is over, without a free answer",
        [
            (
                "src/health/breaker.rs",
                "State::Open { until, cause: Cause::Request, .. } if until <= now => State::Closed,",
                "State::Open { until, .. } if until <= now => State::Closed,",
            )
        ],
        ["health"],
        UNIT,
    ),
    Bug(
        "What is out of rotation is asked all the same",
        [
            (
                "src/health/mod.rs",
                "self.of(route, model, |of| of.gone(route, model).is_some()).unwrap_or(false)",
                "self.of(route, model, |of| of.gone(route, model).is_some()).unwrap_or(false) && false",
            )
        ],
        ["health", "rotating", "migrating"],
    ),
]
