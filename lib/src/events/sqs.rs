//! Messages of SQS: each alone, so that a bad one takes no other down with it.

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use tracing::Instrument as _;

use crate::queue::REQUEST_ID;
use crate::telemetry::{chain, passed_on};

/// Handles each record of a batch, one after the other, and answers which ones are to come back.
///
/// # Errors
/// If the event is not one of SQS: an empty `itemIdentifier` would fail a whole batch silently.
pub(super) async fn each<E: std::error::Error + 'static>(
    event: SqsEvent,
    handle: impl AsyncFn(&SqsMessage) -> Result<(), E>,
) -> Result<SqsBatchResponse, lambda_runtime::Error> {
    let mut response = SqsBatchResponse::default();
    for message in &event.records {
        let (Some("aws:sqs"), Some(id)) = (message.event_source.as_deref(), message.message_id.as_deref()) else {
            return Err("a record that is not of SQS".into());
        };
        // Its lines name the request that sent it, which is another one than this invocation's.
        let sent_by = message.message_attributes.get(REQUEST_ID).and_then(|value| value.string_value.as_deref());
        let span = tracing::info_span!("message", message_id = id, sent_by = sent_by.and_then(passed_on));
        let handled = async {
            handle(message).await.inspect_err(|error| {
                tracing::error!(message_id = id, cause = chain(error), "the message comes back");
            })
        };
        if handled.instrument(span).await.is_err() {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id.to_owned();
            response.batch_item_failures.push(failure);
        }
    }
    Ok(response)
}
