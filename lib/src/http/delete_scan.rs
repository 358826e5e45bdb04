//! `DELETE /api/container/scans/{scan_id}`: removes a scan and all that belongs to it.

use std::time::Duration;

use jiff::Timestamp;
use lambda_http::http::{HeaderValue, StatusCode, header};
use lambda_http::{Body, Request, RequestExt as _, Response};

use super::error::Code;
use super::path::{self, Identifier, Wanted};
use super::query::Query;
use super::{ApiError, principal, reply, routes};
use crate::domain::scan::ParseScanIdError;
use crate::objects::Objects;
use crate::pipeline::delete_scan::{self, Deleted, Reason};
use crate::store::Store;

/// What the handler works with.
#[derive(Debug)]
pub struct Deps {
    /// The table.
    pub store: Store,
    /// The bucket of the archive; none if no report is kept.
    pub objects: Option<Objects>,
}

/// How long a request deletes before it leaves the rest to the schedule, well before its function's
/// timeout.
const TIME: Duration = Duration::from_secs(20);

/// Answers 204 once nothing is left, also if that was so before; 202 while the rest follows step by step.
///
/// # Errors
/// 400 for what is not a scan id, 404 for a number that no scan ever had, 409 while its report is
/// being ingested anew.
pub async fn handle(deps: &Deps, request: &Request) -> Result<Response<Body>, ApiError> {
    Query::read(request, &routes::DELETE_SCAN)?;
    // By its number only: a name means another scan tomorrow.
    let Wanted::Scan(Identifier::Scan(id)) = path::scans(request.raw_http_path())? else {
        return Err(ApiError::parameter("scan_id", ParseScanIdError));
    };
    let archive = deps.objects.as_ref();
    // Before the scan is gone from every answer: a bucket that cannot be reached would leave its report for good.
    if let Some(archive) = archive {
        archive.check().await?;
    }
    // Before the first write: whatever becomes of it, it is known who wanted it.
    tracing::info!(scan_id = id.get(), principal = principal::of(request), "a scan is being deleted");
    let deleted = delete_scan::run(&deps.store, archive, id, Reason::Requested, Timestamp::now(), TIME).await?;
    tracing::info!(scan_id = id.get(), outcome = ?deleted, "a scan was deleted");
    match deleted {
        Deleted::Gone => {
            let mut response = Response::new(Body::Empty);
            *response.status_mut() = StatusCode::NO_CONTENT;
            Ok(response)
        }
        Deleted::Underway => {
            let message = serde_json::json!({
                "message": "the scan is gone from every list; what it left is being removed", "scan_id": id
            });
            let mut response = reply::json(request, StatusCode::ACCEPTED, &message)?;
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
            Ok(response)
        }
        Deleted::Busy => Err(ApiError::reingesting()),
        Deleted::Unknown => Err(ApiError::new(Code::NotFound, "there never was a scan with this number")),
    }
}
