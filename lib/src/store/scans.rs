//! Scans: published in one transaction, listed newest first.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};

use super::claims::{
    ATTEMPT, COMPLETE, Claim, FORMER_FINDINGS, FORMER_INGESTED_AT, FORMER_SCAN_TIMESTAMP, INGESTING, STATE,
};
use super::counter::SCANS;
use super::item::{Item, key_of, typed};
use super::keys::{self, Key, LISTING, LISTING_INDEX, OUTBOX_LIST, PK, RANK, SCAN_ID, SCANS_LIST, TOTAL_SHARDS};
use super::transaction::Outcome;
use super::{Error, Store, millis};
use jiff::Timestamp;

use crate::domain::image_name::ImageName;
use crate::domain::scan::{Scan, ScanId};

/// Some scans, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanPage {
    /// The scans.
    pub scans: Vec<Scan>,
    /// There are older ones.
    pub more: bool,
}

impl Store {
    /// Makes a scan visible and its claim complete, all in one transaction, if the claim is still
    /// ours. Doing it again after it was done is success. Answers whether this attempt did it:
    /// `false` if one that took over was faster.
    ///
    /// With `outbox` the scan also goes on the list of those whose findings are yet to be queued
    /// for analysis; that is the time from which recovery looks after it.
    ///
    /// # Errors
    /// [`Error::LostClaim`] if another attempt took over and has not published either;
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`].
    pub async fn publish(&self, claim: &Claim, scan: &Scan, outbox: Option<Timestamp>) -> Result<bool, Error> {
        const OPERATION: &str = "TransactWriteItems(publish)";
        let refused =
            |source: Box<dyn std::error::Error + Send + Sync>| Error::Refused { operation: OPERATION, source };
        let complete = self.complete_claim(claim, scan).map_err(refused)?;
        let listed = self.put(&Key::Scan(scan.scan_id), scan, true).map_err(refused)?;
        let named = Key::ImageScan(scan.artifact.image_name.clone(), scan.scan_id);
        let named = self.put(&named, scan, false).map_err(refused)?;
        let total = self.count(scan.scan_id, 1).map_err(refused)?;
        let outbox = outbox.map(|due| self.put_outbox(scan.scan_id, due)).transpose().map_err(refused)?;
        let mut writes = vec![
            TransactWriteItem::builder().update(complete).build(),
            TransactWriteItem::builder().put(listed).build(),
            TransactWriteItem::builder().put(named).build(),
            TransactWriteItem::builder().update(total).build(),
        ];
        writes.extend(outbox.map(|put| TransactWriteItem::builder().put(put).build()));
        if claim.former.is_some() {
            let reopened = Delete::builder().table_name(&self.table);
            let reopened = reopened.set_key(Some(Key::Reopened(scan.scan_id).attributes())).build();
            writes.push(TransactWriteItem::builder().delete(reopened.map_err(|error| refused(error.into()))?).build());
        }
        match self.transact(OPERATION, writes).await? {
            Outcome::Written => Ok(true),
            // The claim is the first of the writes, and the only one with a condition.
            Outcome::Refused(reasons) => match reasons.first().and_then(completed_by) {
                // Someone, perhaps an earlier try of ours, has published this very scan.
                Some(attempt) => Ok(attempt == claim.attempt),
                None => Err(Error::LostClaim),
            },
        }
    }

    fn complete_claim(&self, claim: &Claim, scan: &Scan) -> Result<Update, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Update::builder()
            .table_name(&self.table)
            .set_key(Some(Key::Claim(claim.hash).attributes()))
            .update_expression("SET #state = :complete REMOVE #listing, #rank, #findings, #made, #ingested")
            .condition_expression("#state = :ingesting AND #attempt = :attempt AND #scan = :scan")
            .expression_attribute_names("#state", STATE)
            .expression_attribute_names("#attempt", ATTEMPT)
            .expression_attribute_names("#scan", SCAN_ID)
            .expression_attribute_names("#listing", LISTING)
            .expression_attribute_names("#rank", RANK)
            .expression_attribute_names("#findings", FORMER_FINDINGS)
            .expression_attribute_names("#made", FORMER_SCAN_TIMESTAMP)
            .expression_attribute_names("#ingested", FORMER_INGESTED_AT)
            .expression_attribute_values(":complete", AttributeValue::S(COMPLETE.to_owned()))
            .expression_attribute_values(":ingesting", AttributeValue::S(INGESTING.to_owned()))
            .expression_attribute_values(":attempt", AttributeValue::N(claim.attempt.to_string()))
            .expression_attribute_values(":scan", AttributeValue::N(scan.scan_id.to_string()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()?)
    }

    fn put(&self, key: &Key, scan: &Scan, listed: bool) -> Result<Put, Box<dyn std::error::Error + Send + Sync>> {
        let mut item: Item = serde_dynamo::to_item(scan)?;
        item.extend(key.attributes());
        if listed {
            item.insert(LISTING.to_owned(), AttributeValue::S(SCANS_LIST.to_owned()));
            item.insert(RANK.to_owned(), AttributeValue::N(scan.scan_id.to_string()));
        }
        Ok(Put::builder().table_name(&self.table).set_item(Some(item)).build()?)
    }

    fn put_outbox(&self, scan: ScanId, due: Timestamp) -> Result<Put, Box<dyn std::error::Error + Send + Sync>> {
        let mut item = Key::Outbox(scan).attributes();
        item.insert(LISTING.to_owned(), AttributeValue::S(OUTBOX_LIST.to_owned()));
        item.insert(RANK.to_owned(), AttributeValue::N(millis(due)));
        Ok(Put::builder().table_name(&self.table).set_item(Some(item)).build()?)
    }

    /// Has recovery look after a scan later; not if it is no longer on the list, by a deletion for example.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn put_off_outbox(&self, scan: ScanId, due: Timestamp) -> Result<(), Error> {
        const OPERATION: &str = "PutItem(outbox)";
        let put = self.put_outbox(scan, due).map_err(|source| Error::Refused { operation: OPERATION, source })?;
        let done = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(put.item))
            .condition_expression("attribute_exists(#pk)")
            .expression_attribute_names("#pk", PK)
            .send()
            .await;
        match done {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(service)) if service.err().is_conditional_check_failed_exception() => Ok(()),
            Err(error) => Err(Error::sdk(OPERATION, error)),
        }
    }

    /// Takes a scan off the list of those whose findings are yet to be queued. To do it again is
    /// success.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn clear_outbox(&self, scan: ScanId) -> Result<(), Error> {
        self.client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(Key::Outbox(scan).attributes()))
            .send()
            .await
            .map_err(|error| Error::sdk("DeleteItem(outbox)", error))?;
        Ok(())
    }

    /// Scans whose findings should have been queued for analysis by now, the longest due first.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn due_outbox(&self, now: Timestamp, limit: usize) -> Result<Vec<(ScanId, Timestamp)>, Error> {
        let items = self.due(OUTBOX_LIST, now, limit).await?;
        let scan = |(at, item): &(Timestamp, Item)| match key_of(item) {
            Some(Key::Outbox(scan)) => Some((scan, *at)),
            _ => None,
        };
        Ok(items.iter().filter_map(scan).collect())
    }

    /// Counts scans: `more` is 1 or -1.
    pub(super) fn count(&self, scan: ScanId, more: i8) -> Result<Update, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Update::builder()
            .table_name(&self.table)
            .set_key(Some(Key::Total(scan.get() % TOTAL_SHARDS).attributes()))
            .update_expression("ADD #scans :more")
            .expression_attribute_names("#scans", SCANS)
            .expression_attribute_values(":more", AttributeValue::N(more.to_string()))
            .build()?)
    }

    /// What makes a scan invisible: the deletes of its item (which must be there), of the one under
    /// its image, and of its place in the outbox; and the number of scans.
    pub(super) fn unpublish(
        &self,
        scan: &Scan,
    ) -> Result<Vec<TransactWriteItem>, Box<dyn std::error::Error + Send + Sync>> {
        let delete = |key: Key| Delete::builder().table_name(&self.table).set_key(Some(key.attributes()));
        let listed = delete(Key::Scan(scan.scan_id))
            .condition_expression("attribute_exists(#pk)")
            .expression_attribute_names("#pk", PK);
        let named = delete(Key::ImageScan(scan.artifact.image_name.clone(), scan.scan_id));
        Ok(vec![
            TransactWriteItem::builder().delete(listed.build()?).build(),
            TransactWriteItem::builder().delete(named.build()?).build(),
            TransactWriteItem::builder().delete(delete(Key::Outbox(scan.scan_id)).build()?).build(),
            TransactWriteItem::builder().update(self.count(scan.scan_id, -1)?).build(),
        ])
    }

    /// A published scan.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn scan(&self, id: ScanId) -> Result<Option<Scan>, Error> {
        let read_back = self.get("GetItem(scan)", &Key::Scan(id), true).await?;
        read_back.map(typed).transpose()
    }

    /// Up to `limit` published scans of an image that are older than `before`, newest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn scans_of_image(
        &self,
        image: &ImageName,
        before: Option<ScanId>,
        limit: usize,
    ) -> Result<ScanPage, Error> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("#pk = :pk AND #sk < :before")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_names("#sk", keys::SK)
            .expression_attribute_values(":pk", AttributeValue::S(keys::image_pk(image)))
            // Without an end: `SCAN$` comes right after every `SCAN#…`.
            .expression_attribute_values(
                ":before",
                AttributeValue::S(before.map_or_else(|| "SCAN$".to_owned(), keys::image_sk)),
            );
        page(query, limit).await
    }

    /// Up to `limit` published scans that are older than `before`, newest first. Scans of the last
    /// moments may be missing: the index follows the table.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn scans(&self, before: Option<ScanId>, limit: usize) -> Result<ScanPage, Error> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(LISTING_INDEX)
            .key_condition_expression("#listing = :listed AND #rank < :before")
            .expression_attribute_names("#listing", LISTING)
            .expression_attribute_names("#rank", RANK)
            .expression_attribute_values(":listed", AttributeValue::S(SCANS_LIST.to_owned()))
            .expression_attribute_values(
                ":before",
                AttributeValue::N(before.map_or(ScanId::MAX + 1, ScanId::get).to_string()),
            );
        page(query, limit).await
    }
}

impl Store {
    /// Up to `limit` published scans, from the oldest on, or from the first after a number.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn oldest_scans(&self, after: Option<ScanId>, limit: usize) -> Result<Vec<Scan>, Error> {
        let page = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(LISTING_INDEX)
            .key_condition_expression("#listing = :listed AND #rank > :after")
            .expression_attribute_names("#listing", LISTING)
            .expression_attribute_names("#rank", RANK)
            .expression_attribute_values(":after", AttributeValue::N(after.map_or(0, ScanId::get).to_string()))
            .expression_attribute_values(":listed", AttributeValue::S(SCANS_LIST.to_owned()))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|error| Error::sdk("Query(oldest scans)", error))?;
        page.items.unwrap_or_default().into_iter().map(typed).collect()
    }
}

async fn page(
    query: aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder,
    limit: usize,
) -> Result<ScanPage, Error> {
    // One more than is wanted tells whether there is more.
    let wanted = i32::try_from(limit).unwrap_or(i32::MAX).saturating_add(1);
    let mut items = query.scan_index_forward(false).limit(wanted).into_paginator().items().send();
    let mut scans = Vec::new();
    while let Some(item) = items.next().await {
        let item = item.map_err(|error| Error::sdk("Query(scans)", error))?;
        if scans.len() == limit {
            return Ok(ScanPage { scans, more: true });
        }
        scans.push(typed(item)?);
    }
    Ok(ScanPage { scans, more: false })
}

/// Which attempt has completed the claim, if one has.
fn completed_by(claim: &CancellationReason) -> Option<u64> {
    let item = claim.item()?;
    let complete = item.get(STATE)?.as_s().ok()? == COMPLETE;
    complete.then(|| item.get(ATTEMPT)?.as_n().ok()?.parse().ok()).flatten()
}
