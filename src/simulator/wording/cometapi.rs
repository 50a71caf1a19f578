//! CometAPI's four shapes of one job, as they have been seen on one and the same path.

use serde_json::{Value, json};

use super::{View, openai};
use crate::simulator::dialect::Shape;
use crate::simulator::job::{Job, Stage};

/// The answer to the order.
pub fn accepted(view: &View<'_>) -> Value {
    let id = &view.job.id;
    match view.job.shape {
        Shape::A => openai::video(view),
        Shape::B => json!({"task_id": id, "status": "SUBMITTED"}),
        Shape::C => json!({"id": id, "task_id": id, "status": "pending"}),
        Shape::D => json!({"id": id, "object": "video", "model": view.job.model, "status": "queued", "progress": 0}),
    }
}

/// The answer to a retrieval.
pub fn retrieved(view: &View<'_>) -> Value {
    match view.job.shape {
        Shape::A => openai::video(view),
        Shape::B => envelope(view),
        Shape::C => outputs(view),
        Shape::D => link(view),
    }
}

/// Where the clip can be fetched, on our own host and without a key.
fn clip_url(view: &View<'_>) -> String {
    format!("{}/cometapi/files/{}.mp4", view.origin, view.job.id)
}

fn envelope(view: &View<'_>) -> Value {
    let (status, progress, reason) = match view.stage {
        Stage::Queued => ("QUEUED", "0%".to_owned(), String::new()),
        Stage::Running(percent) => ("IN_PROGRESS", format!("{percent}%"), String::new()),
        Stage::Completed => ("SUCCESS", "100%".to_owned(), clip_url(view)),
        Stage::Failed { message, .. } => ("FAILURE", "100%".to_owned(), message.to_owned()),
    };
    let ended = matches!(view.stage, Stage::Completed | Stage::Failed { .. });
    json!({"code": "success", "message": "", "data": {
        "task_id": view.job.id,
        "status": status,
        "progress": progress,
        "fail_reason": reason,
        "submit_time": view.job.created_at_ms.div_euclid(1_000),
        "finish_time": if ended { view.job.ends_at().as_secs() } else { 0 },
        "data": {"model": view.job.model},
    }})
}

fn outputs(view: &View<'_>) -> Value {
    let (status, output, error) = match view.stage {
        Stage::Queued => ("pending", json!([]), Value::Null),
        Stage::Running(_) => ("processing", json!([]), Value::Null),
        Stage::Completed => ("succeeded", json!([clip_url(view)]), Value::Null),
        Stage::Failed { message, .. } => ("failed", json!([]), json!(message)),
    };
    json!({"id": view.job.id, "task_id": view.job.id, "status": status, "output": output, "error": error, "size": aspect(view.job)})
}

/// This shape says nothing of why a job failed.
fn link(view: &View<'_>) -> Value {
    let (status, progress) = match view.stage {
        Stage::Queued => ("queued", 0),
        Stage::Running(percent) => ("processing", percent),
        Stage::Completed => ("completed", 100),
        Stage::Failed { .. } => ("failed", 100),
    };
    let mut object = json!({"id": view.job.id, "object": "video", "model": view.job.model, "status": status, "progress": progress});
    if view.stage == Stage::Completed {
        object["video_url"] = json!(clip_url(view));
    }
    object
}

fn aspect(job: &Job) -> &'static str {
    if job.width > job.height { "16x9" } else { "9x16" }
}
