//! What is known of a set of vulnerabilities and how new the feeds are, in as few round trips as possible.

use std::collections::BTreeSet;

use super::enrichments::read_signals;
use super::item::{corrupt, key_of, text, typed};
use super::keys::Key;
use super::write::Put;
use super::{Error, Store, first_seen};
use crate::domain::asset::LineageKey;
use crate::domain::enrichment::Dossier;
use crate::domain::feed::FeedName;
use crate::domain::known::Known;
use crate::domain::occurrence::Bucket;
use crate::domain::vulnerability_id::VulnerabilityId;

/// Names of one vulnerability that are stored: most have one or two.
const MAX_ALIASES: usize = 8;
/// The id that an alias stands for.
pub(super) const STANDS_FOR: &str = "stands_for";

impl Store {
    /// Reads what is known of distinct vulnerabilities: one round trip for 98 of them. Ids that are not CVEs may need a
    /// second one, for the CVEs that they are aliases of.
    pub async fn known(&self, ids: &[VulnerabilityId]) -> Result<Known, Error> {
        self.known_with(ids, None).await
    }

    /// Reads the same, and when the problems of these vulnerabilities were first seen in a repository.
    pub async fn known_in(&self, ids: &[VulnerabilityId], lineage: LineageKey) -> Result<Known, Error> {
        self.known_with(ids, Some(lineage)).await
    }

    async fn known_with(&self, ids: &[VulnerabilityId], lineage: Option<LineageKey>) -> Result<Known, Error> {
        let mut known = Known::default();
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

    async fn read_known(&self, keys: Vec<Key>, known: &mut Known) -> Result<(), Error> {
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

    /// Stores the new names of a dossier as aliases of its id; idempotent.
    pub(super) async fn put_new_aliases(&self, before: Option<&Dossier>, dossier: &Dossier) -> Result<(), Error> {
        let known = before.map(names).unwrap_or_default();
        for alias in names(dossier).difference(&known).filter(|alias| **alias != dossier.id).take(MAX_ALIASES) {
            let put = Put::new(&Key::Alias(alias.clone())).set(STANDS_FOR, dossier.id.as_str());
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
pub(super) fn names(dossier: &Dossier) -> BTreeSet<VulnerabilityId> {
    let facts = dossier.sources.values().filter_map(|state| state.facts.as_ref());
    facts.flat_map(|facts| facts.aliases.iter().cloned()).collect()
}
