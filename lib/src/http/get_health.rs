//! `GET /api/health`: checks the table, the bucket and the queues, and names the deployed versions.

use std::time::Duration;

use futures_util::future::{join_all, join3};
use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, Response};
use serde::Serialize;

use super::query::Query;
use super::{ApiError, reply, routes};
use crate::domain::vulnerability::CveRichment;
use crate::llm::prompt::TEMPLATE_VERSION;
use crate::objects::Objects;
use crate::queue::Queue;
use crate::report;
use crate::store::Store;
use crate::telemetry::chain;

/// The state of the handler.
#[derive(Debug)]
pub struct Deps {
    pub(crate) store: Store,
    pub(crate) objects: Option<Objects>,
    /// The queues by name; none where a queue is not configured.
    pub(crate) queues: [(&'static str, Option<Queue>); 3],
    /// The model; none if findings are not analysed.
    pub(crate) model: Option<String>,
    /// The kind of sources that `enrich-cves` asks.
    pub(crate) sources: &'static str,
}

/// How long each part has to answer. All are asked at the same time.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    /// It refuses or cannot be reached; the log has the cause.
    Failing,
    Timeout,
    NotConfigured,
}

#[derive(Serialize)]
struct Part {
    name: &'static str,
    state: State,
}

#[derive(Serialize)]
struct Answer<'a> {
    /// `ok` or `degraded`.
    status: &'static str,
    /// The names of the parts that fail or do not answer.
    degraded: Vec<&'static str>,
    parts: Vec<Part>,
    model: Model<'a>,
    sources: &'static str,
    versions: Versions,
}

#[derive(Serialize)]
struct Model<'a> {
    configured: bool,
    name: Option<&'a str>,
}

#[derive(Serialize)]
struct Versions {
    sirius: &'static str,
    /// The version of the canonical form of reports, whose hash identifies duplicates.
    report_form: u32,
    cve_schema: u32,
    prompt: &'static str,
}

/// Answers 200 if each configured part answers, else 503 with the same document. The model's host and the sources are not
/// asked, since requests can be answered without them.
pub async fn handle(deps: &Deps, request: &Request) -> Result<Response<Body>, ApiError> {
    Query::read(request, &routes::GET_HEALTH)?;
    let table = probe("table", PROBE_TIMEOUT, deps.store.check());
    let bucket = async {
        match &deps.objects {
            Some(objects) => probe("bucket", PROBE_TIMEOUT, objects.check()).await,
            None => Part { name: "bucket", state: State::NotConfigured },
        }
    };
    let queues = deps.queues.iter().map(|(name, queue)| async move {
        match queue {
            Some(queue) => probe(name, PROBE_TIMEOUT, queue.check()).await,
            None => Part { name, state: State::NotConfigured },
        }
    });
    // The calls' futures are large.
    let (table, bucket, queues) = Box::pin(join3(table, bucket, join_all(queues))).await;
    let parts: Vec<Part> = [table, bucket].into_iter().chain(queues).collect();
    let is_bad = |part: &&Part| matches!(part.state, State::Failing | State::Timeout);
    let degraded: Vec<&str> = parts.iter().filter(is_bad).map(|part| part.name).collect();
    let (status, code) = match degraded.as_slice() {
        [] => ("ok", StatusCode::OK),
        _ => ("degraded", StatusCode::SERVICE_UNAVAILABLE),
    };
    let answer = Answer {
        status,
        degraded,
        parts,
        model: Model { configured: deps.model.is_some(), name: deps.model.as_deref() },
        sources: deps.sources,
        versions: Versions {
            sirius: env!("CARGO_PKG_VERSION"),
            report_form: report::FORM,
            cve_schema: CveRichment::SCHEMA_VERSION,
            prompt: TEMPLATE_VERSION,
        },
    };
    reply::json(request, code, &answer)
}

/// Checks one part within a time.
async fn probe<E>(name: &'static str, timeout: Duration, check: impl Future<Output = Result<(), E>>) -> Part
where
    E: std::error::Error + 'static,
{
    let state = match tokio::time::timeout(timeout, check).await {
        Ok(Ok(())) => State::Ok,
        Ok(Err(error)) => {
            tracing::warn!(part = name, cause = chain(&error), "a part is failing");
            State::Failing
        }
        Err(_) => {
            tracing::warn!(part = name, "a part does not answer in time");
            State::Timeout
        }
    };
    Part { name, state }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_hangs_is_given_up_and_one_that_fails_is_told() {
        let hangs = probe::<std::io::Error>("table", Duration::ZERO, std::future::pending()).await;
        assert_eq!((hangs.name, hangs.state), ("table", State::Timeout));
        let fails = probe("bucket", PROBE_TIMEOUT, async { Err(std::io::Error::other("no")) }).await;
        assert_eq!(fails.state, State::Failing);
        let works = probe::<std::io::Error>("bucket", PROBE_TIMEOUT, async { Ok(()) }).await;
        assert_eq!(works.state, State::Ok);
    }
}
