//! The studio: does what the door was asked for, with the books, the clock and the faults.
//!
//! The lock on the books is held for whole decisions and never over a wait, so that two orders at
//! once cannot both be the last that the in-flight cap allows.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Response};
use hyper::body::Incoming;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Settings;
use super::account::{Account, account_of};
use super::bill::Bill;
use super::books::Books;
use super::clip::{self, Variant};
use super::content::{self, Defects, Payload};
use super::dialect::{Dialect, Shape};
use super::faults::{Fault, PollFault};
use super::form::{self, Field, Form};
use super::job::{Ending, Job, Stage, seed_of};
use super::journal::Character;
use super::operation::Operation;
use super::order::{self, Order};
use super::refusal::{Failure, Refusal};
use super::tariff;
use super::timing;
use super::wording::View;
use crate::clock::Clock;
use crate::video::Size;

/// The header, beside the marker in prompts, that tells which wish an order came from.
const INTENT_HEADER: &str = "x-simulator-intent";
const INTENT_MARKER: &str = "#intent:";
/// Items of a list that names no limit, and the most it can ask for.
const LIST_DEFAULT: usize = 20;
const LIST_MAX: usize = 100;

type Reply = Response<Payload>;

/// What an order says in its headers, and what fate has in store for it.
#[derive(Clone)]
struct Asked {
    intent: Option<String>,
    key: Option<String>,
    lost: bool,
    /// It is taken so many milliseconds after the line was cut.
    late_ms: u64,
}

/// One simulated provider with all its dialects.
#[derive(Debug)]
pub struct Studio {
    /// The time, which tests turn.
    pub clock: Clock,
    speed: u32,
    clip_bytes_min: u64,
    books: Mutex<Books>,
}

impl Studio {
    /// A studio with the books that the journal holds.
    pub fn open(settings: &Settings, clock: Clock) -> io::Result<Self> {
        let books = Mutex::new(Books::open(settings.journal.as_deref())?);
        Ok(Self { clock, speed: settings.speed, clip_bytes_min: settings.clip_bytes_min, books })
    }

    /// The books. A panic elsewhere does not make them wrong: each change to them is one step.
    pub fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bill as of now.
    pub fn bill(&self) -> Bill {
        self.books().bill(self.clock.now())
    }

    /// Counts a request.
    pub fn count(&self, dialect: Dialect, operation: &str) {
        *self.books().stats.requests.entry(format!("{dialect}/{operation}")).or_default() += 1;
    }

    /// A paid operation: the only place where a job, and so a charge, comes about.
    pub async fn order(
        &self,
        account: &Account,
        operation: &Operation,
        headers: &HeaderMap,
        body: Incoming,
        origin: &str,
    ) -> Result<Reply, Failure> {
        let fault = self.books().faults.next_order();
        if fault == Fault::CutBeforeRead {
            return Err(Failure::Cut);
        }
        let form = form::read(headers, body).await?;
        if let Fault::Refuse(status) = fault {
            let retry_after = self.books().faults.in_force().retry_after.clone();
            return Err(Refusal::of_status(status, retry_after).into());
        }
        if self.is_withdrawn(account.dialect) {
            return Err(Refusal::withdrawn(account.dialect).into());
        }
        let told = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut asked = Asked { intent: told(INTENT_HEADER), key: told("idempotency-key"), lost: fault == Fault::LoseJob, late_ms: 0 };
        if let Fault::AcceptLate(ms) = fault {
            asked.late_ms = ms;
        }
        if fault == Fault::AcceptTwice {
            self.accept(account, operation, &form, asked.clone())?;
        }
        let (job, delay) = self.accept(account, operation, &form, asked)?;
        tokio::time::sleep(delay).await;
        match fault {
            Fault::AcceptThenCut | Fault::AcceptLate(_) | Fault::AcceptTwice => Err(Failure::Cut),
            Fault::AcceptThenStatus(status) => Err(Refusal::of_status(status, None).into()),
            Fault::AcceptThenReply(text) => Ok(reply_text(text)),
            Fault::None | Fault::LoseJob | Fault::CutBeforeRead | Fault::Refuse(_) => {
                Ok(reply(&View::new(&job, self.clock.now(), origin).accepted()))
            }
        }
    }

    /// Checks an order and takes it; with it comes how long the reply shall be held back.
    fn accept(&self, account: &Account, operation: &Operation, form: &Form, asked: Asked) -> Result<(Job, Duration), Refusal> {
        let now = self.clock.now();
        let mut books = self.books();
        let key = asked.key.filter(|_| books.faults.in_force().honour_keys).map(|key| (account.name.clone(), key));
        if let Some(job) = key.as_ref().and_then(|key| books.keys.get(key)).and_then(|id| books.find_any(id)) {
            return Ok((job.clone(), Duration::from_millis(books.faults.in_force().delay_ms)));
        }
        let order = match operation {
            Operation::Remix(id) => order::remix(account.dialect, form, &self.source(&books, account, id)?)?,
            Operation::Edit | Operation::Extend => {
                let source = form.text("video[id]").map(|id| self.source(&books, account, id)).transpose()?;
                let read = if *operation == Operation::Edit { order::edit } else { order::extend };
                read(account.dialect, form, source.as_ref())?
            }
            _ => order::create(account.dialect, form)?,
        };
        let characters: Vec<&str> = form.texts("characters[][id]").collect();
        if let Some(unknown) = characters.iter().find(|id| books.character(account, id).is_none()) {
            return Err(Refusal::field("characters", "invalid_value", format!("Character '{unknown}' not found.")));
        }
        if characters.len() > 2 {
            return Err(Refusal::field("characters", "invalid_value", "A video can show at most 2 characters."));
        }
        let running = books.running(account, now);
        let faults = books.faults.in_force();
        if faults.in_flight_max.is_some_and(|most| running >= most) {
            return Err(Refusal::too_many_running(account.dialect));
        }
        let delay = Duration::from_millis(faults.delay_ms);
        let shape = faults.comet_shape.unwrap_or_else(|| Shape::asked_for_by(&order.model));
        let mut job = self.job(account, order, asked.intent, shape, asked.lost);
        // Until then it is in no list, and nobody knows its id.
        job.created_at_ms = now.after(Duration::from_millis(asked.late_ms)).as_ms();
        job.callback_url = form.text("callback_url").map(str::to_owned);
        job.extras = order::EXTRAS.iter().filter_map(|name| Some(((*name).to_owned(), form.plain(name)?))).collect();
        let unwritten = |_| Refusal::new(500, "server_error", None, "The journal cannot be written; the job was not accepted.");
        books.accept(job.clone()).map_err(unwritten)?;
        books.keys.extend(key.map(|key| (key, job.id.clone())));
        Ok((job, delay))
    }

    /// Takes plain orders as if they had been sent: their ids.
    pub fn take_orders(&self, dialect: Dialect, credential: &str, count: usize) -> io::Result<Vec<String>> {
        let account = Account { dialect, name: account_of(credential) };
        let mut books = self.books();
        let order = || Order {
            operation: "create",
            model: "sora-2".to_owned(),
            prompt: "a whale".to_owned(),
            seconds: 4,
            billed_seconds: 4,
            size: Size::DEFAULT,
            remixed_from: None,
        };
        let mut take = || {
            let job = self.job(&account, order(), None, Shape::A, false);
            let id = job.id.clone();
            books.accept(job).map(|()| id)
        };
        (0..count).map(|_| take()).collect()
    }

    /// The finished clip that another one is made from.
    fn source(&self, books: &Books, account: &Account, id: &str) -> Result<Job, Refusal> {
        let job = books.find(account, id).ok_or_else(|| Refusal::no_such_video(id))?;
        match job.stage(self.clock.now()) {
            Stage::Completed => Ok(job.clone()),
            Stage::Failed { .. } => Err(Refusal::body(format!("Video '{id}' failed and cannot be used."))),
            Stage::Queued | Stage::Running(_) => Err(Refusal::body(format!("Video '{id}' is not completed yet."))),
        }
    }

    /// The record of an order that is being accepted.
    fn job(&self, account: &Account, order: Order, intent: Option<String>, shape: Shape, lost: bool) -> Job {
        let id = match (account.dialect, shape) {
            (Dialect::Cometapi, Shape::B | Shape::C) => format!("task_{}", Uuid::new_v4().simple()),
            _ => format!("video_{}{:016x}", Uuid::new_v4().simple(), Uuid::new_v4().as_u64_pair().1),
        };
        let marked = || order.prompt.split_once(INTENT_MARKER).and_then(|(_, rest)| rest.split_whitespace().next()).map(str::to_owned);
        Job {
            dialect: account.dialect,
            account: account.name.clone(),
            operation: order.operation.to_owned(),
            seconds: order.seconds,
            billed_seconds: order.billed_seconds,
            width: order.size.width,
            height: order.size.height,
            remixed_from: order.remixed_from,
            created_at_ms: self.clock.now().as_ms(),
            takes_ms: timing::takes_ms(&order.model, order.billed_seconds, self.speed, seed_of(&id)),
            price_microusd: tariff::price(&order.model, order.billed_seconds, order.size).get(),
            ending: Ending::asked_for_in(&order.prompt),
            lost,
            deleted: false,
            intent: intent.or_else(marked),
            callback_url: None,
            extras: BTreeMap::new(),
            shape,
            id,
            model: order.model,
            prompt: order.prompt,
        }
    }

    /// `GET /videos/{id}`
    pub fn retrieve(&self, account: &Account, id: &str, origin: &str) -> Result<Reply, Failure> {
        let mut books = self.books();
        let fault = books.faults.next_poll();
        let job = match fault {
            PollFault::Cut => return Err(Failure::Cut),
            PollFault::Status(404) => return Err(Refusal::no_such_video(id).into()),
            PollFault::Status(status) => {
                let retry_after = books.faults.in_force().retry_after.clone();
                return Err(Refusal::of_status(status, retry_after).into());
            }
            PollFault::Reply(text) => return Ok(reply_text(text)),
            PollFault::None | PollFault::UnknownStatus => books.find(account, id).ok_or_else(|| Refusal::no_such_video(id))?,
        };
        let mut object = View::new(job, self.clock.now(), origin).retrieved();
        if fault == PollFault::UnknownStatus {
            for place in ["/status", "/data/status"] {
                object.pointer_mut(place).into_iter().for_each(|status| *status = json!("hibernating"));
            }
        }
        Ok(reply(&object))
    }

    /// `GET /videos`
    pub fn list(&self, account: &Account, query: &str, origin: &str) -> Result<Reply, Failure> {
        let query = form::urlencoded(query);
        let limit = match query.text("limit").map(str::parse) {
            None => LIST_DEFAULT,
            Some(Ok(limit @ 0..=LIST_MAX)) => limit,
            Some(_) => return Err(Refusal::field("limit", "invalid_value", "Expected a whole number from 0 to 100.").into()),
        };
        let now = self.clock.now();
        let mut books = self.books();
        let fault = books.faults.next_list();
        match fault {
            PollFault::None | PollFault::UnknownStatus => {}
            PollFault::Cut => return Err(Failure::Cut),
            PollFault::Reply(text) => return Ok(reply_text(text)),
            PollFault::Status(status) => {
                let retry_after = books.faults.in_force().retry_after.clone();
                return Err(Refusal::of_status(status, retry_after).into());
            }
        }
        let until = now.before(Duration::from_millis(books.faults.in_force().list_lag_ms));
        let mut jobs: Vec<&Job> = books.list(account, until).collect();
        match query.text("order") {
            None | Some("desc") => jobs.reverse(),
            Some("asc") => {}
            Some(_) => return Err(Refusal::field("order", "invalid_value", "Supported values are: 'asc' and 'desc'.").into()),
        }
        let start = match query.text("after") {
            None => 0,
            Some(after) => jobs.iter().position(|job| job.id == after).ok_or_else(|| Refusal::no_such_video(after))? + 1,
        };
        let page: Vec<&&Job> = jobs.iter().skip(start).take(limit).collect();
        let data: Vec<Value> = page.iter().map(|job| View::new(job, now, origin).retrieved()).collect();
        Ok(reply(&json!({
            "object": "list",
            "data": data,
            "first_id": page.first().map(|job| &job.id),
            "last_id": page.last().map(|job| &job.id),
            "has_more": start + page.len() < jobs.len(),
        })))
    }

    /// `DELETE /videos/{id}`
    pub fn delete(&self, account: &Account, id: &str) -> Result<Reply, Failure> {
        let mut books = self.books();
        let job = books.find(account, id).ok_or_else(|| Refusal::no_such_video(id))?;
        if matches!(job.stage(self.clock.now()), Stage::Queued | Stage::Running(_)) {
            return Err(Refusal::body("Cannot delete a video that is still being generated.").into());
        }
        books.delete(id).map_err(|_| Refusal::new(500, "server_error", None, "The journal cannot be written; nothing was deleted."))?;
        Ok(reply(&json!({"id": id, "object": "video.deleted", "deleted": true})))
    }

    /// `GET /videos/{id}/content`
    pub fn content(&self, account: &Account, id: &str, query: &str, headers: &HeaderMap) -> Result<Reply, Failure> {
        let query = form::urlencoded(query);
        let variant = match query.text("variant") {
            None | Some("video") => Variant::Video,
            Some("thumbnail") => Variant::Thumbnail,
            Some("spritesheet") => Variant::Spritesheet,
            Some(other) => {
                let message = format!("Invalid value: '{other}'. Supported values are: 'video', 'thumbnail', and 'spritesheet'.");
                return Err(Refusal::field("variant", "invalid_value", message).into());
            }
        };
        let job = self.books().find(account, id).cloned().ok_or_else(|| Refusal::no_such_video(id))?;
        if account.dialect == Dialect::Cometapi && job.shape != Shape::A {
            let message = "This model has no content endpoint; its clip is at the URL that GET /v1/videos/{video_id} names.";
            return Err(Refusal::new(404, "invalid_request_error", Some("not_supported"), message).into());
        }
        self.file(&job, variant, headers)
    }

    /// `GET /cometapi/files/{id}.mp4`: whoever has the link may have the clip.
    pub fn linked_clip(&self, name: &str, headers: &HeaderMap) -> Result<Reply, Failure> {
        let id = name.strip_suffix(".mp4").unwrap_or(name);
        let job = self.books().find_any(id).cloned().ok_or_else(|| Refusal::no_such_video(id))?;
        self.count(Dialect::Cometapi, "linked_content");
        self.file(&job, Variant::Video, headers)
    }

    fn file(&self, job: &Job, variant: Variant, headers: &HeaderMap) -> Result<Reply, Failure> {
        match job.stage(self.clock.now()) {
            Stage::Completed => {}
            Stage::Failed { .. } => return Err(Refusal::body("Video generation failed; there is no content.").into()),
            Stage::Queued | Stage::Running(_) => {
                let message = "Video is not ready yet, use GET /v1/videos/{video_id} to check status.";
                return Err(Refusal::new(404, "invalid_request_error", None, message).into());
            }
        }
        let file = clip::file(job, variant, self.clip_bytes_min);
        let books = self.books();
        let faults = books.faults.in_force();
        if let Some(status) = faults.content_status {
            return Err(Refusal::new(status, "server_error", None, "There is no content to be had.").into());
        }
        if let Some(page) = &faults.content_page {
            let mut reply = reply_text(page.clone());
            reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
            return Ok(reply);
        }
        let defects =
            Defects { stop_after: faults.stop_after, stall_after: faults.content_stalls_after, short_by: faults.content_short_by };
        Ok(content::serve(file, headers, &format!("{}-{variant:?}", job.id), defects))
    }

    /// `POST /videos/characters`
    pub async fn make_character(&self, account: &Account, headers: &HeaderMap, body: Incoming) -> Result<Reply, Failure> {
        let form = form::read(headers, body).await?;
        let name = form.text("name").filter(|name| !name.is_empty()).ok_or_else(|| Refusal::missing("name"))?;
        if name.chars().count() > 80 {
            return Err(Refusal::field("name", "string_above_max_length", "A name has at most 80 characters.").into());
        }
        if !matches!(form.field("video"), Some(Field::File { .. })) {
            return Err(Refusal::missing("video").into());
        }
        order::clip(&form)?;
        let character = Character {
            id: format!("char_{}", Uuid::new_v4().simple()),
            account: account.name.clone(),
            name: name.to_owned(),
            created_at_ms: self.clock.now().as_ms(),
        };
        let unwritten = |_| Refusal::new(500, "server_error", None, "The journal cannot be written; no character was made.");
        self.books().add_character(character.clone()).map_err(unwritten)?;
        Ok(reply_character(&character))
    }

    /// `GET /videos/characters/{id}`
    pub fn character(&self, account: &Account, id: &str) -> Result<Reply, Failure> {
        let books = self.books();
        let unknown = || Refusal::new(404, "invalid_request_error", None, format!("Character with id '{id}' not found."));
        Ok(reply_character(books.character(account, id).ok_or_else(unknown)?))
    }

    fn is_withdrawn(&self, dialect: Dialect) -> bool {
        self.books().faults.in_force().withdrawn.contains(&dialect)
    }

    /// `GET /models`: those with a published price; any other name works too.
    pub fn models(&self, dialect: Dialect) -> Reply {
        if self.is_withdrawn(dialect) {
            return reply(&json!({"object": "list", "data": []}));
        }
        let owner = dialect.to_string();
        let models = ["sora-2", "sora-2-pro"].map(|id| json!({"id": id, "object": "model", "created": 1_759_708_800, "owned_by": owner}));
        reply(&json!({"object": "list", "data": models}))
    }
}

fn reply_character(character: &Character) -> Reply {
    reply(&json!({"id": character.id, "name": character.name, "created_at": character.created_at_ms.div_euclid(1_000)}))
}

/// 200 with this value as JSON.
pub fn reply(value: &impl Serialize) -> Reply {
    reply_text(serde_json::to_string(value).unwrap_or_default())
}

/// 200 with this text, which may or may not be the JSON that it claims to be.
fn reply_text(text: String) -> Reply {
    let mut reply = Response::new(Payload::whole(Bytes::from(text)));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}
