//! What a schedule puts right: messages that were lost, analyses whose back-off is over, ingestions
//! and deletions that were cut off, and scans that are older than they should get.

use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use tokio::time::Instant;

use super::analyze::{Error, after};
use super::analyze_scan::{self, Order};
use super::delete_scan::{self, Deleted, Reason};
use super::forget;
use super::ingest::{self, AutoAnalyze, Ingestion};
use super::reingest;
use crate::domain::prompt_hash::PromptHash;
use crate::domain::scan::{Scan, ScanId};
use crate::objects::{Archived, Objects};
use crate::queue::Queue;
use crate::store::analyses::Due;
use crate::store::claims::{Claim, Claimed, Holder, Unfinished};
use crate::store::walks::Walk;
use crate::store::{self, Store};
use crate::telemetry::chain;
use crate::telemetry::metrics::{self, Metric};

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

/// Scans that one run passes over in search of a current one.
const LOOKED_AT: usize = 20;
/// A prompt tells what the sources say, so a scan's findings are queued once these have been asked; a source that does
/// not answer for so long is waited for no more.
const LONGEST_WAIT: Duration = Duration::from_secs(2 * 3600);
/// Between two looks whether the sources have been asked: as long as was waited so far, within these.
const SHORTEST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);

/// Ingestions, and deletions, that one run finishes.
const UNFINISHED: usize = 10;
/// Scans whose age one run looks at: a rescanned image keeps an old number, so the walk goes on from where the last run ended.
const AGED: usize = 100;
/// An ingestion whose lease is over is left to its sender, who may try again, for this long.
const SENDERS_TURN: Duration = Duration::from_secs(2 * 60);
/// What nobody can finish, since its report is not in the archive, is removed after this.
const GIVEN_UP: Duration = Duration::from_secs(15 * 60);
/// One ingestion that is begun before the end of a run may take so much longer, of the minute that the function has.
const OVERRUN: Duration = Duration::from_secs(12);
/// What could not be finished is tried again after this.
const NEXT_TRY: Duration = Duration::from_secs(3600);
/// How long one scan is deleted at a stretch.
const ONE_DELETION: Duration = Duration::from_secs(20);

/// What recovery works with.
#[derive(Debug)]
pub struct Recovery {
    /// What reports are taken in with: its archive is what unfinished ones are finished from.
    pub ingestion: Ingestion,
    /// The bucket.
    pub objects: Objects,
    /// Where analyses are queued.
    pub queue: Queue,
    /// How old a scan may get; none for as old as it likes.
    pub retention: Option<Duration>,
}

/// What a run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Messages sent again.
    pub resent: usize,
    /// Scans whose findings were queued in the end.
    pub scans: usize,
    /// Ingestions that were finished.
    pub ingested: usize,
    /// Ingestions that nobody can finish, and whose leftovers were removed.
    pub abandoned: usize,
    /// Scans that were deleted: those left half-deleted, and those too old.
    pub deleted: usize,
    /// Ingestions whose lease was over: how many of them this run met.
    pub stuck: usize,
}

/// Puts right what it finds, until the deadline, on behalf of a request with that id. What fails is logged and met again by the next
/// run; it keeps nothing else from being put right.
///
/// # Errors
/// If not even the lists of what is due can be read, or messages not be sent.
pub async fn run(deps: &Recovery, request_id: &str, now: Timestamp, deadline: Instant) -> Result<Recovered, Error> {
    let Recovery { ingestion, objects, queue, retention } = deps;
    let queue = &queue.on_behalf_of(request_id);
    let store = &ingestion.store;
    let auto = ingestion.auto.as_ref().map(|(auto, _)| auto);
    let due = store.due_analyses(now, BATCH).await?;
    let outbox = store.due_outbox(now, SCANS).await?;
    let moved = if ingestion.enrichment.is_some() { store.due_moved(now, SCANS).await? } else { Vec::new() };
    let unfinished = store.unfinished(before(now, SENDERS_TURN), UNFINISHED).await?;
    // Before anything is mended: a run that fails has counted all the same. The longest due come first.
    // A cut-off ingestion is finished in the next minutes, or given up: stuck is what is older.
    let old = before(now, GIVEN_UP.saturating_mul(2));
    let stuck = due.iter().filter(|due| due.is_stuck).count()
        + unfinished.iter().filter(|unfinished| unfinished.since < old).count();
    let overdue = [due.first().map(|due| due.at), outbox.first().map(|(_, at)| *at)];
    let overdue =
        overdue.into_iter().flatten().map(|at| Duration::try_from(now.duration_since(at)).unwrap_or_default());
    metrics::emit(Metric::Recovery { stuck, overdue: overdue.max().unwrap_or_default() }, now);

    let enrichment = ingestion.enrichment.as_ref().map(|queue| queue.on_behalf_of(request_id));
    if let Some(enrichment) = &enrichment {
        // Whoever catalogues the scan takes its asset off the list; the message may be lost again.
        for (asset, current) in moved {
            match current.scan_id.or(asset.alone) {
                Some(scan_id) => enrichment.send_scan(scan_id).await?,
                None => store.clear_moved(&asset, current.version).await?,
            }
        }
    }
    let orders = Orders { store, queue, auto, enrichment: enrichment.as_ref() };
    let mut recovered = resend(&orders, &due, outbox, now, deadline).await?;
    recovered.stuck = unfinished.len();
    for unfinished in unfinished {
        if Instant::now() >= deadline {
            return Ok(recovered);
        }
        match finish(ingestion, objects, request_id, &unfinished, now, deadline).await {
            Ok(Finished::Ingested) => recovered.ingested += 1,
            Ok(Finished::Abandoned) => recovered.abandoned += 1,
            Ok(Finished::Later) => {}
            Err(error) => {
                let report_hash = unfinished.hash.to_string();
                tracing::error!(report_hash, cause = chain(&error), "an ingestion could not be finished");
            }
        }
    }
    let unfinished = store.due_deletions(now, UNFINISHED).await?;
    // Their notes know why they were begun.
    let mut to_delete: Vec<(ScanId, Reason)> = unfinished.into_iter().map(|scan| (scan, Reason::Requested)).collect();
    let mut walk = None;
    if let Some(oldest) = retention.map(|age| before(now, age)) {
        let looked_at = store.oldest_scans(store.position(Walk::Retention).await?, AGED).await?;
        walk = Some(looked_at.get(AGED - 1).map(|scan| scan.scan_id));
        let is_old = |scan: &&Scan| scan.ingested_at < oldest && scan.last_seen_at < oldest;
        for scan in looked_at.iter().filter(is_old) {
            // A suspect scan would become current by the mere passing of time.
            if !store.holds_suspects_back(scan).await? {
                to_delete.push((scan.scan_id, Reason::Expired));
            }
        }
    }
    for (scan_id, reason) in to_delete {
        let left = deadline.saturating_duration_since(Instant::now()).min(ONE_DELETION);
        if left.is_zero() {
            return Ok(recovered);
        }
        match delete_scan::run(store, Some(objects), scan_id, reason, now, left).await {
            Ok(Deleted::Gone) => recovered.deleted += 1,
            Ok(Deleted::Underway | Deleted::Busy | Deleted::Unknown) => {}
            Err(error) => {
                tracing::error!(scan_id = scan_id.get(), cause = chain(&error), "a scan could not be deleted");
            }
        }
    }
    if let Some(after) = walk {
        store.set_position(Walk::Retention, after).await?;
    }
    // Last: a large scan must not take the time of what cannot wait.
    if let Err(error) = reask(&orders, now, deadline).await {
        tracing::error!(cause = chain(&error), "changed prompts could not be asked anew");
    }
    Ok(recovered)
}

enum Finished {
    Ingested,
    Abandoned,
    Later,
}

/// Finishes an ingestion from the archive. Where the archive does not have its report, its sender
/// was never told that it is in: what is left of it is removed.
async fn finish(
    deps: &Ingestion,
    objects: &Objects,
    request_id: &str,
    unfinished: &Unfinished,
    now: Timestamp,
    deadline: Instant,
) -> Result<Finished, reingest::Error> {
    let holder = Holder::random().map_err(ingest::Error::from)?.of_request(request_id);
    let archived = objects.archived(unfinished.hash).await?;
    if archived.is_none() && unfinished.since > before(now, GIVEN_UP) {
        return Ok(Finished::Later);
    }
    let taken = deps.store.take_over(unfinished.hash, &holder, now, deps.lease).await?;
    let Some(Claimed::Ours(claim)) = taken else { return Ok(Finished::Later) };
    let work = async {
        match archived {
            Some(archived) => ingest_archived(deps, archived, &claim, &holder, now).await,
            None => abandon(&deps.store, &claim).await,
        }
    };
    let worked = tokio::time::timeout_at(deadline + OVERRUN, work).await;
    if !matches!(worked, Ok(Ok(_))) {
        // It must not keep others from their turn.
        deps.store.release(&claim, after(now, NEXT_TRY)).await?;
    }
    worked.unwrap_or(Ok(Finished::Later))
}

/// Removes what is left of an ingestion, and of the scan that was taken back for it.
async fn abandon(store: &Store, claim: &Claim) -> Result<Finished, reingest::Error> {
    if let Some(scan_id) = claim.scan_id {
        store.remove_leftovers(scan_id).await?;
        forget::taken_back(store, scan_id, None).await?;
    }
    store.abandon(claim).await?;
    Ok(Finished::Abandoned)
}

async fn ingest_archived(
    deps: &Ingestion,
    archived: Archived,
    claim: &Claim,
    holder: &Holder,
    now: Timestamp,
) -> Result<Finished, reingest::Error> {
    let submission = reingest::unpacked(deps, archived)?;
    let report = reingest::report(&submission, claim.hash)?;
    ingest::finish(deps, &submission, &report, claim, holder, now).await?;
    Ok(Finished::Ingested)
}

fn before(now: Timestamp, by: Duration) -> Timestamp {
    now.checked_sub(by).unwrap_or(Timestamp::MIN)
}

/// What messages are sent with.
struct Orders<'a> {
    store: &'a Store,
    queue: &'a Queue,
    auto: Option<&'a AutoAnalyze>,
    enrichment: Option<&'a Queue>,
}

/// Sends what is due again. Running it twice at once may send something twice, which is harmless.
async fn resend(
    orders: &Orders<'_>,
    due: &[Due],
    outbox: Vec<(ScanId, Timestamp)>,
    now: Timestamp,
    deadline: Instant,
) -> Result<Recovered, Error> {
    let Orders { store, queue, .. } = *orders;
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
    let mut recovered = Recovered { resent: due.len(), ..Recovered::default() };
    for (scan_id, _) in outbox {
        match queue_scan(orders, scan_id, now, deadline).await {
            Ok(Queued::Whole) => recovered.scans += 1,
            Ok(Queued::Later) => {}
            Ok(Queued::Part) => break,
            // Who deleted it took it off the list, and who ingested it anew put it there again.
            Err(Error::Store(store::Error::Vanished { .. })) => {}
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

/// Asks anew about the findings of one current scan, as far as their prompts have changed; the next run looks at
/// another one.
async fn reask(orders: &Orders<'_>, now: Timestamp, deadline: Instant) -> Result<(), Error> {
    let Orders { store, queue, auto: Some(auto), .. } = *orders else { return Ok(()) };
    let after = store.position(Walk::Analyses).await?;
    let looked_at = store.oldest_scans(after, LOOKED_AT).await?;
    // Younger ones wait in the outbox.
    let settled = before(now, LONGEST_WAIT);
    let current = looked_at.iter().find(|scan| scan.current && !scan.retired && scan.ingested_at < settled);
    if let Some(scan) = current {
        let order = Order { severities: &auto.severities, limit: usize::MAX, deadline };
        if analyze_scan::run(store, queue, &auto.questions, &auto.judge, scan, order, now).await?.more {
            return Ok(());
        }
    }
    let next = current.or_else(|| looked_at.get(LOOKED_AT - 1)).map(|scan| scan.scan_id);
    Ok(store.set_position(Walk::Analyses, next).await?)
}

enum Queued {
    Whole,
    /// The time did not suffice.
    Part,
    /// Its vulnerabilities are still being looked up.
    Later,
}

/// Queues the findings of one scan.
async fn queue_scan(orders: &Orders<'_>, scan_id: ScanId, now: Timestamp, deadline: Instant) -> Result<Queued, Error> {
    let Orders { store, queue, auto, enrichment } = *orders;
    // Whether its first message was lost is not known. A second one finds its work done.
    if let Some(enrichment) = enrichment {
        enrichment.send_scan(scan_id).await?;
    }
    // Where nothing is analysed any more, there is nothing to queue.
    if let Some(auto) = auto
        && let Some(scan) = store.scan(scan_id).await?
    {
        let waited = Duration::try_from(now.duration_since(scan.ingested_at)).unwrap_or_default();
        let may_wait = enrichment.is_some() && waited < LONGEST_WAIT;
        if may_wait && !analyze_scan::is_enriched(store, &scan, &auto.severities).await? {
            let pause = waited.clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
            store.put_off_outbox(scan_id, after(now, pause)).await?;
            return Ok(Queued::Later);
        }
        let order = Order { severities: &auto.severities, limit: usize::MAX, deadline };
        if analyze_scan::run(store, queue, &auto.questions, &auto.judge, &scan, order, now).await?.more {
            return Ok(Queued::Part);
        }
    }
    store.clear_outbox(scan_id).await?;
    Ok(Queued::Whole)
}
