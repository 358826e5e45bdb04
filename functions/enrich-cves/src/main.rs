//! `enrich-cves`: the SQS queue of enrichment. It asks public sources, so it is in no VPC.

use lambda_runtime::{Error, run, service_fn};
use sirius::aws::Clients;
use sirius::config::environment;
use sirius::events::enrich_cves;
use sirius::telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let deps = &Clients::load()?.enrichment(&environment).await?;
    run(service_fn(async |event| enrich_cves::handle(deps, event).await)).await
}
