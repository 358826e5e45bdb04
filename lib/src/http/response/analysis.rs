//! Shows the analysis of a finding.

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::analysis::{self, Analysis, Answered, Failure};
use crate::domain::instant;
use crate::domain::prompt_hash::PromptHash;
use crate::store::answers::LatestAnswer;

/// The analysis of a finding; all fields are `null` before the first request for one.
#[derive(Debug, Default, Serialize)]
pub(in crate::http) struct LlmAnalysis {
    llm_analysis_status: Option<analysis::Status>,
    llm_analysis_summary: Option<String>,
    llm_analysis_recommendations: Option<String>,
    llm_analysis_risk_score: Option<f64>,
    #[serde(serialize_with = "instant::option::serialize")]
    llm_analysis_timestamp: Option<Timestamp>,
    llm_analysis_prompt_hash: Option<String>,
    /// Whether a person should read it before acting on it.
    llm_analysis_needs_review: Option<bool>,
    llm_analysis_review: Vec<String>,
    llm_analysis_model: Option<String>,
    /// Whether the answer is to an earlier prompt: the report or the sources have changed since.
    llm_analysis_stale: Option<bool>,
    /// Why there is no answer to this prompt, and when to ask again.
    llm_analysis_failure: Option<Failure>,
}

impl LlmAnalysis {
    /// Shows the analysis of the present prompt, or the `previous` answer about the same subject if it has no answer yet.
    pub(in crate::http) fn from(analysis: Option<(PromptHash, Analysis)>, previous: Option<LatestAnswer>) -> Self {
        let Some((hash, Analysis { status, answer, failure })) = analysis else {
            return previous.map_or_else(Self::default, |previous| Self {
                llm_analysis_status: Some(analysis::Status::Completed),
                llm_analysis_prompt_hash: Some(previous.prompt_hash.to_string()),
                ..Self::answered(previous.answer, true)
            });
        };
        // An answer is stored for its subject a moment before it completes the analysis. Such an answer is the present one.
        let shown = match (answer, previous.filter(|previous| previous.prompt_hash != hash)) {
            (Some(answer), _) => Self::answered(answer, false),
            (None, Some(previous)) => Self::answered(previous.answer, true),
            (None, None) => Self::default(),
        };
        Self {
            llm_analysis_status: Some(status),
            llm_analysis_prompt_hash: Some(hash.to_string()),
            llm_analysis_failure: failure,
            ..shown
        }
    }

    fn answered(answer: Answered, stale: bool) -> Self {
        Self {
            llm_analysis_summary: Some(answer.summary),
            llm_analysis_recommendations: Some(answer.recommendations),
            llm_analysis_risk_score: Some(answer.risk_score),
            llm_analysis_timestamp: Some(answer.timestamp),
            llm_analysis_needs_review: Some(answer.needs_review),
            llm_analysis_review: answer.review,
            llm_analysis_model: Some(answer.model),
            llm_analysis_stale: Some(stale),
            ..Self::default()
        }
    }
}
