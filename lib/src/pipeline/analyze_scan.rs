//! Requests the missing analyses of a scan's findings.

use std::collections::HashSet;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;

use super::analyze::{Error, make_pending, needs_request};
use crate::domain::analysis::Status;
use crate::domain::prompt_hash::PromptHash;
use crate::domain::scan::Scan;
use crate::domain::severity::Severity;
use crate::queries::prompt_reader::{PromptIdentity, PromptReader};
use crate::queue::Queue;
use crate::store::findings::runs;
use crate::store::{Selection, Store};
use crate::telemetry::metrics::{self, Metric};

/// Questions that are written at the same time.
const CONCURRENCY: usize = 8;

/// The number of distinct prompts of a scan's findings, by result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Requested now.
    pub queued: usize,
    /// Already answered.
    pub cached: usize,
    /// Requested earlier, and not answered yet.
    pub pending: usize,
    /// Failed earlier, and not due to be requested again.
    pub failed: usize,
    /// Findings whose prompt does not fit into the model's context.
    pub too_long: usize,
    /// The limit or the deadline came before the last finding: the next call continues.
    pub more: bool,
}

/// Which findings are to be analysed.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// Only findings of these severities; of all if it is empty.
    pub severities: &'a [Severity],
    /// The most prompts that are queued.
    pub limit: usize,
    /// When to stop, even if not all are queued.
    pub deadline: Instant,
}

/// Requests the analyses of a scan's findings, the most severe first, each distinct prompt once.
///
/// After an error, the analyses requested until then stay pending.
pub async fn request_analyses(
    prompts: PromptReader<'_>,
    queue: &Queue,
    scan: &Scan,
    order: Order<'_>,
    now: Timestamp,
) -> Result<Tally, Error> {
    let store = prompts.store;
    let Order { severities, limit, deadline } = order;
    let mut tally = Tally::default();
    let mut seen = HashSet::new();
    for run in scan.severity_counts.of_any(severities, 0).into_iter().flat_map(runs) {
        let mut new = Vec::new();
        let findings = store.findings(scan.scan_id, run, &Selection::default()).await?;
        for prompt in prompts.prompts(scan, &findings).await? {
            match prompt {
                Ok(prompt) if seen.insert(prompt.hash.clone()) => new.push(prompt),
                Ok(_) => {}
                Err(_) => tally.too_long += 1,
            }
        }
        let hashes: Vec<PromptHash> = new.iter().map(|prompt| prompt.hash.clone()).collect();
        let known = store.analyses(&hashes).await?;
        let mut missing = Vec::new();
        for prompt in new {
            match known.get(&prompt.hash) {
                Some(analysis) if !needs_request(analysis, false, now) => match analysis.status {
                    Status::Completed => tally.cached += 1,
                    Status::Pending => tally.pending += 1,
                    Status::Failed => tally.failed += 1,
                },
                known => missing.push((prompt, known.map(|analysis| analysis.status))),
            }
        }
        let left = limit.saturating_sub(tally.queued);
        tally.more = missing.len() > left;
        missing.truncate(left);
        let requested = make_all_pending(store, missing, now).await?;
        queue.send_all(&requested).await?;
        tally.queued += requested.len();
        tally.more |= Instant::now() >= deadline;
        if tally.more {
            break;
        }
    }
    metrics::emit(Metric::Wanted { cached: tally.cached, missing: tally.queued }, now);
    Ok(tally)
}

/// Makes analyses pending, and returns the hashes of those that were not pending before.
async fn make_all_pending(
    store: &Store,
    prompts: Vec<(PromptIdentity, Option<Status>)>,
    now: Timestamp,
) -> Result<Vec<PromptHash>, Error> {
    stream::iter(prompts)
        .map(|(prompt, known)| async move {
            let is_new = make_pending(store, &prompt, known, now).await?;
            Ok(is_new.then_some(prompt.hash))
        })
        .buffered(CONCURRENCY)
        .try_filter_map(|hash| async { Ok(hash) })
        .try_collect()
        .await
}
