//! Refuses requests without a route: 405 for a wrong method of a path, 404 for any other path.

use lambda_http::{Body, Request, RequestExt as _, Response};

use super::error::Code;
use super::{ApiError, routes};

/// Refuses the request.
pub async fn handle((): &(), request: &Request) -> Result<Response<Body>, ApiError> {
    let path = request.raw_http_path();
    let allowed = routes::methods(path);
    if !allowed.is_empty() {
        return Err(ApiError::method_not_allowed(request.method(), &allowed));
    }
    let shorter = path.trim_end_matches('/');
    let detail = if shorter != path && !routes::methods(shorter).is_empty() {
        "there is no such path; use the path without the slash at its end"
    } else {
        "there is no such path"
    };
    Err(ApiError::new(Code::NotFound, detail))
}

#[cfg(test)]
mod tests {
    use lambda_http::http::{Method, StatusCode, header};

    use super::*;

    async fn refusal(method: Method, path: &str) -> Response<Body> {
        let mut request = Request::default().with_raw_http_path(path);
        *request.method_mut() = method;
        handle(&(), &request).await.unwrap_err().into_response("r")
    }

    #[tokio::test]
    async fn a_wrong_method_is_told_the_right_ones() {
        let response = refusal(Method::PUT, "/api/container/scans").await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[header::ALLOW], "GET, POST");
    }

    #[tokio::test]
    async fn a_path_that_is_none_is_not_found_whatever_the_method() {
        for method in [Method::GET, Method::PATCH] {
            let response = refusal(method, "/api/container/nothing").await;
            assert_eq!((response.status(), response.headers().get(header::ALLOW)), (StatusCode::NOT_FOUND, None));
        }
    }
}
