//! Confirming a suspect scan: what it lacks is really gone, so it may become current.

use std::time::Duration;

use jiff::Timestamp;

use super::analyze::after;
use crate::domain::scan::{Scan, ScanId};
use crate::queue::Queue;
use crate::store::{self, Store};
use crate::telemetry::chain;

/// When recovery has the occurrences follow, if the message is lost.
const DUE: Duration = Duration::from_secs(60);
/// How long the message may take to be sent.
const QUEUEING: Duration = Duration::from_secs(5);

/// Confirms a scan; none if there is no such scan. To do it again is success. With an `enrichment` queue the
/// occurrences follow; without one there are none.
///
/// # Errors
/// Those of the table.
pub async fn run(
    store: &Store,
    enrichment: Option<&Queue>,
    id: ScanId,
    now: Timestamp,
) -> Result<Option<Scan>, store::Error> {
    let due = enrichment.map(|_| after(now, DUE));
    let Some(scan) = store.confirm(id, due).await? else { return Ok(None) };
    if let Some(queue) = enrichment {
        match tokio::time::timeout(QUEUEING, queue.send_scan(id)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(scan_id = id.get(), cause = chain(&error), "recovery will have the occurrences follow");
            }
            Err(_) => tracing::warn!(scan_id = id.get(), "recovery will have the occurrences follow"),
        }
    }
    Ok(Some(scan))
}
