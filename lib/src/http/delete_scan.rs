//! `DELETE /api/container/scans/{scan_id}`: deletes a scan and its data.

use std::time::Duration;

use jiff::Timestamp;
use lambda_http::http::{HeaderValue, StatusCode, header};
use lambda_http::{Body, Request, RequestExt as _, Response};

use super::error::Code;
use super::path::{self, Wanted};
use super::principal::principal_of;
use super::query::Query;
use super::{ApiError, Storage, reply, routes};
use crate::domain::scan::ParseScanIdError;
use crate::pipeline::delete_scan::{Deleted, Order, Reason, delete_scan};
use crate::queries::scan_lookup::ScanIdentifier;

/// How long a request deletes, well before the function's timeout; recovery removes the rest.
const DELETE_BUDGET: Duration = Duration::from_secs(20);

/// Answers 204 if nothing is left, even if the scan was deleted earlier; 202 while its data is being removed.
pub async fn handle(storage: &Storage, request: &Request) -> Result<Response<Body>, ApiError> {
    Query::read(request, &routes::DELETE_SCAN)?;
    // Only by id, since the current scan of an image may change.
    let Wanted::Scan(ScanIdentifier::Scan(id)) = path::scans(request.raw_http_path())? else {
        return Err(ApiError::parameter("scan_id", ParseScanIdError));
    };
    let archive = storage.objects.as_ref();
    // Checked before the scan becomes invisible: without the bucket its report could not be removed.
    if let Some(archive) = archive {
        archive.check().await?;
    }
    // Logged before the first write, so that the log has the principal even if the deletion is interrupted.
    tracing::info!(scan_id = id.get(), principal = principal_of(request), "a scan is being deleted");
    let order = Order { scan_id: id, reason: Reason::Requested };
    let deleted = delete_scan(&storage.store, archive, order, Timestamp::now(), DELETE_BUDGET).await?;
    tracing::info!(scan_id = id.get(), outcome = ?deleted, "a scan was deleted");
    match deleted {
        Deleted::Gone => {
            let mut response = Response::new(Body::Empty);
            *response.status_mut() = StatusCode::NO_CONTENT;
            Ok(response)
        }
        Deleted::Underway => {
            let message = serde_json::json!({
                "message": "the scan is no longer visible; its data is being removed", "scan_id": id
            });
            let mut response = reply::json(request, StatusCode::ACCEPTED, &message)?;
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
            Ok(response)
        }
        Deleted::Busy => Err(ApiError::reingesting()),
        Deleted::Unknown => Err(ApiError::new(Code::NotFound, "no scan ever had this id")),
    }
}
