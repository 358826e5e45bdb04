//! Scans on their way out: first invisible, then gone; and scans that are taken back to be
//! ingested anew.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::ops::Range;
use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, Delete, DeleteRequest, Put, TransactWriteItem, Update, WriteRequest};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde::Deserialize;

use super::claims::{
    ATTEMPT, COMPLETE, Claim, DELETING, FORMER_FINDINGS, HOLDER, Holder, INGESTING, LEASE_UNTIL, STATE,
};
use super::error::condition_failed;
use super::findings::{BATCH, CONCURRENCY};
use super::item::{Item, key_of};
use super::keys::{DELETING_LIST, FINDINGS_PER_BLOCK, INGESTING_LIST, Key, LISTING, PK, RANK, SCAN_ID};
use super::{Error, Store, millis};
use crate::domain::finding::Ordinal;
use crate::domain::image_name::ImageName;
use crate::domain::report_hash::ReportHash;
use crate::domain::scan::{Scan, ScanId};

type BuildError = Box<dyn StdError + Send + Sync>;

/// What is left of a scan that is being deleted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Deletion {
    /// The scan.
    pub scan_id: ScanId,
    /// Its report.
    pub report_hash: ReportHash,
    /// How many findings it had.
    pub findings: u32,
    /// Its image and time; none in a note of before 2026-11-22.
    pub image_name: Option<ImageName>,
    /// See [`Deletion::image_name`].
    pub scan_timestamp: Option<Timestamp>,
    /// Nobody else works at it before then (milliseconds since 1970).
    rank: i64,
}

impl Deletion {
    /// Whether someone may be at it at `now`.
    #[must_use]
    pub fn is_leased(&self, now: Timestamp) -> bool {
        self.rank > now.as_millisecond()
    }
}

const REPORT_HASH: &str = "report_hash";
const FINDINGS: &str = "findings";
const IMAGE_NAME: &str = "image_name";
const SCAN_TIMESTAMP: &str = "scan_timestamp";

impl Store {
    /// Makes a scan invisible, and its deletion known, all in one transaction. Until `until` it is
    /// the caller's to finish; then recovery's. Answers false if the scan is not there (any more).
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`].
    pub async fn begin_deletion(&self, scan: &Scan, until: Timestamp) -> Result<bool, Error> {
        const OPERATION: &str = "TransactWriteItems(delete)";
        let refused = |source: BuildError| Error::Refused { operation: OPERATION, source };
        let mut writes = self.unpublish(scan).map_err(refused)?;
        let claim = self
            .of_complete_claim(scan)
            .update_expression("SET #state = :deleting, #until = :until")
            .expression_attribute_names("#until", LEASE_UNTIL)
            .expression_attribute_values(":deleting", AttributeValue::S(DELETING.to_owned()))
            .expression_attribute_values(":until", AttributeValue::N(millis(until)));
        writes.push(TransactWriteItem::builder().update(claim.build().map_err(|e| refused(e.into()))?).build());
        let mut left = Key::Deletion(scan.scan_id).attributes();
        left.extend(HashMap::from([
            (SCAN_ID.to_owned(), AttributeValue::N(scan.scan_id.to_string())),
            (REPORT_HASH.to_owned(), AttributeValue::S(scan.report_hash.to_string())),
            (FINDINGS.to_owned(), AttributeValue::N(scan.total_findings().to_string())),
            (IMAGE_NAME.to_owned(), AttributeValue::S(scan.artifact.image_name.to_string())),
            (SCAN_TIMESTAMP.to_owned(), AttributeValue::S(scan.scan_timestamp.to_string())),
            (LISTING.to_owned(), AttributeValue::S(DELETING_LIST.to_owned())),
            (RANK.to_owned(), AttributeValue::N(millis(until))),
        ]));
        let put = Put::builder().table_name(&self.table).set_item(Some(left));
        writes.push(TransactWriteItem::builder().put(put.build().map_err(|e| refused(e.into()))?).build());
        Ok(self.transact(OPERATION, writes).await?.is_written())
    }

    /// What is left of a scan whose deletion was begun and is not finished.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn deletion(&self, scan: ScanId) -> Result<Option<Deletion>, Error> {
        let got = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(Key::Deletion(scan).attributes()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| Error::sdk("GetItem(deletion)", error))?;
        got.item.map(read).transpose()
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
            Ok(updated) => updated.attributes.map(read).transpose(),
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
        // nothing, no later one has.
        for start in (0..).step_by(usize::try_from(FINDINGS_PER_BLOCK).unwrap_or(1)) {
            let block = start..start + FINDINGS_PER_BLOCK;
            if !self.has_findings(scan, &block).await? {
                break;
            }
            self.remove_findings(scan, block).await?;
        }
        Ok(())
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
        let mut writes = self.unpublish(scan).map_err(refused)?;
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
            .expression_attribute_names("#former", FORMER_FINDINGS)
            .expression_attribute_names("#attempt", ATTEMPT)
            .expression_attribute_values(":ingesting", AttributeValue::S(INGESTING.to_owned()))
            .expression_attribute_values(":until", AttributeValue::N(millis(until)))
            .expression_attribute_values(":holder", AttributeValue::S(holder.as_str().to_owned()))
            .expression_attribute_values(":list", AttributeValue::S(INGESTING_LIST.to_owned()))
            .expression_attribute_values(":former", AttributeValue::N(scan.total_findings().to_string()))
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()));
        writes.push(TransactWriteItem::builder().update(claim.build().map_err(|e| refused(e.into()))?).build());
        // Refused, it may still have been written: by the SDK's first try, whose answer was lost.
        self.transact(OPERATION, writes).await?;
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

fn read(item: Item) -> Result<Deletion, Error> {
    let key = format!("{:?}", item.get(PK));
    serde_dynamo::from_item(item).map_err(|error| Error::corrupt(key, error))
}
