//! What can go wrong at the table.

use std::collections::HashMap;
use std::error::Error as StdError;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use crate::domain::scan::ScanId;

/// A call that failed, or an answer that cannot be right.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The service asks for patience, or could not be reached in time; worth another try later.
    #[error("{operation} did not succeed for now")]
    Unavailable {
        /// The operation's name.
        operation: &'static str,
        /// What the SDK says.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The service kept back part of a batch, time and again.
    #[error("{operation} left items unprocessed after {tries} tries")]
    Unprocessed {
        /// The operation's name.
        operation: &'static str,
        /// How often it was tried.
        tries: usize,
    },
    /// Another attempt has taken the claim over.
    #[error("the claim was taken over by another attempt")]
    LostClaim,
    /// Findings are gone that were there a moment ago: their scan is being deleted, or was ingested anew.
    #[error("the scan {scan_id} went while it was read")]
    Vanished {
        /// Its number.
        scan_id: ScanId,
    },
    /// The service refuses the call: a missing table, a missing permission, a bug of ours.
    #[error("{operation} was refused")]
    Refused {
        /// The operation's name.
        operation: &'static str,
        /// What the SDK says.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// An item that Sirius cannot have written.
    #[error("the item {item} is not readable: {reason}")]
    Corrupt {
        /// Its key.
        item: String,
        /// What is wrong with it.
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

    /// Tells a refusal from a failure that passes.
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

    pub(super) fn corrupt(item: impl ToString, reason: impl ToString) -> Self {
        Self::Corrupt { item: item.to_string(), reason: reason.to_string() }
    }
}

/// The error codes that are worth another try:
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

/// The item that made an update's condition fail, if there is one; any other failure stays one.
pub(super) fn condition_failed(
    operation: &'static str,
    error: SdkError<UpdateItemError, HttpResponse>,
) -> Result<Option<HashMap<String, AttributeValue>>, Error> {
    match error {
        SdkError::ServiceError(service) if service.err().is_conditional_check_failed_exception() => {
            match service.into_err() {
                UpdateItemError::ConditionalCheckFailedException(failed) => Ok(failed.item),
                other => Err(Error::Refused { operation, source: other.into() }),
            }
        }
        other => Err(Error::sdk(operation, other)),
    }
}
