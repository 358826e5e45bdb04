//! Removes the records of vulnerabilities that no image has.
//!
//! The summary of such a record is on the list of unseen ones, where no source is asked about it, until the record is
//! dropped. A scan that has the vulnerability writes its occurrences first and then reads the summary: it finds it on
//! that list and brings it back, or finds nothing and creates the record again. The caller that puts a summary on the
//! list, or drops it, reads the occurrences in between. So at least one of the two notices the other.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;

use super::enrichments::read_summary;
use super::expression::{at_most, equals};
use super::item::{Item, MAX_JSON, key_of, number, text, unpacked};
use super::keys::{self, CVES_LIST, Key, LISTING, PK, RANK, UNSEEN_LIST};
use super::known::{STANDS_FOR, names};
use super::lease::is_free;
use super::transaction::Outcome;
use super::walks::Walk;
use super::write::{Put, Update, Write};
use super::{Error, Store, query};
use crate::domain::occurrence::Bucket;
use crate::domain::vulnerability::VulnerabilitySummary;
use crate::domain::vulnerability::id::{Kind, VulnerabilityId};

/// Aliases that are removed with a record, of the hundred items of a transaction.
const MOST_NAMES: usize = 90;
const BUCKET: &str = "bucket";

/// The summary of a vulnerability, and the list that it is on.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// The summary.
    pub summary: VulnerabilitySummary,
    /// It is on the list of unseen ones.
    pub unseen: bool,
}

/// The result of dropping a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// It is removed.
    Gone,
    /// The record of an advisory about the same vulnerability needs it.
    Needed,
    /// It is no longer on the list, or a source is being asked about it.
    Busy,
}

/// The ids of packed occurrences.
#[derive(Deserialize)]
struct PackedIds {
    occurrences: Vec<PackedId>,
}

#[derive(Deserialize)]
struct PackedId {
    v: VulnerabilityId,
}

impl Store {
    /// Reads the vulnerabilities of a bucket that any asset has, or had in a stored scan; strongly consistent.
    pub async fn seen_ids(&self, bucket: Bucket) -> Result<BTreeSet<VulnerabilityId>, Error> {
        let mut seen = BTreeSet::new();
        let query = self.query_now(equals(PK, keys::occurrences_pk(bucket)));
        let take = |item: Item| {
            seen.extend(unpacked::<PackedIds>(&item, MAX_JSON)?.occurrences.into_iter().map(|packed| packed.v));
            Ok(())
        };
        query::each("Query(seen)", query, take).await?;
        Ok(seen)
    }

    /// Reads the summaries of vulnerabilities and their lists; strongly consistent.
    pub async fn listed_summaries(&self, ids: &[VulnerabilityId]) -> Result<BTreeMap<VulnerabilityId, Listed>, Error> {
        let ids: BTreeSet<VulnerabilityId> = ids.iter().cloned().collect();
        let keys = ids.into_iter().map(Key::VulnerabilitySummary).collect();
        let read = self.batch_get_all("BatchGetItem(summary)", keys, true).await?;
        let listed = |item: &Item| {
            let unseen = text(item, LISTING) == Some(UNSEEN_LIST);
            read_summary(item).map(|summary| (summary.id.clone(), Listed { summary, unseen }))
        };
        read.iter().map(listed).collect()
    }

    /// Puts a record on the list of unseen ones, to be dropped from `due` on. Returns false if it was on it.
    pub async fn mark_unseen(&self, id: &VulnerabilityId, due: Timestamp) -> Result<bool, Error> {
        self.relist(id, CVES_LIST, UNSEEN_LIST, due).await
    }

    /// Removes a record from the list of unseen ones, so that sources are asked about it again from `due` on. Returns
    /// false if it was not on it.
    pub async fn bring_back(&self, id: &VulnerabilityId, due: Timestamp) -> Result<bool, Error> {
        self.relist(id, UNSEEN_LIST, CVES_LIST, due).await
    }

    /// Postpones asking sources about a known vulnerability. Returns false if it is on the list of unseen ones.
    pub async fn put_off_cve(&self, id: &VulnerabilityId, due: Timestamp) -> Result<bool, Error> {
        self.relist(id, CVES_LIST, CVES_LIST, due).await
    }

    /// Postpones dropping a record. Returns false if it is not on the list of unseen ones.
    pub async fn put_off_drop(&self, id: &VulnerabilityId, due: Timestamp) -> Result<bool, Error> {
        self.relist(id, UNSEEN_LIST, UNSEEN_LIST, due).await
    }

    async fn relist(&self, id: &VulnerabilityId, from: &str, to: &str, rank: Timestamp) -> Result<bool, Error> {
        let update = Update::of(&Key::VulnerabilitySummary(id.clone())).set(LISTING, to).set(RANK, rank);
        Ok(self.write("UpdateItem(summary list)", update.when(equals(LISTING, from))).await?.is_applied())
    }

    /// Reads the records that should be dropped by now, the longest due first.
    pub async fn due_unseen(&self, now: Timestamp, limit: usize) -> Result<Vec<VulnerabilityId>, Error> {
        let id = |_, key, _: &Item| if let Key::VulnerabilitySummary(id) = key { Some(id) } else { None };
        self.due(UNSEEN_LIST, now, limit, id).await
    }

    /// Removes a record that is due to be dropped, with all its aliases, in one transaction; idempotent.
    pub async fn drop_record(&self, id: &VulnerabilityId, now: Timestamp) -> Result<Dropped, Error> {
        let records = self.source_records(id).await?;
        let names: Vec<VulnerabilityId> =
            records.as_ref().map(names).unwrap_or_default().into_iter().filter(|name| name != id).collect();
        // The advisory of an image leads to the record of its CVE.
        if id.kind() == Kind::Cve {
            let advisories: Vec<_> = names.iter().filter(|name| name.kind() != Kind::Cve).cloned().collect();
            if self.listed_summaries(&advisories).await?.values().any(|listed| !listed.unseen) {
                return Ok(Dropped::Needed);
            }
        }
        let aliases = names.into_iter().take(MOST_NAMES).map(Key::Alias).collect();
        let aliases = self.batch_get_all("BatchGetItem(aliases)", aliases, true).await?;
        let is_due = equals(LISTING, UNSEEN_LIST).and(at_most(RANK, now));
        let mut writes = vec![
            Write::delete(&Key::VulnerabilitySummary(id.clone())).when(is_due),
            Write::delete(&Key::SourceRecords(id.clone())).when(is_free(now)),
        ];
        let own = aliases.iter().filter(|item| text(item, STANDS_FOR) == Some(id.as_str()));
        let delete = |key| Write::delete(&key).when(equals(STANDS_FOR, id.as_str()));
        writes.extend(own.filter_map(key_of).map(delete));
        Ok(match self.transact("TransactWriteItems(drop)", writes).await? {
            Outcome::Written => Dropped::Gone,
            Outcome::Refused(_) => Dropped::Busy,
        })
    }

    /// Reads the position of the walk for vulnerabilities that no image has: its next bucket.
    pub async fn unseen_position(&self) -> Result<u8, Error> {
        let item = self.get("GetItem(walk)", &Key::Walk(Walk::Unseen), false).await?;
        let bucket = item.and_then(|item| number(&item, BUCKET)).and_then(|bucket| u8::try_from(bucket).ok());
        Ok(bucket.filter(|bucket| *bucket < Bucket::COUNT).unwrap_or_default())
    }

    /// Moves the walk for vulnerabilities that no image has.
    pub async fn set_unseen_position(&self, bucket: u8) -> Result<(), Error> {
        self.write("PutItem(walk)", Put::new(&Key::Walk(Walk::Unseen)).set(BUCKET, bucket)).await.map(drop)
    }
}
