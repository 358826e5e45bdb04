//! Deletes a scan: first it becomes invisible, then its data is removed piece by piece.
//!
//! ```text
//! one transaction: scan, image pointer, outbox and count removed; claim: deleting; a note of the remaining work
//!   ──▶ findings ──▶ occurrences, bucket by bucket ──▶ archived report ──▶ one transaction: claim and note removed
//! ```
//!
//! Each step is idempotent. An interrupted deletion leaves the note, from which the next call for the same scan, or
//! recovery, continues. Until the end the report cannot be ingested again, so that no data of a new scan is removed
//! with the old one.

use std::time::Duration;

use jiff::Timestamp;

use super::forget::forget_in_buckets;
use crate::domain::instant::time_after;
use crate::domain::occurrence::Bucket;
use crate::domain::scan::ScanId;
use crate::objects::{self, Objects};
use crate::store::deletions::Deletion;
use crate::store::{self, Store};

/// The state of a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// Nothing is left of the scan.
    Gone,
    /// The scan is invisible; its data is still being removed.
    Underway,
    /// The scan is being ingested again: it can be deleted once that is done.
    Busy,
    /// No scan ever had this id.
    Unknown,
}

/// Why a deletion was not finished. Calling again is always safe.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the types describe the variants")]
pub enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Archive(#[from] objects::Error),
}

impl Error {
    /// Returns whether calling again may help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Archive(error) => error.is_transient(),
        }
    }
}

/// How long a deletion is leased: longer than any function that deletes can live.
const LEASE: Duration = Duration::from_secs(120);

/// Findings that are removed between two updates of the note.
const FINDINGS_PER_STEP: u32 = 5_000;

/// Why a scan is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A caller requested it: no time that the scan contributed is kept.
    Requested,
    /// It is too old: the first-seen times of its problems are kept where another scan has them.
    Expired,
}

/// Which scan to delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// The scan.
    pub scan_id: ScanId,
    /// Why it is deleted.
    pub reason: Reason,
}

/// Deletes a scan, for no longer than `time`. Without an `archive` there is no report to remove. After an error,
/// recovery continues.
pub async fn delete_scan(
    store: &Store,
    archive: Option<&Objects>,
    order: Order,
    now: Timestamp,
    time: Duration,
) -> Result<Deleted, Error> {
    let Order { scan_id: id, reason } = order;
    let until = time_after(now, LEASE);
    let mut deletion = None;
    if let Some(scan) = store.scan(id).await? {
        deletion = store.begin_deletion(&scan, reason == Reason::Expired, until).await?;
    }
    if deletion.is_none() {
        // An earlier call may have been interrupted.
        deletion = store.take_deletion(id, now, until).await?;
    }
    let Some(deletion) = deletion else {
        if store.deletion(id).await?.is_some() {
            return Ok(Deleted::Underway);
        }
        if store.reopened(id).await?.is_some() {
            return Ok(Deleted::Busy);
        }
        return Ok(if store.is_numbered(id).await? { Deleted::Gone } else { Deleted::Unknown });
    };
    match tokio::time::timeout(time, remove(store, archive, &deletion)).await {
        Ok(removed) => removed.map(|()| Deleted::Gone),
        Err(_) => Ok(Deleted::Underway),
    }
}

/// Removes the remaining data of a scan.
async fn remove(store: &Store, archive: Option<&Objects>, deletion: &Deletion) -> Result<(), Error> {
    // From the last finding to the first: the note states how many are left, so a later call does not start over.
    let mut end = deletion.findings;
    while end > 0 {
        let start = end.saturating_sub(FINDINGS_PER_STEP);
        store.remove_findings(deletion.scan_id, start..end).await?;
        end = start;
        if end > 0 {
            store.lower_deletion(deletion.scan_id, end).await?;
        }
    }
    let asset = deletion.asset();
    for (step, next) in Bucket::steps(deletion.bucket) {
        if forget_in_buckets(store, &asset, &step, deletion.scan_id, deletion.expired).await? {
            store.advance_deletion(deletion.scan_id, next).await?;
        }
    }
    if let Some(archive) = archive {
        archive.remove_archived(deletion.report_hash).await?;
    }
    Ok(store.finish_deletion(deletion).await?)
}
