//! The pace of each source and the last good version of each feed, which all functions share.

use jiff::{SignedDuration, Timestamp};

use super::backoff::Retries;
use super::item::{typed, version_of};
use super::keys::Key;
use super::write::Put;
use super::{Error, Store};
use crate::domain::feed::{Feed, FeedName};
use crate::domain::pace::{Pace, Turn};

impl Store {
    /// Takes the next turn at asking a source, if it comes by `latest`. Turns are `interval` apart.
    pub async fn turn_at(
        &self,
        source: &str,
        now: Timestamp,
        interval: SignedDuration,
        latest: Timestamp,
    ) -> Result<Turn, Error> {
        self.change_pace(source, |pace| pace.take(now, interval, latest)).await
    }

    /// Records that a source works.
    pub async fn source_succeeded(&self, source: &str) -> Result<(), Error> {
        self.change_pace(source, Pace::succeeded).await
    }

    /// Records that a source has failed, and its `Retry-After` if it sent one.
    pub async fn source_failed(
        &self,
        source: &str,
        now: Timestamp,
        retry_after: Option<SignedDuration>,
    ) -> Result<(), Error> {
        self.change_pace(source, |pace| pace.failed(now, retry_after)).await
    }

    /// Reads the pace of a source.
    pub async fn pace(&self, source: &str) -> Result<Pace, Error> {
        self.read_pace(source).await.map(|(pace, _)| pace)
    }

    async fn change_pace<T>(&self, source: &str, change: impl Fn(&mut Pace) -> T) -> Result<T, Error> {
        const OPERATION: &str = "PutItem(source)";
        let mut retries = Retries::of(OPERATION);
        loop {
            let (old, version) = self.read_pace(source).await?;
            let mut new = old;
            let answer = change(&mut new);
            let put = || Put::new(&Key::Source(source.to_owned())).fields(OPERATION, &new);
            if new == old || self.put_version(OPERATION, put()?, version).await? {
                return Ok(answer);
            }
            retries.wait().await?;
        }
    }

    async fn read_pace(&self, source: &str) -> Result<(Pace, u64), Error> {
        let Some(item) = self.get("GetItem(source)", &Key::Source(source.to_owned()), true).await? else {
            return Ok((Pace::new(), 0));
        };
        let version = version_of(&item)?;
        Ok((typed(item)?, version))
    }

    /// Reads the last good version of a feed.
    pub async fn feed(&self, name: FeedName) -> Result<Option<Feed>, Error> {
        self.get("GetItem(feed)", &Key::Feed(name), true).await?.map(typed).transpose()
    }

    /// Stores the last good version of a feed.
    pub async fn put_feed(&self, name: FeedName, feed: &Feed) -> Result<(), Error> {
        const OPERATION: &str = "PutItem(feed)";
        self.write(OPERATION, Put::new(&Key::Feed(name)).fields(OPERATION, feed)?).await.map(drop)
    }
}
