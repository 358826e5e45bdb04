//! Scans on their way out: first invisible, then gone; and scans that are taken back to be
//! ingested anew.

use std::error::Error as StdError;
use std::ops::Range;
use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, Delete, DeleteRequest, Put, TransactWriteItem, Update, WriteRequest};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::assets::{AssetState, Change};
use super::claims::{
    ATTEMPT, COMPLETE, Claim, DELETING, FORMER, Former, HOLDER, Holder, INGESTING, LEASE_UNTIL, STATE,
};
use super::error::condition_failed;
use super::findings::{BATCH, CONCURRENCY};
use super::item::{Item, key_of, typed};
use super::keys::{DELETING_LIST, FINDINGS_PER_BLOCK, INGESTING_LIST, Key, LISTING, RANK, SCAN_ID};
use super::{Error, Store, millis};
use crate::domain::asset::Asset;
use crate::domain::finding::Ordinal;
use crate::domain::report_hash::ReportHash;
use crate::domain::scan::{Artifact, Scan, ScanId};

type BuildError = Box<dyn StdError + Send + Sync>;

/// What is left of a scan that is being deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    /// The scan.
    pub scan_id: ScanId,
    /// Its report.
    pub report_hash: ReportHash,
    /// How many findings it had.
    pub findings: u32,
    /// What it was a scan of.
    #[serde(flatten)]
    pub artifact: Artifact,
    /// It got too old: the clocks of its problems go on where another scan still has them.
    #[serde(default)]
    pub expired: bool,
    /// The first bucket of occurrences that it is yet to be removed from.
    #[serde(default)]
    pub bucket: u8,
}

impl Deletion {
    /// The asset that it was a scan of.
    #[must_use]
    pub fn asset(&self) -> Asset {
        Asset::of(self.scan_id, &self.artifact)
    }
}

/// A scan that was taken back, as far as it must be known to remove it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Reopened {
    report_hash: ReportHash,
    /// What it was a scan of.
    #[serde(flatten)]
    artifact: Artifact,
}

const FINDINGS: &str = "findings";
const BUCKET: &str = "bucket";

impl Store {
    /// Makes a scan invisible, and its deletion known, all in one transaction. Until `until` it is
    /// the caller's to finish; then recovery's. None if the scan is not there (any more).
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`].
    pub async fn begin_deletion(
        &self,
        scan: &Scan,
        expired: bool,
        until: Timestamp,
    ) -> Result<Option<Deletion>, Error> {
        const OPERATION: &str = "TransactWriteItems(delete)";
        let refused = |source: BuildError| Error::Refused { operation: OPERATION, source };
        let claim = self
            .of_complete_claim(scan)
            .update_expression("SET #state = :deleting, #until = :until")
            .expression_attribute_names("#until", LEASE_UNTIL)
            .expression_attribute_values(":deleting", AttributeValue::S(DELETING.to_owned()))
            .expression_attribute_values(":until", AttributeValue::N(millis(until)));
        let mut own = vec![TransactWriteItem::builder().update(claim.build().map_err(|e| refused(e.into()))?).build()];
        own.extend(self.unpublish(scan).map_err(refused)?);
        let deletion = Deletion {
            scan_id: scan.scan_id,
            report_hash: scan.report_hash,
            findings: scan.stored_findings(),
            artifact: scan.artifact.clone(),
            expired,
            bucket: 0,
        };
        let mut left: Item = serde_dynamo::to_item(&deletion).map_err(|error| refused(error.into()))?;
        left.extend(Key::Deletion(scan.scan_id).attributes());
        left.insert(LISTING.to_owned(), AttributeValue::S(DELETING_LIST.to_owned()));
        left.insert(RANK.to_owned(), AttributeValue::N(millis(until)));
        let put = Put::builder().table_name(&self.table).set_item(Some(left));
        own.push(TransactWriteItem::builder().put(put.build().map_err(|e| refused(e.into()))?).build());
        let asset = deletion.asset();
        let want = |state: &AssetState| state.removing(scan.scan_id, true);
        let removed = self.change_asset(OPERATION, &asset, own, None, want).await?;
        Ok(matches!(removed, Change::Written(_)).then_some(deletion))
    }

    /// What is left of a scan whose deletion was begun and is not finished.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn deletion(&self, scan: ScanId) -> Result<Option<Deletion>, Error> {
        let got = self.get("GetItem(deletion)", &Key::Deletion(scan), true).await?;
        got.map(typed).transpose()
    }

    /// Takes a deletion over that nobody is at, until `until`. None if somebody is, or it is done.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn take_deletion(
        &self,
        scan: ScanId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Deletion>, Error> {
        let taken = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::Deletion(scan).attributes()))
            .update_expression("SET #rank = :until")
            .condition_expression("#rank <= :now")
            .expression_attribute_names("#rank", RANK)
            .expression_attribute_values(":until", AttributeValue::N(millis(until)))
            .expression_attribute_values(":now", AttributeValue::N(millis(now)))
            .return_values(aws_sdk_dynamodb::types::ReturnValue::AllNew)
            .send()
            .await;
        match taken {
            Ok(updated) => updated.attributes.map(typed).transpose(),
            Err(error) => condition_failed("UpdateItem(deletion)", error).map(|_| None),
        }
    }

    /// Scans whose deletion should have been finished by now.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn due_deletions(&self, now: Timestamp, limit: usize) -> Result<Vec<ScanId>, Error> {
        let items = self.due(DELETING_LIST, now, limit).await?;
        let scan = |item| match key_of(item) {
            Some(Key::Deletion(scan)) => Some(scan),
            _ => None,
        };
        Ok(items.iter().filter_map(|(_, item)| scan(item)).collect())
    }

    /// Removes findings of a scan that nobody sees. To do it again is success.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`].
    pub async fn remove_findings(&self, scan: ScanId, ordinals: Range<u32>) -> Result<(), Error> {
        const OPERATION: &str = "BatchWriteItem(remove)";
        let keys = ordinals.filter_map(Ordinal::new).map(|ordinal| Key::Finding(scan, ordinal).attributes());
        let delete = |key| {
            let request = DeleteRequest::builder().set_key(Some(key)).build();
            request.map(|request| WriteRequest::builder().delete_request(request).build())
        };
        let writes = keys.map(delete).collect::<Result<Vec<_>, _>>();
        let writes = writes.map_err(|source| Error::Refused { operation: OPERATION, source: source.into() })?;
        let batches: Vec<Vec<WriteRequest>> = writes.chunks(BATCH).map(<[WriteRequest]>::to_vec).collect();
        stream::iter(batches)
            .map(|batch| self.write_batch(OPERATION, batch))
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await
    }

    /// Removes all findings of a scan that was never published, however many there are.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`].
    pub async fn remove_leftovers(&self, scan: ScanId) -> Result<(), Error> {
        // Batches are begun in order, and fewer are under way than a block has: where a block has
        // nothing, no later one has. From the top down, so that this holds for whoever goes on.
        let mut end = 0;
        while self.has_findings(scan, &(end..end + FINDINGS_PER_BLOCK)).await? {
            end += FINDINGS_PER_BLOCK;
        }
        while end > 0 {
            let start = end.saturating_sub(FINDINGS_PER_BLOCK);
            self.remove_findings(scan, start..end).await?;
            end = start;
        }
        Ok(())
    }

    /// Writes down how far a deletion is: only findings below `findings` are left.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn lower_deletion(&self, scan: ScanId, findings: u32) -> Result<(), Error> {
        const OPERATION: &str = "UpdateItem(deletion progress)";
        let lowered = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::Deletion(scan).attributes()))
            .update_expression("SET #findings = :findings")
            .condition_expression("#findings > :findings")
            .expression_attribute_names("#findings", FINDINGS)
            .expression_attribute_values(":findings", AttributeValue::N(findings.to_string()))
            .send()
            .await;
        // Where the condition does not hold, something newer has been written.
        lowered.map(drop).or_else(|error| condition_failed(OPERATION, error).map(drop))
    }

    /// Writes down how far a deletion is: it is removed from all buckets of occurrences before `bucket`.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn advance_deletion(&self, scan: ScanId, bucket: u8) -> Result<(), Error> {
        const OPERATION: &str = "UpdateItem(deletion progress)";
        let advanced = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::Deletion(scan).attributes()))
            .update_expression("SET #bucket = :bucket")
            .condition_expression("#bucket < :bucket OR (attribute_exists(#rank) AND attribute_not_exists(#bucket))")
            .expression_attribute_names("#bucket", BUCKET)
            .expression_attribute_names("#rank", RANK)
            .expression_attribute_values(":bucket", AttributeValue::N(bucket.to_string()))
            .send()
            .await;
        advanced.map(drop).or_else(|error| condition_failed(OPERATION, error).map(drop))
    }

    /// The asset of a scan that was taken back and is being ingested anew; none of any other scan.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn reopened(&self, scan: ScanId) -> Result<Option<Asset>, Error> {
        let got = self.get("GetItem(reopened)", &Key::Reopened(scan), true).await?;
        let reopened = got.map(typed::<Reopened>).transpose()?;
        Ok(reopened.map(|reopened| Asset::of(scan, &reopened.artifact)))
    }

    /// Ends a deletion: from here on the report may be ingested again. To do it again is success.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`].
    pub async fn finish_deletion(&self, deletion: &Deletion) -> Result<(), Error> {
        const OPERATION: &str = "TransactWriteItems(deleted)";
        let refused = |source: aws_sdk_dynamodb::error::BuildError| Error::Refused {
            operation: OPERATION,
            source: source.into(),
        };
        let claim = Delete::builder()
            .table_name(&self.table)
            .set_key(Some(Key::Claim(deletion.report_hash).attributes()))
            .condition_expression("#state = :deleting AND #scan = :scan")
            .expression_attribute_names("#state", STATE)
            .expression_attribute_names("#scan", SCAN_ID)
            .expression_attribute_values(":deleting", AttributeValue::S(DELETING.to_owned()))
            .expression_attribute_values(":scan", AttributeValue::N(deletion.scan_id.to_string()));
        let left =
            Delete::builder().table_name(&self.table).set_key(Some(Key::Deletion(deletion.scan_id).attributes()));
        let writes = vec![
            TransactWriteItem::builder().delete(claim.build().map_err(refused)?).build(),
            TransactWriteItem::builder().delete(left.build().map_err(refused)?).build(),
        ];
        // A condition that does not hold is the work of an earlier try: the claim is gone, or
        // already that of a new scan.
        self.transact(OPERATION, writes).await.map(drop)
    }

    /// Takes a published scan back, to ingest its report anew under the same number: the scan is
    /// invisible until that is published. From here on everything is as if an attempt at ingesting
    /// it had been cut off, so a crash is mended as that is. None if the scan is not there.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`].
    pub async fn reopen(
        &self,
        scan: &Scan,
        holder: &Holder,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<Claim>, Error> {
        const OPERATION: &str = "TransactWriteItems(reopen)";
        let refused = |source: BuildError| Error::Refused { operation: OPERATION, source };
        let until = now.checked_add(lease).map_err(|error| refused(error.into()))?;
        let former = Former {
            findings: scan.stored_findings(),
            scan_timestamp: scan.scan_timestamp,
            last_seen_at: scan.last_seen_at,
            undated: scan.undated,
            ingested_at: scan.ingested_at,
            confirmed_until: scan.confirmed_until,
        };
        let former: AttributeValue = serde_dynamo::to_attribute_value(former).map_err(|error| refused(error.into()))?;
        let claim = self
            .of_complete_claim(scan)
            .update_expression(
                "SET #state = :ingesting, #until = :until, #holder = :holder, #listing = :list, #rank = :until, \
                 #former = :former ADD #attempt :one",
            )
            .expression_attribute_names("#until", LEASE_UNTIL)
            .expression_attribute_names("#holder", HOLDER)
            .expression_attribute_names("#listing", LISTING)
            .expression_attribute_names("#rank", RANK)
            .expression_attribute_names("#former", FORMER)
            .expression_attribute_names("#attempt", ATTEMPT)
            .expression_attribute_values(":ingesting", AttributeValue::S(INGESTING.to_owned()))
            .expression_attribute_values(":until", AttributeValue::N(millis(until)))
            .expression_attribute_values(":holder", AttributeValue::S(holder.as_str().to_owned()))
            .expression_attribute_values(":list", AttributeValue::S(INGESTING_LIST.to_owned()))
            .expression_attribute_values(":former", former)
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()));
        let mut own = vec![TransactWriteItem::builder().update(claim.build().map_err(|e| refused(e.into()))?).build()];
        own.extend(self.unpublish(scan).map_err(refused)?);
        let kept = Reopened { report_hash: scan.report_hash, artifact: scan.artifact.clone() };
        let mut reopened: Item = serde_dynamo::to_item(&kept).map_err(|error| refused(error.into()))?;
        reopened.extend(Key::Reopened(scan.scan_id).attributes());
        let put = Put::builder().table_name(&self.table).set_item(Some(reopened));
        own.push(TransactWriteItem::builder().put(put.build().map_err(|e| refused(e.into()))?).build());
        let asset = Asset::of(scan.scan_id, &scan.artifact);
        // Refused, it may still have been written: by the SDK's first try, whose answer was lost.
        let want = |state: &AssetState| state.removing(scan.scan_id, false);
        self.change_asset(OPERATION, &asset, own, None, want).await?;
        self.claim_of(scan.report_hash, holder).await
    }

    /// An update of a scan's claim, on the condition that it is complete.
    fn of_complete_claim(&self, scan: &Scan) -> aws_sdk_dynamodb::types::builders::UpdateBuilder {
        Update::builder()
            .table_name(&self.table)
            .set_key(Some(Key::Claim(scan.report_hash).attributes()))
            .condition_expression("#state = :complete AND #scan = :scan")
            .expression_attribute_names("#state", STATE)
            .expression_attribute_names("#scan", SCAN_ID)
            .expression_attribute_values(":complete", AttributeValue::S(COMPLETE.to_owned()))
            .expression_attribute_values(":scan", AttributeValue::N(scan.scan_id.to_string()))
    }
}
