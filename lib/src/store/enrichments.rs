//! The facts of each source about vulnerabilities (dossiers), and their summaries (signals).
//!
//! A dossier is under a [lease](super::lease) while its sources are asked; its fencing token also guards the signals.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;

use super::expression::{absent, at_most, equals};
use super::item::{Item, corrupt, key_of, number, text, unpacked};
use super::keys::{BLOB, CVES_LIST, Key, LISTING, LISTING_INDEX, RANK};
use super::lease::{ATTEMPT, Acquisition, LEASE_UNTIL, Owner, is_ours};
use super::write::{Answer, Put, Update};
use super::{Error, Store, query};
use crate::domain::enrichment::{Dossier, Source};
use crate::domain::signals::Signals;
use crate::domain::vulnerability_id::VulnerabilityId;

/// Calls in flight at once.
const CONCURRENCY: usize = 16;
/// The largest dossier, as JSON; the longest that sources can make is some 300 KB.
const MAX_JSON: u64 = 4 << 20;
const LEVEL: i32 = 3;

const SIGNALS: &str = "signals";
/// Marks signals of which no source was asked yet.
const NEW: &str = "is_new";

/// The right to write a dossier until the lease ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Lease {
    /// The vulnerability.
    pub id: VulnerabilityId,
    /// The fencing token.
    pub attempt: u64,
    /// The dossier as it is; none if no source has said anything yet.
    pub dossier: Option<Dossier>,
}

/// A vulnerability of which a source is to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The vulnerability.
    pub id: VulnerabilityId,
    /// No source was asked about it yet.
    pub is_new: bool,
}

/// A place in the list of known vulnerabilities.
#[derive(Debug, Clone)]
pub struct Place(Item);

impl Store {
    /// Reads the signals of vulnerabilities, as far as they exist; eventually consistent.
    pub async fn signals(&self, ids: &[VulnerabilityId]) -> Result<BTreeMap<VulnerabilityId, Signals>, Error> {
        let mut ids = ids.to_vec();
        ids.sort();
        ids.dedup();
        let keys = ids.into_iter().map(Key::Signals).collect();
        let read = self.batch_get_all("BatchGetItem(signals)", keys, false).await?;
        read.iter().map(|item| read_signals(item).map(|signals| (signals.id.clone(), signals))).collect()
    }

    /// Reads the dossier of a vulnerability; eventually consistent.
    pub async fn dossier(&self, id: &VulnerabilityId) -> Result<Option<Dossier>, Error> {
        let got = self.get("GetItem(dossier)", &Key::Dossier(id.clone()), false).await?;
        got.map_or(Ok(None), |item| read_dossier(&item))
    }

    /// Acquires the leases of dossiers for `owner`, except for those that another owner has.
    pub async fn take_dossiers(
        &self,
        ids: &[VulnerabilityId],
        owner: &Owner,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Vec<Lease>, Error> {
        let lease = Acquisition::new("UpdateItem(dossier lease)", owner, now, lease)?;
        let taken: Vec<Option<Lease>> = stream::iter(ids.to_vec())
            .map(|id| self.take_dossier(id, lease))
            .buffered(CONCURRENCY)
            .try_collect()
            .await?;
        Ok(taken.into_iter().flatten().collect())
    }

    async fn take_dossier(&self, id: VulnerabilityId, lease: Acquisition<'_>) -> Result<Option<Lease>, Error> {
        let update = lease.update(&Key::Dossier(id.clone())).when(lease.is_allowed()).returning();
        let Answer::Applied(item) = self.write("UpdateItem(dossier lease)", update).await? else { return Ok(None) };
        let attempt = number(&item, ATTEMPT).ok_or_else(|| corrupt(&item, "no attempt"))?;
        Ok(Some(Lease { id, attempt, dossier: read_dossier(&item)? }))
    }

    /// Writes a dossier and its signals, and ends the lease; idempotent. Answers false, and changes nothing, if the
    /// lease was lost.
    pub async fn put_dossier(&self, lease: &Lease, dossier: &Dossier, signals: &Signals) -> Result<bool, Error> {
        const OPERATION: &str = "UpdateItem(dossier)";
        let json = serde_json::to_vec(dossier).map_err(Error::refused(OPERATION))?;
        let blob = zstd::bulk::compress(&json, LEVEL).map_err(Error::refused(OPERATION))?;
        let update = Update::of(&Key::Dossier(lease.id.clone())).set(BLOB, blob).remove([LEASE_UNTIL]);
        if !self.write(OPERATION, update.when(is_ours(lease.attempt))).await?.is_applied() {
            return Ok(false);
        }
        // After a crash here the old signals are still due. The next owner finds the answers in the dossier and writes
        // the signals without asking a source.
        self.put_signals(lease, dossier, signals).await?;
        self.put_new_aliases(lease.dossier.as_ref(), dossier).await?;
        Ok(true)
    }

    /// Writes signals, unless a later lease has already written newer ones.
    async fn put_signals(&self, lease: &Lease, dossier: &Dossier, signals: &Signals) -> Result<(), Error> {
        const OPERATION: &str = "PutItem(signals)";
        let put = Put::new(&Key::Signals(lease.id.clone()))
            .set(SIGNALS, serde_json::to_string(signals).map_err(Error::refused(OPERATION))?)
            .set(ATTEMPT, lease.attempt)
            .set(LISTING, CVES_LIST)
            .set(RANK, signals.next_fetch)
            .set_some(NEW, (!was_asked(dossier)).then_some(true));
        let is_newest = absent(ATTEMPT).or(at_most(ATTEMPT, lease.attempt));
        self.write(OPERATION, put.when(is_newest)).await.map(drop)
    }

    /// Reads up to `limit` known vulnerabilities after a place, the longest due first, and the place to continue from
    /// if there may be more. A vulnerability that is fetched meanwhile may be read twice or not at all.
    pub async fn known_cves(&self, after: Option<Place>, limit: usize) -> Result<(Vec<Signals>, Option<Place>), Error> {
        let query = self.query(equals(LISTING, CVES_LIST), None).index_name(LISTING_INDEX);
        let query = query.set_exclusive_start_key(after.map(|Place(key)| key));
        let (items, last) = query::page("Query(known CVEs)", query, limit).await?;
        // One item that cannot be read must not keep the others from being updated.
        let read = |item: &Item| {
            let unreadable = |error: &Error| tracing::error!(%error, "signals are not readable");
            read_signals(item).inspect_err(unreadable).ok()
        };
        Ok((items.iter().filter_map(read).collect(), last.map(Place)))
    }

    /// Reads the vulnerabilities of which a source is to be asked by now, the longest due first.
    pub async fn due_cves(&self, now: Timestamp, limit: usize) -> Result<Vec<Due>, Error> {
        let items = self.due(CVES_LIST, now, limit).await?;
        let due = |(_, item): &(Timestamp, Item)| match key_of(item) {
            Some(Key::Signals(id)) => Some(Due { id, is_new: item.contains_key(NEW) }),
            _ => None,
        };
        Ok(items.iter().filter_map(due).collect())
    }
}

/// Whether a source was asked that is asked about single vulnerabilities.
fn was_asked(dossier: &Dossier) -> bool {
    [Source::Nvd, Source::Osv, Source::CveServices].iter().any(|source| dossier.sources.contains_key(source))
}

pub(super) fn read_signals(item: &Item) -> Result<Signals, Error> {
    let json = text(item, SIGNALS).ok_or_else(|| corrupt(item, "no signals"))?;
    serde_json::from_str(json).map_err(|error| corrupt(item, error))
}

/// Reads the dossier of an item; none if it was leased and never written.
fn read_dossier(item: &Item) -> Result<Option<Dossier>, Error> {
    item.contains_key(BLOB).then(|| unpacked(item, MAX_JSON)).transpose()
}
