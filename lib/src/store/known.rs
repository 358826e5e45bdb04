//! Reads the summaries of a set of vulnerabilities and the state of the feeds in as few round trips as possible.

use std::collections::BTreeSet;

use super::enrichments::read_summary;
use super::item::{corrupt, key_of, text, typed};
use super::keys::Key;
use super::write::Put;
use super::{Error, Store, first_seen};
use crate::domain::asset::LineageKey;
use crate::domain::feed::FeedName;
use crate::domain::occurrence::Bucket;
use crate::domain::vulnerabilities::Vulnerabilities;
use crate::domain::vulnerability::SourceRecords;
use crate::domain::vulnerability::id::VulnerabilityId;

/// The most aliases of a vulnerability that one write stores: most have one or two.
const MAX_ALIASES: usize = 8;
/// The id that an alias stands for.
pub(super) const STANDS_FOR: &str = "stands_for";

impl Store {
    /// Reads the summaries of distinct vulnerabilities: one round trip for 98 of them. Ids that are not CVEs may need a
    /// second one, for the CVEs that they are aliases of.
    pub async fn known(&self, ids: &[VulnerabilityId]) -> Result<Vulnerabilities, Error> {
        self.known_with(ids, None).await
    }

    /// Reads the same, and when the problems of these vulnerabilities were first seen in a repository.
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
        let keys = feeds.chain(ids.iter().cloned().map(Key::VulnerabilitySummary)).chain(first_seen).collect();
        self.read_known(keys, &mut known).await?;
        let wanted: BTreeSet<VulnerabilityId> = known.aliases_to_ask().cloned().collect();
        let missing =
            wanted.into_iter().filter(|id| !known.summaries.contains_key(id)).map(Key::VulnerabilitySummary).collect();
        self.read_known(missing, &mut known).await?;
        known.fill_from_aliases();
        Ok(known)
    }

    async fn read_known(&self, keys: Vec<Key>, known: &mut Vulnerabilities) -> Result<(), Error> {
        for item in self.batch_get_all("BatchGetItem(known)", keys, false).await? {
            match key_of(&item) {
                Some(Key::VulnerabilitySummary(id)) => drop(known.summaries.insert(id, read_summary(&item)?)),
                Some(Key::FirstSeen(..)) => known.first_seen.extend(first_seen::read_times(&item)?.0),
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

    /// Stores the new names in source records as aliases of their id; idempotent.
    pub(super) async fn put_new_aliases(
        &self,
        before: Option<&SourceRecords>,
        records: &SourceRecords,
    ) -> Result<(), Error> {
        let known = before.map(names).unwrap_or_default();
        for alias in names(records).difference(&known).filter(|alias| **alias != records.id).take(MAX_ALIASES) {
            let put = Put::new(&Key::Alias(alias.clone())).set(STANDS_FOR, records.id.as_str());
            self.write("PutItem(alias)", put).await?;
        }
        Ok(())
    }

    /// Reads the id that an alias stands for.
    pub async fn stands_for(&self, alias: &VulnerabilityId) -> Result<Option<VulnerabilityId>, Error> {
        let got = self.get("GetItem(alias)", &Key::Alias(alias.clone()), false).await?;
        let Some(item) = got else { return Ok(None) };
        let id = text(&item, STANDS_FOR).and_then(|id| id.parse().ok());
        id.map(Some).ok_or_else(|| corrupt(&item, "stands for no id"))
    }
}

/// Collects the names that sources have for a vulnerability.
pub(super) fn names(records: &SourceRecords) -> BTreeSet<VulnerabilityId> {
    let facts = records.sources.values().filter_map(|state| state.facts.as_ref());
    facts.flat_map(|facts| facts.aliases.iter().cloned()).collect()
}
