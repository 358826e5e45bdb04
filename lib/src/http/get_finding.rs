//! `GET /api/container/findings/{finding_id}`: one finding.

use jiff::Timestamp;
use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, RequestExt as _, Response};

use super::error::Code;
use super::query::Query;
use super::response::finding::ContainerFinding;
use super::{ApiError, path, reply, routes};
use crate::domain::finding::FindingId;
use crate::llm::Questions;
use crate::pipeline::join;
use crate::pipeline::judge::Judge;
use crate::store::Store;

/// What the handler works with.
#[derive(Debug)]
pub struct Deps {
    /// The table.
    pub store: Store,
    /// How findings are judged.
    pub judge: Judge,
    /// How findings are asked about; none if nothing is analysed here.
    pub questions: Option<Questions>,
}

/// Answers 200 with a finding.
///
/// # Errors
/// 400 for what is not a finding id, 404 if there is no such finding.
pub async fn handle(deps: &Deps, request: &Request) -> Result<Response<Body>, ApiError> {
    Query::read(request, &routes::GET_FINDING)?;
    let id: FindingId = path::parsed(&routes::GET_FINDING, request.raw_http_path())?;
    let Deps { store, judge, questions } = deps;
    let (scan, finding) = store.finding(id).await?.ok_or_else(no_finding)?;
    let joined = join::findings(store, judge, questions.as_ref(), &scan, vec![finding], Timestamp::now()).await?;
    let finding = joined.into_iter().next().ok_or_else(no_finding)?;
    reply::json(request, StatusCode::OK, &ContainerFinding::from(finding))
}

pub(super) fn no_finding() -> ApiError {
    ApiError::new(Code::NotFound, "there is no finding with this id")
}
