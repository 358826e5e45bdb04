//! Confirms a suspect scan: the findings that it lacks are really fixed, so it may become current.

use jiff::Timestamp;

use super::queue_occurrences::{RECOVERY_DELAY, queue_occurrences};
use crate::domain::instant::time_after;
use crate::domain::scan::{Scan, ScanId};
use crate::queue::Queue;
use crate::store::{self, Store};

/// Confirms a scan, if it exists; idempotent. Without an `enrichment` queue there are no occurrences to update.
pub async fn confirm_scan(
    store: &Store,
    enrichment: Option<&Queue>,
    id: ScanId,
    now: Timestamp,
) -> Result<Option<Scan>, store::Error> {
    let due = enrichment.map(|_| time_after(now, RECOVERY_DELAY));
    let Some(scan) = store.confirm(id, due).await? else { return Ok(None) };
    if let Some(queue) = enrichment {
        queue_occurrences(queue, id).await;
    }
    Ok(Some(scan))
}
