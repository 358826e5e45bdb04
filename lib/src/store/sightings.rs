//! Which images have which vulnerabilities: one item per image and bucket of vulnerabilities.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::enrichments::unzip;
use super::item::{Item, VERSION, key_of};
use super::keys::{self, Key, PK, SCAN_ID};
use super::{Error, Store, backoff};
use crate::domain::image_name::ImageName;
use crate::domain::scan::ScanId;
use crate::domain::sighting::{Bucket, ImageSightings, Seen, Sighting};
use crate::domain::vulnerability_id::VulnerabilityId;

/// What an item may hold of compressed sightings: DynamoDB takes 400 KB for a whole item.
const MAX_BLOB: usize = 380 << 10;
/// The largest blob, as JSON.
const MAX_JSON: u64 = 64 << 20;
const LEVEL: i32 = 6;
/// Writes under way at once.
const CONCURRENCY: usize = 8;
/// How many sightings that are gone an item keeps at most, the newest and most severe ones.
const MAX_GONE: usize = 500;

const BLOB: &str = "z";
const OMITTED: &str = "omitted";

/// An item and the count of its writes, 0 for one that is not there.
struct Versioned {
    image: ImageSightings,
    version: u64,
}

impl Store {
    /// The images that have a vulnerability, or had it, each with its sightings of it only. Pages of
    /// 1 MB of the bucket's items; eventually consistent.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn sightings_of(&self, id: &VulnerabilityId) -> Result<Vec<(ImageName, ImageSightings)>, Error> {
        let mut found = Vec::new();
        let keep = |mut image: ImageSightings| {
            image.sightings.retain(|sighting| sighting.vulnerability_id == *id);
            if !image.sightings.is_empty() {
                found.push((image.image.clone(), image));
            }
        };
        self.each_image(Bucket::of(id), keep).await?;
        Ok(found)
    }

    /// Everything in a bucket, image by image; eventually consistent.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn all_sightings(&self, bucket: Bucket) -> Result<Vec<ImageSightings>, Error> {
        let mut found = Vec::new();
        self.each_image(bucket, |image| found.push(image)).await?;
        Ok(found)
    }

    async fn each_image(&self, bucket: Bucket, mut take: impl FnMut(ImageSightings)) -> Result<(), Error> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#pk = :pk")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_values(":pk", AttributeValue::S(keys::bucket_pk(bucket)));
        let mut items = query.into_paginator().items().send();
        while let Some(item) = items.next().await {
            take(read(&item.map_err(|error| Error::sdk("Query(sightings)", error))?)?.image);
        }
        Ok(())
    }

    /// Merges what a scan of an image has into the fleet's sightings. To do it again, or late, is
    /// harmless.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn merge_sightings(&self, image: &ImageName, scan: Seen, found: &[Sighting]) -> Result<(), Error> {
        let mut by_bucket: BTreeMap<Bucket, Vec<Sighting>> = BTreeMap::new();
        for sighting in found {
            by_bucket.entry(Bucket::of(&sighting.vulnerability_id)).or_default().push(sighting.clone());
        }
        let merge = |bucket, old: ImageSightings| {
            let found = by_bucket.get(&bucket).map_or(&[][..], Vec::as_slice);
            // An item for every bucket of every image would be many that say nothing.
            if found.is_empty() && old.scan_id.is_none() && old.sightings.is_empty() {
                old
            } else {
                old.merged(scan, found)
            }
        };
        self.change_all(image, merge).await
    }

    /// Takes a deleted scan out of the fleet's sightings. The caller then merges the newest remaining
    /// scan of the image, or forgets the image. To do it again is success.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn remove_sightings(&self, image: &ImageName, deleted: Seen) -> Result<(), Error> {
        self.change_all(image, |_, old| old.without(deleted)).await
    }

    /// Removes all sightings of an image that has no scans. To do it again is success.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn forget_image(&self, image: &ImageName) -> Result<(), Error> {
        self.change_all(image, |_, old| ImageSightings::none(old.image)).await
    }

    /// Changes what an image has in each bucket; writes only where that changes something.
    async fn change_all(
        &self,
        image: &ImageName,
        change: impl Fn(Bucket, ImageSightings) -> ImageSightings,
    ) -> Result<(), Error> {
        let keys = Bucket::all().map(|bucket| Key::Sightings(bucket, image.clone()));
        let items = self.batch_get("BatchGetItem(sightings)", keys, true).await?;
        let mut known = BTreeMap::new();
        for item in &items {
            if let Some(Key::Sightings(bucket, _)) = key_of(item) {
                known.insert(bucket, read(item)?);
            }
        }
        let (change, absent) = (&change, || Versioned { image: ImageSightings::none(image.clone()), version: 0 });
        let states = Bucket::all().map(|bucket| (bucket, known.remove(&bucket).unwrap_or_else(absent)));
        let states: Vec<_> = states.collect();
        stream::iter(states)
            .map(|(bucket, old)| self.change(bucket, old, change))
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await
    }

    /// Changes one item, again and again while others write to it in between.
    async fn change(
        &self,
        bucket: Bucket,
        mut old: Versioned,
        change: &impl Fn(Bucket, ImageSightings) -> ImageSightings,
    ) -> Result<(), Error> {
        let image = old.image.image.clone();
        let key = Key::Sightings(bucket, image.clone());
        let mut delays = backoff::delays();
        let mut tries = 0;
        loop {
            tries += 1;
            let new = change(bucket, old.image.clone());
            if new == old.image || self.write_sightings(&key, new, old.version).await? {
                return Ok(());
            }
            match delays.next() {
                Some(delay) => tokio::time::sleep(delay).await,
                None => return Err(Error::Unprocessed { operation: "PutItem(sightings)", tries }),
            }
            let items = self.batch_get("BatchGetItem(sightings)", [key.clone()], true).await?;
            old = match items.first() {
                Some(item) => read(item)?,
                None => Versioned { image: ImageSightings::none(image.clone()), version: 0 },
            };
        }
    }

    /// Writes an item, or removes it if nothing is left in it; false if it has changed since it was read.
    async fn write_sightings(&self, key: &Key, image: ImageSightings, version: u64) -> Result<bool, Error> {
        const OPERATION: &str = "PutItem(sightings)";
        if image.sightings.is_empty() {
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
                Err(error) => Err(Error::sdk("DeleteItem(sightings)", error)),
            };
        }
        let (blob, omitted) =
            pack(image.sightings, image.scan_id).map_err(|source| Error::Refused { operation: OPERATION, source })?;
        let mut item = key.attributes();
        item.extend(HashMap::from([
            (BLOB.to_owned(), AttributeValue::B(Blob::new(blob))),
            (OMITTED.to_owned(), AttributeValue::N(omitted.to_string())),
        ]));
        item.extend(image.scan_id.map(|scan| (SCAN_ID.to_owned(), AttributeValue::N(scan.to_string()))));
        self.put_version(OPERATION, item, version).await
    }
}

/// The blob, and how many sightings had no room in it: what is gone goes first, then what is least
/// severe.
fn pack(
    mut sightings: Vec<Sighting>,
    newest: Option<ScanId>,
) -> Result<(Vec<u8>, usize), Box<dyn std::error::Error + Send + Sync>> {
    let all = sightings.len();
    let is_gone = |sighting: &Sighting| newest.is_none() || sighting.last_scan != newest;
    // The order in which they are given up, last first.
    let worth = |sighting: &Sighting| (!is_gone(sighting), sighting.severity, sighting.last_seen);
    let gone = sightings.iter().filter(|sighting| is_gone(sighting)).count();
    if newest.is_some() && gone > MAX_GONE {
        sightings.sort_by_key(|sighting| std::cmp::Reverse(worth(sighting)));
        sightings.truncate(all - (gone - MAX_GONE));
    }
    loop {
        sightings.sort_by_cached_key(Sighting::key);
        let blob = zstd::bulk::compress(&serde_json::to_vec(&sightings)?, LEVEL)?;
        if blob.len() <= MAX_BLOB {
            return Ok((blob, all - sightings.len()));
        }
        sightings.sort_by_key(|sighting| std::cmp::Reverse(worth(sighting)));
        sightings.truncate(sightings.len() / 8 * 7);
    }
}

fn read(item: &Item) -> Result<Versioned, Error> {
    let corrupt = |reason: String| Error::corrupt(format!("{:?}", item.get(PK)), reason);
    let Some(Key::Sightings(_, image)) = key_of(item) else {
        return Err(corrupt("not the key of sightings".to_owned()));
    };
    let blob = item.get(BLOB).and_then(|blob| blob.as_b().ok()).ok_or_else(|| corrupt("no blob".to_owned()))?;
    let json = unzip(blob.as_ref(), MAX_JSON).map_err(|error| corrupt(error.to_string()))?;
    let sightings = serde_json::from_slice(&json).map_err(|error| corrupt(error.to_string()))?;
    let number = |name: &str| item.get(name)?.as_n().ok()?.parse::<u64>().ok();
    let omitted = number(OMITTED).and_then(|n| u32::try_from(n).ok()).unwrap_or_default();
    let scan_id = number(SCAN_ID).and_then(ScanId::new);
    let version = number(VERSION).ok_or_else(|| corrupt("no version".to_owned()))?;
    Ok(Versioned { image: ImageSightings { image, scan_id, sightings, omitted }, version })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::domain::severity::Severity;

    fn sighting(number: u32, severity: Severity, last_scan: u64) -> Sighting {
        Sighting {
            vulnerability_id: format!("CVE-2026-{number:07}").parse().unwrap(),
            // Hardly compressible.
            pkg_name: format!("{:x}", u128::from(number + 1).wrapping_pow(7).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            class: None,
            kind: None,
            installed_version: number.to_string(),
            fixed_version: None,
            severity,
            status: None,
            vector: None,
            findings: 1,
            first_seen: Timestamp::UNIX_EPOCH,
            last_seen: Timestamp::UNIX_EPOCH,
            last_scan: ScanId::new(last_scan),
        }
    }

    #[test]
    fn what_has_no_room_is_counted_and_the_severe_ones_stay() {
        let mut many: Vec<_> = (0..40_000).map(|number| sighting(number, Severity::Low, 2)).collect();
        many.push(sighting(40_000, Severity::Critical, 2));
        many.extend((50_000..50_600).map(|number| sighting(number, Severity::Critical, 1)));
        let all = many.len();
        let (blob, omitted) = pack(many, ScanId::new(2)).unwrap();
        assert!(blob.len() <= MAX_BLOB);
        let kept: Vec<Sighting> = serde_json::from_slice(&unzip(&blob, MAX_JSON).unwrap()).unwrap();
        assert_eq!(kept.len() + omitted, all);
        assert!(omitted > 600 && kept.iter().any(|sighting| sighting.severity == Severity::Critical));
        assert!(kept.iter().all(|sighting| sighting.last_scan == ScanId::new(2)));
    }
}
