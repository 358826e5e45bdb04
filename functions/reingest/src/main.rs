//! `reingest`: invoked by hand; ingests archived reports anew.

use lambda_runtime::{Error, run, service_fn};
use sirius::aws::Clients;
use sirius::config::environment;
use sirius::events::reingest;
use sirius::telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let clients = Clients::load()?;
    let deps = &clients.ingestion(&environment).await?;
    run(service_fn(async |event| reingest::handle(deps, event).await)).await
}
