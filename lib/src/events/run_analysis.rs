//! The `analysis` queue: calls the model for each pending prompt.

use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use jiff::Timestamp;
use lambda_runtime::LambdaEvent;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::sqs;
use crate::llm::Ollama;
use crate::pipeline::analyze::{self, Error};
use crate::queue::Message;
use crate::store::Store;
use crate::telemetry::invocation;
use crate::telemetry::metrics::{self, Metric};

/// What the handler works with.
#[derive(Debug)]
pub struct Deps {
    /// The table.
    pub store: Store,
    /// The model's host.
    pub ollama: Ollama,
    /// How long a worker may be at an analysis before another may take over.
    pub lease: Duration,
}

/// Kept back from the function's own time, to write down how it went.
const MARGIN: Duration = Duration::from_secs(10);

/// Works at each message. Those that cannot be read, or not be worked at by anyone, come back until
/// the dead-letter queue has them.
///
/// # Errors
/// If the event is not one of SQS.
pub async fn handle(deps: &Deps, event: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, lambda_runtime::Error> {
    let deadline = Instant::now() + sqs::time_left(event.context.deadline, Timestamp::now(), MARGIN);
    let span = invocation(&event.context);
    let handling = sqs::each(event.payload, deadline, async |message, deadline| one(deps, message, deadline).await);
    handling.instrument(span).await
}

async fn one(deps: &Deps, message: &SqsMessage, deadline: Instant) -> Result<(), Error> {
    let body = message.body.as_deref().unwrap_or_default();
    let Ok(Message { prompt_hash }) = serde_json::from_str(body) else {
        return Err(Error::Poison("it does not name a prompt"));
    };
    let started = Instant::now();
    let worked = analyze::work(&deps.store, &deps.ollama, &prompt_hash, Timestamp::now(), deps.lease, deadline).await;
    let took = started.elapsed();
    let outcome = worked.as_ref().map_or("error", |worked| worked.name());
    metrics::emit(Metric::Worked { outcome, took }, Timestamp::now());
    let worked = worked?;
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    tracing::info!(prompt_hash = %prompt_hash, outcome = ?worked, duration_ms, "worked at an analysis");
    Ok(())
}
