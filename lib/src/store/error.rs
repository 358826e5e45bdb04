//! The errors of the table.

use std::error::Error as StdError;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use crate::domain::scan::ScanId;

/// A call that failed, or an item that is not readable.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The service throttled the call or could not be reached in time. The same call may succeed later.
    #[error("{operation} did not succeed for now")]
    Unavailable {
        /// The operation's name.
        operation: &'static str,
        /// The error of the SDK.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The service left part of a batch unprocessed, or other writers were faster, in every try.
    #[error("{operation} left items unprocessed after {tries} tries")]
    Unprocessed {
        /// The operation's name.
        operation: &'static str,
        /// The number of tries.
        tries: usize,
    },
    /// Another attempt has acquired the lease since.
    #[error("the claim was taken over by another attempt")]
    LostClaim,
    /// Findings that existed a moment ago are gone: their scan is being deleted, or was ingested again.
    #[error("the scan {scan_id} went while it was read")]
    Vanished {
        /// Its number.
        scan_id: ScanId,
    },
    /// The service refused the call: a missing table, a missing permission, or a bug.
    #[error("{operation} was refused")]
    Refused {
        /// The operation's name.
        operation: &'static str,
        /// The error of the SDK.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// An item that Sirius cannot have written.
    #[error("the item {item} is not readable: {reason}")]
    Corrupt {
        /// Its key.
        item: String,
        /// Why it is not readable.
        reason: String,
    },
}

impl Error {
    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Unprocessed { .. } | Self::LostClaim | Self::Vanished { .. } => true,
            Self::Refused { .. } | Self::Corrupt { .. } => false,
        }
    }

    /// Sorts an error of the SDK into those that may pass and those that do not.
    pub(super) fn sdk<E, R>(operation: &'static str, error: SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
        R: std::fmt::Debug + Send + Sync + 'static,
    {
        let passes = match &error {
            SdkError::ServiceError(service) => service.err().code().is_none_or(passes),
            SdkError::ConstructionFailure(_) => false,
            _ => true,
        };
        let source = Box::new(error);
        if passes { Self::Unavailable { operation, source } } else { Self::Refused { operation, source } }
    }

    /// Makes the error of a call that was refused, or could not even be made.
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

/// The error codes of failures that may pass:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>.
fn passes(code: &str) -> bool {
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
