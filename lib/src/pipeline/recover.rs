//! Repairs on a schedule: lost messages, analyses whose back-off is over, interrupted ingestions and deletions, and
//! scans past their retention.

use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use tokio::time::Instant;

use super::analyze::Error;
use super::analyze_scan::{Order, request_analyses};
use super::delete_scan::{self, Deleted, Reason, delete_scan};
use super::forget::forget_reopened;
use super::ingest::{self, AutoAnalyze, Incoming, Ingestion, finish_ingestion};
use super::reingest;
use crate::domain::instant::{time_after, time_before};
use crate::domain::prompt_hash::PromptHash;
use crate::domain::scan::{Scan, ScanId};
use crate::objects::{Archived, Objects};
use crate::queries::enrichment_state::is_enriched;
use crate::queue::Queue;
use crate::store::analyses::Due;
use crate::store::claims::{Claim, Claimed, Unfinished};
use crate::store::lease::Owner;
use crate::store::walks::Walk;
use crate::store::{self, Store};
use crate::telemetry::chain;
use crate::telemetry::metrics::{self, Metric};

/// Due analyses that one run reads; the next run, a minute later, continues.
const MAX_ANALYSES: usize = 500;
/// Messages that are sent before their due times are moved.
const MESSAGES_PER_STEP: usize = 50;
/// Due times that are moved at the same time.
const CONCURRENCY: usize = 8;
/// Scans whose findings one run queues.
const MAX_QUEUED_SCANS: usize = 10;
/// The wait until a message counts as lost again, doubled each time it was sent: the queue may only be long …
const RESEND_WAIT: Duration = Duration::from_secs(30 * 60);
/// … up to this one.
const LONGEST_RESEND_WAIT: Duration = Duration::from_secs(6 * 3600);

/// Scans that one run reads to find a current one.
const MAX_PROMPT_CANDIDATES: usize = 20;
/// How long the analyses of a scan wait for the sources, because a prompt contains their facts.
const LONGEST_ENRICHMENT_WAIT: Duration = Duration::from_secs(2 * 3600);
/// The pause between two checks whether the sources were asked: as long as the wait so far, at least this …
const SHORTEST_PAUSE: Duration = Duration::from_secs(60);
/// … and at most this.
const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);

/// Interrupted ingestions, and deletions, that one run finishes.
const MAX_UNFINISHED: usize = 10;
/// Scans whose age one run checks. An image that is scanned again keeps an old id, so each run continues where the last
/// one stopped.
const MAX_AGE_CHECKS: usize = 100;
/// How long after its lease an ingestion is left to its sender, who may send the report again.
const SENDER_GRACE: Duration = Duration::from_secs(2 * 60);
/// How long after its lease an ingestion without an archived report is abandoned.
const ABANDON_AFTER: Duration = Duration::from_secs(15 * 60);
/// How long the last ingestion of a run may take beyond its deadline, within the function's minute.
const OVERRUN: Duration = Duration::from_secs(12);
/// The wait after a failed attempt to finish an ingestion.
const RETRY_WAIT: Duration = Duration::from_secs(3600);
/// How long one run works on the deletion of one scan.
const DELETION_TIME: Duration = Duration::from_secs(20);

/// The dependencies of recovery.
#[derive(Debug)]
pub struct Recovery {
    /// The dependencies of ingestions; interrupted ones are finished from the archive.
    pub ingestion: Ingestion,
    /// The bucket.
    pub objects: Objects,
    /// The queue of analyses.
    pub queue: Queue,
    /// How long scans are kept; none if they are never deleted.
    pub retention: Option<Duration>,
}

/// The result of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Messages that were sent again.
    pub resent: usize,
    /// Scans whose findings were queued.
    pub scans: usize,
    /// Ingestions that were finished.
    pub ingested: usize,
    /// Ingestions that cannot be finished and whose data was removed.
    pub abandoned: usize,
    /// Scans that were deleted: interrupted deletions, and scans past their retention.
    pub deleted: usize,
    /// Ingestions whose lease was over at the start of the run.
    pub stuck: usize,
}

/// Repairs until the deadline, on behalf of a request. A failed repair is logged, and repeated by the next run; the
/// others continue.
pub async fn run_recovery(
    deps: &Recovery,
    request_id: &str,
    now: Timestamp,
    deadline: Instant,
) -> Result<Recovered, Error> {
    let Recovery { ingestion, objects, queue, retention } = deps;
    let queue = &queue.on_behalf_of(request_id);
    let store = &ingestion.store;
    let auto = ingestion.auto.as_ref().map(|(auto, _)| auto);
    let due = store.due_analyses(now, MAX_ANALYSES).await?;
    let outbox = store.due_outbox(now, MAX_QUEUED_SCANS).await?;
    let moved = if ingestion.enrichment.is_some() { store.due_moved(now, MAX_QUEUED_SCANS).await? } else { Vec::new() };
    let unfinished = store.unfinished(time_before(now, SENDER_GRACE), MAX_UNFINISHED).await?;
    // Before any repair, so that a failed run emits the metric too. The lists begin with the longest overdue entry. An
    // interrupted ingestion is finished or abandoned within minutes; an older one is stuck.
    let old = time_before(now, ABANDON_AFTER.saturating_mul(2));
    let stuck = due.iter().filter(|due| due.is_stuck).count()
        + unfinished.iter().filter(|unfinished| unfinished.since < old).count();
    let overdue = [due.first().map(|due| due.at), outbox.first().map(|(_, at)| *at)];
    let overdue =
        overdue.into_iter().flatten().map(|at| Duration::try_from(now.duration_since(at)).unwrap_or_default());
    metrics::emit(Metric::Recovery { stuck, overdue: overdue.max().unwrap_or_default() }, now);

    let enrichment = ingestion.enrichment.as_ref().map(|queue| queue.on_behalf_of(request_id));
    if let Some(enrichment) = &enrichment {
        // Cataloguing the scan clears the entry, so that a message that is lost again is sent again.
        for (asset, current) in moved {
            match current.scan_id.or(asset.alone) {
                Some(scan_id) => enrichment.send_scan(scan_id).await?,
                None => store.clear_moved(&asset, current.version).await?,
            }
        }
    }
    let queueing = Queueing { store, queue, auto, enrichment: enrichment.as_ref() };
    let mut recovered = resend(&queueing, &due, outbox, now, deadline).await?;
    recovered.stuck = unfinished.len();
    for unfinished in unfinished {
        if Instant::now() >= deadline {
            return Ok(recovered);
        }
        match finish_from_archive(deps, request_id, &unfinished, now, deadline).await {
            Ok(Finished::Ingested) => recovered.ingested += 1,
            Ok(Finished::Abandoned) => recovered.abandoned += 1,
            Ok(Finished::Later) => {}
            Err(error) => {
                let report_hash = unfinished.hash.to_string();
                tracing::error!(report_hash, cause = chain(&error), "an ingestion could not be finished");
            }
        }
    }
    let unfinished = store.due_deletions(now, MAX_UNFINISHED).await?;
    // An interrupted deletion keeps its own reason.
    let requested = |scan_id| delete_scan::Order { scan_id, reason: Reason::Requested };
    let mut to_delete: Vec<_> = unfinished.into_iter().map(requested).collect();
    let mut walk = None;
    if let Some(oldest) = retention.map(|age| time_before(now, age)) {
        let looked_at = store.oldest_scans(store.position(Walk::Retention).await?, MAX_AGE_CHECKS).await?;
        walk = Some(looked_at.get(MAX_AGE_CHECKS - 1).map(|scan| scan.scan_id));
        let is_old = |scan: &&Scan| scan.ingested_at < oldest && scan.last_seen_at < oldest;
        for scan in looked_at.iter().filter(is_old) {
            // Without this scan a suspect one would become current.
            if !store.holds_suspects_back(scan).await? {
                to_delete.push(delete_scan::Order { scan_id: scan.scan_id, reason: Reason::Expired });
            }
        }
    }
    for order in to_delete {
        let left = deadline.saturating_duration_since(Instant::now()).min(DELETION_TIME);
        if left.is_zero() {
            return Ok(recovered);
        }
        match delete_scan(store, Some(objects), order, now, left).await {
            Ok(Deleted::Gone) => recovered.deleted += 1,
            Ok(Deleted::Underway | Deleted::Busy | Deleted::Unknown) => {}
            Err(error) => {
                tracing::error!(scan_id = order.scan_id.get(), cause = chain(&error), "a scan could not be deleted");
            }
        }
    }
    if let Some(after) = walk {
        store.set_position(Walk::Retention, after).await?;
    }
    // Last, because a large scan may take all the time that is left.
    if let Err(error) = request_changed_prompts(&queueing, now, deadline).await {
        tracing::error!(cause = chain(&error), "changed prompts could not be queued again");
    }
    Ok(recovered)
}

enum Finished {
    Ingested,
    Abandoned,
    Later,
}

/// Finishes an ingestion from the archive. The data of a report that is not archived is removed, because its sender did
/// not get a success.
async fn finish_from_archive(
    deps: &Recovery,
    request_id: &str,
    unfinished: &Unfinished,
    now: Timestamp,
    deadline: Instant,
) -> Result<Finished, reingest::Error> {
    let Recovery { ingestion, objects, .. } = deps;
    let store = &ingestion.store;
    let owner = Owner::random().map_err(ingest::Error::from)?.of_request(request_id);
    let archived = objects.archived(unfinished.hash).await?;
    if archived.is_none() && unfinished.since > time_before(now, ABANDON_AFTER) {
        return Ok(Finished::Later);
    }
    let taken = store.take_over(unfinished.hash, &owner, now, ingestion.lease).await?;
    let Some(Claimed::Ours(claim)) = taken else { return Ok(Finished::Later) };
    let work = async {
        match archived {
            Some(archived) => ingest_archived(ingestion, archived, &claim, &owner, now).await,
            None => abandon(store, &claim).await,
        }
    };
    let worked = tokio::time::timeout_at(deadline + OVERRUN, work).await;
    if !matches!(worked, Ok(Ok(_))) {
        // Later, so that the next runs get to the others.
        store.release(&claim, time_after(now, RETRY_WAIT)).await?;
    }
    worked.unwrap_or(Ok(Finished::Later))
}

/// Removes the data of an ingestion, and of the scan that was reopened for it.
async fn abandon(store: &Store, claim: &Claim) -> Result<Finished, reingest::Error> {
    if let Some(scan_id) = claim.scan_id {
        store.remove_leftovers(scan_id).await?;
        forget_reopened(store, scan_id, None).await?;
    }
    store.abandon(claim).await?;
    Ok(Finished::Abandoned)
}

/// Ingests an archived report whose claim was taken over.
async fn ingest_archived(
    deps: &Ingestion,
    archived: Archived,
    claim: &Claim,
    owner: &Owner,
    now: Timestamp,
) -> Result<Finished, reingest::Error> {
    let submission = reingest::unpack(deps, archived)?;
    let report = reingest::parse_report(&submission, claim.hash)?;
    finish_ingestion(deps, Incoming { submission: &submission, report: &report }, claim, owner, now).await?;
    Ok(Finished::Ingested)
}

/// The dependencies of queueing analyses and enrichment.
struct Queueing<'a> {
    store: &'a Store,
    queue: &'a Queue,
    auto: Option<&'a AutoAnalyze>,
    enrichment: Option<&'a Queue>,
}

/// Sends due messages again. Two simultaneous runs may send a message twice, which is harmless.
async fn resend(
    queueing: &Queueing<'_>,
    due: &[Due],
    outbox: Vec<(ScanId, Timestamp)>,
    now: Timestamp,
    deadline: Instant,
) -> Result<Recovered, Error> {
    let Queueing { store, queue, .. } = *queueing;
    for batch in due.chunks(MESSAGES_PER_STEP) {
        let hashes: Vec<PromptHash> = batch.iter().map(|due| due.hash.clone()).collect();
        queue.send_all(&hashes).await?;
        // After sending: a message that was not sent stays due.
        stream::iter(batch.to_vec())
            .map(|Due { hash, resent, .. }| async move {
                let wait = RESEND_WAIT.saturating_mul(1u32.checked_shl(resent).unwrap_or(u32::MAX));
                let wait = wait.min(LONGEST_RESEND_WAIT);
                store.look_again(&hash, now, time_after(now, wait)).await
            })
            .buffer_unordered(CONCURRENCY)
            .try_for_each(|_| async { Ok(()) })
            .await?;
    }
    let mut recovered = Recovered { resent: due.len(), ..Recovered::default() };
    for (scan_id, _) in outbox {
        match queue_scan(queueing, scan_id, now, deadline).await {
            Ok(Queued::Whole) => recovered.scans += 1,
            Ok(Queued::Later) => {}
            Ok(Queued::Part) => break,
            // Deleting a scan removes it from the list, and ingesting it again adds it.
            Err(Error::Store(store::Error::Vanished { .. })) => {}
            // Later, so that the next runs get to the others.
            Err(error) => {
                let cause = chain(&error);
                tracing::error!(scan_id = scan_id.get(), cause, "the findings of a scan could not be queued");
                store.put_off_outbox(scan_id, time_after(now, RESEND_WAIT)).await?;
            }
        }
    }
    Ok(recovered)
}

/// Requests the analyses of one current scan's findings whose prompts have changed; the next run takes another scan.
async fn request_changed_prompts(queueing: &Queueing<'_>, now: Timestamp, deadline: Instant) -> Result<(), Error> {
    let Queueing { store, queue, auto: Some(auto), .. } = *queueing else { return Ok(()) };
    let after = store.position(Walk::Analyses).await?;
    let looked_at = store.oldest_scans(after, MAX_PROMPT_CANDIDATES).await?;
    // Newer scans may still be in the outbox.
    let ingested_before = time_before(now, LONGEST_ENRICHMENT_WAIT);
    let current = looked_at.iter().find(|scan| scan.current && !scan.retired && scan.ingested_at < ingested_before);
    if let Some(scan) = current {
        let order = Order { severities: &auto.severities, limit: usize::MAX, deadline };
        if request_analyses(auto.prompts(store), queue, scan, order, now).await?.more {
            return Ok(());
        }
    }
    let next = current.or_else(|| looked_at.get(MAX_PROMPT_CANDIDATES - 1)).map(|scan| scan.scan_id);
    Ok(store.set_position(Walk::Analyses, next).await?)
}

enum Queued {
    Whole,
    /// The deadline came first.
    Part,
    /// The sources were not asked about all of its vulnerabilities yet.
    Later,
}

/// Queues the findings of one scan.
async fn queue_scan(
    queueing: &Queueing<'_>,
    scan_id: ScanId,
    now: Timestamp,
    deadline: Instant,
) -> Result<Queued, Error> {
    let Queueing { store, queue, auto, enrichment } = *queueing;
    // The first message may have been lost. A second one is harmless.
    if let Some(enrichment) = enrichment {
        enrichment.send_scan(scan_id).await?;
    }
    // The settings may have changed since the scan was added to the outbox.
    if let Some(auto) = auto
        && let Some(scan) = store.scan(scan_id).await?
    {
        let waited = Duration::try_from(now.duration_since(scan.ingested_at)).unwrap_or_default();
        let may_wait = enrichment.is_some() && waited < LONGEST_ENRICHMENT_WAIT;
        if may_wait && !is_enriched(store, &scan, &auto.severities).await? {
            let pause = waited.clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
            store.put_off_outbox(scan_id, time_after(now, pause)).await?;
            return Ok(Queued::Later);
        }
        let order = Order { severities: &auto.severities, limit: usize::MAX, deadline };
        if request_analyses(auto.prompts(store), queue, &scan, order, now).await?.more {
            return Ok(Queued::Part);
        }
    }
    store.clear_outbox(scan_id).await?;
    Ok(Queued::Whole)
}
