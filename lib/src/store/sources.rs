//! How fast each source may be asked, and which feed is the last good one: shared by all functions.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};

use super::item::Item;
use super::keys::{Key, PK};
use super::{Error, Store, backoff};
use crate::domain::feed::{Feed, FeedName};
use crate::domain::pace::{Pace, Turn};

/// Counts writes: one that was made of an older state is refused.
const VERSION: &str = "version";

impl Store {
    /// Takes the next turn at asking a source, turns being `interval` apart, if it comes by `latest`.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn turn_at(
        &self,
        source: &str,
        now: Timestamp,
        interval: SignedDuration,
        latest: Timestamp,
    ) -> Result<Turn, Error> {
        self.change_pace(source, |pace| pace.take(now, interval, latest)).await
    }

    /// Writes down that a source works.
    ///
    /// # Errors
    /// Those of [`Store::turn_at`].
    pub async fn source_succeeded(&self, source: &str) -> Result<(), Error> {
        self.change_pace(source, Pace::succeeded).await
    }

    /// Writes down that a source has failed, and how long it wants to be left alone, if it says.
    ///
    /// # Errors
    /// Those of [`Store::turn_at`].
    pub async fn source_failed(
        &self,
        source: &str,
        now: Timestamp,
        retry_after: Option<SignedDuration>,
    ) -> Result<(), Error> {
        self.change_pace(source, |pace| pace.failed(now, retry_after)).await
    }

    /// How a source is doing.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn pace(&self, source: &str) -> Result<Pace, Error> {
        self.read_pace(source).await.map(|(pace, _)| pace)
    }

    async fn change_pace<T>(&self, source: &str, change: impl Fn(&mut Pace) -> T) -> Result<T, Error> {
        const OPERATION: &str = "PutItem(source)";
        let mut delays = backoff::delays();
        let mut tries = 0;
        loop {
            tries += 1;
            let (old, version) = self.read_pace(source).await?;
            let mut new = old;
            let answer = change(&mut new);
            if new == old {
                return Ok(answer);
            }
            let mut item: Item = serde_dynamo::to_item(new)
                .map_err(|source| Error::Refused { operation: OPERATION, source: source.into() })?;
            item.extend(Key::Source(source.to_owned()).attributes());
            item.insert(VERSION.to_owned(), AttributeValue::N((version + 1).to_string()));
            let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
            let put = match version {
                0 => put.condition_expression("attribute_not_exists(#version)"),
                _ => put
                    .condition_expression("#version = :version")
                    .expression_attribute_values(":version", AttributeValue::N(version.to_string())),
            };
            match put.expression_attribute_names("#version", VERSION).send().await {
                Ok(_) => return Ok(answer),
                // Others ask the same source: once more, with what they have written.
                Err(SdkError::ServiceError(e)) if e.err().is_conditional_check_failed_exception() => {}
                Err(error) => return Err(Error::sdk(OPERATION, error)),
            }
            match delays.next() {
                Some(delay) => tokio::time::sleep(delay).await,
                None => return Err(Error::Unprocessed { operation: OPERATION, tries }),
            }
        }
    }

    async fn read_pace(&self, source: &str) -> Result<(Pace, u64), Error> {
        let Some(item) = self.state_of(Key::Source(source.to_owned()), "GetItem(source)").await? else {
            return Ok((Pace::new(), 0));
        };
        let version = item.get(VERSION).and_then(|n| n.as_n().ok()?.parse().ok());
        let version = version.ok_or_else(|| Error::corrupt(source, "no version"))?;
        Ok((read(item)?, version))
    }

    /// The last good one of a feed; none if there never was one.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn feed(&self, name: FeedName) -> Result<Option<Feed>, Error> {
        self.state_of(Key::Feed(name), "GetItem(feed)").await?.map(read).transpose()
    }

    /// Makes a feed the last good one.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn put_feed(&self, name: FeedName, feed: &Feed) -> Result<(), Error> {
        const OPERATION: &str = "PutItem(feed)";
        let mut item: Item = serde_dynamo::to_item(feed)
            .map_err(|source| Error::Refused { operation: OPERATION, source: source.into() })?;
        item.extend(Key::Feed(name).attributes());
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item)).send().await;
        put.map(drop).map_err(|error| Error::sdk(OPERATION, error))
    }

    async fn state_of(&self, key: Key, operation: &'static str) -> Result<Option<Item>, Error> {
        let get = self.client.get_item().table_name(&self.table).set_key(Some(key.attributes()));
        let got = get.consistent_read(true).send().await.map_err(|error| Error::sdk(operation, error))?;
        Ok(got.item)
    }
}

fn read<T: serde::de::DeserializeOwned>(item: Item) -> Result<T, Error> {
    let key = format!("{:?}", item.get(PK));
    serde_dynamo::from_item(item).map_err(|error| Error::corrupt(key, error))
}
