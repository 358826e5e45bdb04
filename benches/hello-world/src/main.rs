//! The example in the README of `lambda_http` ("Reading query string parameters"): with the runtime of
//! `#[tokio::main]`, and a log of text. It knows the one kind of event that ours know.

use lambda_http::http::Response;
use lambda_http::tracing::{Level, subscriber};
use lambda_http::{Error, IntoResponse, Request, RequestExt as _, run, service_fn};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Error> {
    subscriber::fmt().without_time().with_max_level(Level::INFO).init();
    run(service_fn(hello)).await
}

async fn hello(request: Request) -> Result<impl IntoResponse, Error> {
    let parameters = request.query_string_parameters_ref();
    let name = parameters.and_then(|parameters| parameters.first("name")).unwrap_or("stranger");
    let body = json!({ "message": format!("Hello, {name}!") }).to_string();
    Ok(Response::builder().status(200).header("content-type", "application/json").body(body)?)
}
