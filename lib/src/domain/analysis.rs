//! The analysis of a vulnerability by a model: its answer, or the failure.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::instant;

/// The state of an analysis.
///
/// ```text
/// (none) ──▶ pending ──▶ completed ──▶ pending   asked again: the old answer is kept until the new one
///               │   ▲
///               ▼   │ asked again
///             failed
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The request is queued or running.
    Pending,
    /// The model has answered.
    Completed,
    /// The latest request failed without an answer.
    Failed,
}

/// An analysis as the API shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Analysis {
    /// The state.
    pub status: Status,
    /// The latest good answer, kept while the model is asked again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answered>,
    /// The failure of the latest attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// A checked answer of the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// A description of the vulnerability in plain text.
    pub summary: String,
    /// Plain text, a line with `- ` for each recommendation.
    pub recommendations: String,
    /// 1.0 to 10.0, the model's estimate.
    pub risk_score: f64,
    /// It needs a review: something was removed, or the score or the input is suspicious.
    pub needs_review: bool,
    /// The reasons for a review.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub review: Vec<String>,
    /// Sentences that were removed from the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<Removed>,
    /// The model that answered.
    pub model: String,
    /// The time of the answer.
    #[serde(serialize_with = "instant::serialize")]
    pub timestamp: Timestamp,
    /// Tokens of the prompt, if the host counted them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u64>,
    /// Tokens of the answer, if the host counted them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_tokens: Option<u64>,
    /// The duration in milliseconds, as the host states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// The error in the first answer, if a second one was requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repaired_after: Option<String>,
}

/// A sentence that was removed from an answer because the facts do not support it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// The unsupported claim.
    pub reason: String,
    /// The model's sentence: untrusted, to be shown as text only.
    pub sentence: String,
}

/// The failure of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A stable name, such as `model_missing` or `unreachable`.
    pub reason: String,
    /// A description without any text of the model.
    pub detail: String,
    /// The time from which a retry may succeed.
    #[serde(serialize_with = "instant::serialize")]
    pub retry_at: Timestamp,
}
