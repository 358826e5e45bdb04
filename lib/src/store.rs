//! The DynamoDB table: one function for each access pattern of docs/DATA.md.
//!
//! Only this module uses DynamoDB. Its rules:
//!
//! * **Keys:** every item is read by its key (`keys.rs`), or found through a list of a sparse index.
//! * **Conditions:** an item that several writers change is written on condition of the state that was read: a
//!   `version`, the fencing token of a [`lease`], or a state. Several items change together in one transaction.
//! * **Idempotence:** every write can be repeated, because the SDK retries calls whose answers were lost.
//! * **Consistency:** a read on which a write depends is strongly consistent; an index is eventually consistent, so
//!   what it lists is checked by the condition of the write that follows.
//! * **Limits:** 25 items in a batch of writes, 100 in a batch of reads and in a transaction, 400 KB in an item, 1 MB
//!   in a page, and 1,000 write units a second on a partition key
//!   (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>).
//! * **Errors:** every function can fail with [`Error::Unavailable`], [`Error::Unprocessed`] and [`Error::Refused`], and
//!   one that reads with [`Error::Corrupt`]. Only functions with other errors say so.

#![expect(clippy::missing_errors_doc, reason = "the errors that all functions have are listed once")]

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use tokio::sync::OnceCell;

pub mod analyses;
pub mod answers;
mod asset_writes;
pub mod assets;
mod backoff;
mod blob;
pub mod claims;
mod counter;
pub mod cursor;
pub mod deletions;
pub mod enrichments;
mod error;
mod expression;
pub mod findings;
mod first_seen;
mod item;
mod keys;
mod known;
pub mod lease;
pub mod occurrences;
mod orders;
mod query;
mod reingestion;
pub mod scans;
pub mod sources;
mod transaction;
pub mod unseen;
pub mod uploads;
pub mod walks;
mod write;

pub use error::Error;
pub use findings::Selection;
pub use keys::FINDINGS_PER_BLOCK;

/// A table and its client.
#[derive(Debug)]
pub struct Store {
    client: Client,
    table: String,
    codec: blob::Codec,
    cursor_key: OnceCell<cursor::Key>,
}

impl Store {
    /// Makes a store for an existing table.
    #[must_use]
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into(), codec: blob::Codec::default(), cursor_key: OnceCell::new() }
    }

    /// Checks that the table exists and can be read.
    pub async fn check(&self) -> Result<(), Error> {
        // The key of no report: the read costs half a unit.
        let nothing = keys::Key::Claim([0; 32].into());
        self.get("GetItem(check)", &nothing, false).await.map(drop)
    }

    /// Opens the connection with one cheap read, so that the first request does not pay for it.
    ///
    /// A failure is ignored: the first request meets it again and reports it.
    pub async fn warm(&self) {
        /// A cold start may take ten seconds in all.
        const PATIENCE: Duration = Duration::from_secs(2);
        if !matches!(tokio::time::timeout(PATIENCE, self.cursor_key()).await, Ok(Ok(_))) {
            tracing::debug!("the first read failed");
        }
    }
}
