//! Records of vulnerabilities that no image has any more, on their way out.
//!
//! The signals of such a record are on the list of unseen ones, where no source is asked about them, until they are
//! due to be dropped. A scan that has the vulnerability after all writes its occurrences first and reads the signals
//! then: it finds them on that list and brings them back, or finds nothing and opens the record anew. Whoever puts
//! signals on the list, or drops them, looks at the occurrences in between; so of the two at least one notices.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::{AttributeValue, Delete, TransactWriteItem};
use jiff::Timestamp;
use serde::Deserialize;

use super::claims::LEASE_UNTIL;
use super::enrichments::read_signals;
use super::error::condition_failed;
use super::item::{Item, key_of, number};
use super::keys::{self, CVES_LIST, Key, LISTING, PK, RANK, UNSEEN_LIST};
use super::known::{STANDS_FOR, names};
use super::transaction::Outcome;
use super::walks::Walk;
use super::{Error, Store, millis, occurrences};
use crate::domain::occurrence::Bucket;
use crate::domain::vulnerability::VulnerabilitySummary;
use crate::domain::vulnerability::id::{Kind, VulnerabilityId};

/// Names whose items go with a record, of the hundred items that a transaction takes.
const MOST_NAMES: usize = 90;
const BUCKET: &str = "bucket";

/// Signals, and whether they are on the list of unseen ones.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// The signals.
    pub signals: VulnerabilitySummary,
    /// They are on their way out.
    pub unseen: bool,
}

/// What became of a record that was to be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// Nothing is left of it.
    Gone,
    /// Another record is of the same vulnerability and needs it.
    Needed,
    /// Somebody was at it.
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
    /// The vulnerabilities of a bucket that any asset has, or had in a scan that is stored; strongly consistent.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn seen_ids(&self, bucket: Bucket) -> Result<BTreeSet<VulnerabilityId>, Error> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("#pk = :pk")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_values(":pk", AttributeValue::S(keys::occurrences_pk(bucket)));
        let mut items = query.into_paginator().items().send();
        let mut seen = BTreeSet::new();
        while let Some(item) = items.next().await {
            let item = item.map_err(|error| Error::sdk("Query(seen)", error))?;
            seen.extend(occurrences::unpack::<PackedIds>(&item)?.occurrences.into_iter().map(|packed| packed.v));
        }
        Ok(seen)
    }

    /// The signals of vulnerabilities and where they are listed; strongly consistent, so that they are not older than
    /// occurrences that were written before.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn listed_signals(&self, ids: &[VulnerabilityId]) -> Result<BTreeMap<VulnerabilityId, Listed>, Error> {
        let ids: BTreeSet<VulnerabilityId> = ids.iter().cloned().collect();
        let keys = ids.into_iter().map(Key::Signals).collect();
        let read = self.batch_get_all("BatchGetItem(signals)", keys, true).await?;
        let listed = |item: &Item| {
            let unseen = item.get(LISTING).and_then(|list| list.as_s().ok()).is_some_and(|list| list == UNSEEN_LIST);
            read_signals(item).map(|signals| (signals.id.clone(), Listed { signals, unseen }))
        };
        read.iter().map(listed).collect()
    }

    /// Puts a record that no image has on the list of unseen ones, to be dropped from `due` on; whether it was not
    /// there yet.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn mark_unseen(&self, id: &VulnerabilityId, due: Timestamp) -> Result<bool, Error> {
        self.relist(id, CVES_LIST, UNSEEN_LIST, due).await
    }

    /// Takes a record off the list of unseen ones: sources are asked about it again from `due` on. Whether it was
    /// there.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn bring_back(&self, id: &VulnerabilityId, due: Timestamp) -> Result<bool, Error> {
        self.relist(id, UNSEEN_LIST, CVES_LIST, due).await
    }

    /// Has sources asked about a known vulnerability later; not if it is on its way out.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn put_off_cve(&self, id: &VulnerabilityId, due: Timestamp) -> Result<bool, Error> {
        self.relist(id, CVES_LIST, CVES_LIST, due).await
    }

    /// Has a record that is to be dropped looked at later.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn put_off_drop(&self, id: &VulnerabilityId, due: Timestamp) -> Result<bool, Error> {
        self.relist(id, UNSEEN_LIST, UNSEEN_LIST, due).await
    }

    async fn relist(&self, id: &VulnerabilityId, from: &str, to: &str, rank: Timestamp) -> Result<bool, Error> {
        const OPERATION: &str = "UpdateItem(signals list)";
        let moved = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::Signals(id.clone()).attributes()))
            .update_expression("SET #listing = :to, #rank = :rank")
            .condition_expression("#listing = :from")
            .expression_attribute_names("#listing", LISTING)
            .expression_attribute_names("#rank", RANK)
            .expression_attribute_values(":from", AttributeValue::S(from.to_owned()))
            .expression_attribute_values(":to", AttributeValue::S(to.to_owned()))
            .expression_attribute_values(":rank", AttributeValue::N(millis(rank)))
            .send()
            .await;
        match moved {
            Ok(_) => Ok(true),
            Err(error) => condition_failed(OPERATION, error).map(|_| false),
        }
    }

    /// Records that should be dropped by now, the longest due first.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn due_unseen(&self, now: Timestamp, limit: usize) -> Result<Vec<VulnerabilityId>, Error> {
        let items = self.due(UNSEEN_LIST, now, limit).await?;
        let id = |(_, item): &(Timestamp, Item)| match key_of(item) {
            Some(Key::Signals(id)) => Some(id),
            _ => None,
        };
        Ok(items.iter().filter_map(id).collect())
    }

    /// Removes a record that is due to be dropped with all its names, in one transaction; nothing if it was taken off
    /// the list, or somebody is asking about it. To do it again is success.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn drop_record(&self, id: &VulnerabilityId, now: Timestamp) -> Result<Dropped, Error> {
        const OPERATION: &str = "TransactWriteItems(drop)";
        let refused = |source: aws_sdk_dynamodb::error::BuildError| Error::Refused {
            operation: OPERATION,
            source: source.into(),
        };
        let dossier = self.dossier(id).await?;
        let names: Vec<VulnerabilityId> =
            dossier.as_ref().map(names).unwrap_or_default().into_iter().filter(|name| name != id).collect();
        // An advisory that images have leads to the CVE that it is about.
        if id.kind() == Kind::Cve {
            let advisories: Vec<_> = names.iter().filter(|name| name.kind() != Kind::Cve).cloned().collect();
            if self.listed_signals(&advisories).await?.values().any(|listed| !listed.unseen) {
                return Ok(Dropped::Needed);
            }
        }
        let aliases = names.into_iter().take(MOST_NAMES).map(Key::Alias).collect();
        let aliases = self.batch_get_all("BatchGetItem(aliases)", aliases, true).await?;
        let delete = |key: Key| Delete::builder().table_name(&self.table).set_key(Some(key.attributes()));
        let signals = delete(Key::Signals(id.clone()))
            .condition_expression("#listing = :unseen AND #rank <= :now")
            .expression_attribute_names("#listing", LISTING)
            .expression_attribute_names("#rank", RANK)
            .expression_attribute_values(":unseen", AttributeValue::S(UNSEEN_LIST.to_owned()))
            .expression_attribute_values(":now", AttributeValue::N(millis(now)));
        let dossier = delete(Key::Dossier(id.clone()))
            .condition_expression("attribute_not_exists(#until) OR #until < :now")
            .expression_attribute_names("#until", LEASE_UNTIL)
            .expression_attribute_values(":now", AttributeValue::N(millis(now)));
        let mut deletes = vec![signals, dossier];
        for item in &aliases {
            let stands_for_it =
                item.get(STANDS_FOR).and_then(|other| other.as_s().ok()).is_some_and(|s| s == id.as_str());
            if let Some(key) = key_of(item).filter(|_| stands_for_it) {
                let alias = delete(key)
                    .condition_expression("#stands_for = :id")
                    .expression_attribute_names("#stands_for", STANDS_FOR)
                    .expression_attribute_values(":id", AttributeValue::S(id.to_string()));
                deletes.push(alias);
            }
        }
        let writes = deletes
            .into_iter()
            .map(|delete| Ok(TransactWriteItem::builder().delete(delete.build().map_err(refused)?).build()))
            .collect::<Result<Vec<_>, Error>>()?;
        Ok(match self.transact(OPERATION, writes).await? {
            Outcome::Written => Dropped::Gone,
            Outcome::Refused(_) => Dropped::Busy,
        })
    }

    /// The bucket that is to be looked through next for records that no image has.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn unseen_position(&self) -> Result<u8, Error> {
        let item = self.get("GetItem(walk)", &Key::Walk(Walk::Unseen), false).await?;
        let bucket = item.and_then(|item| number(&item, BUCKET)).and_then(|bucket| u8::try_from(bucket).ok());
        Ok(bucket.filter(|bucket| *bucket < Bucket::COUNT).unwrap_or_default())
    }

    /// Moves that walk.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn set_unseen_position(&self, bucket: u8) -> Result<(), Error> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(Key::Walk(Walk::Unseen).attributes()))
            .item(BUCKET, AttributeValue::N(bucket.to_string()));
        put.send().await.map(drop).map_err(|error| Error::sdk("PutItem(walk)", error))
    }
}
