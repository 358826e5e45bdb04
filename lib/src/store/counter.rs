//! The one place where numbers come from: scan ids, the number of scans, the key of the cursors.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};

use super::item::number;
use super::keys::{COUNTERS, Key, PK};
use super::{Error, Store, cursor};
use crate::domain::scan::ScanId;

const NEXT: &str = "next_scan";
const CURSOR_KEY: &str = "cursor_key";
/// How many scans there are, in the items of [`Key::Total`].
pub(super) const SCANS: &str = "scans";

impl Store {
    /// Takes the next scan id. An id whose call is lost, or repeated by the SDK, is a gap.
    ///
    /// The first call ever also stores the key that cursors are signed with, at no extra cost.
    pub(super) async fn next_scan_id(&self) -> Result<ScanId, Error> {
        const OPERATION: &str = "UpdateItem(counter)";
        let key = cursor::Key::random().map_err(|source| Error::Refused { operation: OPERATION, source })?;
        let updated = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::Counter.attributes()))
            .update_expression("ADD #next :one SET #key = if_not_exists(#key, :key)")
            .expression_attribute_names("#next", NEXT)
            .expression_attribute_names("#key", CURSOR_KEY)
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()))
            .expression_attribute_values(":key", AttributeValue::B(Blob::new(key.bytes())))
            .return_values(ReturnValue::UpdatedNew)
            .send()
            .await
            .map_err(|error| Error::sdk(OPERATION, error))?;
        updated
            .attributes()
            .and_then(|item| number(item, NEXT))
            .and_then(ScanId::new)
            .ok_or_else(|| Error::corrupt("COUNTER", "its next_scan is not a scan id"))
    }

    /// Whether a number was ever given to a scan (or is a gap below one that was).
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn is_numbered(&self, scan: ScanId) -> Result<bool, Error> {
        let counter = self.get("GetItem(counter)", &Key::Counter, true).await?;
        let last = counter.as_ref().and_then(|item| number(item, NEXT)).unwrap_or_default();
        Ok(scan.get() <= last)
    }

    /// How many scans are published, and the key of the cursors (none before the first scan).
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn totals(&self) -> Result<(u64, Option<cursor::Key>), Error> {
        let counters = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#pk = :pk")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_values(":pk", AttributeValue::S(COUNTERS.to_owned()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| Error::sdk("Query(counters)", error))?;
        let scans = counters.items().iter().filter_map(|item| number(item, SCANS)).sum();
        let key = counters.items().iter().find_map(|item| item.get(CURSOR_KEY)).map(read_key).transpose()?;
        Ok((scans, key))
    }

    /// The key of the cursors; none before the first scan. It never changes, so it is read once.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn cursor_key(&self) -> Result<Option<cursor::Key>, Error> {
        if let Some(key) = self.cursor_key.get() {
            return Ok(Some(*key));
        }
        let counter = self.get("GetItem(counter)", &Key::Counter, true).await?;
        let Some(key) = counter.as_ref().and_then(|item| item.get(CURSOR_KEY)).map(read_key).transpose()? else {
            return Ok(None);
        };
        // Losing a race against another reader of the same value changes nothing.
        let _ = self.cursor_key.set(key);
        Ok(Some(key))
    }
}

fn read_key(value: &AttributeValue) -> Result<cursor::Key, Error> {
    value
        .as_b()
        .ok()
        .and_then(|blob| cursor::Key::from_bytes(blob.as_ref()))
        .ok_or_else(|| Error::corrupt("COUNTER", "its cursor_key is not 64 bytes"))
}
