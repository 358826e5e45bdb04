//! Which assets have which vulnerabilities: one item per asset and bucket of vulnerabilities.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};

use super::assets::{Current, PLATFORM};
use super::enrichments::unzip;
use super::item::{Item, VERSION, key_of};
use super::keys::{self, Key, PK, SCAN_ID, SK};
use super::{Error, Store, backoff};
use crate::domain::asset::{Asset, AssetKey, LineageKey};
use crate::domain::image_name::ImageName;
use crate::domain::occurrence::{AssetOccurrences, Bucket, Details, Occurrence, Span};
use crate::domain::platform::Platform;
use crate::domain::scan::ScanId;
use crate::domain::vulnerability_id::VulnerabilityId;

/// What an item may hold of compressed occurrences: DynamoDB takes 400 KB for a whole item.
const MAX_BLOB: usize = 380 << 10;
/// The largest blob, as JSON.
const MAX_JSON: u64 = 64 << 20;
const LEVEL: i32 = 6;
/// Writes under way at once.
const CONCURRENCY: usize = 8;
/// How many occurrences that are gone an item keeps at most: the most severe ones of the newest scans.
const MAX_GONE: usize = 500;

const BLOB: &str = "z";
const OMITTED: &str = "omitted";
const IMAGE: &str = "image";
/// The version of the asset that the current scan is of.
const AS_OF: &str = "as_of";

/// An item and the count of its writes, 0 for one that is not there.
struct Versioned {
    asset: AssetOccurrences,
    version: u64,
}

/// What is compressed of an item.
#[derive(Serialize, Deserialize)]
struct Packed {
    scans: BTreeMap<ScanId, Span>,
    occurrences: Vec<Occurrence>,
}

/// What an asset has in all buckets, as it was read.
#[derive(Default)]
pub struct KnownOccurrences(BTreeMap<Bucket, Versioned>);

impl KnownOccurrences {
    /// The scans that have any of them.
    #[must_use]
    pub fn scans(&self) -> BTreeSet<ScanId> {
        self.0.values().flat_map(|known| known.asset.scans.keys().copied()).collect()
    }
}

/// A scan as far as occurrences need it.
#[derive(Debug, Clone)]
pub struct Added<'a> {
    /// The scan.
    pub scan_id: ScanId,
    /// When it was seen.
    pub span: Span,
    /// All that it has.
    pub found: &'a [Details],
}

impl Store {
    /// The assets that have a vulnerability, or had it, each with its occurrences of it only. Pages of 1 MB of the
    /// bucket's items; eventually consistent.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn occurrences_of(&self, id: &VulnerabilityId) -> Result<Vec<(AssetKey, AssetOccurrences)>, Error> {
        let bucket = Bucket::of(id);
        let mut found = Vec::new();
        let keep = |key, mut asset: AssetOccurrences| {
            asset.occurrences.retain(|occurrence| occurrence.details.problem.vulnerability_id == *id);
            if !asset.occurrences.is_empty() {
                found.push((key, asset));
            }
        };
        self.each_asset(bucket, None, false, keep).await?;
        Ok(found)
    }

    /// Everything in a bucket, asset by asset; eventually consistent.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn all_occurrences(&self, bucket: Bucket) -> Result<Vec<(AssetKey, AssetOccurrences)>, Error> {
        let mut found = Vec::new();
        self.each_asset(bucket, None, false, |key, asset| found.push((key, asset))).await?;
        Ok(found)
    }

    /// What the assets of a repository on a platform have of a bucket; strongly consistent.
    pub(super) async fn occurrences_of_lineage(
        &self,
        bucket: Bucket,
        lineage: LineageKey,
    ) -> Result<Vec<AssetOccurrences>, Error> {
        let mut found = Vec::new();
        self.each_asset(bucket, Some(lineage), true, |_, asset| found.push(asset)).await?;
        Ok(found)
    }

    async fn each_asset(
        &self,
        bucket: Bucket,
        lineage: Option<LineageKey>,
        consistent: bool,
        mut take: impl FnMut(AssetKey, AssetOccurrences),
    ) -> Result<(), Error> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(consistent)
            .expression_attribute_names("#pk", PK)
            .expression_attribute_values(":pk", AttributeValue::S(keys::occurrences_pk(bucket)));
        let query = match lineage {
            None => query.key_condition_expression("#pk = :pk"),
            Some(lineage) => query
                .key_condition_expression("#pk = :pk AND begins_with(#sk, :lineage)")
                .expression_attribute_names("#sk", SK)
                .expression_attribute_values(":lineage", AttributeValue::S(lineage.to_string())),
        };
        let mut items = query.into_paginator().items().send();
        while let Some(item) = items.next().await {
            let (key, read) = read(&item.map_err(|error| Error::sdk("Query(occurrences)", error))?)?;
            take(key, read.asset);
        }
        Ok(())
    }

    /// What an asset has in all buckets; strongly consistent.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn known_occurrences(&self, asset: &Asset) -> Result<KnownOccurrences, Error> {
        let key = asset.key();
        let keys = Bucket::all().map(|bucket| Key::Occurrences(bucket, key));
        let items = self.batch_get("BatchGetItem(occurrences)", keys, true).await?;
        let mut known = BTreeMap::new();
        for item in &items {
            if let Some(Key::Occurrences(bucket, _)) = key_of(item) {
                known.insert(bucket, read(item)?.1);
            }
        }
        Ok(KnownOccurrences(known))
    }

    /// Adds scans of an asset to its occurrences as they were read, and sets which of its scans is current and when those that
    /// are known were seen. To do it again, or late, is harmless.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn add_occurrences(
        &self,
        asset: &Asset,
        known: KnownOccurrences,
        current: Current,
        added: &[Added<'_>],
        spans: &BTreeMap<ScanId, Span>,
    ) -> Result<(), Error> {
        let mut by_bucket: BTreeMap<(Bucket, ScanId), Vec<Details>> = BTreeMap::new();
        for scan in added {
            for details in scan.found {
                let bucket = Bucket::of(&details.problem.vulnerability_id);
                by_bucket.entry((bucket, scan.scan_id)).or_default().push(details.clone());
            }
        }
        let change = |bucket, mut old: AssetOccurrences| {
            for scan in added {
                let found = by_bucket.get(&(bucket, scan.scan_id)).map_or(&[][..], Vec::as_slice);
                if !found.is_empty() || old.scans.contains_key(&scan.scan_id) {
                    old = old.with(scan.scan_id, scan.span, found);
                }
            }
            old.seen(spans).at(current.scan_id, current.version)
        };
        self.change_all(asset, known, change).await
    }

    /// Removes a deleted scan from the fleet's occurrences. To do it again is success.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn remove_occurrences(&self, asset: &Asset, deleted: ScanId, current: Current) -> Result<(), Error> {
        let known = self.known_occurrences(asset).await?;
        self.change_all(asset, known, |_, old| old.without(deleted).at(current.scan_id, current.version)).await
    }

    /// Changes what an asset has in each bucket; writes only where that changes something.
    async fn change_all(
        &self,
        asset: &Asset,
        KnownOccurrences(mut known): KnownOccurrences,
        change: impl Fn(Bucket, AssetOccurrences) -> AssetOccurrences,
    ) -> Result<(), Error> {
        let (change, absent) = (&change, || Versioned { asset: none(asset), version: 0 });
        let states = Bucket::all().map(|bucket| (bucket, known.remove(&bucket).unwrap_or_else(absent)));
        let states: Vec<_> = states.collect();
        stream::iter(states)
            .map(|(bucket, old)| self.change(asset, bucket, old, change))
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await
    }

    /// Changes one item, again and again while others write to it in between.
    async fn change(
        &self,
        asset: &Asset,
        bucket: Bucket,
        mut old: Versioned,
        change: &impl Fn(Bucket, AssetOccurrences) -> AssetOccurrences,
    ) -> Result<(), Error> {
        let key = Key::Occurrences(bucket, asset.key());
        let mut delays = backoff::delays();
        let mut tries = 0;
        loop {
            tries += 1;
            let is_absent = old.version == 0;
            let new = change(bucket, old.asset.clone());
            // An item for every bucket of every asset would be many that say nothing.
            let says_nothing = is_absent && new.occurrences.is_empty();
            if says_nothing || new == old.asset || self.write_occurrences(&key, new, old.version).await? {
                return Ok(());
            }
            match delays.next() {
                Some(delay) => tokio::time::sleep(delay).await,
                None => return Err(Error::Unprocessed { operation: "PutItem(occurrences)", tries }),
            }
            let items = self.batch_get("BatchGetItem(occurrences)", [key.clone()], true).await?;
            old = match items.first() {
                Some(item) => read(item)?.1,
                None => Versioned { asset: none(asset), version: 0 },
            };
        }
    }

    /// Writes an item, or removes it if nothing is left in it; false if it has changed since it was read.
    async fn write_occurrences(&self, key: &Key, asset: AssetOccurrences, version: u64) -> Result<bool, Error> {
        const OPERATION: &str = "PutItem(occurrences)";
        if asset.occurrences.is_empty() {
            let deleted = self
                .client
                .delete_item()
                .table_name(&self.table)
                .set_key(Some(key.attributes()))
                .condition_expression("attribute_not_exists(#version) OR #version = :version")
                .expression_attribute_names("#version", VERSION)
                .expression_attribute_values(":version", AttributeValue::N(version.to_string()))
                .send()
                .await;
            return match deleted {
                Ok(_) => Ok(true),
                Err(SdkError::ServiceError(e)) if e.err().is_conditional_check_failed_exception() => Ok(false),
                Err(error) => Err(Error::sdk("DeleteItem(occurrences)", error)),
            };
        }
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let number = |number: u64| AttributeValue::N(number.to_string());
        let mut item = key.attributes();
        item.extend([(IMAGE.to_owned(), text(asset.image.as_str())), (AS_OF.to_owned(), number(asset.as_of))]);
        item.extend(asset.platform.as_ref().map(|platform| (PLATFORM.to_owned(), text(platform.as_str()))));
        item.extend(asset.current.map(|scan| (SCAN_ID.to_owned(), number(scan.get()))));
        let (blob, omitted) = pack(asset).map_err(|source| Error::Refused { operation: OPERATION, source })?;
        item.extend(HashMap::from([
            (BLOB.to_owned(), AttributeValue::B(Blob::new(blob))),
            (OMITTED.to_owned(), AttributeValue::N(omitted.to_string())),
        ]));
        self.put_version(OPERATION, item, version).await
    }
}

fn none(asset: &Asset) -> AssetOccurrences {
    AssetOccurrences::none(asset.name.clone(), asset.platform.clone())
}

/// The blob, and how many occurrences that are there now had no room in it: what is gone goes first, then what is
/// least severe.
fn pack(asset: AssetOccurrences) -> Result<(Vec<u8>, usize), Box<dyn std::error::Error + Send + Sync>> {
    let AssetOccurrences { current, scans, mut occurrences, .. } = asset;
    let is_present = |occurrence: &Occurrence| current.is_some_and(|current| occurrence.scans.contains(&current));
    let present = occurrences.iter().filter(|occurrence| is_present(occurrence)).count();
    // What stays longest comes first.
    let worth = |occurrence: &Occurrence| {
        (is_present(occurrence), occurrence.details.severity, occurrence.scans.last().copied())
    };
    if current.is_some() && occurrences.len() - present > MAX_GONE {
        occurrences.sort_by_key(|occurrence| std::cmp::Reverse(worth(occurrence)));
        occurrences.truncate(present + MAX_GONE);
    }
    loop {
        occurrences.sort_by(|a, b| a.details.cmp(&b.details));
        let packed = Packed { scans: scans.clone(), occurrences };
        let blob = zstd::bulk::compress(&serde_json::to_vec(&packed)?, LEVEL)?;
        occurrences = packed.occurrences;
        if blob.len() <= MAX_BLOB || occurrences.is_empty() {
            let kept = occurrences.iter().filter(|occurrence| is_present(occurrence)).count();
            return Ok((blob, present - kept));
        }
        occurrences.sort_by_key(|occurrence| std::cmp::Reverse(worth(occurrence)));
        occurrences.truncate(occurrences.len() / 8 * 7);
    }
}

fn read(item: &Item) -> Result<(AssetKey, Versioned), Error> {
    let corrupt = |reason: String| Error::corrupt(format!("{:?}", item.get(PK)), reason);
    let Some(Key::Occurrences(_, key)) = key_of(item) else {
        return Err(corrupt("not the key of occurrences".to_owned()));
    };
    let text = |name: &str| item.get(name)?.as_s().ok();
    let number = |name: &str| item.get(name)?.as_n().ok()?.parse::<u64>().ok();
    let image = text(IMAGE).and_then(|name| name.parse::<ImageName>().ok());
    let image = image.ok_or_else(|| corrupt("no image".to_owned()))?;
    let blob = item.get(BLOB).and_then(|blob| blob.as_b().ok()).ok_or_else(|| corrupt("no blob".to_owned()))?;
    let json = unzip(blob.as_ref(), MAX_JSON).map_err(|error| corrupt(error.to_string()))?;
    let Packed { scans, occurrences } = serde_json::from_slice(&json).map_err(|error| corrupt(error.to_string()))?;
    let asset = AssetOccurrences {
        image,
        platform: text(PLATFORM).and_then(|platform| platform.parse::<Platform>().ok()),
        current: number(SCAN_ID).and_then(ScanId::new),
        as_of: number(AS_OF).unwrap_or_default(),
        scans,
        occurrences,
        omitted: number(OMITTED).and_then(|n| u32::try_from(n).ok()).unwrap_or_default(),
    };
    let version = number(VERSION).ok_or_else(|| corrupt("no version".to_owned()))?;
    Ok((key, Versioned { asset, version }))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::domain::occurrence::Problem;
    use crate::domain::severity::Severity;

    fn details(number: u32, severity: Severity) -> Details {
        Details {
            problem: Problem {
                vulnerability_id: format!("CVE-2026-{number:07}").parse().unwrap(),
                // Hardly compressible.
                pkg_name: format!("{:x}", u128::from(number + 1).wrapping_pow(7).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
                kind: None,
            },
            class: None,
            installed_version: number.to_string(),
            fixed_version: None,
            severity,
            status: None,
            rating: None,
            findings: 1,
        }
    }

    #[test]
    fn what_is_there_and_has_no_room_is_counted_and_the_severe_ones_stay() {
        let span = Span { from: Timestamp::UNIX_EPOCH, to: Timestamp::UNIX_EPOCH };
        let (old, new) = (ScanId::new(1).unwrap(), ScanId::new(2).unwrap());
        let mut many: Vec<_> = (0..40_000).map(|number| details(number, Severity::Low)).collect();
        many.push(details(40_000, Severity::Critical));
        let gone: Vec<_> = (50_000..50_600).map(|number| details(number, Severity::Critical)).collect();
        let asset = AssetOccurrences::none("app".parse().unwrap(), None);
        let asset = asset.with(old, span, &gone).with(new, span, &many).at(Some(new), 1);
        let (blob, omitted) = pack(asset).unwrap();
        assert!(blob.len() <= MAX_BLOB);
        let kept: Packed = serde_json::from_slice(&unzip(&blob, MAX_JSON).unwrap()).unwrap();
        assert_eq!(kept.occurrences.len() + omitted, many.len());
        assert!(omitted > 0 && kept.occurrences.iter().any(|it| it.details.severity == Severity::Critical));
        assert!(kept.occurrences.iter().all(|occurrence| occurrence.scans == [new]));
    }
}
