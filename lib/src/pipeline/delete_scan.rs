//! Deleting a scan: first nobody sees it any more, then it goes, piece by piece.
//!
//! ```text
//! one transaction: scan, image pointer, outbox and count away; claim: deleting; a note of what is left
//!   ──▶ findings ──▶ occurrences, bucket by bucket ──▶ archived report ──▶ one transaction: claim and note away
//! ```
//!
//! Each step can be done again. Who is interrupted leaves the note, by which the next call for the
//! same scan, or recovery, goes on. Until the end the report cannot be ingested again, so that
//! nothing of a new scan is ever taken for the old one.

use std::time::Duration;

use jiff::Timestamp;

use super::analyze::after;
use super::forget;
use crate::domain::occurrence::Bucket;
use crate::domain::scan::ScanId;
use crate::objects::{self, Objects};
use crate::store::deletions::Deletion;
use crate::store::{self, Store};

/// How far a deletion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// Nothing is left of the scan.
    Gone,
    /// It is invisible; the rest follows step by step.
    Underway,
    /// It is just being ingested anew: later.
    Busy,
    /// There never was a scan with this number.
    Unknown,
}

/// Why a deletion was not finished this time. To call it again is always safe.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The table.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The archive.
    #[error(transparent)]
    Archive(#[from] objects::Error),
}

impl Error {
    /// Whether calling again may help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Archive(error) => error.is_transient(),
        }
    }
}

/// Nobody else takes a deletion over for this long: longer than any function that is at one lives.
const LEASE: Duration = Duration::from_secs(120);

/// Findings that are removed before it is written down that they are.
const STRETCH: u32 = 5_000;

/// Why a scan is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Somebody wants it gone: as if it had never been.
    Requested,
    /// It got too old: the clocks of its problems go on where another scan still has them.
    Expired,
}

/// Deletes a scan, for no longer than `time`. Without an `archive` it has no report to remove.
///
/// # Errors
/// Those of the table and the archive; then recovery goes on.
pub async fn run(
    store: &Store,
    archive: Option<&Objects>,
    id: ScanId,
    reason: Reason,
    now: Timestamp,
    time: Duration,
) -> Result<Deleted, Error> {
    let until = after(now, LEASE);
    let begun = match store.scan(id).await? {
        Some(scan) => store.begin_deletion(&scan, reason == Reason::Expired, until).await?,
        None => None,
    };
    // What this call has begun, or what an earlier one has left.
    let ours = match begun {
        Some(deletion) => Some(deletion),
        None => store.take_deletion(id, now, until).await?,
    };
    let Some(deletion) = ours else {
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

async fn remove(store: &Store, archive: Option<&Objects>, deletion: &Deletion) -> Result<(), Error> {
    // From the top down, and written down now and then: who goes on need not begin anew.
    let mut end = deletion.findings;
    while end > 0 {
        let start = end.saturating_sub(STRETCH);
        store.remove_findings(deletion.scan_id, start..end).await?;
        end = start;
        if end > 0 {
            store.lower_deletion(deletion.scan_id, end).await?;
        }
    }
    let asset = deletion.asset();
    for (step, next) in Bucket::steps(deletion.bucket) {
        if forget::from(store, &asset, &step, deletion.scan_id, deletion.expired).await? {
            store.advance_deletion(deletion.scan_id, next).await?;
        }
    }
    if let Some(archive) = archive {
        archive.remove_archived(deletion.report_hash).await?;
    }
    Ok(store.finish_deletion(deletion).await?)
}
