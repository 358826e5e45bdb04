//! What the sources say of a set of vulnerabilities and how new their feeds are, in as few round trips as
//! there can be.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;

use super::enrichments::read_signals;
use super::item::{key_of, typed};
use super::keys::Key;
use super::{Error, Store, first_seen};
use crate::domain::asset::LineageKey;
use crate::domain::feed::FeedName;
use crate::domain::occurrence::Bucket;
use crate::domain::vulnerabilities::Vulnerabilities;
use crate::domain::vulnerability::SourceRecords;
use crate::domain::vulnerability::id::VulnerabilityId;

/// Names of one vulnerability that are written down: most have one or two.
const MAX_ALIASES: usize = 8;
/// Names the id that an alias stands for.
pub(super) const STANDS_FOR: &str = "stands_for";

impl Store {
    /// What is known of vulnerabilities, which are distinct: one round trip for 98 of them. Ids that are not
    /// CVEs may need a second one, for the CVEs that they are the same as.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn known(&self, ids: &[VulnerabilityId]) -> Result<Vulnerabilities, Error> {
        self.known_with(ids, None).await
    }

    /// The same with when the problems of these vulnerabilities were first seen in a repository, read in the same
    /// round trip.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn known_in(&self, ids: &[VulnerabilityId], lineage: LineageKey) -> Result<Vulnerabilities, Error> {
        self.known_with(ids, Some(lineage)).await
    }

    async fn known_with(&self, ids: &[VulnerabilityId], lineage: Option<LineageKey>) -> Result<Vulnerabilities, Error> {
        let mut known = Vulnerabilities::default();
        if ids.is_empty() {
            return Ok(known);
        }
        let feeds = FeedName::ALL.into_iter().map(Key::Feed);
        let buckets: BTreeSet<Bucket> = lineage.iter().flat_map(|_| ids.iter().map(Bucket::of)).collect();
        let first_seen =
            lineage.into_iter().flat_map(|it| buckets.iter().map(move |bucket| Key::FirstSeen(*bucket, it)));
        let keys = feeds.chain(ids.iter().cloned().map(Key::Signals)).chain(first_seen).collect();
        self.read_known(keys, &mut known).await?;
        let wanted: BTreeSet<VulnerabilityId> = known.aliases_to_ask().cloned().collect();
        let missing = wanted.into_iter().filter(|id| !known.signals.contains_key(id)).map(Key::Signals).collect();
        self.read_known(missing, &mut known).await?;
        known.fill_from_aliases();
        Ok(known)
    }

    async fn read_known(&self, keys: Vec<Key>, known: &mut Vulnerabilities) -> Result<(), Error> {
        for item in self.batch_get_all("BatchGetItem(known)", keys, false).await? {
            match key_of(&item) {
                Some(Key::Signals(id)) => drop(known.signals.insert(id, read_signals(&item)?)),
                Some(Key::FirstSeen(..)) => known.first_seen.extend(first_seen::read(&item)?.0),
                Some(Key::Feed(name)) => {
                    let feed = typed(item)?;
                    match name {
                        FeedName::Kev => known.kev = Some(feed),
                        FeedName::Epss => known.epss = Some(feed),
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Writes down under which id the names are kept that a dossier has come to have. To do it again is success.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub(super) async fn put_new_aliases(
        &self,
        before: Option<&SourceRecords>,
        dossier: &SourceRecords,
    ) -> Result<(), Error> {
        let known = before.map(names).unwrap_or_default();
        for alias in names(dossier).difference(&known).filter(|alias| **alias != dossier.id).take(MAX_ALIASES) {
            let put = self
                .client
                .put_item()
                .table_name(&self.table)
                .set_item(Some(Key::Alias(alias.clone()).attributes()))
                .item(STANDS_FOR, AttributeValue::S(dossier.id.to_string()));
            put.send().await.map_err(|error| Error::sdk("PutItem(alias)", error))?;
        }
        Ok(())
    }

    /// The id whose dossier has what is known of an alias; none if nobody has met it as one.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn stands_for(&self, alias: &VulnerabilityId) -> Result<Option<VulnerabilityId>, Error> {
        let key = Key::Alias(alias.clone());
        let Some(item) = self.get("GetItem(alias)", &key, false).await? else { return Ok(None) };
        let id = item.get(STANDS_FOR).and_then(|id| id.as_s().ok()?.parse().ok());
        id.map(Some).ok_or_else(|| Error::corrupt(key.pk(), "stands for no id"))
    }
}

/// All names that sources have for a vulnerability.
pub(super) fn names(dossier: &SourceRecords) -> BTreeSet<VulnerabilityId> {
    let facts = dossier.sources.values().filter_map(|state| state.facts.as_ref());
    facts.flat_map(|facts| facts.aliases.iter().cloned()).collect()
}
