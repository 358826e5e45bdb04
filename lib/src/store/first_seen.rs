//! The first times of problems in a repository on a platform, over all its tags: one item per bucket of
//! vulnerabilities.
//!
//! A scan adds its times after it wrote its occurrences, and only those that are earlier. When a scan is deleted, the
//! times are computed again from the remaining occurrences, which are read again after the write: a scan that wrote its
//! occurrences in between, and did not add its times because the old ones were earlier, is in that second read.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::backoff::Retries;
use super::expression::equals;
use super::item::{Item, MAX_JSON, key_of, packed, unpacked, version_of};
use super::keys::{self, BLOB, Key, PK};
use super::write::Put;
use super::{Error, Store, query};
use crate::domain::asset::LineageKey;
use crate::domain::occurrence::{Bucket, FirstSeen, Problem, keep_earliest};

/// Buckets that are written at the same time.
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
    /// Adds times at which problems were seen, as far as they are earlier; idempotent.
    pub async fn add_first_seen(&self, lineage: LineageKey, found: FirstSeen) -> Result<(), Error> {
        let mut by_bucket: BTreeMap<Bucket, FirstSeen> = BTreeMap::new();
        for (problem, at) in found {
            by_bucket.entry(Bucket::of(&problem.vulnerability_id)).or_default().insert(problem, at);
        }
        let keys = by_bucket.keys().map(|bucket| Key::FirstSeen(*bucket, lineage)).collect::<Vec<_>>();
        let mut known = BTreeMap::new();
        for item in self.batch_get_all("BatchGetItem(first seen)", keys, true).await? {
            if let Some(Key::FirstSeen(bucket, _)) = key_of(&item) {
                known.insert(bucket, read_times(&item)?);
            }
        }
        stream::iter(by_bucket)
            .map(|(bucket, found)| {
                let known = known.remove(&bucket).unwrap_or_default();
                self.add_to_bucket(bucket, lineage, known, found)
            })
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await
    }

    /// Computes the times of some buckets again from the occurrences that are left; idempotent.
    pub async fn remake_first_seen(&self, lineage: LineageKey, buckets: &[Bucket]) -> Result<(), Error> {
        let keys = buckets.iter().map(|bucket| Key::FirstSeen(*bucket, lineage)).collect();
        let items = self.batch_get_all("BatchGetItem(first seen)", keys, true).await?;
        let bucket = |item| if let Some(Key::FirstSeen(bucket, _)) = key_of(item) { Some(bucket) } else { None };
        let known: Vec<Bucket> = items.iter().filter_map(bucket).collect();
        let remade = stream::iter(known).map(|bucket| self.remake_bucket(bucket, lineage));
        remade.buffer_unordered(CONCURRENCY).try_collect().await
    }

    async fn remake_bucket(&self, bucket: Bucket, lineage: LineageKey) -> Result<(), Error> {
        let mut retries = Retries::of(OPERATION);
        loop {
            let (known, version) = self.read_first_seen(bucket, lineage).await?;
            let left = self.times_left(bucket, lineage).await?;
            if known == left
                || self.write_first_seen(bucket, lineage, left.clone(), version).await?
                    && self.times_left(bucket, lineage).await? == left
            {
                return Ok(());
            }
            retries.wait().await?;
        }
    }

    async fn times_left(&self, bucket: Bucket, lineage: LineageKey) -> Result<FirstSeen, Error> {
        let mut times = FirstSeen::new();
        for asset in self.occurrences_of_lineage(bucket, lineage).await? {
            keep_earliest(&mut times, asset.first_seen());
        }
        Ok(times)
    }

    async fn read_first_seen(&self, bucket: Bucket, lineage: LineageKey) -> Result<(FirstSeen, u64), Error> {
        let item = self.get("GetItem(first seen)", &Key::FirstSeen(bucket, lineage), true).await?;
        item.as_ref().map(read_times).transpose().map(Option::unwrap_or_default)
    }

    async fn add_to_bucket(
        &self,
        bucket: Bucket,
        lineage: LineageKey,
        mut known: (FirstSeen, u64),
        found: FirstSeen,
    ) -> Result<(), Error> {
        let mut retries = Retries::of(OPERATION);
        loop {
            let mut new = known.0.clone();
            keep_earliest(&mut new, found.clone());
            if new == known.0 || self.write_first_seen(bucket, lineage, new, known.1).await? {
                return Ok(());
            }
            retries.wait().await?;
            known = self.read_first_seen(bucket, lineage).await?;
        }
    }

    /// Replaces an item; false if it has changed since it was read. An item without times stays, so that its version
    /// never restarts.
    async fn write_first_seen(
        &self,
        bucket: Bucket,
        lineage: LineageKey,
        times: FirstSeen,
        version: u64,
    ) -> Result<bool, Error> {
        let blob = pack(times).map_err(Error::refused(OPERATION))?;
        self.put_version(OPERATION, Put::new(&Key::FirstSeen(bucket, lineage)).set(BLOB, blob), version).await
    }

    /// Reads the times of a bucket, by repository and platform; eventually consistent.
    pub async fn all_first_seen(&self, bucket: Bucket) -> Result<BTreeMap<LineageKey, FirstSeen>, Error> {
        let mut found = BTreeMap::new();
        let query = self.query(equals(PK, keys::first_seen_pk(bucket)), None);
        let take = |item: Item| {
            if let Some(Key::FirstSeen(_, lineage)) = key_of(&item) {
                found.insert(lineage, read_times(&item)?.0);
            }
            Ok(())
        };
        query::each("Query(first seen)", query, take).await?;
        Ok(found)
    }

    /// Reads the times of some buckets and repositories; eventually consistent.
    pub async fn first_seen(
        &self,
        wanted: Vec<(Bucket, LineageKey)>,
    ) -> Result<BTreeMap<LineageKey, FirstSeen>, Error> {
        let keys = wanted.into_iter().map(|(bucket, lineage)| Key::FirstSeen(bucket, lineage)).collect();
        let mut found: BTreeMap<LineageKey, FirstSeen> = BTreeMap::new();
        for item in self.batch_get_all("BatchGetItem(first seen)", keys, false).await? {
            if let Some(Key::FirstSeen(_, lineage)) = key_of(&item) {
                found.entry(lineage).or_default().extend(read_times(&item)?.0);
            }
        }
        Ok(found)
    }
}

/// Makes the blob. If an item has no room for all problems, the latest times are left out: those problems then count
/// from the scan that is read.
fn pack(times: FirstSeen) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let mut stored: Vec<Stored> = times.into_iter().map(|(problem, at)| Stored { problem, at }).collect();
    packed(stored.len(), |kept| {
        if kept < stored.len() {
            stored.sort_by_key(|stored| stored.at);
            stored.truncate(kept);
        }
        serde_json::to_vec(&stored)
    })
}

/// Reads the times and the version of an item.
pub(super) fn read_times(item: &Item) -> Result<(FirstSeen, u64), Error> {
    let stored: Vec<Stored> = unpacked(item, MAX_JSON)?;
    let times = stored.into_iter().map(|Stored { problem, at }| (problem, at)).collect();
    Ok((times, version_of(item)?))
}
