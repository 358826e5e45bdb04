//! `ingest-upload`: the SQS queue of what was put into the bucket.

use lambda_runtime::{Error, run, service_fn};
use sirius::aws::Clients;
use sirius::config::{self, environment};
use sirius::events::ingest_upload::{self, Deps};
use sirius::telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let clients = Clients::load()?;
    let ingestion = clients.ingestion(&environment).await?;
    let objects = clients.objects(config::bucket(&environment)?);
    let deps = &Deps { ingestion, objects };
    run(service_fn(async |event| ingest_upload::handle(deps, event).await)).await
}
