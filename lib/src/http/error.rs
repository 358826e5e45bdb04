//! Turns errors into RFC 9457 problem documents.

use std::borrow::Cow;
use std::error::Error as StdError;

use jiff::Timestamp;
use lambda_http::http::header::{self, HeaderValue, InvalidHeaderValue};
use lambda_http::http::{Method, StatusCode};
use lambda_http::{Body, Response};
use problem_details::ProblemDetails;
use serde::Serialize;

use crate::domain::text::shortened;
use crate::pipeline::{analyze, delete_scan, ingest};
use crate::queries::scan_lookup;
use crate::report::Kind;
use crate::store::cursor::InvalidCursor;
use crate::telemetry::chain;
use crate::{exports, objects, report, store};

/// The kind of a problem. The names are part of the API and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    InvalidParameter,
    InvalidCursor,
    /// The report is refused.
    Refused(Kind),
    NotFound,
    MethodNotAllowed,
    /// Another request is ingesting the same report.
    IngestionInProgress,
    /// The scan of the same report is being deleted.
    DeletionInProgress,
    UnsupportedMediaType,
    /// The text of the finding is too long for the model's context.
    PromptTooLong,
    AnalysisNotConfigured,
    EnrichmentNotConfigured,
    BucketNotConfigured,
    /// A permanent failure of Sirius.
    Internal,
    /// A temporary failure of Sirius.
    Unavailable,
}

impl Code {
    /// Returns the name for clients, the log and the metrics.
    pub(super) const fn name(self) -> &'static str {
        self.name_and_status().0
    }

    const fn name_and_status(self) -> (&'static str, StatusCode) {
        match self {
            Self::InvalidParameter => ("invalid_parameter", StatusCode::BAD_REQUEST),
            Self::InvalidCursor => ("invalid_cursor", StatusCode::BAD_REQUEST),
            Self::Refused(kind @ Kind::InvalidJson) => (kind.name(), StatusCode::BAD_REQUEST),
            Self::Refused(kind @ Kind::TooLarge) => (kind.name(), StatusCode::PAYLOAD_TOO_LARGE),
            Self::Refused(kind) => (kind.name(), StatusCode::UNPROCESSABLE_ENTITY),
            Self::NotFound => ("not_found", StatusCode::NOT_FOUND),
            Self::MethodNotAllowed => ("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED),
            Self::IngestionInProgress => ("ingestion_in_progress", StatusCode::CONFLICT),
            Self::DeletionInProgress => ("deletion_in_progress", StatusCode::CONFLICT),
            Self::UnsupportedMediaType => ("unsupported_media_type", StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Self::PromptTooLong => ("prompt_too_long", StatusCode::UNPROCESSABLE_ENTITY),
            Self::AnalysisNotConfigured => ("analysis_not_configured", StatusCode::NOT_IMPLEMENTED),
            Self::EnrichmentNotConfigured => ("enrichment_not_configured", StatusCode::NOT_IMPLEMENTED),
            Self::BucketNotConfigured => ("bucket_not_configured", StatusCode::NOT_IMPLEMENTED),
            Self::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR),
            Self::Unavailable => ("unavailable", StatusCode::SERVICE_UNAVAILABLE),
        }
    }
}

/// A refusal or a failure.
#[derive(Debug)]
pub struct ApiError {
    code: Code,
    detail: Cow<'static, str>,
    /// `Retry-After`, in seconds.
    retry_after: Option<i64>,
    /// `Allow`: the methods of the path.
    allow: Option<HeaderValue>,
    /// The cause, for the log only.
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The members that Sirius adds to a problem document.
#[derive(Serialize)]
struct Extensions<'a> {
    code: &'static str,
    request_id: &'a str,
}

impl ApiError {
    /// Makes a refusal. `detail` states for the client what is wrong and where.
    pub(super) fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        /// The longest detail. A parser's error may quote megabytes of its input.
        const MAX_DETAIL: usize = 600;
        let detail = match detail.into() {
            Cow::Owned(detail) => shortened(detail, MAX_DETAIL).into(),
            constant => constant,
        };
        Self { code, detail, retry_after: None, allow: None, source: None }
    }

    /// Refuses a parameter: `limit: is not …`.
    pub(super) fn parameter(name: &str, reason: impl std::fmt::Display) -> Self {
        Self::new(Code::InvalidParameter, format!("{name}: {reason}"))
    }

    /// Refuses a method. `allowed` are the methods of the path.
    pub(super) fn method_not_allowed(method: &Method, allowed: &[&str]) -> Self {
        let allowed = allowed.join(", ");
        let detail = format!("{method} is not a method of this path, which has: {allowed}");
        Self { allow: HeaderValue::try_from(allowed).ok(), ..Self::new(Code::MethodNotAllowed, detail) }
    }

    /// Refuses a request for a scan that is hidden while its report is ingested again.
    pub(super) fn reingesting() -> Self {
        let detail = "the report of this scan is being ingested again; try again later";
        Self { retry_after: Some(60), ..Self::new(Code::IngestionInProgress, detail) }
    }

    /// Refuses a question about vulnerabilities without enrichment. An empty answer would mean that no image has one.
    pub(super) fn enrichment_not_configured() -> Self {
        let detail = "this deployment does not look vulnerabilities up, so it does not know which images have them: set \
                      ENRICHMENT_QUEUE_URL, and run enrich-cves on that queue";
        Self::new(Code::EnrichmentNotConfigured, detail)
    }

    pub(super) fn bucket_not_configured() -> Self {
        Self::new(Code::BucketNotConfigured, "this deployment has no bucket to upload to: set BUCKET_NAME")
    }

    /// Refuses an export that does not fit in an answer, in a deployment without a bucket.
    #[must_use]
    pub fn no_bucket_for_export() -> Self {
        let detail = "the export is too large for an answer, and this deployment has no bucket to put it in: set \
                      BUCKET_NAME, accept gzip, or ask for fewer findings";
        Self::new(Code::BucketNotConfigured, detail)
    }

    /// Refuses an export of more than `limit` packed bytes.
    #[must_use]
    pub fn export_too_large(limit: usize) -> Self {
        let detail = format!("the export has more than {limit} bytes as gzip: ask for fewer findings");
        Self::new(Code::Refused(Kind::TooLarge), detail)
    }

    /// Makes a failure of Sirius. The client gets a constant text, the log gets the cause.
    fn failure(transient: bool, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let (code, detail, retry_after) = if transient {
            (Code::Unavailable, "Sirius cannot answer right now; please try again.", Some(2))
        } else {
            (Code::Internal, "Sirius failed; the request id leads to the cause in its log.", None)
        };
        Self { code, detail: detail.into(), retry_after, allow: None, source: Some(source.into()) }
    }

    /// Returns the kind of the problem.
    pub(super) const fn code(&self) -> Code {
        self.code
    }

    /// Returns the text for the client.
    #[cfg(test)]
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    pub(super) fn log(&self, request_id: &str) {
        let (code, status) = self.code.name_and_status();
        let status = status.as_u16();
        match &self.source {
            Some(source) => {
                let cause = chain(source.as_ref());
                tracing::error!(request_id, status, code, cause, "the request failed");
            }
            // The detail may quote the request, so the log does not have it.
            None => tracing::info!(request_id, status, code, "the request was refused"),
        }
    }

    pub(super) fn into_response(self, request_id: &str) -> Response<Body> {
        let (code, status) = self.code.name_and_status();
        let problem = ProblemDetails::from_status_code(status)
            .with_detail(self.detail)
            .with_extensions(Extensions { code, request_id });
        let body = serde_json::to_string(&problem).unwrap_or_default();
        let mut response = Response::new(Body::Text(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(methods) = self.allow {
            headers.insert(header::ALLOW, methods);
        }
        response
    }
}

impl From<store::Error> for ApiError {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Vanished { .. } => {
                Self::new(Code::NotFound, "the scan was deleted, or ingested again, while it was read")
            }
            error => Self::failure(error.is_transient(), error),
        }
    }
}

impl From<scan_lookup::Error> for ApiError {
    fn from(error: scan_lookup::Error) -> Self {
        match error {
            scan_lookup::Error::NotFound => Self::new(Code::NotFound, error.to_string()),
            scan_lookup::Error::OtherPlatform => Self::parameter("platform", error),
            scan_lookup::Error::Store(error) => error.into(),
        }
    }
}

impl From<exports::Error> for ApiError {
    fn from(error: exports::Error) -> Self {
        match error {
            exports::Error::Changed => {
                Self::new(Code::NotFound, "the scan was deleted, or ingested again, while it was read")
            }
            error => Self::failure(false, error),
        }
    }
}

impl From<analyze::Error> for ApiError {
    fn from(error: analyze::Error) -> Self {
        match error {
            analyze::Error::Prompt(error) => {
                Self::new(Code::PromptTooLong, format!("the finding cannot be asked about: {error}"))
            }
            analyze::Error::Store(error) => error.into(),
            error => Self::failure(error.is_transient(), error),
        }
    }
}

impl From<InvalidCursor> for ApiError {
    fn from(error: InvalidCursor) -> Self {
        Self::new(Code::InvalidCursor, format!("cursor: {error}"))
    }
}

/// Converts errors into failures of Sirius, each with whether it is temporary.
macro_rules! from_failures {
    ($($type:ty: |$error:ident| $is_transient:expr;)+) => {
        $(impl From<$type> for ApiError {
            fn from($error: $type) -> Self {
                Self::failure($is_transient, $error)
            }
        })+
    };
}

from_failures! {
    objects::Error: |error| error.is_transient();
    delete_scan::Error: |error| error.is_transient();
    std::io::Error: |error| false;
    serde_json::Error: |error| false;
    InvalidHeaderValue: |error| false;
    getrandom::Error: |error| true;
}

impl From<report::Error> for ApiError {
    fn from(error: report::Error) -> Self {
        Self::new(Code::Refused(error.kind()), error.to_string())
    }
}

impl ApiError {
    /// Turns a failed ingestion into its answer. `Retry-After` counts from `now`.
    pub(super) fn from_ingest(error: ingest::Error, now: Timestamp) -> Self {
        match error {
            ingest::Error::Store(error) => error.into(),
            ingest::Error::Archive(error) => error.into(),
            ingest::Error::Random(error) => error.into(),
            ingest::Error::Busy { until } => Self {
                retry_after: Some(seconds_until(until, now)),
                ..Self::new(
                    Code::IngestionInProgress,
                    "the same report is being ingested by another request; send it again later to get its scan",
                )
            },
            ingest::Error::Deleting { until } => Self {
                retry_after: Some(seconds_until(until, now)),
                ..Self::new(
                    Code::DeletionInProgress,
                    "the scan of this report is being deleted; send the report again later to get a new scan",
                )
            },
        }
    }
}

/// Returns the seconds until a time, rounded up.
fn seconds_until(until: Timestamp, now: Timestamp) -> i64 {
    let millis = until.duration_since(now).as_millis().max(0);
    i64::try_from(millis / 1000).unwrap_or(i64::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::scan::ScanId;

    #[test]
    fn a_failure_tells_the_client_nothing_of_its_cause() {
        let error = ApiError::from(store::Error::Corrupt { item: "SCAN#7".into(), reason: "secret".into() });
        let response = error.into_response("r-1");
        assert_eq!(response.status(), 500);
        let Body::Text(body) = response.body() else { panic!("not text") };
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(
            problem,
            serde_json::json!({
                "title": "Internal Server Error", "status": 500, "code": "internal",
                "request_id": "r-1", "detail": "Sirius failed; the request id leads to the cause in its log."
            })
        );
    }

    #[test]
    fn a_detail_that_quotes_megabytes_is_cut() {
        let error = ApiError::parameter("x", "é".repeat(1 << 20));
        assert!(error.detail().len() < 610 && error.detail().ends_with('…'));
    }

    #[test]
    fn a_scan_that_is_deleted_while_it_is_read_is_not_found_and_no_failure() {
        let vanished = || store::Error::Vanished { scan_id: ScanId::new(7).unwrap() };
        for error in [ApiError::from(vanished()), ApiError::from(analyze::Error::from(vanished()))] {
            assert!(error.source.is_none(), "{error:?}");
            assert_eq!(error.into_response("").status(), 404);
        }
    }

    #[test]
    fn a_passing_failure_says_when_to_try_again() {
        let response = ApiError::from(store::Error::LostClaim).into_response("");
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    }

    #[test]
    fn a_busy_report_can_be_sent_again_when_the_lease_is_over() {
        let now = Timestamp::from_second(100).unwrap();
        let until = Timestamp::from_millisecond(130_500).unwrap();
        let response = ApiError::from_ingest(ingest::Error::Busy { until }, now).into_response("");
        assert_eq!(
            (response.status(), &response.headers()[header::RETRY_AFTER]),
            (StatusCode::CONFLICT, &HeaderValue::from(31))
        );
    }

    #[test]
    fn a_report_whose_scan_is_being_deleted_is_refused_with_that_reason() {
        let now = Timestamp::from_second(100).unwrap();
        let until = Timestamp::from_second(200).unwrap();
        let error = ApiError::from_ingest(ingest::Error::Deleting { until }, now);
        assert_eq!(error.code().name(), "deletion_in_progress");
        assert!(error.detail().contains("deleted") && !error.detail().contains("ingested by another"));
        let response = error.into_response("");
        assert_eq!(
            (response.status(), &response.headers()[header::RETRY_AFTER]),
            (StatusCode::CONFLICT, &HeaderValue::from(101))
        );
    }
}
