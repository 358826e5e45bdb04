//! Processes messages of SQS one by one, each within its share of the time, so that a failed one affects no other.

use std::time::Duration;

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use jiff::Timestamp;
use lambda_runtime::Context;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;

use crate::queue::REQUEST_ID;
use crate::telemetry::{chain, received_request_id};

/// How long a handler may run beyond its share, to store its progress.
const MAX_OVERRUN: Duration = Duration::from_secs(8);

/// The longest timeout of a Lambda function.
const MAX_TIMEOUT: Duration = Duration::from_secs(900);

/// Returns the time until `margin` before the end of the invocation, which is in milliseconds since 1970.
pub(super) fn time_left(deadline: u64, now: Timestamp, margin: Duration) -> Duration {
    let now = u64::try_from(now.as_millisecond()).unwrap_or_default();
    Duration::from_millis(deadline.saturating_sub(now)).min(MAX_TIMEOUT).saturating_sub(margin)
}

/// Returns the time at which an invocation stops working: `margin` before Lambda ends it.
pub(super) fn deadline(context: &Context, margin: Duration) -> Instant {
    Instant::now() + time_left(context.deadline, Timestamp::now(), margin)
}

/// Handles each record of a batch in turn, and returns those that have to be delivered again.
///
/// Each record has an equal share of the time until `deadline`, and `handle` gets the end of its share. An event that is
/// not of SQS is an error, since an empty `itemIdentifier` would make SQS repeat the whole batch.
pub(super) async fn each<E: std::error::Error + 'static>(
    event: SqsEvent,
    deadline: Instant,
    handle: impl AsyncFn(&SqsMessage, Instant) -> Result<(), E>,
) -> Result<SqsBatchResponse, lambda_runtime::Error> {
    each_within(event, deadline, MAX_OVERRUN, handle).await
}

async fn each_within<E: std::error::Error + 'static>(
    event: SqsEvent,
    deadline: Instant,
    overrun: Duration,
    handle: impl AsyncFn(&SqsMessage, Instant) -> Result<(), E>,
) -> Result<SqsBatchResponse, lambda_runtime::Error> {
    let mut response = SqsBatchResponse::default();
    let mut left = u32::try_from(event.records.len()).unwrap_or(u32::MAX);
    for message in &event.records {
        let (Some("aws:sqs"), Some(id)) = (message.event_source.as_deref(), message.message_id.as_deref()) else {
            return Err("a record that is not of SQS".into());
        };
        let now = Instant::now();
        let share = now + deadline.saturating_duration_since(now) / left.max(1);
        left = left.saturating_sub(1);
        // The log lines name the request that sent the message, not only this invocation.
        let sent_by = message.message_attributes.get(REQUEST_ID).and_then(|value| value.string_value.as_deref());
        let span = tracing::info_span!("message", message_id = id, sent_by = sent_by.and_then(received_request_id));
        let handled = async {
            let cause = match timeout_at(share + overrun, handle(message, share)).await {
                Ok(Ok(())) => return true,
                Ok(Err(error)) => chain(&error),
                Err(_) => "its share of the time is over".to_owned(),
            };
            tracing::error!(message_id = id, cause, "the message comes back");
            false
        };
        if !handled.instrument(span).await {
            response.batch_item_failures.push(failure(id));
        }
    }
    Ok(response)
}

/// Returns the entry that has a message delivered again.
pub(super) fn failure(id: &str) -> BatchItemFailure {
    let mut failure = BatchItemFailure::default();
    failure.item_identifier = id.to_owned();
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(count: usize) -> SqsEvent {
        let mut event = SqsEvent::default();
        let message = |at: usize| {
            let mut message = SqsMessage::default();
            message.message_id = Some(at.to_string());
            message.event_source = Some("aws:sqs".to_owned());
            message
        };
        event.records = (0..count).map(message).collect();
        event
    }

    #[derive(Debug, thiserror::Error)]
    #[error("no")]
    struct No;

    #[test]
    fn a_margin_is_kept_for_writing_down_how_it_went() {
        let now = Timestamp::from_millisecond(1_000_000).unwrap();
        let margin = Duration::from_secs(10);
        assert_eq!(time_left(1_300_000, now, margin), Duration::from_secs(290));
        assert_eq!(time_left(1_005_000, now, margin), Duration::ZERO);
        assert_eq!(time_left(0, now, margin), Duration::ZERO);
        assert_eq!(time_left(u64::MAX, now, margin), Duration::from_secs(890));
    }

    #[tokio::test]
    async fn a_message_that_takes_for_ever_fails_alone_and_in_its_share() {
        let started = Instant::now();
        let deadline = started + Duration::from_millis(500);
        let response = each_within(event(5), deadline, Duration::ZERO, async |message, share| {
            match message.message_id.as_deref() {
                Some("1") => std::future::pending().await,
                Some("3") => Err(No),
                _ if share > Instant::now() => Ok(()),
                _ => Err(No),
            }
        })
        .await;
        let failures = response.unwrap().batch_item_failures;
        let failures: Vec<_> = failures.iter().map(|failure| failure.item_identifier.as_str()).collect();
        assert_eq!(failures, ["1", "3"]);
    }
}
