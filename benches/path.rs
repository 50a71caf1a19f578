//! The path without its I/O: what each step costs the processor. `cargo bench --bench path`
//!
//! Every step runs for a fixed time on one thread; the figure is the median over slices of that time,
//! so that a neighbour's burst does not show in it.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use filmgate::bench::{
    Candidate, JobId, Links, MediaType, ModelName, Moment, Policy, Proof, Reference, Seconds, Size, State, Submission, SubmissionOrigin,
    TenantName, Timestamp, Upload, VideoView, Wish, authenticate, compile, plan, price_of, public_status, read_form, read_wish, show_video,
};
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Response};

const SLICES: usize = 21;
const SLICE: Duration = Duration::from_millis(20);
const PROMPT: &str = "A calico cat playing a piano on stage, soft light, 35 mm, shallow depth of field";
const POLICY: &str = r#"
[store]
url = "sqlite:unused.db"
[routes.first]
provider = "openai_compatible"
base_url = "http://127.0.0.1:1/v1"
[routes.first.models.sora-2]
seconds = [4, 8, 12]
price = { "720p" = "0.10" }
[routes.second]
provider = "openai_compatible"
base_url = "http://127.0.0.1:2/v1"
[routes.second.models.sora-2]
seconds = [4, 8, 12]
price = "0.12"
[[rules]]
when = { seconds = 12 }
routes = ["second"]
[[rules]]
routes = { first = 80, second = 20 }
[tenants.demo]
keys = ["sha256:60eb4ca46c272b89621d56e8ae5383c6a4837c1a7b707081f04aa47a516e491c"]
budget = { cap = "100.00", per = "month" }
"#;

fn main() -> anyhow::Result<()> {
    let policy = compile(POLICY, &|_, _| unreachable!("the policy has no secrets")).map_err(|faults| anyhow!(faults.render(false)))?;
    let headers = HeaderMap::from_iter([(http::header::AUTHORIZATION, HeaderValue::from_static("Bearer filmgate-demo-key"))]);
    let (tenant, _) = authenticate(&policy, &headers).map_err(|_| anyhow!("the key is not known"))?;
    let json = Bytes::from(format!(r#"{{"model":"sora-2","prompt":"{PROMPT}","seconds":"8","size":"1280x720"}}"#));
    let (media_type, multipart) = multipart();
    let (at, id) = (Timestamp::from_secs(1_795_435_200), JobId::mint());

    println!("the path, step by step (median of {SLICES} slices, one thread)");
    measure("authenticate", || authenticate(&policy, &headers));
    measure("parse a JSON create", || wish("application/json", &json));
    measure("parse a multipart create", || wish(&media_type, &multipart));
    let wish = wish("application/json", &json)?;
    measure("plan and price", || plan(&policy, &tenant, &wish, None, Moment::of(at).drawing(id.seed())));
    let plan = plan(&policy, &tenant, &wish, None, Moment::of(at).drawing(id.seed())).map_err(|none| anyhow!("no plan: {none:?}"))?;
    let candidate = plan.candidates.first().context("a plan has candidates")?;
    let offer = candidate.route.models.get(&plan.model).context("a candidate has the model")?;
    measure("price alone", || price_of(offer, candidate.seconds, candidate.size));
    provider(candidate, &wish)?;
    render(&policy, id);
    Ok(())
}

/// The upstream's side: describing the call, and reading its reply.
fn provider(candidate: &Candidate, wish: &Wish) -> anyhow::Result<()> {
    let (route, submission) = (&candidate.route, submission(candidate, wish));
    let describe = || route.provider.submit(&route.endpoint, &Proof::None, &submission);
    let described = measure("describe the upstream call", describe);
    describe()?;
    let reply = Bytes::from_static(
        br#"{"id":"video_68d7512d07848190b3e45da0ecbebcde","object":"video","created_at":1758941485,"status":"queued","model":"sora-2","progress":0,"seconds":"8","size":"1280x720"}"#,
    );
    let both = measure("describe it and read its reply", || describe().map(|call| (call.read)(Response::new(reply.clone()))));
    println!("  {:<32}{:>9.0} ns", "(so the reply alone)", both - described);
    // The bytes count as a picture for what is described; only their number matters.
    let picture = Reference::Upload(Upload { media_type: MediaType::Png, bytes: Bytes::from(vec![0; 1 << 20]) });
    let with_picture = Submission { reference: Some(&picture), ..submission.clone() };
    measure("can a 1 MiB picture be said", || route.provider.can_submit(&with_picture));
    measure("describe it with 1 MiB", || route.provider.submit(&route.endpoint, &Proof::None, &with_picture));
    Ok(())
}

/// The answer to a poll, with and without its signed link.
fn render(policy: &Policy, id: JobId) {
    let (links, tenant, model) = (Links::new([7; 32]), TenantName::new("demo"), ModelName::new(policy.defaults.model.as_str()));
    measure("sign a link", || links.token(id, &tenant, Timestamp::from_secs(1_763_900_000)));
    let url =
        format!("http://127.0.0.1:8080/v1/videos/{id}/content?token={}", links.token(id, &tenant, Timestamp::from_secs(1_763_900_000)));
    let view = VideoView {
        id,
        model: &model,
        status: public_status(State::Completed),
        progress: 100,
        created_at: Timestamp::from_secs(1_763_890_000),
        completed_at: Some(Timestamp::from_secs(1_763_890_060)),
        expires_at: Some(Timestamp::from_secs(1_763_893_660)),
        prompt: Some(PROMPT),
        size: Size::DEFAULT,
        seconds: Seconds::DEFAULT,
        remixed_from: None,
        error: None,
        output_url: Some(&url),
        route: None,
        queue: None,
    };
    measure("render the video's JSON", || show_video(&view));
}

fn wish(media_type: &str, body: &Bytes) -> anyhow::Result<Wish> {
    // The whole body is there, so there is nothing to wait for.
    let form = read_form(Some(media_type), body.clone()).now_or_never().context("a form that waits")?;
    read_wish(form?, &BTreeSet::new()).map_err(|error| anyhow!("{error:?}"))
}

fn submission<'a>(candidate: &'a Candidate, wish: &'a Wish) -> Submission<'a> {
    Submission {
        model: &candidate.upstream_model,
        prompt: &wish.prompt,
        seconds: candidate.seconds,
        size: candidate.size,
        reference: None,
        characters: &[],
        origin: SubmissionOrigin::Create,
        extras: &wish.extras,
        callback_url: None,
    }
}

/// What the official SDKs send.
fn multipart() -> (String, Bytes) {
    const BOUNDARY: &str = "6f1b2c3d4e5f60718293a4b5c6d7e8f9";
    let fields = [("model", "sora-2"), ("prompt", PROMPT), ("seconds", "8"), ("size", "1280x720")];
    let parts = fields.map(|(name, text)| format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n"));
    (format!("multipart/form-data; boundary={BOUNDARY}"), Bytes::from(format!("{}--{BOUNDARY}--\r\n", parts.concat())))
}

/// Prints what one call of `step` takes, and answers it in nanoseconds.
fn measure<T>(name: &str, mut step: impl FnMut() -> T) -> f64 {
    let mut per_call: Vec<f64> = (0..SLICES)
        .map(|_| {
            let (began, mut calls) = (Instant::now(), 0_u32);
            while began.elapsed() < SLICE {
                // The clock is read once in a while only: it costs as much as the smaller steps.
                for _ in 0..32 {
                    black_box(step());
                }
                calls += 32;
            }
            began.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
        })
        .collect();
    per_call.sort_by(f64::total_cmp);
    let median = per_call[SLICES / 2];
    println!("  {name:<32}{median:>9.0} ns");
    median
}
