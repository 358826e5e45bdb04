//! `POST /api/container/scans`: ingests a report.

use jiff::Timestamp;
use lambda_http::http::{HeaderMap, HeaderValue, StatusCode, header};
use lambda_http::{Body, Request, RequestExt as _, Response};
use serde::Serialize;
use tokio::time::Instant;

use super::error::Code;
use super::parameter::{IMAGE_NAME, SCANNERS, SEVERITIES};
use super::query::Query;
use super::{ApiError, reply, request_id, routes};
use crate::domain::declared::Declared;
use crate::domain::scan::{OtherFindings, Scan, ScanId};
use crate::domain::severity::SeverityCounts;
use crate::domain::warning::Warning;
use crate::pipeline::ingest::{Ingested, Ingestion, ingest_report};
use crate::report::body::Compression;
use crate::report::{Kind, Submission};
use crate::store::lease::Owner;
use crate::telemetry::metrics::{self, Metric};

#[derive(Serialize)]
struct Answer {
    message: String,
    scan_id: ScanId,
    report_hash: String,
    duplicate: bool,
    newly_ingested_count: usize,
    total_findings_in_report: u32,
    /// Whether the scan is the current one of its image.
    current: bool,
    severity_counts: SeverityCounts,
    suppressed_findings: u32,
    other_findings: OtherFindings,
    warnings: Vec<Warning>,
}

/// Answers 201 for a new report and 200 for a duplicate.
pub async fn handle(deps: &Ingestion, request: &Request) -> Result<Response<Body>, ApiError> {
    let answer = respond(deps, request, Instant::now()).await;
    if let Err(error) = &answer {
        metrics::emit(Metric::Refused { code: error.code().name() }, Timestamp::now());
    }
    answer
}

/// Ingests the report, and answers.
async fn respond(deps: &Ingestion, request: &Request, started: Instant) -> Result<Response<Body>, ApiError> {
    let query = Query::read(request, &routes::INGEST_SCAN)?;
    let declared = Declared {
        image_name: query.parsed(IMAGE_NAME)?,
        scanners: query.parsed(SCANNERS)?,
        severities: query.parsed(SEVERITIES)?,
    };
    let compression = compression(request.headers())?;
    if !fits_in_an_event(request.body()) {
        let advice = format!(
            "a request may carry about 4.7 MB compressed, or 6 MB of JSON; compress the report (gzip or zstd), or \
             upload it: {} {} takes up to {} bytes",
            routes::CREATE_UPLOAD.method,
            routes::CREATE_UPLOAD.path,
            deps.limits.max_bytes
        );
        return Err(ApiError::new(Code::Refused(Kind::TooLarge), advice));
    }
    let body = request.body().as_ref();
    if let Some(offset) = replaced_byte(request) {
        let detail = format!("the body is not UTF-8 at byte {offset} of {}; send it as UTF-8", body.len());
        return Err(ApiError::new(Code::Refused(Kind::InvalidJson), detail));
    }
    let submission = Submission::read(body, compression, declared, deps.limits, deps.archive.is_some())?;
    let report = deps.report(&submission)?;

    let now = Timestamp::now();
    let owner = Owner::random()?.of_request(request_id(request));
    let ingested = ingest_report(deps, &submission, &report, &owner, now)
        .await
        .map_err(|error| ApiError::from_ingest(error, now))?;

    let stored = report.findings.len();
    let metric = match ingested.duplicate {
        true => Metric::Duplicate,
        false => Metric::Ingested { findings: stored, took: started.elapsed() },
    };
    metrics::emit(metric, Timestamp::now());
    tracing::info!(
        scan_id = ingested.scan.scan_id.get(),
        current = ingested.scan.current,
        duplicate = ingested.duplicate,
        findings = stored,
        canonical_bytes = submission.canonical_bytes(),
        "a report was ingested"
    );
    let scan = &ingested.scan;
    let answer = Answer {
        message: message(&ingested, stored, report.reported_findings),
        scan_id: scan.scan_id,
        report_hash: report.hash.to_string(),
        duplicate: ingested.duplicate,
        newly_ingested_count: if ingested.duplicate { 0 } else { stored },
        total_findings_in_report: report.reported_findings,
        current: scan.current,
        severity_counts: scan.severity_counts,
        suppressed_findings: scan.suppressed_counts.total(),
        other_findings: scan.other_findings,
        warnings: ingested.warnings.clone(),
    };
    let status = if ingested.duplicate { StatusCode::OK } else { StatusCode::CREATED };
    let mut response = reply::json(request, status, &answer)?;
    // Keeps the stage or base path of the request.
    let base = routes::INGEST_SCAN.base_of(request.raw_http_path());
    let location = format!("{base}{}", routes::GET_SCAN.with(scan.scan_id));
    let location = HeaderValue::try_from(location)?;
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}

/// Returns whether a body fits into a Lambda event: API Gateway accepts 10 MB, but Lambda only an event of 6,291,556
/// bytes, in which binary bodies are base64
/// (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>). A local gateway may have other limits;
/// these apply in any case.
fn fits_in_an_event(body: &Body) -> bool {
    /// The largest body; the other bytes are for headers and the request context.
    const MAX_BODY: usize = 6_291_556 - 20_000;
    match body {
        // Escaped quotes add a tenth at most, which is not counted.
        Body::Text(text) => text.len() <= MAX_BODY,
        Body::Binary(bytes) => bytes.len().div_ceil(3) * 4 <= MAX_BODY,
        _ => true,
    }
}

/// Finds the first byte that is not UTF-8, which API Gateway replaces with U+FFFD in JSON bodies. The length that the
/// client sent shows whether that character was in the body.
fn replaced_byte(request: &Request) -> Option<usize> {
    let Body::Text(text) = request.body() else { return None };
    let sent: usize = request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()?;
    // The parser handles UTF-16.
    let is_wide = text.bytes().take(16).any(|byte| byte == 0);
    if sent == text.len() || is_wide { None } else { text.find(char::REPLACEMENT_CHARACTER) }
}

fn message(ingested: &Ingested, stored: usize, reported: u32) -> String {
    let Ingested { scan, duplicate, moved, .. } = ingested;
    match (duplicate, moved) {
        (true, true) => "this report was ingested before; its scan is the current one again".to_owned(),
        (true, false) => {
            "this report was ingested before; at most the time at which it was last seen has changed".to_owned()
        }
        (false, _) => {
            let repeats = usize::try_from(reported).unwrap_or(usize::MAX).saturating_sub(stored);
            let result = vulnerability_result(scan, stored, repeats);
            let others = other_results(scan);
            if others.is_empty() { result } else { format!("{result}; {}", others.join(", ")) }
        }
    }
}

/// Describes the vulnerabilities of a report.
fn vulnerability_result(scan: &Scan, stored: usize, repeats: usize) -> String {
    match (stored, repeats) {
        (0, _) if !scan.is_vulnerability_scan => {
            "the report was stored; it does not say whether there are vulnerabilities".to_owned()
        }
        (0, _) if scan.suspect => {
            "the report was stored; it has no vulnerabilities, which is doubtful: see the warnings".to_owned()
        }
        (0, _) => "the report was ingested; it has no vulnerabilities".to_owned(),
        (_, 0) => format!("the report was ingested with {stored} findings"),
        _ => format!("the report was ingested with {stored} findings; {repeats} exact repeats were collapsed"),
    }
}

/// Describes the other findings, so that a scan without vulnerabilities does not look clean.
fn other_results(scan: &Scan) -> Vec<String> {
    let OtherFindings { secrets, misconfigurations, licenses } = scan.other_findings;
    let suppressed = scan.suppressed_counts.total();
    let counted = |count: u32, one: &str, many: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        _ => Some(format!("{count} {many}")),
    };
    let unread = [
        counted(misconfigurations, "misconfiguration", "misconfigurations"),
        counted(secrets, "secret", "secrets"),
        counted(licenses, "licence", "licences"),
    ];
    let unread: Vec<String> = unread.into_iter().flatten().collect();
    let unread = (!unread.is_empty()).then(|| format!("not read, but in the report: {}", unread.join(" and ")));
    let suppressed = counted(suppressed, "finding is suppressed by Trivy", "findings are suppressed by Trivy");
    unread.into_iter().chain(suppressed).collect()
}

/// Reads the compression of the body from its headers.
///
/// Compressed JSON with a JSON content type is refused, because the HTTP API passes such bodies on as text and so damages
/// them.
fn compression(headers: &HeaderMap) -> Result<Compression, ApiError> {
    let header = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("?"));
    let content_type = header(header::CONTENT_TYPE).unwrap_or("application/json");
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let encoding = header(header::CONTENT_ENCODING).unwrap_or("identity").trim().to_ascii_lowercase();
    let is_json = matches!(media_type.as_str(), "application/json" | "text/json")
        || media_type.starts_with("application/") && media_type.ends_with("+json");
    match (media_type.as_str(), encoding.as_str()) {
        (_, "identity" | "") if is_json => Ok(Compression::None),
        ("application/gzip" | "application/x-gzip", "identity" | "")
        | ("application/octet-stream", "gzip" | "x-gzip") => Ok(Compression::Gzip),
        ("application/zstd", "identity" | "") | ("application/octet-stream", "zstd") => Ok(Compression::Zstd),
        _ => Err(ApiError::new(
            Code::UnsupportedMediaType,
            "send the report as Content-Type: application/json without Content-Encoding, or compressed as \
             Content-Type: application/gzip or application/zstd (or as application/octet-stream with \
             Content-Encoding: gzip or zstd)",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::standing::tests::scan;

    fn compression_of(content_type: Option<&str>, encoding: Option<&str>) -> Result<Compression, Code> {
        let mut headers = HeaderMap::new();
        let mut set = |name, value: Option<&str>| value.map(|value| headers.insert(name, value.parse().unwrap()));
        set(header::CONTENT_TYPE, content_type);
        set(header::CONTENT_ENCODING, encoding);
        compression(&headers).map_err(|error| error.code())
    }

    #[test]
    fn the_headers_say_how_the_body_is_packed() {
        for (content_type, encoding, expected) in [
            (Some("application/json"), None, Compression::None),
            (Some("Application/JSON; charset=utf-8"), Some("identity"), Compression::None),
            (Some("application/vnd.aquasec.trivy.report+json"), None, Compression::None),
            (None, None, Compression::None),
            (Some("application/gzip"), None, Compression::Gzip),
            (Some("application/octet-stream"), Some("gzip"), Compression::Gzip),
            (Some("application/zstd"), None, Compression::Zstd),
            (Some("application/octet-stream"), Some("zstd"), Compression::Zstd),
        ] {
            assert_eq!(compression_of(content_type, encoding), Ok(expected), "{content_type:?} {encoding:?}");
        }
    }

    #[test]
    fn other_types_and_stacked_encodings_are_refused() {
        for (content_type, encoding) in [
            (Some("application/x-www-form-urlencoded"), None),
            (Some("text/plain"), None),
            (Some("multipart/form-data; boundary=x"), None),
            (Some("application/octet-stream"), None),
            (Some("application/octet-stream"), Some("br")),
            (Some("application/json"), Some("gzip")),
            (Some("application/gzip"), Some("gzip")),
            (Some("application/octet-stream"), Some("gzip, gzip")),
            (Some(""), None),
        ] {
            assert_eq!(
                compression_of(content_type, encoding),
                Err(Code::UnsupportedMediaType),
                "{content_type:?} {encoding:?}"
            );
        }
    }

    #[test]
    fn a_body_in_which_a_gateway_has_replaced_bytes_is_known_by_its_length() {
        let of = |text: &str, length: Option<usize>| {
            let mut request = Request::new(Body::Text(text.to_owned()));
            if let Some(length) = length {
                request.headers_mut().insert(header::CONTENT_LENGTH, length.into());
            }
            replaced_byte(&request)
        };
        assert_eq!(of("[\"\u{FFFD}\"]", Some(5)), Some(2));
        assert_eq!(of("[\"\u{FFFD}\"]", Some(7)), None, "it was sent so");
        assert_eq!(of("[\"\u{FFFD}\"]", None), None);
        assert_eq!(of("[\"é\"]", Some(5)), None);
        assert_eq!(of("\u{FFFD}\u{FFFD}[\0]\0", Some(6)), None, "UTF-16");
    }

    #[test]
    fn the_message_tells_of_collapsed_repeats() {
        let ingested = Ingested { scan: scan(1, 1, "a", 7, 0), duplicate: false, moved: true, warnings: Vec::new() };
        let expected = "the report was ingested with 7 findings; 3 exact repeats were collapsed";
        assert_eq!(message(&ingested, 7, 10), expected);
    }

    #[test]
    fn a_scan_without_vulnerabilities_does_not_read_as_clean_where_there_is_something_else() {
        let of = |scan: Scan| Ingested { scan, duplicate: false, moved: true, warnings: Vec::new() };
        let clean = scan(1, 1, "a", 0, 0);
        assert_eq!(message(&of(clean.clone()), 0, 0), "the report was ingested; it has no vulnerabilities");
        let other_findings = OtherFindings { secrets: 2, misconfigurations: 1, licenses: 0 };
        assert_eq!(
            message(&of(Scan { other_findings, ..clean.clone() }), 0, 0),
            "the report was ingested; it has no vulnerabilities; not read, but in the report: 1 misconfiguration and 2 secrets"
        );
        assert_eq!(
            message(&of(Scan { is_vulnerability_scan: false, ..clean }), 0, 0),
            "the report was stored; it does not say whether there are vulnerabilities"
        );
    }
}
