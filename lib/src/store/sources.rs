//! How fast each source may be asked, and which feed is the last good one: shared by all functions.

use jiff::{SignedDuration, Timestamp};

use super::item::{Item, VERSION, typed};
use super::keys::Key;
use super::{Error, Store, backoff};
use crate::domain::feed::{Feed, FeedName};
use crate::domain::pace::{Pace, Turn};

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
            // Else others ask the same source: once more, with what they have written.
            if self.put_version(OPERATION, item, version).await? {
                return Ok(answer);
            }
            match delays.next() {
                Some(delay) => tokio::time::sleep(delay).await,
                None => return Err(Error::Unprocessed { operation: OPERATION, tries }),
            }
        }
    }

    async fn read_pace(&self, source: &str) -> Result<(Pace, u64), Error> {
        let Some(item) = self.get("GetItem(source)", &Key::Source(source.to_owned()), true).await? else {
            return Ok((Pace::new(), 0));
        };
        let version = item.get(VERSION).and_then(|n| n.as_n().ok()?.parse().ok());
        let version = version.ok_or_else(|| Error::corrupt(source, "no version"))?;
        Ok((typed(item)?, version))
    }

    /// The last good one of a feed; none if there never was one.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn feed(&self, name: FeedName) -> Result<Option<Feed>, Error> {
        self.get("GetItem(feed)", &Key::Feed(name), true).await?.map(typed).transpose()
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
}
