//! `get-scan`: `GET /api/container/scans/{artifactname}`.

use lambda_http::Error;
use sirius::http::{self, get_scan};
use sirius::startup::Startup;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let state = Startup::of_process().await?.list_findings()?;
    http::answer_requests(&state, get_scan::handle).await
}
