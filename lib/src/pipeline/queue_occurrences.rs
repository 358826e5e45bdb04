//! Queues the update of the occurrences of an asset whose current scan has changed.

use std::time::Duration;

use crate::domain::scan::ScanId;
use crate::queue::Queue;
use crate::telemetry::chain;

/// The time after which recovery sends a lost message again.
pub(super) const RECOVERY_DELAY: Duration = Duration::from_secs(60);
/// How long a request waits for the message to be sent.
pub(super) const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// Queues the update of a scan's occurrences. A failure is only logged: recovery sends the message.
pub(super) async fn queue_occurrences(queue: &Queue, scan_id: ScanId) {
    let cause = match tokio::time::timeout(SEND_TIMEOUT, queue.send_scan(scan_id)).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => chain(&error),
        Err(_) => "the queue did not answer in time".to_owned(),
    };
    tracing::warn!(scan_id = scan_id.get(), cause, "recovery will queue the update of the occurrences");
}
