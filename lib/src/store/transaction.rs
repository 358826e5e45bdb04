//! Several writes as one: all of them happen, or none.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{CancellationReason, TransactWriteItem};

use super::{Error, Store, backoff};

/// How a transaction ended.
pub(super) enum Outcome {
    /// All of it is written.
    Written,
    /// Nothing is, since a condition did not hold: for each write what the service says of it.
    Refused(Vec<CancellationReason>),
}

impl Outcome {
    /// Whether all of it is written.
    pub(super) const fn is_written(&self) -> bool {
        matches!(self, Self::Written)
    }
}

/// Whether the condition of this write did not hold.
pub(super) fn is_refused(reason: &CancellationReason) -> bool {
    reason.code() == Some("ConditionalCheckFailed")
}

impl Store {
    /// Writes all of it, and tries again while other transactions are at the same items.
    pub(super) async fn transact(
        &self,
        operation: &'static str,
        writes: Vec<TransactWriteItem>,
    ) -> Result<Outcome, Error> {
        let mut delays = backoff::delays();
        let mut tries = 0;
        loop {
            tries += 1;
            let written = self.client.transact_write_items().set_transact_items(Some(writes.clone())).send().await;
            let Err(error) = written else { return Ok(Outcome::Written) };
            let Some(reasons) = cancellation_reasons(&error) else { return Err(Error::sdk(operation, error)) };
            if reasons.iter().any(is_refused) {
                return Ok(Outcome::Refused(reasons.to_vec()));
            }
            if !reasons.iter().all(is_contended) {
                return Err(Error::sdk(operation, error));
            }
            match delays.next() {
                Some(delay) => tokio::time::sleep(delay).await,
                None => return Err(Error::Unprocessed { operation, tries }),
            }
        }
    }
}

fn cancellation_reasons<R>(error: &SdkError<TransactWriteItemsError, R>) -> Option<&[CancellationReason]> {
    let SdkError::ServiceError(service) = error else { return None };
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = service.err() else { return None };
    Some(cancelled.cancellation_reasons())
}

/// Another transaction was at the item, or there was no capacity: worth another try.
fn is_contended(reason: &CancellationReason) -> bool {
    let passes = |code: &str| {
        matches!(code, "TransactionConflict" | "ThrottlingError" | "ProvisionedThroughputExceeded" | "None")
    };
    reason.code().is_none_or(passes)
}
