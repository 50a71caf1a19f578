// The operator's page. Asks for two JSON documents every two seconds and draws them.
//
// Whatever comes from outside becomes a text node, never markup. Money arrives as decimal strings and
// is shown as such. A section is drawn anew only when what it shows has changed, so that text can be
// selected and a scrolled table stays where it is.
"use strict";

const REFRESH_MS = 2000;
const TIMEOUT_MS = 5000;
const JOBS_MAX = 50;

const byId = (id) => document.getElementById(id);

/** Makes an element. `attributes` may hold `class`, `title`, …; children are elements or plain text. */
function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined).map((child) => (child instanceof Node ? child : String(child))));
  return node;
}

const drawn = new Map();

/** Fills the section `id` with what `build` makes of `data`, if `data` is not what it shows already. */
function draw(id, data, build) {
  const key = JSON.stringify(data);
  if (drawn.get(id) === key) return;
  drawn.set(id, key);
  byId(id).replaceChildren(...build(data));
}

/** A stretch of time in its two largest units: `45 s`, `3 min 20 s`, `2 d 4 h`. */
function span(seconds) {
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const parts = [];
  let rest = Math.max(0, Math.floor(seconds));
  for (const [unit, size] of units) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0 || (unit === "s" && parts.length === 0)) parts.push(`${count} ${unit}`);
    else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return parts.join(" ");
}

const CLOCK = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const DAY = { day: "numeric", month: "short" };

/** A moment in the reader's own time: the clock to the second today, the day and the minute otherwise. */
function moment(unixSeconds) {
  const at = new Date(unixSeconds * 1000);
  const today = at.toDateString() === new Date().toDateString();
  return at.toLocaleString([], today ? { ...CLOCK, second: "2-digit" } : { ...DAY, ...CLOCK });
}

const usd = (amount) => (amount.startsWith("-") ? `−$${amount.slice(1)}` : `$${amount}`);
const plural = (count, one) => `${count} ${one}${count === 1 ? "" : "s"}`;
const badge = (text, tone, title) => el("span", { class: `badge ${tone}`, title }, text);

/** A bar of parts, each `[class, thousandths]`. */
function bar(parts, label) {
  const track = el("div", { class: "bar", role: "img", "aria-label": label, title: label });
  for (const [kind, permille] of parts) {
    const part = el("i", { class: kind });
    part.style.width = `${permille / 10}%`;
    track.append(part);
  }
  return track;
}

function drawStates(states) {
  if (states.length === 0) return [el("p", { class: "empty" }, "Not known while the store is away.")];
  return states.map(({ state, count, oldest }) =>
    el("div", { class: `tile ${count === 0 ? "none" : ""} ${state === "unknown" && count > 0 ? "warn" : ""}` },
      el("b", null, count), el("span", null, state), oldest && el("small", null, `oldest ${oldest}`)));
}

function sunset(offer) {
  if (offer.sunset === null) return null;
  const days = offer.sunset_days;
  if (days < 0) return badge("retired", "bad", `The last day was ${offer.sunset}`);
  const tone = days <= 30 ? "warn" : "plain";
  return badge(days === 0 ? "last day" : `${plural(days, "day")} left`, tone, `The last day is ${offer.sunset}`);
}

const price = ({ size_class, amount }) => (size_class === null ? usd(amount) : `${size_class} ${usd(amount)}`);

function drawOffer(offer) {
  const name = offer.model === offer.upstream_model ? offer.model : `${offer.model} → ${offer.upstream_model}`;
  return el("li", null,
    el("div", { class: "offer" }, el("b", null, name), sunset(offer), standing(offer)),
    el("div", { class: "quiet" }, `${offer.seconds.join(", ")} s · ${offer.sizes.join(", ")}`),
    el("div", { class: "quiet" }, `${offer.prices.map(price).join(", ")} a second`),
    offer.why ? el("div", { class: "why" }, offer.why + since(offer)) : null);
}

const STANDINGS = { open: ["resting", "bad"], half_open: ["on trial", "warn"], gone: ["gone", "bad"], key_refused: ["key refused", "bad"] };

/** How a model stands on its route, unless it is well. */
function standing(offer) {
  const shown = STANDINGS[offer.state];
  return shown ? badge(...shown, offer.why) : null;
}

const clockTime = (secs) => new Date(secs * 1000).toISOString().slice(11, 19);

function since(offer) {
  const began = offer.since === null ? "" : `, since ${clockTime(offer.since)}`;
  return offer.until === null ? began : `${began} and until ${clockTime(offer.until)} UTC`;
}

/** A route's health in one word: what it can make decides. */
function health(route) {
  if (!route.enabled) return ["off", "plain"];
  if (route.drain) return [route.open_jobs === null ? "drained" : `drained: ${plural(route.open_jobs, "open job")}`, "plain"];
  const up = route.offers.filter((offer) => offer.up).length;
  if (up === route.offers.length) return ["up", "good"];
  return up === 0 ? ["down", "bad"] : ["partly down", "warn"];
}

function drawRoute(route) {
  const [word, tone] = health(route);
  const max = route.in_flight_max;
  const count = route.in_flight;
  const flight = count === null ? "in flight: not known" : max === null ? `${count} in flight` : `${count} of ${max} in flight`;
  const used = count === null || !max ? null : Math.min(1000, Math.floor((count * 1000) / max));
  const facts = [route.provider, route.region, route.requests_per_minute_max === null ? null : `${route.requests_per_minute_max} a minute`];
  return el("article", { class: `card ${route.enabled ? "" : "off"}` },
    el("div", { class: "head" }, el("h3", null, route.name), badge(word, tone)),
    el("div", { class: "quiet" }, facts.filter((fact) => fact !== null).join(" · ")),
    el("div", { class: "flight" }, flight),
    used === null ? null : bar([[used >= 1000 ? "full" : "spent", used]], flight),
    route.purse === null ? null : drawRoutePurse(route.purse),
    el("ul", null, route.offers.map(drawOffer)));
}

function drawRoutePurse(purse) {
  const money = `${usd(purse.spent)} spent` + (purse.cap === null ? "" : ` of ${usd(purse.cap)}`) + `, ${usd(purse.held)} held`;
  return el("div", { class: "quiet money" }, `${money} (${period(purse)})`);
}

const PERIODS = { day: "today", week: "this week", month: "this month", total: "in all" };
const period = (purse) => PERIODS[purse.per] ?? purse.per;

function drawPurse({ name, detail, purse }) {
  if (purse === null) return el("div", { class: "purse" }, el("b", null, name), el("span", { class: "quiet" }, "not known"));
  const { spent, held, left, cap } = purse;
  const sum = cap === null ? `${usd(spent)} spent, ${usd(held)} held, no cap` : `${usd(spent)} spent, ${usd(held)} held, ${usd(left ?? "0.00")} left of ${usd(cap)}`;
  const ends = purse.until === null ? "" : ` until ${moment(purse.until)}`;
  const tone = purse.warned === null ? null : purse.warned >= 95 ? "bad" : "warn";
  return el("div", { class: "purse" },
    el("div", { class: "who" }, el("b", null, name), tone && badge(`${purse.warned} % reached`, tone), el("span", { class: "quiet" }, detail)),
    cap === null ? el("div", { class: "bar open" }) : bar([["spent", purse.spent_permille], ["held", purse.held_permille]], sum),
    el("div", { class: "sum" }, el("span", null, sum), el("span", { class: "quiet" }, period(purse) + ends)));
}

function drawTenants({ gateway, tenants }) {
  const rows = tenants.map((tenant) => {
    const max = tenant.in_flight_max === null ? "" : ` of ${tenant.in_flight_max}`;
    const flight = tenant.in_flight === null ? null : `${tenant.in_flight}${max} in flight`;
    return drawPurse({ name: tenant.name, detail: [flight, tenant.residency].filter(Boolean).join(" · "), purse: tenant.purse });
  });
  const whole = drawPurse({ name: "Everything together", detail: "", purse: gateway });
  whole.classList.add("whole");
  return [whole, ...(rows.length > 0 ? rows : [el("p", { class: "empty" }, "No tenant yet: add a [tenants.NAME] table to the policy file.")])];
}

function drawLine(line) {
  const of = (max) => (max === null ? "" : ` of ${max}`);
  const free = [line.in_flight_max === null ? null : `${line.in_flight_max} at a time`,
    line.requests_per_minute_max === null ? null : `${line.requests_per_minute_max} a minute`];
  const head = line.head === null ? "not known" : `place ${line.head.position}, in about ${span(line.head.starts_in_seconds)}`;
  return el("tr", null,
    el("td", { class: "tenant" }, line.tenant),
    el("td", { class: "number" }, `${line.waiting}${of(line.waiting_max)}`),
    el("td", { class: "number" }, line.oldest_seconds === null ? "" : span(line.oldest_seconds)),
    el("td", { title: line.head?.id }, head),
    el("td", null, line.routes.join(", ") || "nobody", el("div", { class: "quiet" }, free.filter((fact) => fact !== null).join(" · "))));
}

function drawQueue({ lines, left_out }) {
  const heads = ["Tenant", "Wait", "Oldest", "The next of them", "For"];
  const head = el("tr", null, heads.map((name) => el("th", { scope: "col", class: name === "Wait" || name === "Oldest" ? "number" : null }, name)));
  return [
    el("table", null, el("thead", null, head), el("tbody", null, lines.map(drawLine))),
    left_out > 0 ? el("p", { class: "empty" }, `${plural(left_out, "shorter line")} not shown.`) : null,
  ].filter((node) => node !== null);
}

const TONES = { completed: "good", failed: "bad", lost: "bad", unknown: "warn", released: "plain" };

function drawJob(job) {
  const tone = TONES[job.state] ?? "busy";
  const state = job.state === "running" ? `running ${job.progress} %` : job.queue ? `waiting, place ${job.queue.position}` : job.state;
  const took = job.ended_at === null ? "" : span(job.ended_at - job.created_at);
  const cost = job.cost === null ? el("span", { class: "quiet", title: "held until the job ends" }, usd(job.ceiling)) : usd(job.cost);
  const retried = job.attempts > 1 ? badge(plural(job.attempts, "attempt"), "warn") : null;
  const upstream = job.upstream_id === null ? job.upstream_model : `${job.upstream_model}, there called ${job.upstream_id}`;
  const error = job.error_code === null ? null : el("div", { class: "why" }, job.error_code);
  return el("tr", null,
    el("td", { class: "when", title: new Date(job.created_at * 1000).toISOString() }, moment(job.created_at)),
    el("td", { class: "state" }, badge(state, tone), error),
    el("td", { class: "tenant" }, job.tenant),
    el("td", { class: "clip" }, job.model, el("div", { class: "quiet" }, `${job.operation} · ${job.seconds} s · ${job.size}`)),
    el("td", { class: "route", title: upstream }, job.route, retried && el("div", null, retried)),
    el("td", { class: "cost number" }, cost),
    el("td", { class: "took number" }, took),
    el("td", { class: "id" }, el("code", { title: job.id }, job.id), job.deleted ? el("div", { class: "quiet" }, "deleted by its tenant") : null));
}

function drawJobs(jobs) {
  if (jobs === null) return [el("p", { class: "empty" }, "Not known while the store is away.")];
  if (jobs.length === 0) return [el("p", { class: "empty" }, "No job yet.")];
  const heads = ["Wished at", "State", "Tenant", "Clip", "Route", "Cost", "Took", "Id"];
  const head = el("tr", null, heads.map((name) => el("th", { scope: "col", class: name === "Cost" || name === "Took" ? "number" : null }, name)));
  return [el("table", null, el("thead", null, head), el("tbody", null, jobs.map(drawJob)))];
}

function drawPolicy({ reload, revision, warnings }) {
  const verdict = reload.fault === null ? badge("in force", "good") : badge("file refused", "bad");
  const said = reload.fault === null ? `Read at ${moment(reload.at)}.` : `The file read at ${moment(reload.at)} was refused; the one before it stays in force.`;
  return [
    el("div", null, verdict, " ", said, " ", el("span", { class: "quiet", title: revision }, `Revision ${revision.slice(0, 12)}`)),
    reload.fault === null ? null : el("pre", null, reload.fault),
    reload.changes.length === 0 ? null : el("details", null, el("summary", null, "What it changed"), el("pre", null, reload.changes.join("\n"))),
    warnings.length === 0 ? null : el("ul", { class: "warnings" }, warnings.map((warning) => el("li", null, warning))),
  ].filter((node) => node !== null);
}

/** Fills a list with names if they have changed, and keeps what is chosen if it is still among them. */
function fill(select, names) {
  const key = JSON.stringify(names);
  if (drawn.get(select) === key) return;
  drawn.set(select, key);
  const chosen = select.value;
  select.replaceChildren(...names.map((name) => el("option", { value: name }, name)));
  if (names.includes(chosen)) select.value = chosen;
}

function drawExplained(said) {
  if (said.error) return [el("p", { class: "why" }, said.error.message)];
  const heads = ["", "Route", "As", "Makes", "Price", "How it is, or why not"];
  const rows = said.routes.map((line) => el("tr", { class: line.place === null ? "off" : null },
    el("td", { class: "number" }, line.place ?? ""),
    el("td", null, line.route, line.weight === null ? null : el("div", { class: "quiet" }, `weight ${line.weight}`)),
    el("td", null, line.upstream_model ?? ""),
    el("td", null, line.seconds === undefined ? "" : `${line.seconds} s · ${line.size}`),
    el("td", { class: "number" }, line.price === undefined ? "" : usd(line.price)),
    el("td", null, line.why_not ?? line.now ?? "")));
  const matched = said.rule === null ? "No rule matches." : `${said.rule} matches${said.order === null ? "" : `; asked ${said.order}`}.`;
  const bound = said.residency === null ? "" : ` Processed in ${said.residency} only.`;
  const verdict = said.refusal === null ? `${usd(said.held)} would be held.${said.queue === null ? "" : ` It ${said.queue}.`}` : `Nobody would be asked: ${said.refusal}.`;
  const purses = said.purses.map((purse) => el("tr", { class: purse.fits ? null : "bad" },
    el("td", null, purse.whose, el("div", { class: "quiet" }, purse.period)),
    ...[purse.cap, purse.spent, purse.held, purse.left, purse.needs].map((amount) => el("td", { class: "number" }, amount === null ? "" : usd(amount))),
    el("td", null, purse.fits ? "" : badge("does not fit", "bad"))));
  const purseHeads = ["Held against", "Cap", "Spent", "Held", "Left", "Needs", ""];
  const order = said.live.order.join(", ");
  const planned = said.routes.filter((line) => line.place !== null).map((line) => line.route).join(", ");
  const notes = order === planned ? said.live.notes : [`asked now in this order: ${order || "nobody"}`, ...said.live.notes];
  return [
    el("p", null, badge(said.refusal === null ? "served" : "refused", said.refusal === null ? "good" : "bad"), " ", matched + bound, " ", verdict),
    el("table", null, el("thead", null, el("tr", null, heads.map((name) => el("th", { scope: "col" }, name)))), el("tbody", null, rows)),
    el("table", null, el("thead", null, el("tr", null, purseHeads.map((name) => el("th", { scope: "col" }, name)))), el("tbody", null, purses)),
    el("ul", { class: "quiet" }, [...said.unsaid, ...notes].map((note) => el("li", null, note))),
  ];
}

async function explain(event) {
  event.preventDefault();
  const said = [...new FormData(byId("ask"))].filter(([, value]) => value !== "");
  let answer;
  try {
    const reply = await fetch(`api/explain?${new URLSearchParams(said)}`, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
    answer = await reply.json();
  } catch {
    answer = { error: { message: "The gateway does not answer." } };
  }
  byId("explained").replaceChildren(...drawExplained(answer));
}

const alarm = (tone, title, text) => el("div", { class: `alarm ${tone}` }, el("b", null, title), " ", text);
const isNothing = (amount) => amount === null || /^-?0*\.?0*$/.test(amount);

function haltedBy({ reason, by, at }) {
  const who = by === null ? "" : ` Halted by ${by} at ${moment(at)}; \`filmgate resume\` ends it.`;
  return `${reason}.${who} What was ordered before is made, and can be read.`;
}

function drawAlarms({ gone, store, halted, refused, keys, suspense, overrun, unknown, dead }) {
  return [
    gone !== null && alarm("bad", "The gateway does not answer.", `${gone} What is shown below is old. Trying again every ${REFRESH_MS / 1000} s.`.trim()),
    store && alarm("bad", "The store cannot be read.", store),
    halted !== null && alarm("bad", "Nothing is bought.", haltedBy(halted)),
    refused && alarm("warn", "The policy file was refused.", "The one before it stays in force; the reason is at the end of this page."),
    keys.length > 0 && alarm("bad", `The key of ${keys.map(({ name }) => name).join(", ")} is refused.`, `On ${keys[0].name}, ${keys[0].why}.`),
    !isNothing(suspense) && alarm("bad", `${usd(suspense)} in suspense.`, "Providers took money that no job explains: compare their bill with the jobs."),
    !isNothing(overrun) && alarm("bad", `${usd(overrun)} overrun.`, "Providers took more than was held: a price in the policy file is too low."),
    unknown > 0 && alarm("warn", `${plural(unknown, "job")} unknown.`, "An attempt may or may not have been accepted; its money stays held until there is evidence."),
    dead > 0 && alarm("warn", `${plural(dead, "event")} given up.`, "Webhooks did not take them: `filmgate notices list` says why, `filmgate notices resend` sends them again."),
  ].filter(Boolean);
}

let latest = null;

function show(status, jobs, queue) {
  latest = status;
  const live = byId("live");
  live.textContent = "live";
  live.className = "pill good";
  byId("about").textContent = `${status.version} · up ${span(status.uptime_seconds)}`;
  const age = (seconds) => (seconds === null ? null : span(seconds));
  draw("states", status.states.map((s) => ({ state: s.state, count: s.count, oldest: age(s.oldest_seconds) })), drawStates);
  draw("routes", status.routes, (routes) => routes.map(drawRoute));
  draw("tenants", { gateway: status.gateway, tenants: status.tenants }, drawTenants);
  draw("policy", { reload: status.reload, revision: status.revision, warnings: status.warnings }, drawPolicy);
  draw("jobs", jobs, drawJobs);
  byId("queue-section").hidden = queue === null || queue.lines.length === 0;
  if (queue !== null) draw("queue", { lines: queue.lines, left_out: queue.left_out }, drawQueue);
  const ask = byId("ask");
  fill(ask.elements.tenant, status.tenants.map((tenant) => tenant.name));
  fill(ask.elements.model, [...new Set(status.routes.flatMap((route) => route.offers.map((offer) => offer.model)))].sort());
  showAlarms(null);
}

function showAlarms(gone) {
  const unknown = latest?.states.find((s) => s.state === "unknown")?.count ?? 0;
  draw("alarms", {
    gone, unknown,
    store: latest?.store_fault ?? null,
    halted: latest?.halted ?? null,
    refused: latest !== null && latest.reload.fault !== null,
    keys: (latest?.routes ?? []).map((route) => ({ name: route.name, why: route.offers.find((offer) => offer.state === "key_refused")?.why }))
      .filter((route) => route.why),
    suspense: latest?.suspense ?? null,
    overrun: latest?.overrun ?? null,
    dead: latest?.dead_notices ?? 0,
  }, drawAlarms);
}

function showGone(reason) {
  const live = byId("live");
  live.textContent = "no answer";
  live.className = "pill bad";
  document.body.classList.add("stale");
  showAlarms(reason);
}

async function read(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!answer.ok) throw new Error(`${path} was answered with ${answer.status}.`);
  return answer.json();
}

/** Reads both documents; jobs come from the books and may be missing while the store is away. */
async function refresh() {
  try {
    const jobs = read(`api/jobs?limit=${JOBS_MAX}`).then((answer) => answer.jobs, () => null);
    const queue = read("api/queue").catch(() => null);
    show(await read("api/status"), await jobs, await queue);
    document.body.classList.remove("stale");
  } catch (fault) {
    showGone(fault.name === "TypeError" || fault.name === "TimeoutError" ? "" : fault.message);
  }
}

async function reload() {
  const button = byId("reload");
  button.disabled = true;
  button.textContent = "Reading…";
  let outcome = "Reload failed";
  try {
    const answer = await fetch("api/reload", { method: "POST", headers: { "x-filmgate-admin": "1" }, signal: AbortSignal.timeout(TIMEOUT_MS) });
    outcome = answer.ok ? "In force" : "Refused";
  } catch { /* the next refresh says that the gateway is gone */ }
  await refresh();
  button.textContent = outcome;
  setTimeout(() => { button.textContent = "Reload now"; button.disabled = false; }, 1500);
}

function drawPayer(kind, purse) {
  const cap = purse.cap === null ? "no cap" : usd(purse.cap);
  return el("tr", null,
    el("td", { class: "tenant" }, purse.tenant), el("td", null, `${kind} ${purse.name ?? "(not named)"}`, el("div", { class: "quiet" }, purse.period)),
    el("td", { class: "number" }, `${Math.floor(purse.used_permille / 10)} %`),
    el("td", { class: "number" }, usd(purse.spent)), el("td", { class: "number" }, usd(purse.held)), el("td", { class: "number" }, cap));
}

/** Looked up when it is opened, and not at each refresh: there may be very many of them. */
async function showPayers() {
  if (!byId("below").open) return;
  try {
    const [keys, users] = await Promise.all([read("api/purses?of=keys&limit=20"), read("api/purses?of=users&limit=50")]);
    const rows = [...keys.purses.map((purse) => drawPayer("key", purse)), ...users.purses.map((purse) => drawPayer("user", purse))];
    const heads = ["Tenant", "Whose", "Used", "Spent", "Held", "Cap"];
    const head = el("tr", null, heads.map((name, n) => el("th", { scope: "col", class: n > 1 ? "number" : null }, name)));
    byId("payers").replaceChildren(rows.length === 0 ? el("p", { class: "empty" }, "None has a cap and a job under it.")
      : el("table", null, el("thead", null, head), el("tbody", null, rows)));
  } catch {
    byId("payers").replaceChildren(el("p", { class: "empty" }, "Not known at the moment."));
  }
}

/** One refresh after another, none while nobody looks. */
async function follow() {
  if (!document.hidden) await refresh();
  setTimeout(follow, REFRESH_MS);
}

byId("reload").addEventListener("click", reload);
byId("below").addEventListener("toggle", showPayers);
byId("ask").addEventListener("submit", explain);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
follow();
