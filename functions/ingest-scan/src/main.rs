//! `ingest-scan`: `POST /api/container/scans`.

use lambda_http::Error;
use sirius::http::{self, ingest_scan};
use sirius::startup::Startup;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let state = Startup::of_process().await?.ingestion()?;
    http::answer_requests(&state, ingest_scan::handle).await
}
