//! Reads items by their keys.

use std::collections::HashMap;
use std::io::Read as _;

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::de::DeserializeOwned;

use super::backoff::Retries;
use super::expression::{Condition, absent, equals};
use super::keys::{BLOB, Key, MOST_BYTES_OF_A_BLOB, MOST_KEYS_OF_A_READ, PK, SK, VERSION};
use super::{Error, Store};

/// Batches that are read at the same time.
const CONCURRENCY: usize = 8;
/// The largest blob that [`packed`] writes, as JSON: repetition compresses well, but every reader has to parse it.
pub(super) const MAX_WRITTEN: usize = 16 << 20;
/// The largest of these blobs that is read, as JSON.
pub(super) const MAX_JSON: u64 = 64 << 20;
const LEVEL: i32 = 6;

/// An item, by attribute name.
pub(super) type Item = HashMap<String, AttributeValue>;

/// Reads the key of an item; none if Sirius never writes such a key.
pub(super) fn key_of(item: &Item) -> Option<Key> {
    Key::parse(text(item, PK)?, text(item, SK)?)
}

pub(super) fn number(item: &Item, name: &str) -> Option<u64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

pub(super) fn text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

/// Reads the struct of an item.
pub(super) fn typed<T: DeserializeOwned>(item: Item) -> Result<T, Error> {
    let key = format!("{:?}", item.get(PK));
    serde_dynamo::from_item(item).map_err(|error| Error::corrupt(key, error))
}

/// Makes the error of an item that is not readable.
pub(super) fn corrupt(item: &Item, reason: impl ToString) -> Error {
    Error::corrupt(format!("{:?}", item.get(PK)), reason)
}

/// Reads the version of an item that [`Store::put_version`] wrote.
pub(super) fn version_of(item: &Item) -> Result<u64, Error> {
    number(item, VERSION).ok_or_else(|| corrupt(item, "no version"))
}

/// Reads the object in an item's blob: JSON of up to `max` bytes, compressed with zstd.
pub(super) fn unpacked<T: DeserializeOwned>(item: &Item, max: u64) -> Result<T, Error> {
    let blob = item.get(BLOB).ok_or_else(|| corrupt(item, "no blob"))?;
    let blob = blob.as_b().map_err(|_| corrupt(item, "its blob is not binary"))?;
    let json = unzip(blob.as_ref(), max).map_err(|error| corrupt(item, error))?;
    serde_json::from_slice(&json).map_err(|error| corrupt(item, error))
}

/// Compresses as much as fits in an item: `json` writes that many of `count` entries.
pub(super) fn packed(
    count: usize,
    mut json: impl FnMut(usize) -> serde_json::Result<Vec<u8>>,
) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let mut kept = count;
    loop {
        let json = json(kept)?;
        let blob = if json.len() <= MAX_WRITTEN { Some(zstd::bulk::compress(&json, LEVEL)?) } else { None };
        let (size, room) = match blob {
            Some(blob) if blob.len() <= MOST_BYTES_OF_A_BLOB || kept == 0 => return Ok(blob),
            Some(blob) => (blob.len(), MOST_BYTES_OF_A_BLOB),
            None => (json.len(), MAX_WRITTEN),
        };
        // About as many as fit, and always fewer than before.
        let fits = (kept.saturating_mul(room) / size).min(kept.saturating_sub(1));
        kept = fits - fits / 32;
    }
}

/// Undoes zstd, up to `max` bytes.
pub(super) fn unzip(blob: &[u8], max: u64) -> std::io::Result<Vec<u8>> {
    let mut json = Vec::new();
    zstd::Decoder::new(blob)?.take(max).read_to_end(&mut json)?;
    Ok(json)
}

impl Store {
    /// Reads an item, if it exists.
    pub(super) async fn get(
        &self,
        operation: &'static str,
        key: &Key,
        consistent: bool,
    ) -> Result<Option<Item>, Error> {
        let get = self.client.get_item().table_name(&self.table).set_key(Some(key.attributes()));
        let got = get.consistent_read(consistent).send().await.map_err(|error| Error::sdk(operation, error))?;
        Ok(got.item)
    }

    /// Reads the items of any number of distinct keys, in no order.
    pub(super) async fn batch_get_all(
        &self,
        operation: &'static str,
        keys: Vec<Key>,
        consistent: bool,
    ) -> Result<Vec<Item>, Error> {
        let batches: Vec<Vec<Key>> = keys.chunks(MOST_KEYS_OF_A_READ).map(<[Key]>::to_vec).collect();
        let reads = stream::iter(batches).map(|batch| self.batch_get(operation, batch, consistent));
        reads.buffer_unordered(CONCURRENCY).try_concat().await
    }

    /// Reads the items of up to [`MOST_KEYS_OF_A_READ`] distinct keys, in no order.
    pub(super) async fn batch_get(
        &self,
        operation: &'static str,
        keys: impl IntoIterator<Item = Key>,
        consistent: bool,
    ) -> Result<Vec<Item>, Error> {
        let keys = KeysAndAttributes::builder()
            .set_keys(Some(keys.into_iter().map(|key| key.attributes()).collect()))
            .consistent_read(consistent)
            .build()
            .map_err(Error::refused(operation))?;
        let mut wanted = HashMap::from([(self.table.clone(), keys)]);
        let mut items = Vec::new();
        let mut retries = Retries::of(operation);
        loop {
            let read = self.client.batch_get_item().set_request_items(Some(wanted)).send().await;
            let read = read.map_err(|error| Error::sdk(operation, error))?;
            items.extend(read.responses.unwrap_or_default().into_values().flatten());
            wanted = read.unprocessed_keys.unwrap_or_default();
            if wanted.is_empty() {
                return Ok(items);
            }
            retries.wait().await?;
        }
    }
}

/// The condition that an item has not changed since it was read with `version`, 0 if it did not exist.
pub(super) fn is_version(version: u64) -> Condition {
    if version == 0 { absent(VERSION) } else { equals(VERSION, version) }
}
