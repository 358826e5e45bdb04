//! `delete-scan`: `DELETE /api/container/scans/{scan_id}`.

use lambda_http::Error;
use sirius::http::{self, delete_scan};
use sirius::startup::Startup;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let state = Startup::of_process().await?.storage()?;
    http::answer_requests(&state, delete_scan::handle).await
}
