//! The table (docs/DATA.md): one function per access pattern; nothing else knows DynamoDB.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use jiff::Timestamp;
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
pub mod findings;
mod first_seen;
mod item;
mod keys;
mod known;
pub mod occurrences;
mod orders;
pub mod scans;
pub mod sources;
mod transaction;
pub mod unseen;
pub mod uploads;
pub mod walks;

pub use error::Error;
pub use findings::Selection;
pub use keys::FINDINGS_PER_BLOCK;

/// A table and the client to reach it with.
#[derive(Debug)]
pub struct Store {
    client: Client,
    table: String,
    codec: blob::Codec,
    cursor_key: OnceCell<cursor::Key>,
}

impl Store {
    /// A store on a table that exists.
    #[must_use]
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into(), codec: blob::Codec::default(), cursor_key: OnceCell::new() }
    }

    /// Tells whether the table is there and can be read.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn check(&self) -> Result<(), Error> {
        // What no report has is looked for: half a read unit.
        let nothing = keys::Key::Claim([0; 32].into());
        self.get("GetItem(check)", &nothing, false).await.map(drop)
    }

    /// Opens the connection with one cheap read, so that the first request does not pay for it.
    ///
    /// A failure does not matter here: the request itself will meet it again, and answer for it.
    pub async fn warm(&self) {
        /// A start may take ten seconds in all; a slow table is the request's own to meet.
        const PATIENCE: Duration = Duration::from_secs(2);
        if !matches!(tokio::time::timeout(PATIENCE, self.cursor_key()).await, Ok(Ok(_))) {
            tracing::debug!("the first read failed");
        }
    }
}

/// A time as the table keeps it: milliseconds since 1970.
fn millis(time: Timestamp) -> String {
    time.as_millisecond().to_string()
}
