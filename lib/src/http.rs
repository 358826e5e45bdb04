//! Answers HTTP requests: one file for each endpoint.
#![expect(clippy::missing_errors_doc, reason = "docs/API.md lists the errors of each endpoint")]

use std::future::Future;

use lambda_http::http::header;
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, Body, LambdaEvent, Request, RequestExt as _, Response, Service as _, service_fn};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tracing::{Instrument as _, Span};

use crate::objects::Objects;
use crate::store::Store;
use crate::telemetry::invocation;

pub mod analyze_finding;
pub mod analyze_scan;
pub mod confirm_scan;
pub mod create_upload;
pub mod delete_scan;
mod error;
pub mod get_cve;
pub mod get_finding;
pub mod get_health;
pub mod get_report;
pub mod get_scan;
pub mod get_upload;
pub mod ingest_scan;
pub mod list_findings;
pub mod list_priorities;
pub mod list_scans;
pub mod no_route;
pub mod parameter;
pub mod retire_image;
pub mod routes;

mod attachment;
mod etag;
mod export_findings;
mod order;
mod path;
mod principal;
mod priority_order;
mod query;
mod reply;
mod response;
mod selected_findings;

pub use error::ApiError;

/// The state of handlers that use the table and the bucket.
#[derive(Debug)]
pub struct Storage {
    pub(crate) store: Store,
    /// None if this deployment has no bucket.
    pub(crate) objects: Option<Objects>,
}

/// The `handle` of an endpoint, whose state is a `D`. The runtime needs `Send` futures, which an `AsyncFn(&D, &Request)`
/// cannot promise.
pub trait Handle<'a, D: 'a>: Fn(&'a D, &'a Request) -> Self::Answering {
    /// The future of the answer.
    type Answering: Future<Output = Result<Response<Body>, ApiError>> + Send + 'a;
}

impl<'a, D: 'a, H, F> Handle<'a, D> for H
where
    H: Fn(&'a D, &'a Request) -> F,
    F: Future<Output = Result<Response<Body>, ApiError>> + Send + 'a,
{
    type Answering = F;
}

/// Answers requests until Lambda ends the process.
///
/// `lambda_http::run` would panic on some requests: it builds a URL, which Sirius does not read, from the unchecked query,
/// host and protocol.
pub async fn answer_requests<D, H>(state: &D, handle: H) -> Result<(), lambda_http::Error>
where
    D: Sync,
    H: for<'a> Handle<'a, D> + Sync,
{
    let handle = &handle;
    let answer = async |request| serve(request, async |request: &Request| handle(state, request).await).await;
    let mut adapter = Adapter::from(service_fn(answer));
    lambda_runtime::run(service_fn(|event: LambdaEvent<LambdaRequest>| adapter.call(sanitize(event)))).await
}

/// Removes or escapes the parts of an event that are not valid in a URL.
fn sanitize(mut event: LambdaEvent<LambdaRequest>) -> LambdaEvent<LambdaRequest> {
    /// The characters that RFC 3986 §3.4 does not allow in a query, except `%`: the query may have escapes.
    const NOT_IN_A_QUERY: &AsciiSet = &CONTROLS
        .add(b' ')
        .add(b'"')
        .add(b'#')
        .add(b'<')
        .add(b'>')
        .add(b'[')
        .add(b']')
        .add(b'\\')
        .add(b'^')
        .add(b'`')
        .add(b'{')
        .add(b'|')
        .add(b'}');
    let LambdaRequest::ApiGatewayV2(request) = &mut event.payload else { return event };
    if let Some(query) = &mut request.raw_query_string {
        *query = utf8_percent_encode(query, NOT_IN_A_QUERY).to_string();
    }
    request.headers.remove(header::HOST);
    request.headers.remove("x-forwarded-proto");
    request.request_context.domain_name = None;
    event
}

/// Runs a handler, logs its error, turns it into the answer, and adds the headers of all answers.
///
/// It never fails, since API Gateway would answer an error of the function with a 500 without a reason.
pub async fn serve(
    request: Request,
    handle: impl AsyncFnOnce(&Request) -> Result<Response<Body>, ApiError>,
) -> Result<Response<Body>, lambda_http::Error> {
    let request_id = request_id(&request).to_owned();
    let span = request.lambda_context_ref().map_or_else(Span::none, invocation);
    let answering = async {
        match handle(&request).await {
            Ok(response) => response,
            Err(error) => {
                error.log(&request_id);
                error.into_response(&request_id)
            }
        }
    };
    Ok(reply::finished(&request, answering.instrument(span).await))
}

/// Returns the id of the invocation; empty outside Lambda.
fn request_id(request: &Request) -> &str {
    request.lambda_context_ref().map(|context| context.request_id.as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use lambda_http::Context;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn converted(path: &str, query: &str, host: &str, proto: &str) -> Request {
        let event = json!({
            "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query, "isBase64Encoded": false,
            "headers": {"host": host, "x-forwarded-proto": proto},
            "requestContext": {
                "domainName": host, "stage": "$default", "requestId": "r", "timeEpoch": 0,
                "http": {"method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "::1", "userAgent": "t"}
            }
        });
        let payload: LambdaRequest = serde_json::from_value(event).unwrap();
        sanitize(LambdaEvent::new(payload, Context::default())).payload.into()
    }

    #[test]
    fn a_query_reads_the_same_once_it_is_sanitized() {
        let request = converted("/x", "a=<b>&c=%3Cd%3E&e=%&f=\"g\"", "h", "https");
        let query = request.query_string_parameters();
        let all: Vec<_> = ["a", "c", "e", "f"].into_iter().map(|name| query.first(name).unwrap()).collect();
        assert_eq!(all, ["<b>", "<d>", "%", "\"g\""]);
    }

    /// Returns the answer of a handler run by [`serve`].
    async fn served(
        if_none_match: Option<&str>,
        handle: impl AsyncFnOnce(&Request) -> Result<Response<Body>, ApiError>,
    ) -> Response<Body> {
        let mut request = converted("/api/container/scans", "", "h", "https");
        if let Some(tag) = if_none_match {
            request.headers_mut().insert(header::IF_NONE_MATCH, tag.parse().unwrap());
        }
        serve(request, handle).await.unwrap()
    }

    #[tokio::test]
    async fn every_answer_forbids_sniffing_and_storing() {
        let ok = async |_: &Request| Ok(Response::new(Body::Text("[]".to_owned())));
        let stored = async |_: &Request| {
            let mut response = Response::new(Body::Empty);
            response.headers_mut().insert(header::CACHE_CONTROL, "public, max-age=60".parse().unwrap());
            Ok(response)
        };
        let answers = [
            (200, served(None, ok).await),
            (304, served(Some("*"), ok).await),
            (200, served(None, stored).await),
            (404, served(None, async |_: &Request| Err(ApiError::new(error::Code::NotFound, "no"))).await),
            (
                405,
                served(None, async |_: &Request| Err(ApiError::method_not_allowed(&"PUT".parse().unwrap(), &["GET"])))
                    .await,
            ),
            (500, served(None, async |_: &Request| Err(ApiError::from(std::io::Error::other("x")))).await),
        ];
        for (status, answer) in answers {
            assert_eq!(answer.status(), status);
            assert_eq!(answer.headers()["x-content-type-options"], "nosniff", "{status}");
            assert_eq!(answer.headers()[header::CACHE_CONTROL], "private, no-store", "{status}");
        }
    }

    proptest! {
        #[test]
        fn no_request_makes_the_conversion_panic(path in "/\\PC*|/[\\x20-\\x7e]*", query in "\\PC*|[\\x20-\\x7e]*", host in "[\\x20-\\x7e]*", proto in "[\\x20-\\x7e]*") {
            let request = converted(&path, &query, &host, &proto);
            prop_assert_eq!(request.raw_http_path(), path);
        }
    }
}
