//! Which assets have which vulnerabilities: one item per asset and bucket of vulnerabilities.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use super::assets::{Current, PLATFORM};
use super::enrichments::unzip;
use super::item::{Item, VERSION, key_of};
use super::keys::{self, Key, PK, SCAN_ID, SK};
use super::{Error, Store, backoff};
use crate::domain::asset::{Asset, AssetKey, LineageKey};
use crate::domain::finding::Ordinal;
use crate::domain::image_name::ImageName;
use crate::domain::occurrence::{AssetOccurrences, Bucket, Details, Occurrence, Span};
use crate::domain::platform::Platform;
use crate::domain::scan::ScanId;
use crate::domain::vulnerability::id::VulnerabilityId;

/// What an item may hold of compressed occurrences: DynamoDB takes 400 KB for a whole item.
const MAX_BLOB: usize = 380 << 10;
/// The largest blob that is written, as JSON: what repeats itself hardly counts when it is compressed, and has to be read
/// and sorted all the same.
const MAX_WRITTEN: usize = 16 << 20;
/// The largest one that is read.
const MAX_JSON: u64 = 64 << 20;
const LEVEL: i32 = 6;
/// Items that are in memory, unpacked, and written at once.
const CONCURRENCY: usize = 4;
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
#[derive(Deserialize)]
struct Packed {
    scans: BTreeMap<ScanId, Span>,
    occurrences: Vec<Occurrence>,
}

/// The scans of an item, without what they have.
#[derive(Deserialize)]
struct PackedScans {
    scans: BTreeMap<ScanId, IgnoredAny>,
}

/// What an asset has, as it was read; unpacked bucket by bucket as it is needed.
#[derive(Default)]
pub struct KnownOccurrences {
    items: BTreeMap<Bucket, Item>,
    scans: BTreeSet<ScanId>,
}

impl KnownOccurrences {
    /// The scans that have any of them.
    #[must_use]
    pub const fn scans(&self) -> &BTreeSet<ScanId> {
        &self.scans
    }
}

/// A scan as far as occurrences need it.
#[derive(Debug, Clone)]
pub struct Added<'a> {
    /// The scan.
    pub scan_id: ScanId,
    /// When it was seen.
    pub span: Span,
    /// All that it has, each with its first finding.
    pub found: &'a BTreeMap<Bucket, Vec<(Details, Ordinal)>>,
}

/// What the occurrences of an asset are to follow.
#[derive(Debug, Clone, Copy)]
pub struct Following<'a> {
    /// Which of its scans is current.
    pub current: Current,
    /// Scans with what they have.
    pub added: &'a [Added<'a>],
    /// Scans that are not there any more.
    pub gone: &'a BTreeSet<ScanId>,
    /// When scans were seen.
    pub spans: &'a BTreeMap<ScanId, Span>,
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

    /// What an asset has in some buckets; strongly consistent.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn known_occurrences(
        &self,
        asset: &Asset,
        buckets: impl IntoIterator<Item = Bucket>,
    ) -> Result<KnownOccurrences, Error> {
        let key = asset.key();
        let keys = buckets.into_iter().map(|bucket| Key::Occurrences(bucket, key));
        let mut known = KnownOccurrences::default();
        for item in self.batch_get("BatchGetItem(occurrences)", keys, true).await? {
            if let Some(Key::Occurrences(bucket, _)) = key_of(&item) {
                known.scans.extend(unpack::<PackedScans>(&item)?.scans.into_keys());
                known.items.insert(bucket, item);
            }
        }
        Ok(known)
    }

    /// Has the occurrences of an asset in some buckets, as they were read, follow its scans. To do it again, or late, is
    /// harmless.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn follow(
        &self,
        asset: &Asset,
        known: &mut KnownOccurrences,
        buckets: &[Bucket],
        following: Following<'_>,
    ) -> Result<(), Error> {
        let Following { current, added, gone, spans } = following;
        let change = |bucket, old: AssetOccurrences| {
            let mut new = old.without(gone);
            for scan in added {
                let found = scan.found.get(&bucket).map_or(&[][..], Vec::as_slice);
                if !found.is_empty() || new.scans.contains_key(&scan.scan_id) {
                    new = new.with(scan.scan_id, scan.span, found);
                }
            }
            new.seen(spans).at(current.scan_id, current.version)
        };
        self.change_all(asset, known, buckets, change).await.map(drop)
    }

    /// Removes a deleted scan from the fleet's occurrences in some buckets; whether there was anything to change. To do it
    /// again is success.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn remove_occurrences(
        &self,
        asset: &Asset,
        buckets: &[Bucket],
        deleted: ScanId,
        current: Current,
    ) -> Result<bool, Error> {
        let mut known = self.known_occurrences(asset, buckets.iter().copied()).await?;
        let gone = BTreeSet::from([deleted]);
        let change = |_, old: AssetOccurrences| old.without(&gone).at(current.scan_id, current.version);
        self.change_all(asset, &mut known, buckets, change).await
    }

    /// Changes what an asset has in some buckets; writes only where that changes something, and answers whether it did.
    async fn change_all(
        &self,
        asset: &Asset,
        known: &mut KnownOccurrences,
        buckets: &[Bucket],
        change: impl Fn(Bucket, AssetOccurrences) -> AssetOccurrences,
    ) -> Result<bool, Error> {
        let change = &change;
        let states: Vec<_> = buckets.iter().map(|bucket| (*bucket, known.items.remove(bucket))).collect();
        stream::iter(states)
            .map(|(bucket, item)| self.change(asset, bucket, item, change))
            .buffer_unordered(CONCURRENCY)
            .try_fold(false, |any, changed| async move { Ok(any || changed) })
            .await
    }

    /// Changes one item, again and again while others write to it in between.
    async fn change(
        &self,
        asset: &Asset,
        bucket: Bucket,
        mut item: Option<Item>,
        change: &impl Fn(Bucket, AssetOccurrences) -> AssetOccurrences,
    ) -> Result<bool, Error> {
        let key = Key::Occurrences(bucket, asset.key());
        let mut delays = backoff::delays();
        let mut tries = 0;
        loop {
            tries += 1;
            let absent = || Versioned { asset: none(asset), version: 0 };
            let old = item.as_ref().map(read).transpose()?.map_or_else(absent, |(_, old)| old);
            let is_absent = old.version == 0;
            let new = change(bucket, old.asset.clone());
            // An item for every bucket of every asset would be many that say nothing.
            let says_nothing = is_absent && new.occurrences.is_empty();
            if says_nothing || new == old.asset {
                return Ok(false);
            }
            if self.write_occurrences(&key, new, old.version).await? {
                return Ok(true);
            }
            match delays.next() {
                Some(delay) => tokio::time::sleep(delay).await,
                None => return Err(Error::Unprocessed { operation: "PutItem(occurrences)", tries }),
            }
            item = self.batch_get("BatchGetItem(occurrences)", [key.clone()], true).await?.pop();
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
    /// What is compressed, in part.
    #[derive(Serialize)]
    struct Part<'a> {
        scans: BTreeMap<ScanId, Span>,
        occurrences: Vec<&'a Occurrence>,
    }
    let AssetOccurrences { current, scans, occurrences, .. } = asset;
    let is_present = |occurrence: &Occurrence| current.is_some_and(|current| occurrence.has(current));
    let present = occurrences.iter().filter(|occurrence| is_present(occurrence)).count();
    // What stays longest comes first; each with its place in the order of the item.
    let mut by_worth: Vec<(usize, &Occurrence)> = occurrences.iter().enumerate().collect();
    let mut kept = by_worth.len();
    if current.is_some() {
        kept = kept.min(present + MAX_GONE);
    }
    let mut is_sorted = false;
    loop {
        if kept < by_worth.len() && !is_sorted {
            by_worth.sort_by_cached_key(|(_, occurrence)| {
                let worth = (is_present(occurrence), occurrence.details.severity, occurrence.scans().next_back());
                std::cmp::Reverse(worth)
            });
            is_sorted = true;
        }
        let mut part: Vec<(usize, &Occurrence)> = by_worth.iter().take(kept).copied().collect();
        part.sort_unstable_by_key(|(place, _)| *place);
        let part: Vec<&Occurrence> = part.into_iter().map(|(_, occurrence)| occurrence).collect();
        let present_kept = part.iter().filter(|occurrence| is_present(occurrence)).count();
        let mut scans = scans.clone();
        if kept < occurrences.len() {
            let named: BTreeSet<ScanId> = part.iter().flat_map(|occurrence| occurrence.scans()).collect();
            scans.retain(|scan, _| named.contains(scan));
        }
        let json = serde_json::to_vec(&Part { scans, occurrences: part })?;
        let blob = if json.len() <= MAX_WRITTEN { Some(zstd::bulk::compress(&json, LEVEL)?) } else { None };
        let excess = match blob {
            Some(blob) if blob.len() <= MAX_BLOB || kept == 0 => return Ok((blob, present - present_kept)),
            Some(blob) => (blob.len(), MAX_BLOB),
            None => (json.len(), MAX_WRITTEN),
        };
        // As many as will about fit, and always fewer than before.
        let (size, room) = excess;
        let fits = (kept.saturating_mul(room) / size).min(kept.saturating_sub(1));
        kept = fits - fits / 32;
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
    let Packed { scans, occurrences } = unpack(item)?;
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

pub(super) fn unpack<T: DeserializeOwned>(item: &Item) -> Result<T, Error> {
    let corrupt = |reason: String| Error::corrupt(format!("{:?}", item.get(PK)), reason);
    let blob = item.get(BLOB).and_then(|blob| blob.as_b().ok()).ok_or_else(|| corrupt("no blob".to_owned()))?;
    let json = unzip(blob.as_ref(), MAX_JSON).map_err(|error| corrupt(error.to_string()))?;
    serde_json::from_slice(&json).map_err(|error| corrupt(error.to_string()))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::domain::finding::FindingId;
    use crate::domain::occurrence::Problem;
    use crate::domain::occurrence::tests::found;
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
        let asset = asset.with(old, span, &found(gone)).with(new, span, &found(many.clone())).at(Some(new), 1);
        let (blob, omitted) = pack(asset).unwrap();
        assert!(blob.len() <= MAX_BLOB);
        let kept: Packed = serde_json::from_slice(&unzip(&blob, MAX_JSON).unwrap()).unwrap();
        assert_eq!(kept.occurrences.len() + omitted, many.len());
        assert!(omitted > 0 && kept.occurrences.iter().any(|it| it.details.severity == Severity::Critical));
        assert!(kept.occurrences.iter().all(|occurrence| occurrence.scans().eq([new])));
        assert!(blob.len() > MAX_BLOB / 10 * 8, "no more goes than has to: {}", blob.len());
        assert!(kept.occurrences.is_sorted_by(|a, b| a.details < b.details));
    }

    #[test]
    fn what_repeats_itself_is_bounded_though_it_compresses_well() {
        let span = Span { from: Timestamp::UNIX_EPOCH, to: Timestamp::UNIX_EPOCH };
        let scans: BTreeMap<ScanId, Span> = (1..=4000).map(|scan| (ScanId::new(scan).unwrap(), span)).collect();
        let occurrence = |number| Occurrence {
            details: Details { severity: Severity::High, ..details(number, Severity::High) },
            findings: scans.keys().map(|scan| FindingId::new(*scan, Ordinal::new(0).unwrap())).collect(),
        };
        let asset = AssetOccurrences {
            current: scans.keys().last().copied(),
            occurrences: (0..2000).map(occurrence).collect(),
            scans,
            ..AssetOccurrences::none("app".parse().unwrap(), None)
        };
        let (blob, omitted) = pack(asset).unwrap();
        let json = unzip(&blob, MAX_JSON).unwrap();
        assert!(json.len() <= MAX_WRITTEN && omitted > 0 && omitted < 1900, "{} {omitted}", json.len());
    }
}
