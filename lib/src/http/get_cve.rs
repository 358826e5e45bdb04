//! `GET /api/container/cves/{cve_id}`: what is known of a vulnerability, and where in the fleet it is.

use jiff::Timestamp;
use lambda_http::http::{HeaderValue, StatusCode, header};
use lambda_http::{Body, Request, RequestExt as _, Response};

use super::error::Code;
use super::parameter::ALL;
use super::query::Query;
use super::response::cve::LocatedCve;
use super::{ApiError, path, reply, routes};
use crate::domain::fleet::Fleet;
use crate::domain::vulnerability::id::VulnerabilityId;
use crate::pipeline::judge::Judge;
use crate::pipeline::locate;
use crate::store::Store;
use crate::store::cursor::{self, Scope};

/// What the handler works with.
#[derive(Debug)]
pub struct Deps {
    /// The table.
    pub store: Store,
    /// How findings are judged.
    pub judge: Judge,
    /// Which images count.
    pub fleet: Fleet,
    /// Whether vulnerabilities are looked up here: without, nobody knows which images have them.
    pub enriched: bool,
}

/// Images of a page if it is not said how many.
const DEFAULT_LIMIT: usize = 100;

/// Answers 200 with the record and the images whose newest scans have the vulnerability; with `?all=true` those
/// that have had it, too.
///
/// # Errors
/// 400 for what is not a vulnerability's id or for a wrong parameter, 404 if no stored scan has it, 501 if none are looked
/// up.
pub async fn handle(deps: &Deps, request: &Request) -> Result<Response<Body>, ApiError> {
    let query = Query::read(request, &routes::GET_CVE)?;
    let id: VulnerabilityId = path::parsed(&routes::GET_CVE, request.raw_http_path())?;
    let all = query.flag(ALL)?.unwrap_or(false);
    let limit = query.limit()?.unwrap_or(DEFAULT_LIMIT);
    if !deps.enriched {
        return Err(ApiError::enrichment_not_configured());
    }
    let scope = Scope::new(&["images with", id.as_str(), &all.to_string()]);
    let start = match query.cursor()? {
        Some(cursor) => {
            let position = cursor.verify(scope, deps.store.cursor_key().await?.as_ref())?;
            usize::try_from(position).unwrap_or(usize::MAX)
        }
        None => 0,
    };

    let located = locate::locate(&deps.store, &deps.judge, &deps.fleet, &id, all, Timestamp::now()).await?;
    let located = located.ok_or_else(|| ApiError::new(Code::NotFound, "no stored scan has this vulnerability"))?;
    let end = start.saturating_add(limit).min(located.images.len());
    let page = located.images.get(start..end).unwrap_or_default();
    let mut response = reply::json(request, StatusCode::OK, &LocatedCve::new(&located.record, page))?;
    let headers = response.headers_mut();
    headers.insert("x-total-count", HeaderValue::from(located.images.len()));
    if end < located.images.len()
        && let Some(key) = deps.store.cursor_key().await?
    {
        let next = query.next_page(&cursor::sign(u128::try_from(end).unwrap_or(u128::MAX), scope, &key));
        let link = HeaderValue::try_from(format!("<{next}>; rel=\"next\"")).map_err(std::io::Error::other)?;
        headers.insert(header::LINK, link);
    }
    Ok(response)
}
