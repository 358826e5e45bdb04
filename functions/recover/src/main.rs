//! `recover`: each minute, puts right what was lost.

use lambda_runtime::{Error, run, service_fn};
use sirius::aws::Clients;
use sirius::config::{self, environment};
use sirius::events::recover::{self, Deps};
use sirius::telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let clients = Clients::load().await?;
    let store = clients.store(config::table_name(&environment)?).await;
    let queue = clients.queue(config::analysis_queue_url(&environment)?);
    let auto = config::auto_analyze(&environment)?.map(|(auto, _)| auto);
    let deps = &Deps { store, queue, auto };
    run(service_fn(async |event| recover::handle(deps, event).await)).await
}
