//! `GET /api/container/findings/{finding_id}`: shows a finding.

use jiff::Timestamp;
use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, RequestExt as _, Response};

use super::error::Code;
use super::query::Query;
use super::response::finding::ContainerFinding;
use super::{ApiError, path, reply, routes};
use crate::domain::finding::FindingId;
use crate::queries::finding_reader::FindingReader;

/// Answers 200 with a finding.
pub async fn handle(reader: &FindingReader, request: &Request) -> Result<Response<Body>, ApiError> {
    Query::read(request, &routes::GET_FINDING)?;
    let id: FindingId = path::parsed(&routes::GET_FINDING, request.raw_http_path())?;
    let (scan, finding) = reader.store.finding(id).await?.ok_or_else(no_finding)?;
    let views = reader.views(&scan, vec![finding], Timestamp::now()).await?;
    let view = views.into_iter().next().ok_or_else(no_finding)?;
    reply::json(request, StatusCode::OK, &ContainerFinding::from(view))
}

pub(super) fn no_finding() -> ApiError {
    ApiError::new(Code::NotFound, "there is no finding with this id")
}
