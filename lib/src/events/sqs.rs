//! Messages of SQS: each alone, so that a bad one takes no other down with it.

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};

use crate::telemetry::chain;

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
        if let Err(error) = handle(message).await {
            tracing::error!(message_id = id, cause = chain(&error), "the message comes back");
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id.to_owned();
            response.batch_item_failures.push(failure);
        }
    }
    Ok(response)
}
