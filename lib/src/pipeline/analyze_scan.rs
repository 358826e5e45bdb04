//! Having a model explain the findings of a scan: those that nobody has asked about yet.

use std::collections::HashSet;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;

use super::analyze::{Error, FIRST_LOOK, after, is_to_be_asked, write};
use super::judge::{self, Judge};
use crate::domain::analysis::Status;
use crate::domain::prompt_hash::PromptHash;
use crate::domain::scan::Scan;
use crate::domain::severity::Severity;
use crate::domain::vulnerability::{Status as RecordStatus, VulnerabilitySummary};
use crate::llm::{Question, Questions};
use crate::queue::Queue;
use crate::store::analyses::Asked;
use crate::store::{self, Selection, Store, findings};
use crate::telemetry::metrics::{self, Fact};

/// Questions that are written at the same time.
const CONCURRENCY: usize = 8;

/// What came of it, in distinct prompts: findings that are asked about in the same words count once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Asked for now.
    pub queued: usize,
    /// Answered before.
    pub cached: usize,
    /// Asked for before, and not answered yet.
    pub pending: usize,
    /// Failed before, and not due to be asked for again.
    pub failed: usize,
    /// Findings with so much text that the model's context has no room for it.
    pub too_long: usize,
    /// The limit or the time was reached before the last finding: call again to go on.
    pub more: bool,
}

/// What is to be asked about.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// Findings of these severities only; of all if there are none.
    pub severities: &'a [Severity],
    /// How many prompts to queue at most.
    pub limit: usize,
    /// When to stop at the latest.
    pub deadline: Instant,
}

/// Asks about the findings of a scan, the most severe first, each distinct prompt once.
///
/// # Errors
/// Those of the table and the queue. What was asked for by then stays so.
pub async fn run(
    store: &Store,
    queue: &Queue,
    questions: &Questions,
    judge: &Judge,
    scan: &Scan,
    order: Order<'_>,
    now: Timestamp,
) -> Result<Tally, Error> {
    let Order { severities, limit, deadline } = order;
    let mut tally = Tally::default();
    let mut seen = HashSet::new();
    for run in scan.severity_counts.of_any(severities, 0).into_iter().flat_map(findings::runs) {
        let mut new = Vec::new();
        let findings = store.findings(scan.scan_id, run, &Selection::default()).await?;
        let known = store.known(&judge::ids(&findings)).await?;
        for finding in findings {
            let Ok((hash, question)) = questions.about(&finding, judge.tell(scan, &finding, &known)) else {
                tally.too_long += 1;
                continue;
            };
            if seen.insert(hash.clone()) {
                new.push((hash, question));
            }
        }
        let hashes: Vec<PromptHash> = new.iter().map(|(hash, _)| hash.clone()).collect();
        let known = store.analyses(&hashes).await?;
        let mut to_ask = Vec::new();
        for (hash, question) in new {
            match known.get(&hash) {
                Some(analysis) if !is_to_be_asked(analysis, false, now) => match analysis.status {
                    Status::Completed => tally.cached += 1,
                    Status::Pending => tally.pending += 1,
                    Status::Failed => tally.failed += 1,
                },
                known => to_ask.push((hash, question, known.map(|analysis| analysis.status))),
            }
        }
        let left = limit.saturating_sub(tally.queued);
        tally.more = to_ask.len() > left;
        to_ask.truncate(left);
        let asked = ask_all(store, to_ask, now).await?;
        queue.send_all(&asked).await?;
        tally.queued += asked.len();
        if tally.more {
            break;
        }
        if Instant::now() >= deadline {
            tally.more = true;
            break;
        }
    }
    metrics::emit(Fact::Wanted { cached: tally.cached, missing: tally.queued }, now);
    Ok(tally)
}

/// Whether the sources were asked about each vulnerability of a scan's findings of these severities, or cannot be.
///
/// # Errors
/// Those of the table.
pub async fn is_enriched(store: &Store, scan: &Scan, severities: &[Severity]) -> Result<bool, store::Error> {
    for run in scan.severity_counts.of_any(severities, 0).into_iter().flat_map(findings::runs) {
        let ids = judge::ids(&store.findings(scan.scan_id, run, &Selection::default()).await?);
        let signals = store.signals(&ids).await?;
        let is_known =
            |id| signals.get(id).is_some_and(|known: &VulnerabilitySummary| known.status != RecordStatus::Pending);
        if !ids.iter().all(is_known) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Makes analyses pending; answers those that were not before.
async fn ask_all(
    store: &Store,
    to_ask: Vec<(PromptHash, Question, Option<Status>)>,
    now: Timestamp,
) -> Result<Vec<PromptHash>, Error> {
    let due = after(now, FIRST_LOOK);
    stream::iter(to_ask)
        .map(|(hash, question, seen)| async move {
            store.put_question(&hash, &write(&question)?, seen.is_some()).await?;
            let is_new = match seen {
                Some(seen) => store.ask_again(&hash, seen, due).await?,
                None => matches!(store.ask(&hash, due).await?, Asked::New),
            };
            Ok(is_new.then_some(hash))
        })
        .buffered(CONCURRENCY)
        .try_filter_map(|hash| async { Ok(hash) })
        .try_collect()
        .await
}
