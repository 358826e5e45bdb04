//! Items as the SDK has them, and reading several of them at once.

use std::collections::HashMap;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::de::DeserializeOwned;

use super::keys::{Key, PK, SK};
use super::{Error, Store, backoff};

/// `BatchGetItem` takes no more:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>.
const BATCH: usize = 100;
/// Batches under way at once.
const CONCURRENCY: usize = 8;

/// Counts the writes of an item: one that was made of an older state is refused. See [`Store::put_version`].
pub(super) const VERSION: &str = "version";

/// An item, by attribute name.
pub(super) type Item = HashMap<String, AttributeValue>;

/// The key of an item; none if Sirius never writes such a key.
pub(super) fn key_of(item: &Item) -> Option<Key> {
    let text = |name: &str| item.get(name)?.as_s().ok();
    Key::parse(text(PK)?, text(SK)?)
}

/// An attribute that is a whole number; none if it is missing or another thing.
pub(super) fn number(item: &Item, name: &str) -> Option<u64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// What an item holds.
pub(super) fn typed<T: DeserializeOwned>(item: Item) -> Result<T, Error> {
    let key = format!("{:?}", item.get(PK));
    serde_dynamo::from_item(item).map_err(|error| Error::corrupt(key, error))
}

impl Store {
    /// The item of a key, if there is one.
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

    /// Writes an item that was made of its state with `version`, 0 if there was none; false if another
    /// write came in between, and this one is not done.
    pub(super) async fn put_version(
        &self,
        operation: &'static str,
        mut item: Item,
        version: u64,
    ) -> Result<bool, Error> {
        // An item that was removed and written again must not have a version that it had before.
        let next = if version == 0 { fastrand::u64(1..1 << 52) } else { version + 1 };
        item.insert(VERSION.to_owned(), AttributeValue::N(next.to_string()));
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        let put = match version {
            0 => put.condition_expression("attribute_not_exists(#version)"),
            _ => put
                .condition_expression("#version = :version")
                .expression_attribute_values(":version", AttributeValue::N(version.to_string())),
        };
        match put.expression_attribute_names("#version", VERSION).send().await {
            Ok(_) => Ok(true),
            Err(SdkError::ServiceError(e)) if e.err().is_conditional_check_failed_exception() => Ok(false),
            Err(error) => Err(Error::sdk(operation, error)),
        }
    }

    /// The items of any number of distinct keys, in no order: one round trip for each hundred.
    pub(super) async fn batch_get_all(
        &self,
        operation: &'static str,
        keys: Vec<Key>,
        consistent: bool,
    ) -> Result<Vec<Item>, Error> {
        let batches: Vec<Vec<Key>> = keys.chunks(BATCH).map(<[Key]>::to_vec).collect();
        let read: Vec<Vec<Item>> = stream::iter(batches)
            .map(|batch| self.batch_get(operation, batch, consistent))
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await?;
        Ok(read.into_iter().flatten().collect())
    }

    /// The items of up to a hundred distinct keys, in one round trip unless the service keeps some back.
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
            .map_err(|source| Error::Refused { operation, source: source.into() })?;
        let mut wanted = HashMap::from([(self.table.clone(), keys)]);
        let mut items = Vec::new();
        let mut delays = backoff::delays();
        let mut tries = 0;
        loop {
            tries += 1;
            let read = self
                .client
                .batch_get_item()
                .set_request_items(Some(wanted))
                .send()
                .await
                .map_err(|error| Error::sdk(operation, error))?;
            items.extend(read.responses.unwrap_or_default().into_values().flatten());
            wanted = read.unprocessed_keys.unwrap_or_default();
            if wanted.is_empty() {
                return Ok(items);
            }
            match delays.next() {
                Some(delay) => tokio::time::sleep(delay).await,
                None => return Err(Error::Unprocessed { operation, tries }),
            }
        }
    }
}
