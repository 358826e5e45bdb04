//! Adds entity tags to answers, and answers 304 to a client that already has the answer (RFC 9110 §8.8.3 and §13.1.2).
//!
//! A tag is the digest of the answer, not the version of an item: an answer is joined from several items when it is read.
//! Equal tags mean equal bytes, so tags are strong. The plain and the gzip form of an answer have different tags.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lambda_http::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use lambda_http::{Body, Request, Response};
use sha2::{Digest as _, Sha256};

/// The headers that belong to the content of an answer.
const CONTENT_HEADERS: [HeaderName; 2] = [header::LINK, HeaderName::from_static("x-total-count")];
/// The headers that describe a body, which a 304 does not have (RFC 9110 §15.4.5).
const BODY_HEADERS: [HeaderName; 3] = [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::CONTENT_DISPOSITION];
/// The number of bytes of the digest in a tag.
const TAG_BYTES: usize = 16;

/// Adds the tag to a 200 of a GET. Turns the answer into a 304 without a body if the request has the tag.
pub(super) fn conditional(request: &Request, mut response: Response<Body>) -> Response<Body> {
    if request.method() != Method::GET || response.status() != StatusCode::OK {
        return response;
    }
    let opaque = opaque(&response);
    let is_known = has_tag(request.headers(), &opaque);
    // All characters of the alphabet are valid in a header.
    if let Ok(tag) = HeaderValue::try_from(format!("\"{opaque}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Body::Empty;
        for name in BODY_HEADERS {
            response.headers_mut().remove(name);
        }
    }
    response
}

/// Returns the text between the quotes of the answer's tag.
fn opaque(response: &Response<Body>) -> String {
    let mut digest = Sha256::new();
    for name in CONTENT_HEADERS {
        let value = response.headers().get(name).map(HeaderValue::as_bytes).unwrap_or_default();
        // With the length first, a part of a header cannot move into the next one, or into the body, under the same tag.
        digest.update(value.len().to_be_bytes());
        digest.update(value);
    }
    digest.update(response.body().as_ref());
    let digest = digest.finalize();
    URL_SAFE_NO_PAD.encode(digest.get(..TAG_BYTES).unwrap_or(&digest))
}

/// Returns whether `If-None-Match` has this tag, by weak comparison (RFC 9110 §13.1.2), or is `*`. A malformed list is read
/// up to its first error.
fn has_tag(headers: &HeaderMap, opaque: &str) -> bool {
    let lines = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    lines.into_iter().any(|line| line.trim() == "*" || tags(line).any(|tag| tag == opaque))
}

/// Returns the text between the quotes of each tag of a list, up to the first that is malformed.
fn tags(mut list: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        list = list.trim_start_matches([' ', '\t', ',']);
        let quoted = list.strip_prefix("W/").unwrap_or(list).strip_prefix('"')?;
        let (tag, rest) = quoted.split_once('"')?;
        list = rest;
        Some(tag)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(method: Method, if_none_match: &[&str]) -> Request {
        let mut request = Request::default();
        *request.method_mut() = method;
        for line in if_none_match {
            request.headers_mut().append(header::IF_NONE_MATCH, HeaderValue::try_from(*line).unwrap());
        }
        request
    }

    fn answer(body: &str) -> Response<Body> {
        let mut response = Response::new(Body::Text(body.to_owned()));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        response
    }

    fn tag_of(response: Response<Body>) -> String {
        let response = conditional(&request(Method::GET, &[]), response);
        response.headers()[header::ETAG].to_str().unwrap().to_owned()
    }

    #[test]
    fn a_client_that_lists_the_tag_in_any_form_gets_304() {
        let tag = tag_of(answer("[1]"));
        for list in [
            vec![tag.clone()],
            vec![format!("W/{tag}")],
            vec![format!("\"a,b\", W/\"c\" ,{tag}")],
            vec!["\"other\"".to_owned(), tag.clone()],
            vec!["*".to_owned()],
            vec![" * ".to_owned()],
        ] {
            let list: Vec<&str> = list.iter().map(String::as_str).collect();
            let response = conditional(&request(Method::GET, &list), answer("[1]"));
            assert_eq!((response.status(), response.body()), (StatusCode::NOT_MODIFIED, &Body::Empty), "{list:?}");
            assert_eq!(response.headers()[header::ETAG], tag);
            assert_eq!(response.headers()[header::VARY], "accept-encoding");
            assert!(!response.headers().contains_key(header::CONTENT_TYPE));
        }
    }

    #[test]
    fn a_client_without_the_tag_gets_the_answer() {
        let tag = tag_of(answer("[1]"));
        let bare = tag.trim_matches('"').to_owned();
        for list in ["\"\"", &bare, "w/\"x\"", &format!("\"{bare}"), &format!("x, {tag}"), "", "\"*\""] {
            let response = conditional(&request(Method::GET, &[list]), answer("[1]"));
            assert_eq!(response.status(), StatusCode::OK, "{list}");
            assert_eq!(response.body(), &Body::Text("[1]".to_owned()));
        }
        assert_eq!(conditional(&request(Method::GET, &[&tag]), answer("[2]")).status(), StatusCode::OK);
    }

    #[test]
    fn link_and_total_are_part_of_the_tag() {
        let paged = |link: &str, total: &str| {
            let mut response = answer("[1]");
            response.headers_mut().insert(header::LINK, HeaderValue::try_from(link).unwrap());
            response.headers_mut().insert("x-total-count", HeaderValue::try_from(total).unwrap());
            tag_of(response)
        };
        let tags = [tag_of(answer("[1]")), paged("<?a>", "1"), paged("<?b>", "1"), paged("<?a>", "2")];
        for (at, tag) in tags.iter().enumerate() {
            assert!(!tags[..at].contains(tag), "{tags:?}");
        }
    }

    #[test]
    fn only_a_200_of_a_get_has_a_tag() {
        let post = conditional(&request(Method::POST, &["*"]), answer("[1]"));
        assert_eq!((post.status(), post.headers().get(header::ETAG)), (StatusCode::OK, None));
        let mut pending = answer("{}");
        *pending.status_mut() = StatusCode::ACCEPTED;
        let pending = conditional(&request(Method::GET, &["*"]), pending);
        assert_eq!((pending.status(), pending.headers().get(header::ETAG)), (StatusCode::ACCEPTED, None));
    }

    proptest! {
        #[test]
        fn any_list_is_read_without_a_panic_and_a_listed_tag_is_found(before in "[ -~]{0,20}", tag in "[a-zA-Z0-9_-]{1,22}") {
            let _ = tags(&before).count();
            let listed = format!("\"x\",\t W/\"{tag}\", {before}");
            prop_assert!(tags(&listed).any(|found| found == tag));
        }
    }
}
