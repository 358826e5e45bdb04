//! `recover`: each minute, puts right what was lost or cut off.

use lambda_runtime::{Error, run, service_fn};
use sirius::aws::Clients;
use sirius::config::{self, environment};
use sirius::events::recover;
use sirius::pipeline::recover::Recovery;
use sirius::telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let clients = Clients::load()?;
    let ingestion = clients.ingestion(&environment).await?;
    let objects = clients.objects(config::bucket(&environment)?);
    let queue = clients.queue(config::analysis_queue_url(&environment)?);
    let retention = config::retention(&environment)?;
    let deps = &Recovery { ingestion, objects, queue, retention };
    run(service_fn(async |event| recover::handle(deps, event).await)).await
}
