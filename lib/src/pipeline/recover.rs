//! What a schedule puts right: messages that were lost, and analyses whose back-off is over.

use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use tokio::time::Instant;

use super::analyze::{Error, after};
use super::analyze_scan::{self, Order};
use super::ingest::AutoAnalyze;
use crate::domain::prompt_hash::PromptHash;
use crate::domain::scan::ScanId;
use crate::queue::Queue;
use crate::store::Store;
use crate::store::analyses::Due;
use crate::telemetry::chain;
use crate::telemetry::metrics::{self, Fact};

/// How many analyses one run looks at; the next run, a minute later, goes on.
const BATCH: usize = 500;
/// Messages that are sent before their times are moved.
const CHUNK: usize = 50;
/// Times that are moved at once.
const CONCURRENCY: usize = 8;
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

/// Sends what is due again. Running it twice at once may send something twice, which is harmless.
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
    let due = store.due_analyses(now, BATCH).await?;
    let outbox = store.due_outbox(now, SCANS).await?;
    // The longest due come first. Before anything is mended: a run that fails has counted all the same.
    let overdue = [due.first().map(|due| due.at), outbox.first().map(|(_, at)| *at)];
    let overdue =
        overdue.into_iter().flatten().map(|at| Duration::try_from(now.duration_since(at)).unwrap_or_default());
    let stuck = due.iter().filter(|due| due.is_stuck).count();
    metrics::emit(Fact::Recovery { stuck, overdue: overdue.max().unwrap_or_default() }, now);
    for batch in due.chunks(CHUNK) {
        let hashes: Vec<PromptHash> = batch.iter().map(|due| due.hash.clone()).collect();
        queue.send_all(&hashes).await?;
        // Only now: what was not sent is due again in a minute. To send twice is harmless.
        stream::iter(batch.to_vec())
            .map(|Due { hash, resent, .. }| async move {
                let wait = NEXT_LOOK.saturating_mul(1u32.checked_shl(resent).unwrap_or(u32::MAX)).min(LONGEST_LOOK);
                store.look_again(&hash, now, after(now, wait)).await
            })
            .buffer_unordered(CONCURRENCY)
            .try_for_each(|_| async { Ok(()) })
            .await?;
    }
    let mut recovered = Recovered { resent: due.len(), scans: 0 };
    for (scan_id, _) in outbox {
        match queue_scan(store, queue, auto, scan_id, now, deadline).await {
            Ok(true) => recovered.scans += 1,
            Ok(false) => break,
            // One scan that cannot be read must not keep the others waiting.
            Err(error) => {
                tracing::error!(
                    scan_id = scan_id.get(),
                    cause = chain(&error),
                    "the findings of a scan could not be queued"
                );
                store.put_off_outbox(scan_id, after(now, NEXT_LOOK)).await?;
            }
        }
    }
    Ok(recovered)
}

/// Queues the findings of one scan; answers whether the time sufficed.
async fn queue_scan(
    store: &Store,
    queue: &Queue,
    auto: Option<&AutoAnalyze>,
    scan_id: ScanId,
    now: Timestamp,
    deadline: Instant,
) -> Result<bool, Error> {
    // Where nothing is analysed any more, there is nothing to queue.
    if let Some(auto) = auto
        && let Some(scan) = store.scan(scan_id).await?
    {
        let order = Order { severities: &auto.severities, limit: usize::MAX, deadline };
        if analyze_scan::run(store, queue, &auto.questions, &scan, order, now).await?.more {
            return Ok(false);
        }
    }
    store.clear_outbox(scan_id).await?;
    Ok(true)
}
