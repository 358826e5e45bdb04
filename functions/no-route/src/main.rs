//! `no-route`: requests that no other route takes.

use lambda_http::Error;
use sirius::config::Environment;
use sirius::http::{self, no_route};
use sirius::telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init(&Environment::of_process());
    http::answer_requests(&(), no_route::handle).await
}
