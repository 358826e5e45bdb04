//! Handles messages of the queue of uploads: notifications of S3.

use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use jiff::Timestamp;
use lambda_runtime::LambdaEvent;
use tokio::time::{Instant, timeout_at};

use super::s3::{NotOurs, Notification, Record};
use super::sqs;
use crate::objects::Objects;
use crate::pipeline::ingest::Ingestion;
use crate::pipeline::ingest_upload::{self, UploadOutcome, ingest_upload};
use crate::store::lease::Owner;
use crate::telemetry::chain;
use crate::telemetry::metrics::{self, Metric};

/// The state of the handler.
#[derive(Debug)]
pub struct Deps {
    /// The state of ingestion.
    pub ingestion: Ingestion,
    /// The bucket.
    pub objects: Objects,
}

/// Time that is reserved for the answer.
const TIME_RESERVE: Duration = Duration::from_secs(10);

/// Why a message is delivered again.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the message is not a notification of S3")]
    NotOfS3,
    #[error(transparent)]
    NotOurs(#[from] NotOurs),
    #[error(transparent)]
    Ingest(#[from] ingest_upload::Error),
    #[error("the operating system returned no random bytes")]
    Random(#[from] getrandom::Error),
    #[error("the share of the time is over")]
    Late,
    /// Several records failed; each is logged.
    #[error("{0} records of the message could not be processed")]
    Records(usize),
}

/// Ingests the objects of each message. A message with a failed record is delivered again as a whole, which is
/// harmless: the other records are done by then.
pub async fn handle(deps: &Deps, event: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, lambda_runtime::Error> {
    let request_id = &event.context.request_id;
    let deadline = sqs::deadline(&event.context, TIME_RESERVE);
    let process = async |message: &SqsMessage, deadline| process_message(deps, request_id, message, deadline).await;
    sqs::each(event.payload, deadline, process).await
}

/// Processes the records of a message, each within its share of the time.
async fn process_message(deps: &Deps, request_id: &str, message: &SqsMessage, deadline: Instant) -> Result<(), Error> {
    let body = message.body.as_deref().unwrap_or_default();
    let notification: Notification = serde_json::from_str(body).map_err(|_| Error::NotOfS3)?;
    let records = match notification {
        Notification::Records { records } => records,
        test if test.is_test() => return Ok(()),
        Notification::Test { .. } => return Err(Error::NotOfS3),
    };
    let mut failures = Vec::new();
    let mut left = u32::try_from(records.len()).unwrap_or(u32::MAX);
    for record in records {
        let now = Instant::now();
        let share = now + deadline.saturating_duration_since(now) / left.max(1);
        left = left.saturating_sub(1);
        match timeout_at(share, process_record(deps, request_id, record)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => failures.push(error),
            Err(_) => failures.push(Error::Late),
        }
    }
    match (failures.pop(), failures.len()) {
        (None, _) => Ok(()),
        (Some(only), 0) => Err(only),
        (Some(last), others) => {
            for error in failures.iter().chain([&last]) {
                tracing::error!(cause = chain(error), "a record could not be processed");
            }
            Err(Error::Records(others + 1))
        }
    }
}

/// Ingests the object of a record, and reports the outcome.
async fn process_record(deps: &Deps, request_id: &str, record: serde_json::Value) -> Result<(), Error> {
    let Some(object) = Record::read(record)?.created(deps.objects.bucket())? else { return Ok(()) };
    let started = Instant::now();
    let owner = Owner::random()?.of_request(request_id);
    let outcome = ingest_upload(&deps.ingestion, &deps.objects, &object, &owner, Timestamp::now()).await?;
    let took = started.elapsed();
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let now = Timestamp::now();
    // The sender chose the id: it may have any characters except control characters.
    let upload_id = object.id.as_str();
    match outcome {
        UploadOutcome::Done { ingested, findings } => {
            let (scan_id, duplicate) = (ingested.scan.scan_id.get(), ingested.duplicate);
            metrics::emit(if duplicate { Metric::Duplicate } else { Metric::Ingested { findings, took } }, now);
            tracing::info!(upload_id, scan_id, duplicate, findings, duration_ms, "an upload was ingested");
        }
        UploadOutcome::Failed(kind) => {
            metrics::emit(Metric::Refused { code: kind.name() }, now);
            tracing::warn!(upload_id, code = kind.name(), duration_ms, "an upload can never be ingested");
        }
        UploadOutcome::Settled => tracing::info!(upload_id, "an upload was already settled"),
        UploadOutcome::Replaced => tracing::info!(upload_id, "an upload was replaced before it was read"),
        UploadOutcome::Gone => tracing::warn!(upload_id, "an upload was deleted before it was read"),
    }
    Ok(())
}
