//! `GET /api/container/scans/{artifactname}`: the current scan of an image, or the scan of a number.
//!
//! Image names hold slashes, so the route is greedy, and `…/{artifactname}/findings` and
//! `…/{artifactname}/report` come here too when the name has any.

use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, RequestExt as _, Response};

use super::error::Code;
use super::parameter::{CURSOR, HISTORY, LIMIT, PLATFORM};
use super::path::{self, Identifier, Wanted};
use super::query::Query;
use super::response::scan::ContainerScan;
use super::{ApiError, get_report, list_findings, list_scans, reply, routes};
use crate::domain::asset::Asset;
use crate::domain::platform::Platform;
use crate::domain::scan::Scan;
use crate::objects::Objects;
use crate::pipeline::join;
use crate::store::Store;

/// What the handler works with.
#[derive(Debug)]
pub struct Deps {
    /// What scans and their findings are answered with.
    pub findings: list_findings::Deps,
    /// The bucket of the archive; none if no report is kept.
    pub objects: Option<Objects>,
}

/// Answers 200 with a scan; with `?history=true` with an array of all scans of the image.
///
/// # Errors
/// 400 for a wrong name or parameter, 404 if there is no such scan.
pub async fn handle(deps: &Deps, request: &Request) -> Result<Response<Body>, ApiError> {
    let Deps { findings: deps, objects } = deps;
    let identifier = match path::scans(request.raw_http_path())? {
        Wanted::Report(identifier) => return get_report::of(&deps.store, objects.as_ref(), request, identifier).await,
        Wanted::Findings(identifier) => return list_findings::of(deps, request, identifier).await,
        Wanted::Scan(identifier) => identifier,
    };
    let query = Query::read(request, &routes::GET_SCAN)?;
    if query.flag(HISTORY)? != Some(true) {
        for parameter in [LIMIT, CURSOR] {
            if query.one(parameter)?.is_some() {
                return Err(ApiError::parameter(parameter.name, "goes with history=true"));
            }
        }
        let scan = find(&deps.store, identifier, &query).await?;
        let counts = match &deps.questions {
            Some(questions) => Some(join::counts(&deps.store, &deps.judge, questions, &scan).await?),
            None => None,
        };
        return reply::json(request, StatusCode::OK, &ContainerScan::from(&scan).with_analyses(counts));
    }
    if query.one(PLATFORM)?.is_some() {
        return Err(ApiError::parameter("platform", "does not go with history=true, which has all platforms"));
    }
    let scan = find(&deps.store, identifier, &query).await?;
    let asset = Asset::of(scan.scan_id, &scan.artifact);
    list_scans::history(&deps.store, request, &query, &asset.name).await
}

/// The scan that is meant; by a name that of `?platform=`, or of all platforms the one that was seen last.
pub(super) async fn find(store: &Store, identifier: Identifier, query: &Query) -> Result<Scan, ApiError> {
    let platform = query.parsed::<Platform>(PLATFORM)?;
    match identifier {
        Identifier::Scan(id) => {
            let scan = store.scan(id).await?.ok_or_else(no_scan)?;
            let normal = |platform: &Option<Platform>| platform.as_ref().map(Platform::normal);
            if platform.is_some() && normal(&scan.artifact.platform) != normal(&platform) {
                return Err(ApiError::parameter("platform", "is not that of the scan with this number"));
            }
            Ok(scan)
        }
        Identifier::Image(names) => {
            for name in names {
                if let Some(scan) = store.scan_of_image(&name, platform.as_ref()).await? {
                    return Ok(scan);
                }
            }
            Err(no_scan())
        }
    }
}

pub(super) fn no_scan() -> ApiError {
    ApiError::new(Code::NotFound, "there is no scan of that name or number")
}
