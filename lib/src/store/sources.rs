//! The state of each source, and which stored feed is the last good one: shared by all functions.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::item::{Item, VERSION, typed};
use super::keys::Key;
use super::{Error, Store, backoff};
use crate::domain::feed::{Feed, FeedName};

impl Store {
    /// Changes the state of a source, as often as it takes until no other caller has changed it in between.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn change_source_state<S, T>(&self, source: &str, change: impl Fn(&mut S) -> T) -> Result<T, Error>
    where
        S: Serialize + DeserializeOwned + Default + Clone + PartialEq,
    {
        const OPERATION: &str = "PutItem(source)";
        let mut delays = backoff::delays();
        let mut tries = 0;
        loop {
            tries += 1;
            let (old, version) = self.source_state::<S>(source).await?;
            let mut new = old.clone();
            let answer = change(&mut new);
            if new == old {
                return Ok(answer);
            }
            let mut item: Item = serde_dynamo::to_item(new)
                .map_err(|source| Error::Refused { operation: OPERATION, source: source.into() })?;
            item.extend(Key::Source(source.to_owned()).attributes());
            if self.put_version(OPERATION, item, version).await? {
                return Ok(answer);
            }
            match delays.next() {
                Some(delay) => tokio::time::sleep(delay).await,
                None => return Err(Error::Unprocessed { operation: OPERATION, tries }),
            }
        }
    }

    /// Reads the state of a source, and its version for the next write.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn source_state<S: DeserializeOwned + Default>(&self, source: &str) -> Result<(S, u64), Error> {
        let Some(item) = self.get("GetItem(source)", &Key::Source(source.to_owned()), true).await? else {
            return Ok((S::default(), 0));
        };
        let version = item.get(VERSION).and_then(|n| n.as_n().ok()?.parse().ok());
        let version = version.ok_or_else(|| Error::corrupt(source, "no version"))?;
        Ok((typed(item)?, version))
    }

    /// Reads the last good version of a feed; none if there never was one.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn feed(&self, name: FeedName) -> Result<Option<Feed>, Error> {
        self.get("GetItem(feed)", &Key::Feed(name), true).await?.map(typed).transpose()
    }

    /// Writes the last good version of a feed.
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
}
