//! Scans: published in one transaction, listed newest first.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};
use jiff::Timestamp;

use super::assets::{ALONE, Change, PLATFORM};
use super::claims::{ATTEMPT, COMPLETE, Claim, FORMER, INGESTING, STATE};
use super::counter::SCANS;
use super::item::{Item, key_of, typed};
use super::keys::{
    self, CURRENT_SCANS, FLEET, FLEET_INDEX, Key, LINEAGE, LISTING, LISTING_INDEX, OUTBOX_LIST, PK, RANK,
    REPOSITORY_INDEX, SCAN_ID, SCANS_LIST, SEEN, TOTAL_SHARDS,
};
use super::{Error, Store, millis};
use crate::domain::asset::{Asset, LineageKey};
use crate::domain::image_name::ImageName;
use crate::domain::platform::Platform;
use crate::domain::scan::{Scan, ScanId};
use crate::domain::standing;

/// Some scans, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanPage {
    /// The scans.
    pub scans: Vec<Scan>,
    /// The last of those that were looked at, which may have gone meanwhile.
    pub last: Option<ScanId>,
    /// There are more.
    pub more: bool,
}

/// What became of the publishing of a scan.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// The scan as it is now.
    pub scan: Scan,
    /// This attempt did it; false if one that took over was faster.
    pub is_ours: bool,
}

impl Store {
    /// Makes a scan visible, sets which scan of its asset is current, and makes its claim complete, all in one
    /// transaction, if the claim is still ours. Doing it again after it was done is success.
    ///
    /// With `outbox` the scan also goes on the list of those whose findings are yet to be queued
    /// for analysis; that is the time from which recovery looks after it.
    ///
    /// # Errors
    /// [`Error::LostClaim`] if another attempt took over and has not published either;
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`].
    pub async fn publish(&self, claim: &Claim, scan: &Scan, outbox: Option<Timestamp>) -> Result<Published, Error> {
        const OPERATION: &str = "TransactWriteItems(publish)";
        let refused =
            |source: Box<dyn std::error::Error + Send + Sync>| Error::Refused { operation: OPERATION, source };
        let asset = Asset::of(scan.scan_id, &scan.artifact);
        let complete = self.complete_claim(claim, scan).map_err(refused)?;
        let entry = self.put_entry(&asset, scan.scan_id).map_err(refused)?;
        let total = self.count(scan.scan_id, 1).map_err(refused)?;
        let outbox = outbox.map(|due| self.put_outbox(scan.scan_id, due)).transpose().map_err(refused)?;
        let mut own = vec![
            TransactWriteItem::builder().update(complete).build(),
            TransactWriteItem::builder().put(entry).build(),
            TransactWriteItem::builder().update(total).build(),
        ];
        own.extend(outbox.map(|put| TransactWriteItem::builder().put(put).build()));
        if claim.former.is_some() {
            let reopened = Delete::builder().table_name(&self.table);
            let reopened = reopened.set_key(Some(Key::Reopened(scan.scan_id).attributes())).build();
            own.push(TransactWriteItem::builder().delete(reopened.map_err(|error| refused(error.into()))?).build());
        }
        let completed = match self.change_asset(OPERATION, &asset, own, None, |state| state.adding(scan)).await? {
            Change::Written(scans) => {
                let published = scans.into_iter().find(|published| published.scan_id == scan.scan_id);
                return Ok(Published { scan: published.unwrap_or_else(|| scan.clone()), is_ours: true });
            }
            Change::Unneeded => None,
            // The claim is the first of the writes, and the only one of them with a condition.
            Change::Refused(reasons) => reasons.first().and_then(completed_by),
        };
        // Somebody, perhaps an earlier try of ours, has published this very scan.
        let is_ours = completed.ok_or(Error::LostClaim)? == claim.attempt;
        let published = self.scan(scan.scan_id).await?;
        Ok(Published { scan: published.unwrap_or_else(|| scan.clone()), is_ours })
    }

    fn complete_claim(&self, claim: &Claim, scan: &Scan) -> Result<Update, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Update::builder()
            .table_name(&self.table)
            .set_key(Some(Key::Claim(claim.hash).attributes()))
            .update_expression("SET #state = :complete REMOVE #listing, #rank, #former")
            .condition_expression("#state = :ingesting AND #attempt = :attempt AND #scan = :scan")
            .expression_attribute_names("#state", STATE)
            .expression_attribute_names("#attempt", ATTEMPT)
            .expression_attribute_names("#scan", SCAN_ID)
            .expression_attribute_names("#listing", LISTING)
            .expression_attribute_names("#rank", RANK)
            .expression_attribute_names("#former", FORMER)
            .expression_attribute_values(":complete", AttributeValue::S(COMPLETE.to_owned()))
            .expression_attribute_values(":ingesting", AttributeValue::S(INGESTING.to_owned()))
            .expression_attribute_values(":attempt", AttributeValue::N(claim.attempt.to_string()))
            .expression_attribute_values(":scan", AttributeValue::N(scan.scan_id.to_string()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()?)
    }

    /// The entry of a scan under the name of its asset.
    fn put_entry(&self, asset: &Asset, scan: ScanId) -> Result<Put, Box<dyn std::error::Error + Send + Sync>> {
        let mut item = Key::ImageScan(asset.name.clone(), scan).attributes();
        item.extend(
            asset.platform.as_ref().map(|platform| (PLATFORM.to_owned(), AttributeValue::S(platform.to_string()))),
        );
        item.extend(asset.alone.map(|_| (ALONE.to_owned(), AttributeValue::Bool(true))));
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

    /// What makes a scan invisible besides the change of its asset: the deletes of its entry under its image and of
    /// its place in the outbox, and the number of scans.
    pub(super) fn unpublish(
        &self,
        scan: &Scan,
    ) -> Result<Vec<TransactWriteItem>, Box<dyn std::error::Error + Send + Sync>> {
        let delete = |key: Key| Delete::builder().table_name(&self.table).set_key(Some(key.attributes()));
        let asset = Asset::of(scan.scan_id, &scan.artifact);
        let entry = delete(Key::ImageScan(asset.name, scan.scan_id));
        Ok(vec![
            TransactWriteItem::builder().delete(entry.build()?).build(),
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

    /// The scan of an image that says what it has now: of the current ones of its platforms, or of one platform,
    /// the one that was seen last, a retired one only where there is no other. Where none is current, the scan that was seen last; none if there is no scan.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn scan_of_image(&self, image: &ImageName, platform: Option<&Platform>) -> Result<Option<Scan>, Error> {
        /// Where nothing is current, the newest of so many scans is taken.
        const LATEST: usize = 25;
        let platform = platform.map(Platform::normal);
        let normal = |known: &Option<Platform>| known.as_ref().map(Platform::normal);
        let is_wanted = |known: &Option<Platform>| platform.is_none() || normal(known) == platform;
        let assets = self.assets_of(image).await?;
        let current = assets.into_iter().filter(|(asset, _)| is_wanted(&asset.platform)).filter_map(|(_, scan)| scan);
        let mut scans = self.scans_by_id(current.collect()).await?;
        if scans.is_empty() {
            scans = self.scans_of_image(image, None, LATEST).await?.scans;
            scans.retain(|scan| is_wanted(&scan.artifact.platform));
        }
        Ok(scans.into_iter().max_by_key(|scan| (!scan.retired, standing::time_order(scan))))
    }

    /// The published ones of some scans, in no order; strongly consistent.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn scans_by_id(&self, scans: BTreeSet<ScanId>) -> Result<Vec<Scan>, Error> {
        let keys = scans.into_iter().map(Key::Scan).collect();
        let items = self.batch_get_all("BatchGetItem(scans)", keys, true).await?;
        items.into_iter().map(typed).collect()
    }

    /// Up to `limit` published scans of an image, on all platforms, that have lower numbers than `before`; the
    /// highest number first.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`], [`Error::Corrupt`].
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
            .key_condition_expression("#pk = :pk AND #sk BETWEEN :first AND :before")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_names("#sk", keys::SK)
            .expression_attribute_values(":pk", AttributeValue::S(keys::image_pk(image)))
            .expression_attribute_values(":first", AttributeValue::S("SCAN#".to_owned()))
            // The number before; without an end: `SCAN$` comes right after every `SCAN#…`.
            .expression_attribute_values(
                ":before",
                AttributeValue::S(match before.map(|before| ScanId::new(before.get() - 1)) {
                    None => "SCAN$".to_owned(),
                    Some(Some(last)) => keys::image_sk(last),
                    Some(None) => "SCAN#".to_owned(),
                }),
            );
        let (entries, more) = newest(query, limit, "Query(entries)").await?;
        let scan = |entry: &Item| match key_of(entry) {
            Some(Key::ImageScan(_, scan)) => Some(scan),
            _ => None,
        };
        let mut scans = self.scans_by_id(entries.iter().filter_map(scan).collect()).await?;
        scans.sort_by_key(|scan| std::cmp::Reverse(scan.scan_id));
        Ok(ScanPage { last: entries.last().and_then(scan), scans, more })
    }

    /// Up to `limit` current scans that are not retired, those seen last first: those seen before a time only, if
    /// one is given, and those after a place of the list. Those of the last moments may be missing: the index follows
    /// the table.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn current_scans(
        &self,
        seen_before: Option<Timestamp>,
        after: Option<(i64, ScanId)>,
        limit: usize,
    ) -> Result<ScanPage, Error> {
        let start = after.map(|(seen, scan)| {
            let mut key = Key::Scan(scan).attributes();
            key.insert(FLEET.to_owned(), AttributeValue::S(CURRENT_SCANS.to_owned()));
            key.insert(SEEN.to_owned(), AttributeValue::N(seen.to_string()));
            key
        });
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(FLEET_INDEX)
            .key_condition_expression("#fleet = :current AND #seen < :before")
            .expression_attribute_names("#fleet", FLEET)
            .expression_attribute_names("#seen", SEEN)
            .expression_attribute_values(":current", AttributeValue::S(CURRENT_SCANS.to_owned()))
            .expression_attribute_values(
                ":before",
                AttributeValue::N(seen_before.map_or(i64::MAX, |before| before.as_millisecond()).to_string()),
            )
            .set_exclusive_start_key(start);
        page(query, limit).await
    }

    /// The newest image of a repository on a platform, of those that `counts`; eventually consistent.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn newest_of_repository(
        &self,
        lineage: LineageKey,
        counts: impl Fn(&Scan) -> bool,
    ) -> Result<Option<Scan>, Error> {
        /// The first one counts, unless it was not seen for long.
        const PAGE: i32 = 5;
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(REPOSITORY_INDEX)
            .key_condition_expression("#lineage = :lineage")
            .expression_attribute_names("#lineage", LINEAGE)
            .expression_attribute_values(":lineage", AttributeValue::S(lineage.to_string()))
            .scan_index_forward(false)
            .limit(PAGE);
        let mut items = query.into_paginator().items().send();
        while let Some(item) = items.next().await {
            let scan: Scan = typed(item.map_err(|error| Error::sdk("Query(repository)", error))?)?;
            if counts(&scan) {
                return Ok(Some(scan));
            }
        }
        Ok(None)
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

async fn page(query: QueryFluentBuilder, limit: usize) -> Result<ScanPage, Error> {
    let (items, more) = newest(query, limit, "Query(scans)").await?;
    let scans = items.into_iter().map(typed).collect::<Result<Vec<Scan>, _>>()?;
    Ok(ScanPage { last: scans.last().map(|scan| scan.scan_id), scans, more })
}

/// Up to `limit` items of a query, from its end, and whether there are more.
async fn newest(query: QueryFluentBuilder, limit: usize, operation: &'static str) -> Result<(Vec<Item>, bool), Error> {
    // One more than is wanted shows whether there is more.
    let wanted = i32::try_from(limit).unwrap_or(i32::MAX).saturating_add(1);
    let mut read = query.scan_index_forward(false).limit(wanted).into_paginator().items().send();
    let mut items = Vec::new();
    while let Some(item) = read.next().await {
        let item = item.map_err(|error| Error::sdk(operation, error))?;
        if items.len() == limit {
            return Ok((items, true));
        }
        items.push(item);
    }
    Ok((items, false))
}

/// Which attempt has completed the claim, if one has.
fn completed_by(claim: &CancellationReason) -> Option<u64> {
    let item = claim.item()?;
    let complete = item.get(STATE)?.as_s().ok()? == COMPLETE;
    complete.then(|| item.get(ATTEMPT)?.as_n().ok()?.parse().ok()).flatten()
}
