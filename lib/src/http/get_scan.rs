//! `GET /api/container/scans/{artifactname}`: shows the current scan of an image, or the scan with an id.
//!
//! Image names have slashes, so the route is greedy: it also takes `…/{artifactname}/findings` and
//! `…/{artifactname}/report` of such names.

use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, RequestExt as _, Response};

use super::get_report::respond_with_report;
use super::list_findings::{Deps, respond_with_findings};
use super::list_scans::respond_with_history;
use super::parameter::{CURSOR, HISTORY, LIMIT, PLATFORM};
use super::path::{self, Wanted};
use super::query::Query;
use super::response::scan::ContainerScan;
use super::{ApiError, reply, routes};
use crate::domain::asset::Asset;
use crate::queries::scan_lookup::find_scan;

/// Answers 200 with a scan; with `?history=true` with an array of all scans of the image.
pub async fn handle(deps: &Deps, request: &Request) -> Result<Response<Body>, ApiError> {
    let Deps { reader, objects, .. } = deps;
    let store = &reader.store;
    let identifier = match path::scans(request.raw_http_path())? {
        Wanted::Report(identifier) => return respond_with_report(store, objects.as_ref(), request, &identifier).await,
        Wanted::Findings(identifier) => return respond_with_findings(deps, request, &identifier).await,
        Wanted::Scan(identifier) => identifier,
    };
    let query = Query::read(request, &routes::GET_SCAN)?;
    if query.flag(HISTORY)? == Some(true) {
        if query.one(PLATFORM)?.is_some() {
            return Err(ApiError::parameter(
                PLATFORM.name,
                "is not allowed with history=true, which has all platforms",
            ));
        }
        let scan = find_scan(store, &identifier, None).await?;
        let asset = Asset::of(scan.scan_id, &scan.artifact);
        return respond_with_history(store, request, &query, &asset.name).await;
    }
    for parameter in [LIMIT, CURSOR] {
        if query.one(parameter)?.is_some() {
            return Err(ApiError::parameter(parameter.name, "is only allowed with history=true"));
        }
    }
    let scan = find_scan(store, &identifier, query.parsed(PLATFORM)?.as_ref()).await?;
    let counts = match reader.prompts() {
        Some(prompts) => Some(prompts.analysis_counts(&scan).await?),
        None => None,
    };
    reply::json(request, StatusCode::OK, &ContainerScan::from(&scan).with_analyses(counts))
}
