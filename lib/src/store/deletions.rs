//! Deletions of scans: first a scan becomes invisible, then its parts are removed.
//!
//! The progress of a deletion is an item, so that another worker can continue it. Removing a part twice does nothing,
//! so its lease, the rank in the list, needs no fencing token.

use std::ops::Range;

use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::{DeleteRequest, WriteRequest};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::assets::{AssetChange, AssetState, Change};
use super::expression::{absent, at_most, exists, greater, less};
use super::findings::CONCURRENCY;
use super::item::{Item, typed};
use super::keys::{DELETING_LIST, FINDINGS_PER_BLOCK, Key, LISTING, MOST_ITEMS_OF_A_BATCH, RANK};
use super::scans::unpublish;
use super::write::{Answer, Put, Update, Write};
use super::{Error, Store, claims};
use crate::domain::asset::Asset;
use crate::domain::finding::Ordinal;
use crate::domain::report_hash::ReportHash;
use crate::domain::scan::{Artifact, Scan, ScanId};

/// The progress of a deletion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    /// The scan.
    pub scan_id: ScanId,
    /// Its report.
    pub report_hash: ReportHash,
    /// The most findings that may be left.
    pub findings: u32,
    /// The artifact that was scanned.
    #[serde(flatten)]
    pub artifact: Artifact,
    /// The scan is deleted because of its age: the first-seen times of its problems stay.
    #[serde(default)]
    pub expired: bool,
    /// The first bucket of occurrences that it is not removed from yet.
    #[serde(default)]
    pub bucket: u8,
}

impl Deletion {
    /// The asset of the scan.
    #[must_use]
    pub fn asset(&self) -> Asset {
        Asset::of(self.scan_id, &self.artifact)
    }
}

const FINDINGS: &str = "findings";
const BUCKET: &str = "bucket";

impl Store {
    /// Makes a scan invisible and creates its deletion, in one transaction. The caller has the lease until `until`.
    /// None if the scan does not exist.
    pub async fn begin_deletion(
        &self,
        scan: &Scan,
        expired: bool,
        until: Timestamp,
    ) -> Result<Option<Deletion>, Error> {
        const OPERATION: &str = "TransactWriteItems(delete)";
        let deletion = Deletion {
            scan_id: scan.scan_id,
            report_hash: scan.report_hash,
            findings: scan.stored_findings(),
            artifact: scan.artifact.clone(),
            expired,
            bucket: 0,
        };
        let progress = Put::new(&Key::Deletion(scan.scan_id)).fields(OPERATION, &deletion)?;
        let progress = progress.set(LISTING, DELETING_LIST).set(RANK, until);
        let mut own = vec![claims::begin_deleting(scan, until), progress.into()];
        own.extend(unpublish(scan));
        let asset = deletion.asset();
        let change = AssetChange { own, ..AssetChange::of(OPERATION, &asset) };
        let removed = self.change_asset(change, |state: &AssetState| state.removing(scan.scan_id, true)).await?;
        Ok(matches!(removed, Change::Written(_)).then_some(deletion))
    }

    /// Reads the deletion of a scan that is not finished.
    pub async fn deletion(&self, scan: ScanId) -> Result<Option<Deletion>, Error> {
        self.get("GetItem(deletion)", &Key::Deletion(scan), true).await?.map(typed).transpose()
    }

    /// Acquires the lease of a deletion until `until`; none if another worker has it, or the deletion is finished.
    pub async fn take_deletion(
        &self,
        scan: ScanId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Deletion>, Error> {
        let update = Update::of(&Key::Deletion(scan)).set(RANK, until).when(at_most(RANK, now));
        match self.write("UpdateItem(deletion)", update.returning()).await? {
            Answer::Applied(item) => typed(item).map(Some),
            Answer::Refused(_) => Ok(None),
        }
    }

    /// Reads the scans whose deletion should be finished by now.
    pub async fn due_deletions(&self, now: Timestamp, limit: usize) -> Result<Vec<ScanId>, Error> {
        let scan = |_, key, _: &Item| if let Key::Deletion(scan) = key { Some(scan) } else { None };
        self.due(DELETING_LIST, now, limit, scan).await
    }

    /// Removes findings of an invisible scan; idempotent.
    pub async fn remove_findings(&self, scan: ScanId, ordinals: Range<u32>) -> Result<(), Error> {
        const OPERATION: &str = "BatchWriteItem(remove)";
        let delete = |ordinal| {
            let request = DeleteRequest::builder().set_key(Some(Key::Finding(scan, ordinal).attributes())).build()?;
            Ok(WriteRequest::builder().delete_request(request).build())
        };
        let writes = ordinals.filter_map(Ordinal::new).map(delete).collect::<Result<Vec<_>, BuildError>>();
        let writes = writes.map_err(Error::refused(OPERATION))?;
        let batches: Vec<Vec<_>> = writes.chunks(MOST_ITEMS_OF_A_BATCH).map(<[WriteRequest]>::to_vec).collect();
        stream::iter(batches)
            .map(|batch| self.write_batch(OPERATION, batch))
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await
    }

    /// Removes all findings of a scan that was never published.
    pub async fn remove_leftovers(&self, scan: ScanId) -> Result<(), Error> {
        // Batches are written in order, and fewer at the same time than a block has, so no findings follow an empty
        // block. Removing the last block first keeps this true after a crash.
        let mut end = 0;
        while self.has_findings(scan, end).await? {
            end += FINDINGS_PER_BLOCK;
        }
        while end > 0 {
            let start = end.saturating_sub(FINDINGS_PER_BLOCK);
            self.remove_findings(scan, start..end).await?;
            end = start;
        }
        Ok(())
    }

    /// Records the progress of a deletion: only findings below `findings` are left.
    pub async fn lower_deletion(&self, scan: ScanId, findings: u32) -> Result<(), Error> {
        let update = Update::of(&Key::Deletion(scan)).set(FINDINGS, findings).when(greater(FINDINGS, findings));
        self.write("UpdateItem(deletion progress)", update).await.map(drop)
    }

    /// Records the progress of a deletion: the scan is removed from all buckets of occurrences before `bucket`.
    pub async fn advance_deletion(&self, scan: ScanId, bucket: u8) -> Result<(), Error> {
        let is_behind = less(BUCKET, bucket).or(exists(RANK).and(absent(BUCKET)));
        let update = Update::of(&Key::Deletion(scan)).set(BUCKET, bucket).when(is_behind);
        self.write("UpdateItem(deletion progress)", update).await.map(drop)
    }

    /// Finishes a deletion, after which the report may be ingested again; idempotent.
    pub async fn finish_deletion(&self, deletion: &Deletion) -> Result<(), Error> {
        let claim = claims::end_deleting(deletion.report_hash, deletion.scan_id);
        let writes = vec![claim, Write::delete(&Key::Deletion(deletion.scan_id))];
        // If the condition of the claim does not hold, an earlier try removed it.
        self.transact("TransactWriteItems(deleted)", writes).await.map(drop)
    }
}
