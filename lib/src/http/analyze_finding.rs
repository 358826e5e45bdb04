//! `GET /api/llm/analyze/container/{finding_id}`: a model's explanation of a finding.

use std::time::Duration;

use jiff::Timestamp;
use lambda_http::http::{HeaderValue, StatusCode, header};
use lambda_http::{Body, Request, RequestExt as _, Response};
use serde::Serialize;
use tokio::time::Instant;

use super::error::Code;
use super::parameter::{REFRESH, WAIT};
use super::query::Query;
use super::response::analysis::{LlmAnalysis, Removals};
use super::{ApiError, get_finding, path, principal, reply, request_id, routes};
use crate::domain::analysis::Status;
use crate::domain::finding::FindingId;
use crate::domain::remediation::remediation;
use crate::llm::Questions;
use crate::pipeline::analyze;
use crate::pipeline::judge::{self, Judge};
use crate::queue::Queue;
use crate::store::Store;

/// What the handler works with.
#[derive(Debug)]
pub struct Deps {
    /// The table.
    pub store: Store,
    /// Where questions are queued.
    pub queue: Queue,
    /// How findings are judged, which is part of what is asked.
    pub judge: Judge,
    /// How findings are asked about; none if nothing is analysed here.
    pub questions: Option<Questions>,
}

impl Deps {
    /// How findings are asked about.
    ///
    /// # Errors
    /// 501 if nothing is analysed here.
    pub(super) fn questions(&self) -> Result<&Questions, ApiError> {
        self.questions.as_ref().ok_or_else(|| {
            ApiError::new(Code::AnalysisNotConfigured, "this deployment has no Ollama host: set OllamaUrl")
        })
    }
}

/// Seconds that a caller waits for an answer if it does not say.
const DEFAULT_WAIT: u64 = 20;
/// Seconds after which to look again at an analysis that someone is at.
const SOON: i64 = 5;
/// Between two looks at a pending analysis.
const LOOK: Duration = Duration::from_millis(500);

#[derive(Serialize)]
struct Answer<'a> {
    finding_id: FindingId,
    scan_id: u64,
    vulnerability_id: Option<&'a str>,
    /// As on the finding: computed, never a model's.
    remediation: String,
    #[serde(flatten)]
    analysis: LlmAnalysis,
    #[serde(flatten)]
    removals: Removals,
}

/// Answers 200 with an answer or a failure, 202 while it is pending.
///
/// # Errors
/// 400 for a wrong id or parameter, 404 if there is no such finding.
pub async fn handle(deps: &Deps, request: &Request) -> Result<Response<Body>, ApiError> {
    let started = Instant::now();
    let query = Query::read(request, &routes::ANALYZE_FINDING)?;
    let id: FindingId = path::parsed(&routes::ANALYZE_FINDING, request.raw_http_path())?;
    let wait = query.number(WAIT)?.unwrap_or(DEFAULT_WAIT);
    let again = query.flag(REFRESH)?.unwrap_or(false);

    let questions = deps.questions()?;
    let (scan, finding) = deps.store.finding(id).await?.ok_or_else(get_finding::no_finding)?;
    let known = deps.store.known(&judge::ids([&finding])).await?;
    let told = deps.judge.tell(&scan, &finding, &known);
    let (hash, question) = questions.about(&finding, told).map_err(analyze::Error::from)?;
    let queue = deps.queue.on_behalf_of(request_id(request));
    let mut analysis = analyze::request(&deps.store, &queue, &hash, &question, again, Timestamp::now()).await?;
    let principal = principal::of(request);
    tracing::info!(finding_id = id.get(), refresh = again, status = ?analysis.status, principal, "an analysis was asked for");
    let deadline = started + Duration::from_secs(wait);
    // While the host cannot answer, there is nothing to wait for.
    while analysis.status == Status::Pending && analysis.failure.is_none() && Instant::now() + LOOK <= deadline {
        tokio::time::sleep(LOOK).await;
        // A look that fails or hangs is no reason to take back what is known.
        if let Ok(Ok(Some(now))) = tokio::time::timeout_at(deadline, deps.store.analysis(&hash)).await {
            analysis = now;
        }
    }

    let pending = analysis.status == Status::Pending;
    let retry_after = analysis
        .failure
        .as_ref()
        .map_or(SOON, |failure| failure.retry_at.duration_since(Timestamp::now()).as_secs().max(SOON));
    let former = match analysis.answer {
        Some(_) => None,
        None => deps.store.latest_answers(&[question.facts.subject()]).await?.into_values().next(),
    };
    let answer = Answer {
        finding_id: id,
        scan_id: finding.scan_id.get(),
        vulnerability_id: finding.vulnerability_id.as_deref(),
        remediation: remediation(&finding),
        removals: Removals::from(&analysis),
        analysis: LlmAnalysis::from(Some((hash, analysis)), former),
    };
    let status = if pending { StatusCode::ACCEPTED } else { StatusCode::OK };
    let mut response = reply::json(request, status, &answer)?;
    if pending {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after));
    }
    Ok(response)
}
