//! The queue of uploads: S3 → SQS → here.

use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use jiff::Timestamp;
use lambda_runtime::LambdaEvent;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;

use super::s3::{Foreign, Notification, Record};
use super::sqs;
use crate::objects::Objects;
use crate::pipeline::ingest::Ingestion;
use crate::pipeline::take_upload::{self, Taken};
use crate::store::claims::Holder;
use crate::telemetry::metrics::{self, Metric};
use crate::telemetry::{chain, invocation};

/// What the handler works with.
#[derive(Debug)]
pub struct Deps {
    /// What reports are taken in with.
    pub ingestion: Ingestion,
    /// The bucket.
    pub objects: Objects,
}

/// Kept back from the function's own time, to answer which messages come back.
const MARGIN: Duration = Duration::from_secs(10);

/// Why a message comes back.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// Not what S3 sends.
    #[error("the message is not a notification of S3")]
    NotOfS3,
    /// Not of our bucket.
    #[error(transparent)]
    Foreign(#[from] Foreign),
    /// For now.
    #[error(transparent)]
    Take(#[from] take_upload::Error),
    /// The operating system has no randomness.
    #[error("no name could be made for this attempt")]
    Random(#[from] getrandom::Error),
    /// It took longer than there was time; what is written is found by the next try.
    #[error("the share of the time is over")]
    Late,
    /// Of several records some could not be worked at; each is logged.
    #[error("{0} records of the message could not be worked at")]
    Records(usize),
}

/// Takes in what each message tells of. A message with a record that could not be worked at comes
/// back as a whole, which is harmless: the others are settled by then.
///
/// # Errors
/// If the event is not one of SQS.
pub async fn handle(deps: &Deps, event: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, lambda_runtime::Error> {
    let request_id = &event.context.request_id;
    let span = invocation(&event.context);
    let deadline = Instant::now() + sqs::time_left(event.context.deadline, Timestamp::now(), MARGIN);
    let handling =
        sqs::each(event.payload, deadline, async |message, deadline| one(deps, request_id, message, deadline).await);
    handling.instrument(span).await
}

async fn one(deps: &Deps, request_id: &str, message: &SqsMessage, deadline: Instant) -> Result<(), Error> {
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
        match timeout_at(share, take(deps, request_id, record)).await {
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
                tracing::error!(cause = chain(error), "a record could not be worked at");
            }
            Err(Error::Records(others + 1))
        }
    }
}

async fn take(deps: &Deps, request_id: &str, record: serde_json::Value) -> Result<(), Error> {
    let Some(object) = Record::read(record)?.created(deps.objects.bucket())? else { return Ok(()) };
    let started = Instant::now();
    let holder = Holder::random()?.of_request(request_id);
    let taken = take_upload::run(&deps.ingestion, &deps.objects, &object, &holder, Timestamp::now()).await?;
    let took = started.elapsed();
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let now = Timestamp::now();
    // The id is the sender's own words: anything but a control character.
    let upload_id = object.id.as_str();
    match taken {
        Taken::Done { ingested, findings } => {
            let (scan_id, duplicate) = (ingested.scan.scan_id.get(), ingested.duplicate);
            metrics::emit(if duplicate { Metric::Duplicate } else { Metric::Ingested { findings, took } }, now);
            tracing::info!(upload_id, scan_id, duplicate, findings, duration_ms, "an upload was ingested");
        }
        Taken::Failed(kind) => {
            metrics::emit(Metric::Refused { code: kind.name() }, now);
            tracing::warn!(upload_id, code = kind.name(), duration_ms, "an upload can never be ingested");
        }
        Taken::Settled => tracing::info!(upload_id, "an upload was settled before"),
        Taken::Replaced => tracing::info!(upload_id, "an upload was replaced before it was read"),
        Taken::Gone => tracing::warn!(upload_id, "an upload was deleted before it was read"),
    }
    Ok(())
}
