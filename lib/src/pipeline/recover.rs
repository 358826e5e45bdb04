//! What a schedule puts right: messages that were lost, and analyses whose back-off is over.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::analyze::{Error, after};
use super::analyze_scan::{self, Order};
use super::ingest::AutoAnalyze;
use crate::queue::Queue;
use crate::store::Store;

/// How many analyses one run looks at; the next run, a minute later, goes on.
const BATCH: usize = 500;
/// Scans whose findings one run queues.
const SCANS: usize = 10;
/// After a message was sent again, the next look is this far off, and twice as far with each
/// further one: a long queue is not a lost message.
const NEXT_LOOK: Duration = Duration::from_secs(30 * 60);
const LONGEST_LOOK: Duration = Duration::from_secs(6 * 3600);

/// What a run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Messages sent again.
    pub resent: usize,
    /// Scans whose findings were queued in the end.
    pub scans: usize,
}

/// Sends what is due again. Running it twice at once sends nothing twice.
///
/// # Errors
/// Those of the table and the queue; the next run goes on.
pub async fn run(
    store: &Store,
    queue: &Queue,
    auto: Option<&AutoAnalyze>,
    now: Timestamp,
    deadline: Instant,
) -> Result<Recovered, Error> {
    let mut due = Vec::new();
    for (hash, resent) in store.due_analyses(now, BATCH).await? {
        let wait = NEXT_LOOK.saturating_mul(1u32.checked_shl(resent).unwrap_or(u32::MAX)).min(LONGEST_LOOK);
        // Whoever moves the time sends the message.
        if store.look_again(&hash, now, after(now, wait)).await? {
            due.push(hash);
        }
    }
    queue.send_all(&due).await?;
    let mut recovered = Recovered { resent: due.len(), scans: 0 };
    for scan_id in store.due_outbox(now, SCANS).await? {
        let Some(auto) = auto else { break };
        if let Some(scan) = store.scan(scan_id).await? {
            let order = Order { severities: &auto.severities, limit: usize::MAX, deadline };
            if analyze_scan::run(store, queue, &auto.questions, &scan, order, now).await?.more {
                break;
            }
        }
        store.clear_outbox(scan_id).await?;
        recovered.scans += 1;
    }
    Ok(recovered)
}
