//! Handles events that are not HTTP requests: messages of SQS, schedules and invocations by operators.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub mod enrich_cves;
pub mod ingest_upload;
pub mod recover;
pub mod refresh_feeds;
pub mod reingest;
pub mod run_analysis;
mod s3;
mod sqs;

/// Handles events with `handle` until Lambda ends the process.
///
/// # Errors
/// If the runtime cannot be reached.
pub async fn run<D, E, A>(state: &D, handle: impl AsyncFn(&D, LambdaEvent<E>) -> Result<A, Error>) -> Result<(), Error>
where
    E: DeserializeOwned,
    A: Serialize,
{
    lambda_runtime::run(service_fn(async |event| handle(state, event).await)).await
}
