//! `POST /api/container/scans/{scan_id}/confirm`: confirms a suspect scan: the findings that it lacks are fixed.

use jiff::Timestamp;
use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, RequestExt as _, Response};

use super::principal::principal_of;
use super::query::Query;
use super::response::scan::ContainerScan;
use super::{ApiError, path, reply, request_id, routes};
use crate::domain::scan::ScanId;
use crate::pipeline::confirm_scan::confirm_scan;
use crate::queries::scan_lookup;
use crate::queue::Queue;
use crate::store::Store;

/// The state of the handler.
#[derive(Debug)]
pub struct Deps {
    pub(crate) store: Store,
    /// The queue of scans whose occurrences have to be updated; none without enrichment.
    pub(crate) enrichment: Option<Queue>,
}

/// Answers 200 with the confirmed scan.
pub async fn handle(deps: &Deps, request: &Request) -> Result<Response<Body>, ApiError> {
    Query::read(request, &routes::CONFIRM_SCAN)?;
    // Only by id, since the current scan of an image may change.
    let id: ScanId = path::parsed(&routes::CONFIRM_SCAN, request.raw_http_path())?;
    let queue = deps.enrichment.as_ref().map(|queue| queue.on_behalf_of(request_id(request)));
    let scan = confirm_scan(&deps.store, queue.as_ref(), id, Timestamp::now()).await?;
    let scan = scan.ok_or(scan_lookup::Error::NotFound)?;
    let principal = principal_of(request);
    tracing::info!(scan_id = id.get(), current = scan.current, principal, "a scan was confirmed");
    reply::json(request, StatusCode::OK, &ContainerScan::from(&scan))
}
