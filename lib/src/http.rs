//! The HTTP edge: one file per endpoint, each parsing its request and shaping its answer.

use lambda_http::{Body, Request, RequestExt as _, Response};

pub mod analyze_finding;
pub mod analyze_scan;
pub mod error;
pub mod get_finding;
pub mod get_scan;
pub mod ingest_scan;
pub mod list_findings;
pub mod list_scans;

mod dto;
mod path;
mod query;
mod reply;

pub use error::ApiError;

/// Runs a handler: its error becomes the answer, and is logged once. Never fails, since an error
/// given to the Lambda runtime would become API Gateway's own opaque 500.
///
/// # Errors
/// None; the type is what `lambda_http::run` wants.
pub async fn serve(
    request: Request,
    handle: impl AsyncFnOnce(&Request) -> Result<Response<Body>, ApiError>,
) -> Result<Response<Body>, lambda_http::Error> {
    let request_id = request.lambda_context_ref().map(|context| context.request_id.clone()).unwrap_or_default();
    Ok(match handle(&request).await {
        Ok(response) => response,
        Err(error) => {
            error.log(&request_id);
            error.into_response(&request_id)
        }
    })
}
