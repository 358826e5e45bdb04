//! `analyze-finding`: `GET /api/llm/analyze/container/{finding_id}`.

use lambda_http::Error;
use sirius::http::{self, analyze_finding};
use sirius::startup::Startup;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let state = Startup::of_process().await?.analyze_finding()?;
    http::answer_requests(&state, analyze_finding::handle).await
}
