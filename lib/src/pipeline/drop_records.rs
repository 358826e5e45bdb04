//! Dropping what is known of vulnerabilities that no image has any more.
//!
//! ```text
//! known, and in no occurrence ──▶ unseen: no source is asked ──▶ a day later still in none ──▶ gone
//!                                   └ a scan has it after all: back
//! ```
//!
//! The occurrences are looked at again after a record was put among the unseen ones, and right before it is dropped.
//! A scan writes its occurrences before it looks whether the record is among the unseen ones.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};

use crate::domain::occurrence::Bucket;
use crate::domain::vulnerability::id::VulnerabilityId;
use crate::sources::Budget;
use crate::store::unseen::Dropped;
use crate::store::{self, Store};
use crate::telemetry::chain;

/// How long a record is among the unseen ones before it is dropped: a scan that is just being taken in, or the same
/// report under another number, may have it again.
const GRACE: SignedDuration = SignedDuration::from_hours(24);
/// Records of a bucket that are put among the unseen ones, or dropped, before it is looked whether there is time.
const CHUNK: usize = 200;
/// Records that are read at a time, of those that are due.
const DUE: usize = 1_000;
/// Calls under way at once.
const CONCURRENCY: usize = 8;

/// What there is of known vulnerabilities.
#[derive(Debug, Default)]
pub struct KnownRecords {
    /// Those that sources are asked about, by bucket.
    pub by_bucket: BTreeMap<Bucket, BTreeSet<VulnerabilityId>>,
    /// The CVEs that advisories among them are about.
    pub referred: BTreeSet<VulnerabilityId>,
}

/// What a run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records that no image has any more.
    pub unseen: usize,
    /// Records that an image had after all.
    pub back: usize,
    /// Records that were dropped.
    pub dropped: usize,
}

/// Drops what is due, then goes on looking for more, bucket by bucket, for as long as there is time.
///
/// # Errors
/// Those of the table.
pub async fn run(store: &Store, known: &KnownRecords, budget: &Budget) -> Result<Tally, store::Error> {
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

async fn drop_due(store: &Store, budget: &Budget, tally: &mut Tally) -> Result<(), store::Error> {
    loop {
        let now = budget.now();
        let due = store.due_unseen(now, DUE).await?;
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
                        let dropped = match is_seen {
                            true => Ok(Dropped::Needed),
                            false => store.drop_record(&id, now).await,
                        };
                        let dropped = match dropped {
                            // It must not keep the others here.
                            Err(error @ store::Error::Corrupt { .. }) => {
                                tracing::error!(%id, cause = chain(&error), "a record could not be dropped");
                                Dropped::Busy
                            }
                            other => other?,
                        };
                        match dropped {
                            Dropped::Gone => {}
                            Dropped::Needed => drop(store.bring_back(&id, now).await?),
                            // It must not come up again at once.
                            Dropped::Busy => drop(store.put_off_drop(&id, after(now, GRACE)).await?),
                        }
                        Ok::<_, store::Error>(dropped)
                    }
                })
                .buffer_unordered(CONCURRENCY)
                .try_collect()
                .await?;
            tally.dropped += dropped.iter().filter(|dropped| **dropped == Dropped::Gone).count();
            tally.back += dropped.iter().filter(|dropped| **dropped == Dropped::Needed).count();
        }
        if is_last {
            return Ok(());
        }
    }
}

/// Puts those of a bucket that no image has among the unseen ones.
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
    for chunk in unseen.chunks(CHUNK) {
        if budget.is_over() {
            return Ok(());
        }
        let now = budget.now();
        let marked: Vec<Option<&VulnerabilityId>> = stream::iter(chunk.to_vec())
            .map(|id| async move {
                let is_new = store.mark_unseen(id, after(now, GRACE)).await?;
                Ok::<_, store::Error>(is_new.then_some(id))
            })
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await?;
        let marked: Vec<&VulnerabilityId> = marked.into_iter().flatten().collect();
        // A scan that had come in by then may have looked before they were marked.
        let seen = store.seen_ids(bucket).await?;
        for id in marked.iter().filter(|id| seen.contains(**id)) {
            tally.back += usize::from(store.bring_back(id, now).await?);
        }
        tally.unseen += marked.len();
    }
    Ok(())
}

fn after(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}
