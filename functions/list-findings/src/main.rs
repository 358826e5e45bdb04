//! `list-findings`: `GET /api/container/scans/{identifier}/findings`.

use lambda_http::Error;
use sirius::http::{self, list_findings};
use sirius::startup::Startup;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let state = Startup::of_process().await?.list_findings()?;
    http::answer_requests(&state, list_findings::handle).await
}
