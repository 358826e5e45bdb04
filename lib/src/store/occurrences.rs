//! The occurrences of vulnerabilities in assets: one item per asset and bucket of vulnerabilities.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::assets::Current;
use super::backoff::Retries;
use super::expression::{absent, begins_with, equals};
use super::item::{Item, MAX_JSON, corrupt, key_of, number, packed, text, unpacked, version_of};
use super::keys::{self, BLOB, Key, PK, PLATFORM, SCAN_ID, SK, VERSION};
use super::write::{Put, Write};
use super::{Error, Store, query};
use crate::domain::asset::{Asset, AssetKey, LineageKey};
use crate::domain::finding::Ordinal;
use crate::domain::image_name::ImageName;
use crate::domain::occurrence::{AssetOccurrences, Bucket, Details, Occurrence, Span};
use crate::domain::platform::Platform;
use crate::domain::scan::ScanId;
use crate::domain::vulnerability::id::VulnerabilityId;

/// Items that are unpacked in memory and written at the same time.
const CONCURRENCY: usize = 4;
/// The most past occurrences that an item keeps: the most severe ones of the newest scans.
const MAX_GONE: usize = 500;

const OMITTED: &str = "omitted";
const IMAGE: &str = "image";
/// The version of the asset in which the scan is current.
const AS_OF: &str = "as_of";

/// An item and its version, 0 if it does not exist.
struct Versioned {
    asset: AssetOccurrences,
    version: u64,
}

/// The blob of an item.
#[derive(Deserialize)]
struct Packed {
    scans: BTreeMap<ScanId, Span>,
    occurrences: Vec<Occurrence>,
}

/// The scans of a blob, without their occurrences.
#[derive(Deserialize)]
struct PackedScans {
    scans: BTreeMap<ScanId, IgnoredAny>,
}

/// The occurrences of an asset as they were read, unpacked bucket by bucket when they are needed.
#[derive(Default)]
pub struct KnownOccurrences {
    items: BTreeMap<Bucket, Item>,
    scans: BTreeSet<ScanId>,
}

impl KnownOccurrences {
    /// Lists the scans that have any of them.
    #[must_use]
    pub const fn scans(&self) -> &BTreeSet<ScanId> {
        &self.scans
    }
}

/// A scan whose occurrences are added.
#[derive(Debug, Clone)]
pub struct Added<'a> {
    /// The scan.
    pub scan_id: ScanId,
    /// When it was seen.
    pub span: Span,
    /// All its occurrences, each with its first finding.
    pub found: &'a BTreeMap<Bucket, Vec<(Details, Ordinal)>>,
}

/// The scans that the occurrences of an asset are to follow.
#[derive(Debug, Clone, Copy)]
pub struct Following<'a> {
    /// The current scan.
    pub current: Current,
    /// Scans whose occurrences are added.
    pub added: &'a [Added<'a>],
    /// Scans that are deleted.
    pub gone: &'a BTreeSet<ScanId>,
    /// When scans were seen.
    pub spans: &'a BTreeMap<ScanId, Span>,
}

impl Store {
    /// Reads the assets that have a vulnerability, or had it, each with its occurrences of it only; eventually
    /// consistent.
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

    /// Reads a bucket, asset by asset; eventually consistent.
    pub async fn all_occurrences(&self, bucket: Bucket) -> Result<Vec<(AssetKey, AssetOccurrences)>, Error> {
        let mut found = Vec::new();
        self.each_asset(bucket, None, false, |key, asset| found.push((key, asset))).await?;
        Ok(found)
    }

    /// Reads the occurrences of a bucket in a repository on a platform; strongly consistent.
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
        let of_bucket = equals(PK, keys::occurrences_pk(bucket));
        let keys = match lineage {
            None => of_bucket,
            Some(lineage) => of_bucket.and(begins_with(SK, lineage.to_string())),
        };
        let query = self.query(keys, None).consistent_read(consistent);
        let take = |item: Item| read_occurrences(&item).map(|(key, read)| take(key, read.asset));
        query::each("Query(occurrences)", query, take).await
    }

    /// Reads the occurrences of an asset in some buckets; strongly consistent.
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
                known.scans.extend(unpacked::<PackedScans>(&item, MAX_JSON)?.scans.into_keys());
                known.items.insert(bucket, item);
            }
        }
        Ok(known)
    }

    /// Updates the occurrences of an asset in some buckets, as they were read, from its scans; idempotent.
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

    /// Removes a deleted scan from the occurrences in some buckets, and returns whether any changed; idempotent.
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

    /// Changes the occurrences of an asset in some buckets, and returns whether any changed. Only those are written.
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

    /// Changes one item, and tries again while other writers are faster.
    async fn change(
        &self,
        asset: &Asset,
        bucket: Bucket,
        mut item: Option<Item>,
        change: &impl Fn(Bucket, AssetOccurrences) -> AssetOccurrences,
    ) -> Result<bool, Error> {
        let key = Key::Occurrences(bucket, asset.key());
        let mut retries = Retries::of("PutItem(occurrences)");
        loop {
            let absent = || {
                let none = AssetOccurrences::none(asset.name.clone(), asset.platform.clone());
                Versioned { asset: none, version: 0 }
            };
            let old = item.as_ref().map(read_occurrences).transpose()?.map_or_else(absent, |(_, old)| old);
            let is_absent = old.version == 0;
            let new = change(bucket, old.asset.clone());
            // Most assets have nothing in most buckets.
            let is_empty = is_absent && new.occurrences.is_empty();
            if is_empty || new == old.asset {
                return Ok(false);
            }
            if self.write_occurrences(&key, new, old.version).await? {
                return Ok(true);
            }
            retries.wait().await?;
            item = self.batch_get("BatchGetItem(occurrences)", [key.clone()], true).await?.pop();
        }
    }

    /// Replaces an item, or removes it if it is empty; false if it has changed since it was read.
    async fn write_occurrences(&self, key: &Key, asset: AssetOccurrences, version: u64) -> Result<bool, Error> {
        const OPERATION: &str = "PutItem(occurrences)";
        if asset.occurrences.is_empty() {
            let delete = Write::delete(key).when(absent(VERSION).or(equals(VERSION, version)));
            return Ok(self.write("DeleteItem(occurrences)", delete).await?.is_applied());
        }
        let put = Put::new(key)
            .set(IMAGE, asset.image.as_str())
            .set(AS_OF, asset.as_of)
            .set_some(PLATFORM, asset.platform.as_ref().map(Platform::as_str))
            .set_some(SCAN_ID, asset.current);
        let (blob, omitted) = pack(asset).map_err(Error::refused(OPERATION))?;
        self.put_version(OPERATION, put.set(BLOB, blob).set(OMITTED, omitted), version).await
    }
}

/// Makes the blob, and counts the current occurrences that do not fit in it. Past occurrences are left out first,
/// then the least severe ones.
fn pack(asset: AssetOccurrences) -> Result<(Vec<u8>, usize), Box<dyn std::error::Error + Send + Sync>> {
    /// A part of [`Packed`].
    #[derive(Serialize)]
    struct Part<'a> {
        scans: BTreeMap<ScanId, Span>,
        occurrences: Vec<&'a Occurrence>,
    }
    let AssetOccurrences { current, scans, occurrences, .. } = asset;
    let is_present = |occurrence: &Occurrence| current.is_some_and(|current| occurrence.has(current));
    let present = occurrences.iter().filter(|occurrence| is_present(occurrence)).count();
    // Those that are kept longest come first, each with its place in the order of the item.
    let mut by_worth: Vec<(usize, &Occurrence)> = occurrences.iter().enumerate().collect();
    let most = if current.is_some() { by_worth.len().min(present + MAX_GONE) } else { by_worth.len() };
    let mut present_kept = 0;
    let blob = packed(most, |kept| {
        if kept < by_worth.len() {
            by_worth.sort_by_cached_key(|(_, occurrence)| {
                let worth = (is_present(occurrence), occurrence.details.severity, occurrence.scans().next_back());
                std::cmp::Reverse(worth)
            });
        }
        let mut part: Vec<(usize, &Occurrence)> = by_worth.iter().take(kept).copied().collect();
        part.sort_unstable_by_key(|(place, _)| *place);
        let part: Vec<&Occurrence> = part.into_iter().map(|(_, occurrence)| occurrence).collect();
        present_kept = part.iter().filter(|occurrence| is_present(occurrence)).count();
        let mut scans = scans.clone();
        if kept < occurrences.len() {
            let named: BTreeSet<ScanId> = part.iter().flat_map(|occurrence| occurrence.scans()).collect();
            scans.retain(|scan, _| named.contains(scan));
        }
        serde_json::to_vec(&Part { scans, occurrences: part })
    })?;
    Ok((blob, present - present_kept))
}

fn read_occurrences(item: &Item) -> Result<(AssetKey, Versioned), Error> {
    let Some(Key::Occurrences(_, key)) = key_of(item) else {
        return Err(corrupt(item, "not the key of occurrences"));
    };
    let image = text(item, IMAGE).and_then(|name| name.parse::<ImageName>().ok());
    let image = image.ok_or_else(|| corrupt(item, "no image"))?;
    let Packed { scans, occurrences } = unpacked(item, MAX_JSON)?;
    let asset = AssetOccurrences {
        image,
        platform: text(item, PLATFORM).and_then(|platform| platform.parse::<Platform>().ok()),
        current: number(item, SCAN_ID).and_then(ScanId::new),
        as_of: number(item, AS_OF).unwrap_or_default(),
        scans,
        occurrences,
        omitted: number(item, OMITTED).and_then(|n| u32::try_from(n).ok()).unwrap_or_default(),
    };
    Ok((key, Versioned { asset, version: version_of(item)? }))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::item::{MAX_WRITTEN, unzip};
    use super::super::keys::MOST_BYTES_OF_A_BLOB;
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
        assert!(blob.len() <= MOST_BYTES_OF_A_BLOB);
        let kept: Packed = serde_json::from_slice(&unzip(&blob, MAX_JSON).unwrap()).unwrap();
        assert_eq!(kept.occurrences.len() + omitted, many.len());
        assert!(omitted > 0 && kept.occurrences.iter().any(|it| it.details.severity == Severity::Critical));
        assert!(kept.occurrences.iter().all(|occurrence| occurrence.scans().eq([new])));
        assert!(blob.len() > MOST_BYTES_OF_A_BLOB / 10 * 8, "no more goes than has to: {}", blob.len());
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
