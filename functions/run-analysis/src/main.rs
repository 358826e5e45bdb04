//! `run-analysis`: the SQS queue of analyses. In its VPC it reaches DynamoDB and the Ollama host only.

use lambda_runtime::{Error, run, service_fn};
use sirius::aws::Clients;
use sirius::config::{self, environment};
use sirius::events::run_analysis::{self, Deps};
use sirius::llm::Ollama;
use sirius::telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let clients = Clients::load()?;
    let store = clients.store(config::table_name(&environment)?).await;
    let bearer = clients.bearer(config::token_secret(&environment)).await?;
    let config::Host { ollama, lease } = config::Host::read(&environment, bearer)?;
    let deps = &Deps { store, ollama: Ollama::new(ollama)?, lease };
    run(service_fn(async |event| run_analysis::handle(deps, event).await)).await
}
