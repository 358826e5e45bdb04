//! `GET /api/llm/analyze/container/{finding_id}`: requests the analysis of a finding, and waits for it.

use std::time::Duration;

use jiff::Timestamp;
use lambda_http::http::{HeaderValue, StatusCode, header};
use lambda_http::{Body, Request, RequestExt as _, Response};
use serde::Serialize;
use tokio::time::Instant;

use super::error::Code;
use super::parameter::{REFRESH, WAIT};
use super::principal::principal_of;
use super::query::Query;
use super::response::analysis::LlmAnalysis;
use super::{ApiError, get_finding, path, reply, request_id, routes};
use crate::domain::analysis::{Removed, Status};
use crate::domain::finding::FindingId;
use crate::domain::remediation::remediation;
use crate::pipeline::analyze::{self, request_analysis};
use crate::queries::finding_reader::FindingReader;
use crate::queries::prompt_reader::PromptReader;
use crate::queue::Queue;

/// The state of the handler.
#[derive(Debug)]
pub struct Deps {
    pub(crate) reader: FindingReader,
    pub(crate) queue: Queue,
}

impl Deps {
    /// Returns the reader of prompts; 501 if this deployment has no model.
    pub(super) fn prompts(&self) -> Result<PromptReader<'_>, ApiError> {
        self.reader.prompts().ok_or_else(|| {
            ApiError::new(Code::AnalysisNotConfigured, "this deployment has no Ollama host: set OllamaUrl")
        })
    }
}

/// The seconds that a request waits for an answer by default.
const DEFAULT_WAIT_SECONDS: u64 = 20;
/// The shortest `Retry-After` of a pending analysis, in seconds.
const MIN_RETRY_AFTER_SECONDS: i64 = 5;
/// The time between two reads of a pending analysis.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

#[derive(Serialize)]
struct Answer<'a> {
    finding_id: FindingId,
    scan_id: u64,
    vulnerability_id: Option<&'a str>,
    /// Computed: a model never writes it.
    remediation: String,
    #[serde(flatten)]
    analysis: LlmAnalysis,
    /// The sentences that were removed from the answer, for its reviewer.
    llm_analysis_removed: Vec<Removed>,
}

/// Answers 200 with an answer or a failure, 202 while it is pending.
pub async fn handle(deps: &Deps, request: &Request) -> Result<Response<Body>, ApiError> {
    let started = Instant::now();
    let query = Query::read(request, &routes::ANALYZE_FINDING)?;
    let id: FindingId = path::parsed(&routes::ANALYZE_FINDING, request.raw_http_path())?;
    let wait = query.number(WAIT)?.unwrap_or(DEFAULT_WAIT_SECONDS);
    let again = query.flag(REFRESH)?.unwrap_or(false);

    let prompts = deps.prompts()?;
    let store = prompts.store;
    let (scan, finding) = store.finding(id).await?.ok_or_else(get_finding::no_finding)?;
    let prompt = prompts.prompt(&scan, &finding).await?.map_err(analyze::Error::from)?;
    let queue = deps.queue.on_behalf_of(request_id(request));
    let mut analysis = request_analysis(store, &queue, &prompt, again, Timestamp::now()).await?;
    let principal = principal_of(request);
    tracing::info!(finding_id = id.get(), refresh = again, status = ?analysis.status, principal, "an analysis was requested");
    let deadline = started + Duration::from_secs(wait);
    // A pending analysis has a failure if the host cannot answer for now.
    while analysis.status == Status::Pending && analysis.failure.is_none() && Instant::now() + POLL_INTERVAL <= deadline
    {
        tokio::time::sleep(POLL_INTERVAL).await;
        // If the read fails or takes too long, the answer has the state that was read before.
        if let Ok(Ok(Some(now))) = tokio::time::timeout_at(deadline, store.analysis(&prompt.hash)).await {
            analysis = now;
        }
    }

    let pending = analysis.status == Status::Pending;
    let retry_after = analysis.failure.as_ref().map_or(MIN_RETRY_AFTER_SECONDS, |failure| {
        failure.retry_at.duration_since(Timestamp::now()).as_secs().max(MIN_RETRY_AFTER_SECONDS)
    });
    let previous_answer = match analysis.answer {
        Some(_) => None,
        None => store.latest_answers(&[prompt.question.facts.subject()]).await?.into_values().next(),
    };
    let answer = Answer {
        finding_id: id,
        scan_id: finding.scan_id.get(),
        vulnerability_id: finding.vulnerability_id.as_deref(),
        remediation: remediation(&finding),
        llm_analysis_removed: analysis.answer.as_ref().map(|answer| answer.removed.clone()).unwrap_or_default(),
        analysis: LlmAnalysis::from(Some((prompt.hash, analysis)), previous_answer),
    };
    let status = if pending { StatusCode::ACCEPTED } else { StatusCode::OK };
    let mut response = reply::json(request, status, &answer)?;
    if pending {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after));
    }
    Ok(response)
}
