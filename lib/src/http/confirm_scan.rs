//! `POST /api/container/scans/{scan_id}/confirm`: what a suspect scan lacks is really gone.

use jiff::Timestamp;
use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, RequestExt as _, Response};

use super::query::Query;
use super::response::scan::ContainerScan;
use super::{ApiError, get_scan, path, principal, reply, request_id, routes};
use crate::domain::scan::ScanId;
use crate::pipeline::confirm_scan;
use crate::queue::Queue;
use crate::store::Store;

/// What the handler works with.
#[derive(Debug)]
pub struct Deps {
    /// The table.
    pub store: Store,
    /// Where it is queued that the fleet's occurrences follow; none if there are none.
    pub enrichment: Option<Queue>,
}

/// Answers 200 with the scan as it is then.
///
/// # Errors
/// 400 for what is not a scan id, 404 if there is no such scan.
pub async fn handle(deps: &Deps, request: &Request) -> Result<Response<Body>, ApiError> {
    Query::read(request, &routes::CONFIRM_SCAN)?;
    // By its number only: a name means another scan tomorrow.
    let id: ScanId = path::parsed(&routes::CONFIRM_SCAN, request.raw_http_path())?;
    let queue = deps.enrichment.as_ref().map(|queue| queue.on_behalf_of(request_id(request)));
    let scan = confirm_scan::run(&deps.store, queue.as_ref(), id, Timestamp::now()).await?;
    let scan = scan.ok_or_else(get_scan::no_scan)?;
    let principal = principal::of(request);
    tracing::info!(scan_id = id.get(), current = scan.current, principal, "a scan was confirmed");
    reply::json(request, StatusCode::OK, &ContainerScan::from(&scan))
}
