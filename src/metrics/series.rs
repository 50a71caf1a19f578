//! The series: every family the gateway exposes, with its labels and its help text.
//!
//! Two groups. [`Events`] are recorded as they happen and live as long as the process. [`Levels`] say
//! how things stand; they are made anew from policy and books at every scrape, so that a route or
//! tenant which has left the policy leaves the exposition too. Labels are closed sets: names from the
//! policy, words from [`words`](super::words); never an id, never a prompt. Sizes stay linear: no
//! family has both `tenant` and `route`.

use prometheus::Registry;

use super::family::{Counters, Gauges, Histograms, Series, families};

/// 1 ms to 30 s: what a client waits for an answer.
const ANSWER: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// 50 µs to 100 ms: what we add to it.
const OVERHEAD: &[f64] = &[0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1];
/// 50 ms to 15 min: what copying a file takes.
const COPY: &[f64] = &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0];
/// 5 s to 30 min: what a clip takes.
const COMPLETION: &[f64] = &[5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 240.0, 360.0, 600.0, 900.0, 1800.0];
/// 1 s to 4 h: how long a job stands in line.
const WAIT: &[f64] = &[1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 14_400.0];

families! {
    /// What happens, recorded since the process began.
    Events {
        /// Time from a request's first byte to the head of its answer; `_count` is the number of requests.
        request_duration_seconds: Histograms["operation", "outcome"] in ANSWER,
        /// Our own share of the time to answer a request: waiting for providers is left out.
        overhead_seconds: Histograms[] in OVERHEAD,
        /// Requests that were turned down by us, by reason; without a known key the tenant is `none`.
        refusals_total: Counters["tenant", "reason"],
        /// Wishes that a guard turned down, by which.
        guard_refusals_total: Counters["tenant", "reason"],
        /// Time that asking the moderation service took, by what came of it; `_count` is the number of wishes asked about.
        moderation_seconds: Histograms["outcome"] in ANSWER,
        /// Submissions of a job to a route, by how they went.
        attempts_total: Counters["route", "model", "outcome"],
        /// Submissions after a job's first, by how the one before went.
        retries_total: Counters["route", "model", "cause"],
        /// What was paid for clips that a later attempt than the first made.
        retry_cost_microusd_total: Counters["route", "model"],
        /// Time from the wish to the finished clip.
        completion_seconds: Histograms["route", "model"] in COMPLETION,
        /// Time from the wish until a job that stood in line was sent.
        queue_wait_seconds: Histograms["model"] in WAIT,
        /// Jobs that left the line, by how.
        queue_ended_total: Counters["tenant", "outcome"],
        /// Jobs that took longer than their length and size usually take; each counts once.
        overdue_total: Counters["route", "model"],
        /// Jobs that ended, by how.
        ended_total: Counters["route", "model", "state"],
        /// What was paid to a route.
        spend_microusd_total: Counters["route", "model"],
        /// What was paid for a tenant.
        tenant_spend_microusd_total: Counters["tenant"],
        /// What tenants with an agreed charge are charged for clips that were made.
        charged_microusd_total: Counters["tenant"],
        /// What was paid for the jobs of tenants with an agreed charge; above `charged` the margin is negative.
        charged_cost_microusd_total: Counters["tenant"],
        /// What a route said of a job, asked or in a list, by what that was.
        polls_total: Counters["route", "outcome"],
        /// Questions that a route was asked to learn how jobs stand: about one of them, or for a page of its list.
        poll_requests_total: Counters["route", "kind"],
        /// Jobs that are due to be asked about and that nobody is asking about yet.
        poll_due_jobs: Gauges["route"],
        /// How long the first of them has been due.
        poll_due_age_seconds: Gauges["route"],
        /// Jobs of which a route says something else than how they ended here.
        contradictions_total: Counters["route"],
        /// States reported by a route in a word that its dialect does not know.
        unknown_statuses_total: Counters["route"],
        /// Callbacks received from a route, by what became of them.
        webhooks_total: Counters["route", "outcome"],
        /// Events sent to webhooks of tenants and of the operator, by how that went.
        notices_total: Counters["kind", "outcome"],
        /// Time that a route took to answer one call of ours.
        upstream_duration_seconds: Histograms["route", "call"] in ANSWER,
        /// Tries to copy a file into the archive, by how they went.
        archive_copies_total: Counters["variant", "outcome"],
        /// Bytes copied into the archive.
        archive_bytes_total: Counters[],
        /// Time that copying a file took, if it succeeded.
        archive_copy_seconds: Histograms["variant"] in COPY,
        /// Clips being copied into the archive.
        archive_copying_jobs: Gauges[],
        /// Clips that wait for their turn to be copied, or for another try.
        archive_waiting_jobs: Gauges[],
        /// Jobs that were completed without a copy of their clip, because it could not be had in time.
        archive_given_up_total: Counters[],
        /// Files removed from the archive, by why.
        archive_removed_total: Counters["cause"],
        /// Readings of the policy file, by whether it was put in force.
        policy_loads_total: Counters["outcome"],
        /// Whether the latest reading of the policy file was put in force: 1 or 0.
        policy_load_success: Gauges[],
        /// Policies that a later one has replaced and that something under way still goes by.
        outgoing_policies: Gauges[],
        /// Readings of a listener's certificate and key after they changed, by whether they are shown.
        certificate_loads_total: Counters["listener", "outcome"],
        /// Whether the certificate that a listener shows is the one in its files: 1 or 0.
        certificate_load_success: Gauges["listener"],
        /// Until the certificate that a listener shows ends; negative after it.
        certificate_expires_seconds: Gauges["listener"],
        /// Whether nothing is bought because the books come from a backup and are being reconciled: 1 or 0.
        reconciling: Gauges[],
        /// Whether nothing is bought because an operator has halted it: 1 or 0.
        halted: Gauges[],
        /// When a policy was last put in force, in Unix time.
        policy_last_success_timestamp_seconds: Gauges[],
        /// How far the machine's clock is ahead of the gateway's, which follows it slowly; 0 unless it was set.
        clock_gap_seconds: Gauges[],
    }
}

families! {
    /// How things stand at a scrape.
    Levels {
        /// 1, with the version that runs.
        build: Gauges["version"],
        /// 1, with the first twelve digits of the revision in force.
        policy_revision: Gauges["revision"],
        /// Whether the database answered and took a write at this scrape: 1 or 0. What it did not answer is missing.
        store_up: Gauges[],
        /// Jobs that have not ended.
        jobs: Gauges["route", "state"],
        /// Age of the oldest job in that state.
        job_age_seconds: Gauges["route", "state"],
        /// Jobs of a tenant that take one of its in-flight places.
        tenant_in_flight: Gauges["tenant"],
        /// Jobs that stand in line until a route has room for them.
        queue_jobs: Gauges["tenant", "model"],
        /// Age of the oldest of those.
        queue_age_seconds: Gauges["tenant", "model"],
        /// Attempts that may or may not have been accepted.
        unknown_jobs: Gauges["route"],
        /// Jobs on a route that take one of its in-flight places.
        route_in_flight: Gauges["route"],
        /// How many jobs may be in flight on a route.
        route_in_flight_limit: Gauges["route"],
        /// Creates that a route's account may take in a minute.
        route_requests_per_minute_limit: Gauges["route"],
        /// Jobs that a drained route has yet to end: 0 once it is empty; missing if it is not drained.
        route_drain_jobs: Gauges["route"],
        /// Jobs that are with a provider where nobody can ask about them: in an account that no route has any more.
        former_account_jobs: Gauges["route"],
        /// 1 for the state in which a model is on a route that policy enables, 0 for the others.
        route_state: Gauges["route", "model", "state"],
        /// Whether a route that policy enables is thought able to make that model: 1 or 0.
        route_up: Gauges["route", "model"],
        /// Days until a model is retired on a route: 0 on its last day, negative after it.
        sunset_days: Gauges["route", "model"],
        /// What a tenant may spend in the current period; missing if unlimited.
        budget_cap_microusd: Gauges["tenant", "period"],
        /// What was spent of it.
        budget_spent_microusd: Gauges["tenant", "period"],
        /// What is held for jobs that have not ended.
        budget_held_microusd: Gauges["tenant", "period"],
        /// What is neither spent nor held; missing if unlimited.
        budget_remaining_microusd: Gauges["tenant", "period"],
        /// What a route's account may cost in the current period; missing if unlimited.
        route_budget_cap_microusd: Gauges["route", "period"],
        /// What it has cost.
        route_budget_spent_microusd: Gauges["route", "period"],
        /// What is held for jobs on it that have not ended.
        route_budget_held_microusd: Gauges["route", "period"],
        /// What is neither spent nor held; missing if unlimited.
        route_budget_remaining_microusd: Gauges["route", "period"],
        /// What everything together may cost in the current period; missing if unlimited.
        gateway_budget_cap_microusd: Gauges["period"],
        /// What it has cost.
        gateway_budget_spent_microusd: Gauges["period"],
        /// What is held for jobs that have not ended.
        gateway_budget_held_microusd: Gauges["period"],
        /// What is neither spent nor held; missing if unlimited.
        gateway_budget_remaining_microusd: Gauges["period"],
        /// What providers took that no job explains; anything but 0 needs a person.
        suspense_microusd: Gauges[],
        /// What providers took above what was held; anything but 0 needs a person.
        overrun_microusd: Gauges[],
        /// Events that are owed to webhooks and were not taken yet.
        owed_notices: Gauges["kind"],
        /// Age of the oldest of those.
        owed_notices_age_seconds: Gauges["kind"],
        /// Events that were sent in vain too often, or to an address that wants no more; each waits for a person.
        dead_notices: Gauges["kind"],
    }
}
