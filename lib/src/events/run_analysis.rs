//! Handles messages of the queue of analyses: calls the model for each pending prompt.

use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use jiff::Timestamp;
use lambda_runtime::LambdaEvent;
use tokio::time::Instant;

use super::sqs;
use crate::llm::Ollama;
use crate::pipeline::analyze::{Error, Worker, run_analysis};
use crate::queue::Message;
use crate::store::Store;
use crate::telemetry::metrics::{self, Metric};

/// The state of the handler.
#[derive(Debug)]
pub struct Deps {
    /// The table.
    pub store: Store,
    /// The model's host.
    pub ollama: Ollama,
    /// How long an attempt is leased.
    pub lease: Duration,
}

/// Time that is reserved for storing the result.
const TIME_RESERVE: Duration = Duration::from_secs(10);

/// Processes each message. Failed ones are delivered again until they go to the dead-letter queue.
pub async fn handle(deps: &Deps, event: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, lambda_runtime::Error> {
    let deadline = sqs::deadline(&event.context, TIME_RESERVE);
    sqs::each(event.payload, deadline, async |message, deadline| process_message(deps, message, deadline).await).await
}

/// Runs the analysis that a message names.
async fn process_message(deps: &Deps, message: &SqsMessage, deadline: Instant) -> Result<(), Error> {
    let body = message.body.as_deref().unwrap_or_default();
    let Ok(Message { prompt_hash }) = serde_json::from_str(body) else {
        return Err(Error::InvalidMessage("it does not name a prompt"));
    };
    let started = Instant::now();
    let worker = Worker { store: &deps.store, ollama: &deps.ollama, lease: deps.lease };
    let worked = run_analysis(worker, &prompt_hash, Timestamp::now(), deadline).await;
    let took = started.elapsed();
    let outcome = worked.as_ref().map_or("error", |worked| worked.name());
    metrics::emit(Metric::Worked { outcome, took }, Timestamp::now());
    let worked = worked?;
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    tracing::info!(prompt_hash = %prompt_hash, outcome = ?worked, duration_ms, "an analysis was processed");
    Ok(())
}
