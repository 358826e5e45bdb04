//! `GET /api/container/scans/{identifier}/report`: returns the report of a scan as it was sent.

use lambda_http::{Body, Request, RequestExt as _, Response};

use super::attachment::{Attachment, PRESIGNED_URL_TTL};
use super::error::Code;
use super::parameter::PLATFORM;
use super::path::{self, Wanted};
use super::query::Query;
use super::{ApiError, Storage, reply, routes};
use crate::domain::scan::ScanId;
use crate::objects::Objects;
use crate::queries::scan_lookup::{ScanIdentifier, find_scan};
use crate::store::Store;

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
    let not_archived = || ApiError::new(Code::NotFound, "the report of this scan is not kept");
    let objects = objects.ok_or_else(not_archived)?;
    // A report that is too large for an answer is not read.
    let (archived, is_larger) = objects.archived_within(scan.report_hash, reply::MAX_BODY_BYTES).await?;
    if archived.is_none() && !is_larger {
        return Err(not_archived());
    }

    let file_name = file_name(scan.scan_id, scan.artifact.image_name.as_str());
    let report = Attachment { content_type: "application/json", file_name, vary: "accept-encoding" };
    if let Some(archived) = archived
        && let Some(response) = report.respond(request, &archived.packed)?
    {
        return Ok(response);
    }
    let url = objects.presign_archived(scan.report_hash, &report.disposition(), PRESIGNED_URL_TTL).await?;
    report.redirect(&url)
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
