//! `GET /api/container/findings/{finding_id}`: one finding.

use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, RequestExt as _, Response};

use super::dto::ContainerFinding;
use super::error::Code;
use super::query::Query;
use super::{ApiError, path, reply};
use crate::domain::finding::FindingId;
use crate::store::Store;

/// What the handler works with.
#[derive(Debug)]
pub struct Deps {
    /// The table.
    pub store: Store,
}

/// Answers 200 with a finding.
///
/// # Errors
/// 400 for what is not a finding id, 404 if there is no such finding.
pub async fn handle(deps: &Deps, request: &Request) -> Result<Response<Body>, ApiError> {
    Query::read(request, &[])?;
    let id: FindingId =
        path::finding_id(request.raw_http_path())?.parse().map_err(|error| ApiError::parameter("finding_id", error))?;
    let (_, finding) = deps
        .store
        .finding(id)
        .await?
        .ok_or_else(|| ApiError::new(Code::NotFound, "there is no finding with this id"))?;
    reply::json(request, StatusCode::OK, &ContainerFinding::from(finding))
}
