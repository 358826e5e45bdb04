//! `GET /api/container/scans/{identifier}/report`: returns the report of a scan as it was sent.

use std::time::Duration;

use lambda_http::http::{HeaderMap, HeaderValue, StatusCode, header};
use lambda_http::{Body, Request, RequestExt as _, Response};

use super::error::Code;
use super::parameter::PLATFORM;
use super::path::{self, Wanted};
use super::query::Query;
use super::{ApiError, Storage, reply, routes};
use crate::domain::scan::ScanId;
use crate::objects::Objects;
use crate::queries::scan_lookup::{ScanIdentifier, find_scan};
use crate::report::body::{self, Compression};
use crate::store::Store;

/// How long the presigned URL of a large report is valid.
const PRESIGNED_URL_TTL: Duration = Duration::from_secs(5 * 60);

/// Answers 200 with the report, or 307 with a presigned URL if it is too large for an answer.
pub async fn handle(storage: &Storage, request: &Request) -> Result<Response<Body>, ApiError> {
    match path::scans(request.raw_http_path())? {
        Wanted::Report(identifier) => {
            respond_with_report(&storage.store, storage.objects.as_ref(), request, &identifier).await
        }
        Wanted::Scan(_) | Wanted::Findings(_) => Err(ApiError::new(Code::NotFound, "there is no such resource")),
    }
}

/// Answers with the report of the scan that the path names.
pub(super) async fn respond_with_report(
    store: &Store,
    objects: Option<&Objects>,
    request: &Request,
    identifier: &ScanIdentifier,
) -> Result<Response<Body>, ApiError> {
    let query = Query::read(request, &routes::GET_REPORT)?;
    let scan = find_scan(store, identifier, query.parsed(PLATFORM)?.as_ref()).await?;
    let not_archived = || ApiError::new(Code::NotFound, "the report of this scan is not archived");
    let objects = objects.ok_or_else(not_archived)?;
    // A report that is too large for an answer is not read.
    let (archived, is_larger) = objects.archived_within(scan.report_hash, reply::MAX_BODY_BYTES).await?;
    if archived.is_none() && !is_larger {
        return Err(not_archived());
    }

    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    let disposition =
        format!("attachment; filename=\"{}\"", file_name(scan.scan_id, scan.artifact.image_name.as_str()));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::try_from(&disposition)?);
    let body = match archived {
        Some(archived) if reply::accepts_gzip(request) => {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            Some(Body::Binary(archived.packed))
        }
        Some(archived) => {
            let json = body::unpack(archived.packed, Compression::Gzip, reply::MAX_BODY_BYTES).ok();
            json.and_then(|json| String::from_utf8(json.bytes.into_owned()).ok()).map(Body::Text)
        }
        None => None,
    };
    let mut response = Response::new(Body::Empty);
    match body.filter(reply::fits) {
        Some(body) => *response.body_mut() = body,
        None => {
            // The URL is a credential: it must not be logged.
            let url = objects.presign_archived(scan.report_hash, &disposition, PRESIGNED_URL_TTL).await?;
            headers.remove(header::CONTENT_ENCODING);
            headers.remove(header::CONTENT_DISPOSITION);
            headers.insert(header::LOCATION, HeaderValue::try_from(&url)?);
            *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
            *response.body_mut() = Body::Text(serde_json::json!({ "location": url }).to_string());
        }
    }
    *response.headers_mut() = headers;
    Ok(response)
}

/// Returns the name under which clients save the report: the scan id, and the image name in safe characters.
fn file_name(scan: ScanId, image: &str) -> String {
    /// The most characters of the image name.
    const MAX_CHARS: usize = 100;
    let name = image.chars().take(MAX_CHARS);
    let safe = name.map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' });
    format!("scan-{scan}-{}.json", safe.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_a_file_with_a_safe_name_whatever_the_image_is_called() {
        let scan = ScanId::new(7).unwrap();
        for (image, expected) in [
            ("ghcr.io/org/app:1.0", "scan-7-ghcr.io_org_app_1.0.json"),
            ("../../x\"; filename=evil.html", "scan-7-.._.._x___filename_evil.html.json"),
            ("\u{fc}\u{202e}", "scan-7-__.json"),
        ] {
            assert_eq!(file_name(scan, image), expected);
        }
        assert_eq!(file_name(scan, &"x".repeat(1000)).len(), "scan-7-.json".len() + 100);
    }
}
