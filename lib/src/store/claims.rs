//! Claims on reports: each report is ingested by one attempt at a time, and only once.
//!
//! A claim is under a [lease](super::lease) while its state is `ingesting`. Publishing the scan makes it `complete`,
//! and deleting the scan makes it `deleting` and then removes it.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::expression::{Condition, Value, absent, equals};
use super::item::{Item, number, text, typed};
use super::keys::{INGESTING_LIST, Key, LISTING, PK, RANK, SCAN_ID};
use super::lease::{ATTEMPT, Acquisition, LEASE_UNTIL, Owner, is_ours};
use super::write::{Answer, Update, Write};
use super::{Error, Store};
use crate::domain::report_hash::ReportHash;
use crate::domain::scan::{Scan, ScanId};
use crate::report;

pub(super) const STATE: &str = "state";
pub(super) const INGESTING: &str = "ingesting";
pub(super) const COMPLETE: &str = "complete";
pub(super) const DELETING: &str = "deleting";
/// Of a scan that is being ingested again: a [`PreviousScan`].
pub(super) const PREVIOUS: &str = "previous";
/// The version of the canonical form that the hash is of.
const FORM: &str = "form";

/// The right to ingest one report until the lease ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The report.
    pub hash: ReportHash,
    /// The fencing token.
    pub attempt: u64,
    /// The scan id that an earlier attempt took for this report; every later one uses it again.
    pub scan_id: Option<ScanId>,
    /// The scan before it was reopened.
    pub previous: Option<PreviousScan>,
}

/// The times that a scan keeps when it is ingested again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviousScan {
    /// The number of its findings: those that are not overwritten have to be removed.
    pub findings: u32,
    /// When its content was first seen.
    pub scan_timestamp: Timestamp,
    /// When its content was last seen.
    pub last_seen_at: Timestamp,
    /// Whether these are the times of its ingestion.
    pub undated: bool,
    /// When Sirius first ingested it.
    pub ingested_at: Timestamp,
    /// Until when it was confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_until: Option<Timestamp>,
}

/// A report whose ingestion began and did not finish in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// The report.
    pub hash: ReportHash,
    /// When the lease of its last attempt ended.
    pub since: Timestamp,
}

/// The answer to a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// The caller may ingest the report.
    Ours(Claim),
    /// The report is already ingested.
    Complete(ScanId),
    /// Another attempt is ingesting it.
    Busy {
        /// When that lease ends.
        until: Timestamp,
    },
    /// The scan of the report is being deleted.
    Deleting {
        /// When the lease of the deletion ends.
        until: Timestamp,
    },
}

#[derive(Debug, Deserialize)]
struct Stored {
    state: String,
    owner: String,
    attempt: u64,
    #[serde(default)]
    lease_until: i64,
    scan_id: Option<ScanId>,
    previous: Option<PreviousScan>,
}

impl Stored {
    fn into_claim(self, hash: ReportHash) -> Claim {
        Claim { hash, attempt: self.attempt, scan_id: self.scan_id, previous: self.previous }
    }
}

impl Store {
    /// Claims a report for `owner`.
    pub async fn claim(
        &self,
        hash: ReportHash,
        owner: &Owner,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Claimed, Error> {
        let lease = Acquisition::new("UpdateItem(claim)", owner, now, lease)?;
        let claimed = self.acquire_claim(hash, lease, absent(PK).or(is_open(lease))).await?;
        claimed.ok_or_else(|| Error::corrupt(Key::Claim(hash).pk(), "it neither exists nor is absent"))
    }

    /// Claims a report whose ingestion began and did not finish; none if the claim was deleted, because then the report
    /// must not be ingested again.
    pub async fn take_over(
        &self,
        hash: ReportHash,
        owner: &Owner,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<Claimed>, Error> {
        let lease = Acquisition::new("UpdateItem(claim)", owner, now, lease)?;
        self.acquire_claim(hash, lease, is_open(lease)).await
    }

    async fn acquire_claim(
        &self,
        hash: ReportHash,
        lease: Acquisition<'_>,
        condition: Condition,
    ) -> Result<Option<Claimed>, Error> {
        let update = ingesting(lease.update(&Key::Claim(hash)), lease.until).set_if_absent(FORM, report::FORM);
        let stored = match self.write("UpdateItem(claim)", update.when(condition).returning()).await? {
            Answer::Applied(item) => return Ok(Some(Claimed::Ours(typed::<Stored>(item)?.into_claim(hash)))),
            Answer::Refused(Some(item)) => typed::<Stored>(item)?,
            Answer::Refused(None) => return Ok(None),
        };
        let corrupt = |reason: String| Error::corrupt(Key::Claim(hash).pk(), reason);
        let until = || Timestamp::from_millisecond(stored.lease_until).map_err(|error| corrupt(error.to_string()));
        Ok(Some(match (stored.state.as_str(), stored.scan_id) {
            (COMPLETE, Some(scan_id)) => Claimed::Complete(scan_id),
            (INGESTING, _) => Claimed::Busy { until: until()? },
            (DELETING, _) => Claimed::Deleting { until: until()? },
            (other, _) => return Err(corrupt(format!("state {other}"))),
        }))
    }

    /// Returns the scan id of a claimed report, and takes a new one if the claim has none.
    ///
    /// # Errors
    /// [`Error::LostClaim`] if another attempt took over.
    pub async fn number(&self, claim: &Claim) -> Result<ScanId, Error> {
        if let Some(scan_id) = claim.scan_id {
            return Ok(scan_id);
        }
        let update = Update::of(&Key::Claim(claim.hash)).set_if_absent(SCAN_ID, self.next_scan_id().await?);
        let updated = self.write("UpdateItem(claim number)", update.when(is_held(claim)).returning()).await?;
        let stored: Stored = typed(updated.or_lost()?)?;
        stored.scan_id.ok_or_else(|| Error::corrupt(Key::Claim(claim.hash).pk(), "no scan_id"))
    }

    /// Ends a lease early, so that the next delivery need not wait for it. Recovery treats the claim as unfinished
    /// since `due`. If this fails, the lease ends at its time.
    ///
    /// # Errors
    /// [`Error::LostClaim`] if another attempt took over.
    pub async fn release(&self, claim: &Claim, due: Timestamp) -> Result<(), Error> {
        let update = Update::of(&Key::Claim(claim.hash)).set(RANK, due).remove([LEASE_UNTIL]);
        self.write("UpdateItem(claim release)", update.when(is_held(claim))).await?.or_lost().map(drop)
    }

    /// Reads the reports whose ingestion began and did not finish by `before`, the oldest first.
    pub async fn unfinished(&self, before: Timestamp, limit: usize) -> Result<Vec<Unfinished>, Error> {
        let unfinished =
            |since, key, _: &Item| if let Key::Claim(hash) = key { Some(Unfinished { hash, since }) } else { None };
        self.due(INGESTING_LIST, before, limit, unfinished).await
    }

    /// The claim of a report, if `owner` has it.
    pub(super) async fn claim_of(&self, hash: ReportHash, owner: &Owner) -> Result<Option<Claim>, Error> {
        let got = self.get("GetItem(claim)", &Key::Claim(hash), true).await?;
        let stored = got.map(typed::<Stored>).transpose()?;
        let ours = stored.filter(|stored| stored.state == INGESTING && stored.owner == owner.as_str());
        Ok(ours.map(|stored| stored.into_claim(hash)))
    }

    /// Deletes a claim, as if the report had never been sent; idempotent.
    ///
    /// # Errors
    /// [`Error::LostClaim`] if another attempt took over.
    pub async fn abandon(&self, claim: &Claim) -> Result<(), Error> {
        let mut writes = vec![Write::delete(&Key::Claim(claim.hash)).when(absent(PK).or(is_held(claim)))];
        writes.extend(claim.scan_id.map(|scan| Write::delete(&Key::Reopened(scan))));
        let is_written = self.transact("TransactWriteItems(abandon)", writes).await?.is_written();
        if is_written { Ok(()) } else { Err(Error::LostClaim) }
    }
}

/// Puts a claim on the list of unfinished ones.
fn ingesting(update: Update, until: Timestamp) -> Update {
    update.set(STATE, INGESTING).set(LISTING, INGESTING_LIST).set(RANK, until)
}

fn is_open(lease: Acquisition<'_>) -> Condition {
    equals(STATE, INGESTING).and(lease.is_allowed())
}

/// The condition that a claim is still the caller's.
pub(super) fn is_held(claim: &Claim) -> Condition {
    equals(STATE, INGESTING).and(is_ours(claim.attempt))
}

/// The condition that the claim of a published scan is complete.
fn is_complete(scan: &Scan) -> Condition {
    equals(STATE, COMPLETE).and(equals(SCAN_ID, scan.scan_id))
}

/// Completes a claim with its scan, and ends its lease. A refusal returns the claim.
pub(super) fn complete(claim: &Claim, scan: ScanId) -> Write {
    let update = Update::of(&Key::Claim(claim.hash)).set(STATE, COMPLETE);
    let update = update.remove([LISTING, RANK, PREVIOUS, LEASE_UNTIL]);
    update.when(is_held(claim).and(equals(SCAN_ID, scan))).returning()
}

/// Has the claim of a published scan refuse the report until the scan is deleted.
pub(super) fn begin_deleting(scan: &Scan, until: Timestamp) -> Write {
    let update = Update::of(&Key::Claim(scan.report_hash)).set(STATE, DELETING).set(LEASE_UNTIL, until);
    update.when(is_complete(scan))
}

/// Removes the claim of a deleted scan.
pub(super) fn end_deleting(hash: ReportHash, scan: ScanId) -> Write {
    Write::delete(&Key::Claim(hash)).when(equals(STATE, DELETING).and(equals(SCAN_ID, scan)))
}

/// Reopens the claim of a published scan for `owner`, to ingest its report again.
pub(super) fn reopen(scan: &Scan, lease: Acquisition<'_>, previous: impl Into<Value>) -> Write {
    let update = ingesting(lease.update(&Key::Claim(scan.report_hash)), lease.until).set(PREVIOUS, previous);
    update.when(is_complete(scan))
}

/// The attempt that has completed a claim, if one has.
pub(super) fn completed_by(claim: &Item) -> Option<u64> {
    if text(claim, STATE)? == COMPLETE { number(claim, ATTEMPT) } else { None }
}
