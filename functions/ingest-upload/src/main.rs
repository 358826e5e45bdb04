//! `ingest-upload`: ingests the reports that are put into the bucket, by way of an SQS queue.

use lambda_runtime::Error;
use sirius::events::{self, ingest_upload};
use sirius::startup::Startup;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let state = Startup::of_process().await?.ingest_upload()?;
    events::handle_events(&state, ingest_upload::handle).await
}
