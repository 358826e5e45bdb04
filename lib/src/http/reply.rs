//! Writes answers: JSON, compressed for clients that accept gzip, and small enough for Lambda.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use lambda_http::http::{HeaderMap, HeaderValue, StatusCode, header};
use lambda_http::{Body, Request, Response};
use serde::Serialize;

use super::{ApiError, etag};

/// The most bytes of a body inside the function's answer. Lambda takes 6,291,556 bytes
/// (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>); the rest is for headers and for the bytes
/// that the encoder still holds back.
pub(super) const MAX_BODY_BYTES: usize = 5_900_000;
/// The most compressed bytes that deflate holds back: more than a block of 16 Ki symbols.
const MAX_HELD_BACK_BYTES: usize = 128 << 10;
/// The fewest bytes of a body that is compressed.
const MIN_GZIP_BYTES: usize = 1 << 10;

/// Returns whether the client accepts gzip (RFC 9110 §12.5.3).
pub(super) fn accepts_gzip(request: &Request) -> bool {
    let mut any = false;
    for item in request.headers().get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()) {
        for coding in item.split(',') {
            let mut parts = coding.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let refused = parts.any(|weight| {
                weight
                    .strip_prefix(['q', 'Q'])
                    .and_then(|q| q.strip_prefix('=')?.parse::<f32>().ok())
                    .is_some_and(|q| q <= 0.0)
            });
            if name.eq_ignore_ascii_case("gzip") {
                return !refused;
            }
            any |= name == "*" && !refused;
        }
    }
    any
}

/// Returns whether a body fits into the function's answer.
pub(super) fn fits(body: &Body) -> bool {
    let weight = match body {
        Body::Text(text) => text.len() + escapes_in(text.as_bytes()),
        Body::Binary(bytes) => bytes.len().div_ceil(3) * 4,
        _ => 0,
    };
    weight <= MAX_BODY_BYTES
}

/// Adds the entity tag and the headers that every answer has, errors too.
///
/// With `nosniff` a browser does not take hostile text of a report for a page. With `no-store` no cache keeps data of the
/// account.
pub(super) fn finished(request: &Request, response: Response<Body>) -> Response<Body> {
    let mut response = etag::conditional(request, response);
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    response
}

/// Answers with a JSON document.
pub(super) fn json(request: &Request, status: StatusCode, value: &impl Serialize) -> Result<Response<Body>, ApiError> {
    let json = serde_json::to_vec(value)?;
    let mut body = JsonBody::new(accepts_gzip(request) && json.len() >= MIN_GZIP_BYTES);
    body.write(&json)?;
    body.respond(status)
}

/// A body under construction.
enum JsonBody {
    Plain { json: Vec<u8>, escapes: usize },
    Gzip(Box<GzEncoder<Vec<u8>>>),
}

impl JsonBody {
    fn new(gzip: bool) -> Self {
        if gzip {
            Self::Gzip(Box::new(GzEncoder::new(Vec::new(), Compression::fast())))
        } else {
            Self::Plain { json: Vec::new(), escapes: 0 }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Plain { json, escapes } => {
                *escapes += escapes_in(bytes);
                json.extend_from_slice(bytes);
                Ok(())
            }
            Self::Gzip(encoder) => encoder.write_all(bytes),
        }
    }

    /// Returns the size of the function's answer with `more` in it: plain JSON becomes a string in JSON, with its quotes
    /// escaped, and gzip becomes base64.
    fn weight_with(&self, more: &[u8]) -> usize {
        match self {
            Self::Plain { json, escapes } => json.len() + escapes + more.len() + escapes_in(more),
            Self::Gzip(encoder) => (encoder.get_ref().len() + MAX_HELD_BACK_BYTES.max(more.len())) / 3 * 4,
        }
    }

    fn respond(self, status: StatusCode) -> Result<Response<Body>, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        let body = match self {
            Self::Plain { json, .. } => {
                Body::Text(String::from_utf8(json).map_err(|error| std::io::Error::other(error.utf8_error()))?)
            }
            Self::Gzip(encoder) => {
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                Body::Binary(encoder.finish()?)
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

fn escapes_in(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| matches!(byte, b'"' | b'\\' | 0x7F) || byte < 0x20).count()
}

/// A JSON array that takes items until the answer is full.
pub(super) struct ListBody {
    body: JsonBody,
    budget: usize,
    items: usize,
}

impl ListBody {
    pub(super) fn new(gzip: bool) -> Self {
        Self::with_budget(gzip, MAX_BODY_BYTES)
    }

    /// Makes a list of at most `budget` bytes inside the function's answer.
    pub(super) fn with_budget(gzip: bool, budget: usize) -> Self {
        Self { body: JsonBody::new(gzip), budget, items: 0 }
    }

    /// Returns the number of items.
    pub(super) const fn len(&self) -> usize {
        self.items
    }

    /// Appends an item unless the answer would be too large, and returns whether it did. An empty list takes any item.
    pub(super) fn push(&mut self, item: &impl Serialize) -> Result<bool, ApiError> {
        let mut json = vec![if self.items == 0 { b'[' } else { b',' }];
        serde_json::to_writer(&mut json, item)?;
        if self.items > 0 && self.body.weight_with(&json) > self.budget {
            return Ok(false);
        }
        self.body.write(&json)?;
        self.items += 1;
        Ok(true)
    }

    /// Answers with the list: see [`add_page_headers`].
    pub(super) fn respond(mut self, total: Option<u64>, next_page: Option<&str>) -> Result<Response<Body>, ApiError> {
        self.body.write(if self.items == 0 { b"[]" } else { b"]" })?;
        let mut response = self.body.respond(StatusCode::OK)?;
        add_page_headers(&mut response, total, next_page)?;
        Ok(response)
    }
}

/// Adds the number of items of the whole list, and the reference to the next page, if they are known.
pub(super) fn add_page_headers(
    response: &mut Response<Body>,
    total: Option<u64>,
    next_page: Option<&str>,
) -> Result<(), ApiError> {
    let headers = response.headers_mut();
    if let Some(total) = total {
        headers.insert("x-total-count", HeaderValue::from(total));
    }
    if let Some(next) = next_page {
        let link = HeaderValue::try_from(format!("<{next}>; rel=\"next\""))?;
        headers.insert(header::LINK, link);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(accept_encoding: &str) -> Request {
        let mut request = Request::default();
        request.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::try_from(accept_encoding).unwrap());
        request
    }

    #[test]
    fn gzip_is_used_only_for_clients_that_accept_it() {
        for (accept, takes) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.5", true),
            ("br, *", true),
            ("gzip;q=0, *", false),
            ("gzip; q=0.0", false),
            ("*;q=0", false),
            ("identity", false),
            ("gzipped", false),
        ] {
            assert_eq!(accepts_gzip(&request(accept)), takes, "{accept}");
        }
        assert!(!accepts_gzip(&Request::default()));
    }

    #[test]
    fn a_list_ends_before_the_answer_is_too_large() {
        // Pseudo-random text: the worst case for gzip.
        let mut state = 1u64;
        let mut noise = || {
            (0..2000)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    char::from(b'#' + (state >> 58) as u8)
                })
                .collect::<String>()
        };
        for gzip in [false, true] {
            let mut list = ListBody::new(gzip);
            while list.push(&noise()).unwrap() {}
            assert!(list.len() > 2000, "{}", list.len());
            let weight = match list.respond(None, None).unwrap().into_body() {
                Body::Text(json) => serde_json::to_string(&json).unwrap().len(),
                Body::Binary(bytes) => bytes.len().div_ceil(3) * 4,
                _ => panic!("no body"),
            };
            assert!((5_000_000..6_200_000).contains(&weight), "gzip {gzip}: {weight}");
        }
    }

    #[test]
    fn an_empty_list_is_an_empty_array() {
        let response = ListBody::new(false).respond(Some(0), None).unwrap();
        assert_eq!(response.body(), &Body::Text("[]".to_owned()));
        assert_eq!(response.headers()["x-total-count"], "0");
    }
}
