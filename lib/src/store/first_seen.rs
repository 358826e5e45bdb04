//! When the problems of a repository on a platform were first seen, over all its tags: one item per bucket of
//! vulnerabilities.
//!
//! A scan adds its times after its occurrences were written, and only where they are earlier. When a scan is
//! deleted the times are made again from the occurrences that are left. Whoever makes them again reads the
//! occurrences once more after writing: a scan that wrote its occurrences in between, and found nothing to add
//! beside the old times, is in that second reading.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::enrichments::unzip;
use super::item::{Item, VERSION, key_of};
use super::keys::{self, Key, PK};
use super::{Error, Store, backoff};
use crate::domain::asset::LineageKey;
use crate::domain::occurrence::{Bucket, FirstSeen, Problem, earlier};

const BLOB: &str = "z";
const LEVEL: i32 = 6;
/// The largest blob, as JSON.
const MAX_JSON: u64 = 64 << 20;
/// What an item may hold, compressed, and as JSON.
const MAX_BLOB: usize = 380 << 10;
const MAX_WRITTEN: usize = 16 << 20;
/// Buckets that are worked at at the same time.
const CONCURRENCY: usize = 8;
const OPERATION: &str = "PutItem(first seen)";

/// One problem as it is stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(flatten)]
    problem: Problem,
    #[serde(rename = "a", with = "jiff::fmt::serde::timestamp::millisecond::required")]
    at: Timestamp,
}

impl Store {
    /// Adds times at which problems were seen. To do it again, or late, is harmless.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn add_first_seen(&self, lineage: LineageKey, found: FirstSeen) -> Result<(), Error> {
        let mut by_bucket: BTreeMap<Bucket, FirstSeen> = BTreeMap::new();
        for (problem, at) in found {
            by_bucket.entry(Bucket::of(&problem.vulnerability_id)).or_default().insert(problem, at);
        }
        let keys = by_bucket.keys().map(|bucket| Key::FirstSeen(*bucket, lineage)).collect::<Vec<_>>();
        let mut known = BTreeMap::new();
        for item in self.batch_get_all("BatchGetItem(first seen)", keys, true).await? {
            if let Some(Key::FirstSeen(bucket, _)) = key_of(&item) {
                known.insert(bucket, read(&item)?);
            }
        }
        stream::iter(by_bucket)
            .map(|(bucket, found)| {
                let known = known.remove(&bucket).unwrap_or_default();
                self.change_first_seen(bucket, lineage, known, move |mut times| {
                    earlier(&mut times, found.clone());
                    times
                })
            })
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await
    }

    /// Makes the times of some buckets again from the occurrences that are left, after a scan was deleted. To do it again
    /// is success.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn remake_first_seen(&self, lineage: LineageKey, buckets: &[Bucket]) -> Result<(), Error> {
        let keys = buckets.iter().map(|bucket| Key::FirstSeen(*bucket, lineage)).collect();
        let items = self.batch_get_all("BatchGetItem(first seen)", keys, true).await?;
        let known = items.iter().filter_map(|item| match key_of(item) {
            Some(Key::FirstSeen(bucket, _)) => Some(bucket),
            _ => None,
        });
        stream::iter(known.collect::<Vec<_>>())
            .map(|bucket| self.remake_bucket(bucket, lineage))
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await
    }

    async fn remake_bucket(&self, bucket: Bucket, lineage: LineageKey) -> Result<(), Error> {
        let mut delays = backoff::delays();
        let mut tries = 0;
        loop {
            tries += 1;
            let known = self.read_first_seen(bucket, lineage).await?;
            let left = self.times_left(bucket, lineage).await?;
            let is_right = known.0 == left;
            if is_right
                || self.write_first_seen(bucket, lineage, left.clone(), known.1).await?
                    && self.times_left(bucket, lineage).await? == left
            {
                return Ok(());
            }
            match delays.next() {
                Some(delay) => tokio::time::sleep(delay).await,
                None => return Err(Error::Unprocessed { operation: OPERATION, tries }),
            }
        }
    }

    async fn times_left(&self, bucket: Bucket, lineage: LineageKey) -> Result<FirstSeen, Error> {
        let mut times = FirstSeen::new();
        for asset in self.occurrences_of_lineage(bucket, lineage).await? {
            earlier(&mut times, asset.first_seen());
        }
        Ok(times)
    }

    async fn read_first_seen(&self, bucket: Bucket, lineage: LineageKey) -> Result<(FirstSeen, u64), Error> {
        let item = self.get("GetItem(first seen)", &Key::FirstSeen(bucket, lineage), true).await?;
        item.as_ref().map(read).transpose().map(Option::unwrap_or_default)
    }

    async fn change_first_seen(
        &self,
        bucket: Bucket,
        lineage: LineageKey,
        mut known: (FirstSeen, u64),
        change: impl Fn(FirstSeen) -> FirstSeen,
    ) -> Result<(), Error> {
        let mut delays = backoff::delays();
        let mut tries = 0;
        loop {
            tries += 1;
            let new = change(known.0.clone());
            if new == known.0 || self.write_first_seen(bucket, lineage, new, known.1).await? {
                return Ok(());
            }
            match delays.next() {
                Some(delay) => tokio::time::sleep(delay).await,
                None => return Err(Error::Unprocessed { operation: OPERATION, tries }),
            }
            known = self.read_first_seen(bucket, lineage).await?;
        }
    }

    /// Writes an item, which stays though nothing may be left in it, so that its version never restarts; false if it
    /// has changed since it was read.
    async fn write_first_seen(
        &self,
        bucket: Bucket,
        lineage: LineageKey,
        times: FirstSeen,
        version: u64,
    ) -> Result<bool, Error> {
        let refused =
            |source: Box<dyn std::error::Error + Send + Sync>| Error::Refused { operation: OPERATION, source };
        let mut item = Key::FirstSeen(bucket, lineage).attributes();
        let blob = pack(times).map_err(refused)?;
        item.insert(BLOB.to_owned(), AttributeValue::B(Blob::new(blob)));
        self.put_version(OPERATION, item, version).await
    }

    /// The times of a bucket, by repository and platform; eventually consistent.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn all_first_seen(&self, bucket: Bucket) -> Result<BTreeMap<LineageKey, FirstSeen>, Error> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#pk = :pk")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_values(":pk", AttributeValue::S(keys::first_seen_pk(bucket)));
        let mut items = query.into_paginator().items().send();
        let mut found = BTreeMap::new();
        while let Some(item) = items.next().await {
            let item = item.map_err(|error| Error::sdk("Query(first seen)", error))?;
            if let Some(Key::FirstSeen(_, lineage)) = key_of(&item) {
                found.insert(lineage, read(&item)?.0);
            }
        }
        Ok(found)
    }

    /// The times of some repositories, each of one bucket; eventually consistent.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn first_seen(
        &self,
        wanted: Vec<(Bucket, LineageKey)>,
    ) -> Result<BTreeMap<LineageKey, FirstSeen>, Error> {
        let keys = wanted.into_iter().map(|(bucket, lineage)| Key::FirstSeen(bucket, lineage)).collect();
        let mut found: BTreeMap<LineageKey, FirstSeen> = BTreeMap::new();
        for item in self.batch_get_all("BatchGetItem(first seen)", keys, false).await? {
            if let Some(Key::FirstSeen(_, lineage)) = key_of(&item) {
                found.entry(lineage).or_default().extend(read(&item)?.0);
            }
        }
        Ok(found)
    }
}

/// The blob. Where there are more problems than an item has room for, the clocks that began last are not kept: those
/// problems count from the scan that is looked at.
fn pack(times: FirstSeen) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let mut stored: Vec<Stored> = times.into_iter().map(|(problem, at)| Stored { problem, at }).collect();
    loop {
        let json = serde_json::to_vec(&stored)?;
        let blob = if json.len() <= MAX_WRITTEN { Some(zstd::bulk::compress(&json, LEVEL)?) } else { None };
        let (size, room) = match blob {
            Some(blob) if blob.len() <= MAX_BLOB || stored.is_empty() => return Ok(blob),
            Some(blob) => (blob.len(), MAX_BLOB),
            None => (json.len(), MAX_WRITTEN),
        };
        stored.sort_by_key(|stored| stored.at);
        // As many as will about fit, and always fewer than before.
        let fits = (stored.len().saturating_mul(room) / size).min(stored.len().saturating_sub(1));
        stored.truncate(fits - fits / 32);
    }
}

/// The times, and the version of the item.
pub(super) fn read(item: &Item) -> Result<(FirstSeen, u64), Error> {
    let corrupt = |reason: String| Error::corrupt(format!("{:?}", item.get(PK)), reason);
    let blob = item.get(BLOB).and_then(|blob| blob.as_b().ok()).ok_or_else(|| corrupt("no blob".to_owned()))?;
    let json = unzip(blob.as_ref(), MAX_JSON).map_err(|error| corrupt(error.to_string()))?;
    let stored: Vec<Stored> = serde_json::from_slice(&json).map_err(|error| corrupt(error.to_string()))?;
    let version = item.get(VERSION).and_then(|version| version.as_n().ok()?.parse().ok());
    let version = version.ok_or_else(|| corrupt("no version".to_owned()))?;
    Ok((stored.into_iter().map(|Stored { problem, at }| (problem, at)).collect(), version))
}
