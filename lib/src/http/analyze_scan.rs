//! `POST /api/llm/analyze/container/scans/{scan_id}`: requests analyses of the findings of a scan.

use std::time::Duration;

use jiff::Timestamp;
use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, RequestExt as _, Response};
use serde::Serialize;
use tokio::time::Instant;

use super::analyze_finding::Deps;
use super::error::Code;
use super::parameter::SEVERITY;
use super::principal::principal_of;
use super::query::Query;
use super::{ApiError, path, reply, request_id, routes};
use crate::domain::scan::ScanId;
use crate::domain::severity::Severity;
use crate::pipeline::analyze_scan::{Order, Tally, request_analyses};

/// The most prompts that a request queues by default.
const DEFAULT_LIMIT: usize = 500;
/// How long a request queues prompts, well before the function's timeout.
const QUEUE_BUDGET: Duration = Duration::from_secs(20);

#[derive(Serialize)]
struct Answer {
    message: &'static str,
    scan_id: ScanId,
    #[serde(flatten)]
    tally: Tally,
}

/// Answers 202 with the numbers of queued, answered and pending prompts.
pub async fn handle(deps: &Deps, request: &Request) -> Result<Response<Body>, ApiError> {
    let deadline = Instant::now() + QUEUE_BUDGET;
    let query = Query::read(request, &routes::ANALYZE_SCAN)?;
    let id: ScanId = path::parsed(&routes::ANALYZE_SCAN, request.raw_http_path())?;
    let severities: Vec<Severity> = query.list(SEVERITY)?;
    let limit = query.limit()?.unwrap_or(DEFAULT_LIMIT);

    let prompts = deps.prompts()?;
    let scan = prompts.store.scan(id).await?;
    let scan = scan.ok_or_else(|| ApiError::new(Code::NotFound, "there is no scan with this id"))?;
    let order = Order { severities: &severities, limit, deadline };
    let queue = deps.queue.on_behalf_of(request_id(request));
    let tally = request_analyses(prompts, &queue, &scan, order, Timestamp::now()).await?;
    let message = match tally {
        Tally { more: true, .. } => "a part was queued; call again to go on",
        Tally { queued: 0, .. } => "there was nothing to queue",
        _ => "queued",
    };
    let principal = principal_of(request);
    let Tally { queued, cached, .. } = tally;
    tracing::info!(scan_id = id.get(), queued, cached, principal, "a scan is being analysed");
    reply::json(request, StatusCode::ACCEPTED, &Answer { message, scan_id: id, tally })
}
