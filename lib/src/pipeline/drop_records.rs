//! Drops the records of vulnerabilities that no image has.
//!
//! ```text
//! known, and in no occurrence ──▶ unseen: no source is asked ──▶ a day later still in none ──▶ dropped
//!                                   └ a scan has it: listed again
//! ```
//!
//! The occurrences are read again after a record was marked as unseen, and right before it is dropped. A scan writes
//! its occurrences before it checks whether a record is marked. So at least one of the two notices the other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::domain::instant::time_after;
use crate::domain::occurrence::Bucket;
use crate::domain::vulnerability::id::VulnerabilityId;
use crate::sources::Budget;
use crate::store::unseen::Dropped;
use crate::store::{self, Store};
use crate::telemetry::chain;

/// How long a record is marked as unseen before it is dropped: a scan that is being ingested may have it.
const UNSEEN_GRACE: Duration = Duration::from_secs(24 * 3600);
/// Records that are marked between two checks of the time.
const RECORDS_PER_STEP: usize = 200;
/// Due records that are read at a time.
const DUE_PAGE: usize = 1_000;
/// Records that are written at the same time.
const CONCURRENCY: usize = 8;

/// The records of all known vulnerabilities.
#[derive(Debug, Default)]
pub struct KnownRecords {
    /// The vulnerabilities that sources are asked about, by bucket.
    pub by_bucket: BTreeMap<Bucket, BTreeSet<VulnerabilityId>>,
    /// The CVEs that advisories among them refer to.
    pub referred: BTreeSet<VulnerabilityId>,
}

/// The records that a run changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records that were marked as unseen.
    pub unseen: usize,
    /// Records that an image has again.
    pub back: usize,
    /// Records that were dropped.
    pub dropped: usize,
}

/// Drops the due records, then marks unseen ones, bucket by bucket, within the time budget.
pub async fn drop_unseen_records(store: &Store, known: &KnownRecords, budget: &Budget) -> Result<Tally, store::Error> {
    let mut tally = Tally::default();
    drop_due(store, budget, &mut tally).await?;
    let first = store.unseen_position().await?;
    for _ in 0..Bucket::COUNT {
        if budget.is_over() {
            break;
        }
        let number = store.unseen_position().await?;
        if let Some(bucket) = Bucket::new(number) {
            mark(store, bucket, known, budget, &mut tally).await?;
        }
        let next = (number + 1) % Bucket::COUNT;
        store.set_unseen_position(next).await?;
        if next == first {
            break;
        }
    }
    Ok(tally)
}

/// Drops the records that were unseen for long enough.
async fn drop_due(store: &Store, budget: &Budget, tally: &mut Tally) -> Result<(), store::Error> {
    loop {
        let now = budget.now();
        let due = store.due_unseen(now, DUE_PAGE).await?;
        let is_last = due.is_empty();
        let mut by_bucket: BTreeMap<Bucket, Vec<VulnerabilityId>> = BTreeMap::new();
        for id in due {
            by_bucket.entry(Bucket::of(&id)).or_default().push(id);
        }
        for (bucket, ids) in by_bucket {
            if budget.is_over() {
                return Ok(());
            }
            let seen = store.seen_ids(bucket).await?;
            let dropped: Vec<Dropped> = stream::iter(ids)
                .map(|id| {
                    let is_seen = seen.contains(&id);
                    async move {
                        let dropped = if is_seen { Ok(Dropped::Needed) } else { store.drop_record(&id, now).await };
                        let dropped = match dropped {
                            // One damaged record must not stop the others.
                            Err(error @ store::Error::Corrupt { .. }) => {
                                tracing::error!(%id, cause = chain(&error), "a record could not be dropped");
                                Dropped::Busy
                            }
                            other => other?,
                        };
                        match dropped {
                            Dropped::Gone => {}
                            Dropped::Needed => drop(store.bring_back(&id, now).await?),
                            // Later, so that the next run does not begin with it.
                            Dropped::Busy => drop(store.put_off_drop(&id, time_after(now, UNSEEN_GRACE)).await?),
                        }
                        Ok::<_, store::Error>(dropped)
                    }
                })
                .buffer_unordered(CONCURRENCY)
                .try_collect()
                .await?;
            let count = |wanted| dropped.iter().filter(|dropped| **dropped == wanted).count();
            tally.dropped += count(Dropped::Gone);
            tally.back += count(Dropped::Needed);
        }
        if is_last {
            return Ok(());
        }
    }
}

/// Marks the records of a bucket that no image has.
async fn mark(
    store: &Store,
    bucket: Bucket,
    known: &KnownRecords,
    budget: &Budget,
    tally: &mut Tally,
) -> Result<(), store::Error> {
    let Some(known_here) = known.by_bucket.get(&bucket) else { return Ok(()) };
    let seen = store.seen_ids(bucket).await?;
    let is_unseen = |id: &&VulnerabilityId| !seen.contains(*id) && !known.referred.contains(*id);
    let unseen: Vec<&VulnerabilityId> = known_here.iter().filter(is_unseen).collect();
    for chunk in unseen.chunks(RECORDS_PER_STEP) {
        if budget.is_over() {
            return Ok(());
        }
        let now = budget.now();
        let marked: Vec<Option<&VulnerabilityId>> = stream::iter(chunk.to_vec())
            .map(|id| async move {
                let is_new = store.mark_unseen(id, time_after(now, UNSEEN_GRACE)).await?;
                Ok::<_, store::Error>(is_new.then_some(id))
            })
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await?;
        let marked: Vec<&VulnerabilityId> = marked.into_iter().flatten().collect();
        // A scan may have checked the records before they were marked.
        let seen = store.seen_ids(bucket).await?;
        for id in marked.iter().filter(|id| seen.contains(**id)) {
            tally.back += usize::from(store.bring_back(id, now).await?);
        }
        tally.unseen += marked.len();
    }
    Ok(())
}
