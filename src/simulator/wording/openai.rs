//! OpenAI's video object, which Azure uses too: always all thirteen fields.

use serde_json::{Value, json};

use super::View;
use crate::simulator::dialect::Dialect;
use crate::simulator::job::Stage;

/// How long after its completion a clip can be fetched from OpenAI.
const OPENAI_KEEPS_SECS: i64 = 3_600;
/// How long after its creation Azure keeps a job.
const AZURE_KEEPS_SECS: i64 = 86_400;

/// The object as it stands.
pub fn video(view: &View<'_>) -> Value {
    let job = view.job;
    let (status, progress, error) = match view.stage {
        Stage::Queued => ("queued", 0, Value::Null),
        Stage::Running(percent) => ("in_progress", percent, Value::Null),
        Stage::Completed => ("completed", 100, Value::Null),
        Stage::Failed { code, message } => ("failed", 100, json!({"code": code, "message": message})),
    };
    let completed_at = (view.stage == Stage::Completed).then(|| job.ends_at().as_secs());
    let created_at = job.created_at_ms.div_euclid(1_000);
    let expires_at = completed_at.map(|completed_at| match job.dialect {
        Dialect::Azure => created_at + AZURE_KEEPS_SECS,
        Dialect::Openai | Dialect::Cometapi => completed_at + OPENAI_KEEPS_SECS,
    });
    json!({
        "id": job.id,
        "object": "video",
        "model": if job.dialect == Dialect::Azure { "sora-2" } else { &job.model },
        "status": status,
        "progress": progress,
        "created_at": created_at,
        "completed_at": completed_at,
        "expires_at": expires_at,
        "prompt": job.prompt,
        "size": job.size().to_string(),
        "seconds": job.seconds.to_string(),
        "remixed_from_video_id": job.remixed_from,
        "error": error,
    })
}
