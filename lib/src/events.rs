//! Handles events that are not HTTP requests: messages of SQS, schedules and invocations by operators.
#![expect(clippy::missing_errors_doc, reason = "Lambda repeats an event after any error")]

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::Instrument as _;

use crate::telemetry::invocation;

pub mod enrich_cves;
pub mod ingest_upload;
pub mod recover;
pub mod refresh_feeds;
pub mod reingest;
pub mod run_analysis;
mod s3;
mod sqs;

/// Handles events until Lambda ends the process.
pub async fn handle_events<D, E, A>(
    state: &D,
    handle: impl AsyncFn(&D, LambdaEvent<E>) -> Result<A, Error>,
) -> Result<(), Error>
where
    E: DeserializeOwned,
    A: Serialize,
{
    let handle = async |event: LambdaEvent<E>| {
        let span = invocation(&event.context);
        // In memory of its own: futures of several handlers are larger than 16 KB.
        Box::pin(handle(state, event)).instrument(span).await
    };
    lambda_runtime::run(service_fn(handle)).await
}
