//! `refresh-feeds`: fetches KEV and EPSS, and queues the vulnerabilities that are due; runs each hour.

use lambda_runtime::Error;
use sirius::events::{self, refresh_feeds};
use sirius::startup::Startup;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let state = Startup::of_process().await?.enrichment().await?;
    events::handle_events(&state, refresh_feeds::handle).await
}
