//! `confirm-scan`: `POST /api/container/scans/{scan_id}/confirm`.

use lambda_http::Error;
use sirius::http::{self, confirm_scan};
use sirius::startup::Startup;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let state = Startup::of_process().await?.confirm_scan()?;
    http::answer_requests(&state, confirm_scan::handle).await
}
