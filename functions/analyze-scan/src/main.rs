//! `analyze-scan`: `POST /api/llm/analyze/container/scans/{scan_id}`.

use lambda_http::Error;
use sirius::http::{self, analyze_scan};
use sirius::startup::Startup;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let state = Startup::of_process().await?.analyze_finding()?;
    http::answer_requests(&state, analyze_scan::handle).await
}
