//! Answers with a file: in the answer if it fits, else by an address in the bucket.

use std::time::Duration;

use lambda_http::http::{HeaderMap, HeaderValue, StatusCode, header};
use lambda_http::{Body, Request, Response};

use super::{ApiError, reply};
use crate::report::body::{self, Compression};

/// How long the presigned URL of a file is valid.
pub(super) const PRESIGNED_URL_TTL: Duration = Duration::from_secs(5 * 60);

/// A file that is kept as gzip.
#[derive(Debug)]
pub(super) struct Attachment {
    pub(super) content_type: &'static str,
    /// The name under which clients save it. It must be safe inside quotes.
    pub(super) file_name: String,
    /// The headers of the request on which the answer depends.
    pub(super) vary: &'static str,
}

impl Attachment {
    /// Returns the value of `Content-Disposition`.
    pub(super) fn disposition(&self) -> String {
        format!("attachment; filename=\"{}\"", self.file_name)
    }

    /// Answers 200 with the file, packed if the client accepts gzip; none if it does not fit in an answer.
    pub(super) fn respond(&self, request: &Request, packed: &[u8]) -> Result<Option<Response<Body>>, ApiError> {
        let mut headers = self.headers(HeaderValue::from_static(self.content_type));
        let disposition = HeaderValue::try_from(self.disposition())?;
        headers.insert(header::CONTENT_DISPOSITION, disposition);
        let body = if reply::accepts_gzip(request) {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            (packed.len() <= reply::MAX_BODY_BYTES).then(|| Body::Binary(packed.to_vec()))
        } else {
            let plain = body::unpack(packed, Compression::Gzip, reply::MAX_BODY_BYTES).ok();
            plain.and_then(|plain| String::from_utf8(plain.bytes.into_owned()).ok()).map(Body::Text)
        };
        Ok(body.filter(reply::fits).map(|body| {
            let mut response = Response::new(body);
            *response.headers_mut() = headers;
            response
        }))
    }

    /// Answers 307 with the presigned URL of the file. The URL is a credential: it must not be logged.
    pub(super) fn redirect(&self, url: &str) -> Result<Response<Body>, ApiError> {
        let mut headers = self.headers(HeaderValue::from_static("application/json"));
        headers.insert(header::LOCATION, HeaderValue::try_from(url)?);
        let mut response = Response::new(Body::Text(serde_json::json!({ "location": url }).to_string()));
        *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
        *response.headers_mut() = headers;
        Ok(response)
    }

    fn headers(&self, content_type: HeaderValue) -> HeaderMap {
        HeaderMap::from_iter([
            (header::CONTENT_TYPE, content_type),
            (header::VARY, HeaderValue::from_static(self.vary)),
        ])
    }
}
