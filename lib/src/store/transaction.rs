//! Writes several items together: all of them, or none.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::CancellationReason;

use super::backoff::Retries;
use super::item::Item;
use super::write::Write;
use super::{Error, Store};

/// The result of a transaction.
pub(super) enum Outcome {
    Written,
    /// Nothing is written, because a condition did not hold. Has, for each write in order, none if its condition held,
    /// and the item otherwise, if [`Write::returning`] asked for it.
    Refused(Vec<Option<Item>>),
}

impl Outcome {
    pub(super) const fn is_written(&self) -> bool {
        matches!(self, Self::Written)
    }
}

impl Store {
    /// Writes several items, and tries again while other transactions write the same items.
    ///
    /// The SDK gives every call an idempotency token, so its retry of a successful call is a success.
    pub(super) async fn transact(&self, operation: &'static str, writes: Vec<Write>) -> Result<Outcome, Error> {
        let writes = writes.into_iter().map(|write| write.in_transaction(&self.table)).collect::<Result<Vec<_>, _>>();
        let writes = writes.map_err(Error::refused(operation))?;
        let mut retries = Retries::of(operation);
        loop {
            let written = self.client.transact_write_items().set_transact_items(Some(writes.clone())).send().await;
            let Err(error) = written else { return Ok(Outcome::Written) };
            let Some(reasons) = cancellation_reasons(&error) else { return Err(Error::sdk(operation, error)) };
            if reasons.iter().any(is_refused) {
                let refusal =
                    |reason: &CancellationReason| is_refused(reason).then(|| reason.item.clone().unwrap_or_default());
                return Ok(Outcome::Refused(reasons.iter().map(refusal).collect()));
            }
            if !reasons.iter().all(is_contended) {
                return Err(Error::sdk(operation, error));
            }
            retries.wait().await?;
        }
    }
}

fn cancellation_reasons<R>(error: &SdkError<TransactWriteItemsError, R>) -> Option<&[CancellationReason]> {
    let SdkError::ServiceError(service) = error else { return None };
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = service.err() else { return None };
    Some(cancelled.cancellation_reasons())
}

fn is_refused(reason: &CancellationReason) -> bool {
    reason.code() == Some("ConditionalCheckFailed")
}

/// Returns whether another transaction wrote the item, or capacity was missing.
fn is_contended(reason: &CancellationReason) -> bool {
    let passes = |code: &str| {
        matches!(code, "TransactionConflict" | "ThrottlingError" | "ProvisionedThroughputExceeded" | "None")
    };
    reason.code().is_none_or(passes)
}
