//! The pace of each source and the last good version of each feed, which all functions share.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::backoff::Retries;
use super::item::{typed, version_of};
use super::keys::Key;
use super::write::Put;
use super::{Error, Store};
use crate::domain::feed::{Feed, FeedName};

impl Store {
    /// Changes the state of a source, and tries again if another caller changed it in between.
    pub async fn change_source_state<S, T>(&self, source: &str, change: impl Fn(&mut S) -> T) -> Result<T, Error>
    where
        S: Serialize + DeserializeOwned + Default + Clone + PartialEq,
    {
        const OPERATION: &str = "PutItem(source)";
        let mut retries = Retries::of(OPERATION);
        loop {
            let (old, version) = self.source_state::<S>(source).await?;
            let mut new = old.clone();
            let answer = change(&mut new);
            let put = || Put::new(&Key::Source(source.to_owned())).fields(OPERATION, &new);
            if new == old || self.put_version(OPERATION, put()?, version).await? {
                return Ok(answer);
            }
            retries.wait().await?;
        }
    }

    /// Reads the state of a source, and its version for the next write.
    pub async fn source_state<S: DeserializeOwned + Default>(&self, source: &str) -> Result<(S, u64), Error> {
        let Some(item) = self.get("GetItem(source)", &Key::Source(source.to_owned()), true).await? else {
            return Ok((S::default(), 0));
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
