//! `reingest`: ingests archived reports again; invoked by hand.

use lambda_runtime::Error;
use sirius::events::{self, reingest};
use sirius::startup::Startup;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let state = Startup::of_process().await?.ingestion()?;
    events::handle_events(&state, reingest::handle).await
}
