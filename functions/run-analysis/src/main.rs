//! `run-analysis`: runs the analyses of an SQS queue. In its VPC it reaches DynamoDB and the Ollama host only.

use lambda_runtime::Error;
use sirius::events::{self, run_analysis};
use sirius::startup::Startup;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let state = Startup::of_process().await?.run_analysis().await?;
    events::handle_events(&state, run_analysis::handle).await
}
