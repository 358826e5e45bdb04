//! `GET /api/container/scans/{identifier}/report`: the report of a scan, as it was sent.

use std::time::Duration;

use lambda_http::http::{HeaderMap, HeaderValue, StatusCode, header};
use lambda_http::{Body, Request, RequestExt as _, Response};

use super::error::Code;
use super::path::{self, Identifier, Wanted};
use super::query::Query;
use super::{ApiError, get_scan, reply};
use crate::objects::Objects;
use crate::report::body::{self, Compression};
use crate::store::Store;

/// What the handler works with.
#[derive(Debug)]
pub struct Deps {
    /// The table.
    pub store: Store,
    /// The bucket of the archive.
    pub objects: Objects,
}

/// How long the address of a large report holds.
const OPEN: Duration = Duration::from_secs(5 * 60);

/// Answers 200 with the report, or 307 with where it can be fetched if it is too large for an answer.
///
/// # Errors
/// 400 for a wrong name, 404 if there is no such scan, or its report is not kept.
pub async fn handle(deps: &Deps, request: &Request) -> Result<Response<Body>, ApiError> {
    match path::scans(request.raw_http_path())? {
        Wanted::Report(identifier) => of(&deps.store, &deps.objects, request, identifier).await,
        Wanted::Scan(_) | Wanted::Findings(_) => Err(ApiError::new(Code::NotFound, "there is no such resource")),
    }
}

/// The report of a scan that is already named.
pub(super) async fn of(
    store: &Store,
    objects: &Objects,
    request: &Request,
    identifier: Identifier,
) -> Result<Response<Body>, ApiError> {
    let query = Query::read(request, &["platform"])?;
    let scan = get_scan::find(store, identifier, &query).await?;
    let not_kept = || ApiError::new(Code::NotFound, "the report of this scan is not kept (any more)");
    // More than an answer may have is not even fetched.
    let (archived, is_larger) = objects.archived_within(scan.report_hash, reply::BUDGET).await?;
    if archived.is_none() && !is_larger {
        return Err(not_kept());
    }

    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    let body = match archived {
        Some(archived) if reply::accepts_gzip(request) => {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            Some(Body::Binary(archived.packed))
        }
        Some(archived) => {
            let json = body::unpack(archived.packed, Compression::Gzip, reply::BUDGET).ok();
            json.and_then(|json| String::from_utf8(json.bytes.into_owned()).ok()).map(Body::Text)
        }
        None => None,
    };
    let mut response = Response::new(Body::Empty);
    match body.filter(reply::fits) {
        Some(body) => *response.body_mut() = body,
        None => {
            // Its address is a credential, and so stays out of the log.
            let url = objects.presign_archived(scan.report_hash, OPEN).await?;
            headers.remove(header::CONTENT_ENCODING);
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            headers.insert(header::LOCATION, HeaderValue::try_from(&url).map_err(std::io::Error::other)?);
            *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
            *response.body_mut() = Body::Text(serde_json::json!({ "location": url }).to_string());
        }
    }
    *response.headers_mut() = headers;
    Ok(response)
}
