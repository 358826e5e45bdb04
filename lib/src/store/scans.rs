//! Scans: published in one transaction, listed by number or by when they were seen.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use jiff::Timestamp;

use super::assets::{ALONE, AssetChange, Change};
use super::claims::{self, Claim};
use super::counter::count;
use super::expression::{Value, between, equals, exists, greater, less};
use super::item::{Item, key_of, typed};
use super::keys::{
    self, CURRENT_SCANS, FLEET, FLEET_INDEX, Key, LINEAGE, LISTING, LISTING_INDEX, OUTBOX_LIST, PK, PLATFORM, RANK,
    REPOSITORY_INDEX, SCANS_LIST, SEEN, SK,
};
use super::write::{Put, Write};
use super::{Error, Store, query};
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
    /// The last scan that was read, which may have been deleted since.
    pub last: Option<ScanId>,
    /// More scans follow.
    pub more: bool,
}

/// The result of publishing a scan.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// The scan as it is now.
    pub scan: Scan,
    /// This attempt published it; false if another attempt did.
    pub is_ours: bool,
}

impl Store {
    /// Makes a scan visible, sets the current scan of its asset, and completes its claim, in one transaction;
    /// idempotent.
    ///
    /// With `outbox` the scan is added to the list of those whose findings are not queued for analysis yet. Recovery
    /// queues them at that time.
    ///
    /// # Errors
    /// [`Error::LostClaim`] if another attempt took over and has not published either.
    pub async fn publish(&self, claim: &Claim, scan: &Scan, outbox: Option<Timestamp>) -> Result<Published, Error> {
        let asset = Asset::of(scan.scan_id, &scan.artifact);
        // The claim is the first write, and the only one of these with a condition.
        let mut own = vec![claims::complete(claim, scan.scan_id), entry(&asset, scan.scan_id), count(scan.scan_id, 1)];
        own.extend(outbox.map(|due| put_outbox(scan.scan_id, due).into()));
        own.extend(claim.previous.map(|_| Write::delete(&Key::Reopened(scan.scan_id))));
        let change = AssetChange { own, ..AssetChange::of("TransactWriteItems(publish)", &asset) };
        let completed_by = match self.change_asset(change, |state| state.adding(scan)).await? {
            Change::Written(scans) => {
                let published = scans.into_iter().find(|published| published.scan_id == scan.scan_id);
                return Ok(Published { scan: published.unwrap_or_else(|| scan.clone()), is_ours: true });
            }
            Change::Unneeded => None,
            Change::Refused(refusals) => refusals.first().and_then(|item| claims::completed_by(item.as_ref()?)),
        };
        // Another attempt, or an earlier try of this one, has published this scan.
        let is_ours = completed_by.ok_or(Error::LostClaim)? == claim.attempt;
        let published = self.scan(scan.scan_id).await?;
        Ok(Published { scan: published.unwrap_or_else(|| scan.clone()), is_ours })
    }

    /// Postpones when recovery queues a scan's findings. Nothing changes if the scan is no longer on the list.
    pub async fn put_off_outbox(&self, scan: ScanId, due: Timestamp) -> Result<(), Error> {
        self.write("PutItem(outbox)", put_outbox(scan, due).when(exists(PK))).await.map(drop)
    }

    /// Removes a scan from the list of those whose findings are not queued yet; idempotent.
    pub async fn clear_outbox(&self, scan: ScanId) -> Result<(), Error> {
        self.write("DeleteItem(outbox)", Write::delete(&Key::Outbox(scan))).await.map(drop)
    }

    /// Reads the scans whose findings should be queued for analysis by now, the longest due first.
    pub async fn due_outbox(&self, now: Timestamp, limit: usize) -> Result<Vec<(ScanId, Timestamp)>, Error> {
        let scan = |at, key, _: &Item| if let Key::Outbox(scan) = key { Some((scan, at)) } else { None };
        self.due(OUTBOX_LIST, now, limit, scan).await
    }

    /// Reads a published scan.
    pub async fn scan(&self, id: ScanId) -> Result<Option<Scan>, Error> {
        self.get("GetItem(scan)", &Key::Scan(id), true).await?.map(typed).transpose()
    }

    /// Reads the scan that stands for an image: of its current scans, on all platforms or on one, the one that was seen
    /// last; a retired scan only if there is no other. If none is current, the scan that was seen last.
    pub async fn scan_of_image(&self, image: &ImageName, platform: Option<&Platform>) -> Result<Option<Scan>, Error> {
        /// If no scan is current, the newest of this many is taken.
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

    /// Reads scans, as far as they are published, in no order; strongly consistent.
    pub async fn scans_by_id(&self, scans: BTreeSet<ScanId>) -> Result<Vec<Scan>, Error> {
        let keys = scans.into_iter().map(Key::Scan).collect();
        let items = self.batch_get_all("BatchGetItem(scans)", keys, true).await?;
        items.into_iter().map(typed).collect()
    }

    /// Reads up to `limit` published scans of an image, on all platforms, with lower numbers than `before`, the highest
    /// first.
    pub async fn scans_of_image(
        &self,
        image: &ImageName,
        before: Option<ScanId>,
        limit: usize,
    ) -> Result<ScanPage, Error> {
        // Without an end: `SCAN$` comes right after every `SCAN#…`.
        let last = match before.map(|before| ScanId::new(before.get() - 1)) {
            None => "SCAN$".to_owned(),
            Some(Some(last)) => keys::image_sk(last),
            Some(None) => "SCAN#".to_owned(),
        };
        let query = self.query_now(equals(PK, keys::image_pk(image)).and(between(SK, "SCAN#", last)));
        let (entries, more) = newest(query, limit, "Query(entries)").await?;
        let scan = |entry: &Item| if let Some(Key::ImageScan(_, scan)) = key_of(entry) { Some(scan) } else { None };
        let mut scans = self.scans_by_id(entries.iter().filter_map(scan).collect()).await?;
        scans.sort_by_key(|scan| std::cmp::Reverse(scan.scan_id));
        Ok(ScanPage { last: entries.last().and_then(scan), scans, more })
    }

    /// Reads up to `limit` current scans that are not retired, those seen last first: only those seen before a time, if
    /// one is given, and only those after a place in the list; eventually consistent.
    pub async fn current_scans(
        &self,
        seen_before: Option<Timestamp>,
        after: Option<(i64, ScanId)>,
        limit: usize,
    ) -> Result<ScanPage, Error> {
        let start = after.map(|(seen, scan)| {
            let mut key = Key::Scan(scan).attributes();
            key.insert(FLEET.to_owned(), Value::from(CURRENT_SCANS).0);
            key.insert(SEEN.to_owned(), Value::from(seen).0);
            key
        });
        let before = seen_before.map_or(i64::MAX, Timestamp::as_millisecond);
        let query = self.query(equals(FLEET, CURRENT_SCANS).and(less(SEEN, before)), None);
        let query = query.index_name(FLEET_INDEX).set_exclusive_start_key(start);
        page(query, limit).await
    }

    /// Reads the scan of the newest image of a repository on a platform that `counts`; eventually consistent.
    pub async fn newest_of_repository(
        &self,
        lineage: LineageKey,
        counts: impl Fn(&Scan) -> bool,
    ) -> Result<Option<Scan>, Error> {
        /// The first one counts, unless it was not seen for a long time.
        const PAGE: i32 = 5;
        let query = self.query(equals(LINEAGE, lineage.to_string()), None).index_name(REPOSITORY_INDEX);
        let query = query.scan_index_forward(false).limit(PAGE);
        let mut items = query.into_paginator().items().send();
        while let Some(item) = items.next().await {
            let scan: Scan = typed(item.map_err(|error| Error::sdk("Query(repository)", error))?)?;
            if counts(&scan) {
                return Ok(Some(scan));
            }
        }
        Ok(None)
    }

    /// Reads up to `limit` published scans with lower numbers than `before`, the highest first; eventually consistent.
    pub async fn scans(&self, before: Option<ScanId>, limit: usize) -> Result<ScanPage, Error> {
        let before = before.map_or(ScanId::MAX + 1, ScanId::get);
        let query = self.query(equals(LISTING, SCANS_LIST).and(less(RANK, before)), None);
        page(query.index_name(LISTING_INDEX), limit).await
    }

    /// Reads up to `limit` published scans with higher numbers than `after`, the lowest first; eventually consistent.
    pub async fn oldest_scans(&self, after: Option<ScanId>, limit: usize) -> Result<Vec<Scan>, Error> {
        let after = after.map_or(0, ScanId::get);
        let query = self.query(equals(LISTING, SCANS_LIST).and(greater(RANK, after)), None);
        let (items, _) = query::page("Query(oldest scans)", query.index_name(LISTING_INDEX), limit).await?;
        items.into_iter().map(typed).collect()
    }
}

/// The entry of a scan under the name of its asset.
fn entry(asset: &Asset, scan: ScanId) -> Write {
    let put = Put::new(&Key::ImageScan(asset.name.clone(), scan));
    let put = put.set_some(PLATFORM, asset.platform.as_ref().map(Platform::as_str));
    put.set_some(ALONE, asset.alone.map(|_| true)).into()
}

fn put_outbox(scan: ScanId, due: Timestamp) -> Put {
    Put::new(&Key::Outbox(scan)).set(LISTING, OUTBOX_LIST).set(RANK, due)
}

/// The writes that make a scan invisible, except for the change of its asset.
pub(super) fn unpublish(scan: &Scan) -> [Write; 3] {
    let asset = Asset::of(scan.scan_id, &scan.artifact);
    let entry = Write::delete(&Key::ImageScan(asset.name, scan.scan_id));
    [entry, Write::delete(&Key::Outbox(scan.scan_id)), count(scan.scan_id, -1)]
}

async fn page(query: QueryFluentBuilder, limit: usize) -> Result<ScanPage, Error> {
    let (items, more) = newest(query, limit, "Query(scans)").await?;
    let scans = items.into_iter().map(typed).collect::<Result<Vec<Scan>, _>>()?;
    Ok(ScanPage { last: scans.last().map(|scan| scan.scan_id), scans, more })
}

/// Reads up to `limit` items of a query, from its end, and returns whether more follow.
async fn newest(query: QueryFluentBuilder, limit: usize, operation: &'static str) -> Result<(Vec<Item>, bool), Error> {
    // One more than the limit shows whether there are more.
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
