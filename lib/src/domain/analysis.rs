//! What a model said of a prompt, or why it has not.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::instant;

/// Where an analysis stands.
///
/// ```text
/// (none) ──▶ pending ──▶ completed ──▶ pending   asked again: the old answer stays until there is a new one
///               │   ▲
///               ▼   │ asked again
///             failed
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The model is asked, or will be.
    Pending,
    /// There is an answer.
    Completed,
    /// There is none, and nobody is at it.
    Failed,
}

/// An analysis as everyone may see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Analysis {
    /// Where it stands.
    pub status: Status,
    /// The latest good answer; it outlives being asked again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answered>,
    /// Why the latest attempt gave no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// A checked answer of the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// What the vulnerability is: plain text.
    pub summary: String,
    /// What to do: plain text, a `- ` line for each.
    pub recommendations: String,
    /// 1.0 to 10.0, the model's estimate.
    pub risk_score: f64,
    /// A person should look: something was removed, or the score or the input is suspicious.
    pub needs_review: bool,
    /// Why a person should look, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub review: Vec<String>,
    /// What was removed from the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<Removed>,
    /// The model that answered.
    pub model: String,
    /// When.
    #[serde(serialize_with = "instant::serialize")]
    pub timestamp: Timestamp,
    /// Tokens of the prompt, if the host counted them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u64>,
    /// Tokens of the answer, if the host counted them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_tokens: Option<u64>,
    /// Milliseconds that the host says it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Why the first answer was not usable, if it took a second one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repaired_after: Option<String>,
}

/// A sentence that was removed from an answer, since the facts do not support it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// What it held, in Sirius's words.
    pub reason: String,
    /// The sentence, in the model's words: not to be trusted, nor to be shown as anything but text.
    pub sentence: String,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A stable name, such as `model_missing` or `unreachable`.
    pub reason: String,
    /// The same in words, without anything of the model's text.
    pub detail: String,
    /// From when on asking again makes sense.
    #[serde(serialize_with = "instant::serialize")]
    pub retry_at: Timestamp,
}
