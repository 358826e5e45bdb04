//! `get-report`: `GET /api/container/scans/{identifier}/report`.

use lambda_http::Error;
use sirius::http::{self, get_report};
use sirius::startup::Startup;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let state = Startup::of_process().await?.storage()?;
    http::answer_requests(&state, get_report::handle).await
}
