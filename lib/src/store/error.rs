//! The errors of the table.

use std::error::Error as StdError;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use crate::domain::scan::ScanId;

/// A call that failed, or an item that is not readable.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the names describe the fields")]
pub enum Error {
    /// The service throttled the call or could not be reached in time. The same call may succeed later.
    #[error("{operation} did not succeed for now")]
    Unavailable { operation: &'static str, source: Box<dyn StdError + Send + Sync> },
    /// In every try the service left part of a batch unprocessed, or other writers were faster.
    #[error("{operation} left items unprocessed after {tries} tries")]
    Unprocessed { operation: &'static str, tries: usize },
    /// Another attempt has acquired the lease.
    #[error("the claim was taken over by another attempt")]
    LostClaim,
    /// The scan was deleted or ingested again while its findings were read.
    #[error("the scan {scan_id} was deleted or ingested again while it was read")]
    Vanished { scan_id: ScanId },
    /// The service refused the call: a missing table, a missing permission, or a bug.
    #[error("{operation} was refused")]
    Refused { operation: &'static str, source: Box<dyn StdError + Send + Sync> },
    /// An item that Sirius cannot have written.
    #[error("the item {item} is not readable: {reason}")]
    Corrupt { item: String, reason: String },
}

impl Error {
    /// Returns whether the same call may succeed later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Unprocessed { .. } | Self::LostClaim | Self::Vanished { .. } => true,
            Self::Refused { .. } | Self::Corrupt { .. } => false,
        }
    }

    /// Converts an error of the SDK.
    pub(super) fn sdk<E, R>(operation: &'static str, error: SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
        R: std::fmt::Debug + Send + Sync + 'static,
    {
        let is_temporary = match &error {
            SdkError::ServiceError(service) => service.err().code().is_none_or(is_temporary_code),
            SdkError::ConstructionFailure(_) => false,
            _ => true,
        };
        let source = Box::new(error);
        if is_temporary { Self::Unavailable { operation, source } } else { Self::Refused { operation, source } }
    }

    /// Makes the error of a call that was refused or could not be made.
    pub(super) fn refused<E>(operation: &'static str) -> impl Fn(E) -> Self
    where
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        move |source| Self::Refused { operation, source: source.into() }
    }

    pub(super) fn corrupt(item: impl ToString, reason: impl ToString) -> Self {
        Self::Corrupt { item: item.to_string(), reason: reason.to_string() }
    }
}

/// Returns whether an error code is worth a retry:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>.
fn is_temporary_code(code: &str) -> bool {
    matches!(
        code,
        "InternalServerError"
            | "ItemCollectionSizeLimitExceededException"
            | "LimitExceededException"
            | "ProvisionedThroughputExceededException"
            | "RequestLimitExceeded"
            | "ServiceUnavailable"
            | "ThrottlingException"
            | "TransactionConflictException"
            | "TransactionInProgressException"
    )
}
