//! `enrich-cves`: looks up the vulnerabilities of an SQS queue in public sources, so it is in no VPC.

use lambda_runtime::Error;
use sirius::events::{self, enrich_cves};
use sirius::startup::Startup;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let state = Startup::of_process().await?.enrichment().await?;
    events::handle_events(&state, enrich_cves::handle).await
}
