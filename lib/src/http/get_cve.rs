//! `GET /api/container/cves/{cve_id}`: shows a vulnerability and the images that have it.

use jiff::Timestamp;
use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, RequestExt as _, Response};

use super::error::Code;
use super::parameter::ALL;
use super::query::Query;
use super::response::cve::AffectedImages;
use super::{ApiError, path, reply, routes};
use crate::domain::vulnerability::id::VulnerabilityId;
use crate::queries::fleet_reader::FleetReader;
use crate::store::cursor::Scope;

/// The state of the handler.
#[derive(Debug)]
pub struct Deps {
    pub(crate) reader: FleetReader,
    /// Whether vulnerabilities are looked up: otherwise the images that have them are unknown.
    pub(crate) enriched: bool,
}

/// The most images of a page without a limit.
const DEFAULT_LIMIT: usize = 100;

/// Answers 200 with the record and the images that have the vulnerability; with `?all=true` also those that had it.
pub async fn handle(deps: &Deps, request: &Request) -> Result<Response<Body>, ApiError> {
    let query = Query::read(request, &routes::GET_CVE)?;
    let id: VulnerabilityId = path::parsed(&routes::GET_CVE, request.raw_http_path())?;
    let all = query.flag(ALL)?.unwrap_or(false);
    let limit = query.limit()?.unwrap_or(DEFAULT_LIMIT);
    if !deps.enriched {
        return Err(ApiError::enrichment_not_configured());
    }
    let FleetReader { store, .. } = &deps.reader;
    let scope = Scope::new(&["images with", id.as_str(), &all.to_string()]);
    let start = query.position(scope, store).await?.unwrap_or_default();
    let start = usize::try_from(start).unwrap_or(usize::MAX);

    let affected = deps.reader.affected_images(&id, all, Timestamp::now()).await?;
    let affected = affected.ok_or_else(|| ApiError::new(Code::NotFound, "no stored scan has this vulnerability"))?;
    let end = start.saturating_add(limit).min(affected.images.len());
    let page = affected.images.get(start..end).unwrap_or_default();
    let mut response = reply::json(request, StatusCode::OK, &AffectedImages::new(&affected.record, page))?;
    let rest = (end < affected.images.len()).then(|| u128::try_from(end).unwrap_or(u128::MAX));
    let next = query.page_at(rest, scope, store).await?;
    reply::add_page_headers(&mut response, Some(affected.images.len() as u64), next.as_deref())?;
    Ok(response)
}
