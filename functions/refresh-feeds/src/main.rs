//! `refresh-feeds`: fetches KEV and EPSS, and has looked at what is due.

use lambda_runtime::{Error, run, service_fn};
use sirius::aws::Clients;
use sirius::config::environment;
use sirius::events::refresh_feeds;
use sirius::telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let deps = &Clients::load()?.enrichment(&environment).await?;
    run(service_fn(async |event| refresh_feeds::handle(deps, event).await)).await
}
