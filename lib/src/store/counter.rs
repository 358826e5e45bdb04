//! The counters: scan ids and the number of scans. The key of the cursors is stored with them.

use aws_sdk_dynamodb::types::AttributeValue;

use super::expression::equals;
use super::item::number;
use super::keys::{COUNTERS, Key, PK, TOTAL_SHARDS};
use super::write::{Update, Write};
use super::{Error, Store, cursor};
use crate::domain::scan::ScanId;

const NEXT: &str = "next_scan";
const CURSOR_KEY: &str = "cursor_key";
const SCANS: &str = "scans";

impl Store {
    /// Takes the next scan id, and stores the key of the cursors if it is the first. A repeated call leaves a gap.
    pub(super) async fn next_scan_id(&self) -> Result<ScanId, Error> {
        const OPERATION: &str = "UpdateItem(counter)";
        let key = cursor::Key::random().map_err(Error::refused(OPERATION))?;
        let update = Update::of(&Key::Counter).add(NEXT, 1_u32).set_if_absent(CURSOR_KEY, key.bytes().to_vec());
        let updated = self.write(OPERATION, Write::from(update).returning()).await?.or_lost()?;
        let next = number(&updated, NEXT).and_then(ScanId::new);
        next.ok_or_else(|| Error::corrupt("COUNTER", "its next_scan is not a scan id"))
    }

    /// Returns whether a scan id was taken.
    pub async fn is_numbered(&self, scan: ScanId) -> Result<bool, Error> {
        let counter = self.get("GetItem(counter)", &Key::Counter, true).await?;
        let last = counter.as_ref().and_then(|item| number(item, NEXT)).unwrap_or_default();
        Ok(scan.get() <= last)
    }

    /// Reads the number of published scans, and the key of the cursors (none before the first scan).
    pub async fn totals(&self) -> Result<(u64, Option<cursor::Key>), Error> {
        let counters = self.query_now(equals(PK, COUNTERS)).send().await;
        let counters = counters.map_err(|error| Error::sdk("Query(counters)", error))?;
        let scans = counters.items().iter().filter_map(|item| number(item, SCANS)).sum();
        let key = counters.items().iter().find_map(|item| item.get(CURSOR_KEY)).map(read_key).transpose()?;
        Ok((scans, key))
    }

    /// Reads the key of the cursors, once; none before the first scan.
    pub async fn cursor_key(&self) -> Result<Option<cursor::Key>, Error> {
        if let Some(key) = self.cursor_key.get() {
            return Ok(Some(*key));
        }
        let counter = self.get("GetItem(counter)", &Key::Counter, true).await?;
        let key = counter.as_ref().and_then(|item| item.get(CURSOR_KEY)).map(read_key).transpose()?;
        // Another task may have set it, to the same key.
        let _ = key.map(|key| self.cursor_key.set(key));
        Ok(key)
    }
}

/// Counts a scan: `more` is 1 or -1.
pub(super) fn count(scan: ScanId, more: i8) -> Write {
    Update::of(&Key::Total(scan.get() % TOTAL_SHARDS)).add(SCANS, more).into()
}

fn read_key(value: &AttributeValue) -> Result<cursor::Key, Error> {
    let key = value.as_b().ok().and_then(|blob| cursor::Key::from_bytes(blob.as_ref()));
    key.ok_or_else(|| Error::corrupt("COUNTER", "its cursor_key is not 64 bytes"))
}
