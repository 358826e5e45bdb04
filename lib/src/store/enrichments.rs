//! The facts of each source about vulnerabilities (source records), and their summaries.
//!
//! A source record is under a [lease](super::lease) while its sources are asked. Its fencing token also guards the
//! summary.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;

use super::expression::{absent, at_most, equals};
use super::item::{Item, corrupt, number, text, unpacked};
use super::keys::{BLOB, CVES_LIST, Key, LISTING, LISTING_INDEX, RANK};
use super::lease::{ATTEMPT, Acquisition, LEASE_UNTIL, Owner, is_ours};
use super::write::{Answer, Put, Update};
use super::{Error, Store, query};
use crate::domain::vulnerability::id::VulnerabilityId;
use crate::domain::vulnerability::{Source, SourceRecords, VulnerabilitySummary};

/// Leases that are acquired at the same time.
const CONCURRENCY: usize = 16;
/// The largest source records, as JSON; the longest that sources can make is some 300 KB.
const MAX_JSON: u64 = 4 << 20;
const LEVEL: i32 = 3;

const SUMMARY: &str = "summary";
/// Marks a summary about which no source was asked yet.
const NEW: &str = "is_new";

/// The right to write source records until the lease ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Lease {
    /// The vulnerability.
    pub id: VulnerabilityId,
    /// The fencing token.
    pub attempt: u64,
    /// The source records so far; none before the first answer.
    pub records: Option<SourceRecords>,
}

/// A vulnerability about which a source is to be asked.
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
    /// Reads the summaries of vulnerabilities, as far as they exist; eventually consistent.
    pub async fn summaries(
        &self,
        ids: &[VulnerabilityId],
    ) -> Result<BTreeMap<VulnerabilityId, VulnerabilitySummary>, Error> {
        let mut ids = ids.to_vec();
        ids.sort();
        ids.dedup();
        let keys = ids.into_iter().map(Key::VulnerabilitySummary).collect();
        let read = self.batch_get_all("BatchGetItem(summary)", keys, false).await?;
        read.iter().map(|item| read_summary(item).map(|summary| (summary.id.clone(), summary))).collect()
    }

    /// Reads the source records of a vulnerability; eventually consistent.
    pub async fn source_records(&self, id: &VulnerabilityId) -> Result<Option<SourceRecords>, Error> {
        let got = self.get("GetItem(records)", &Key::SourceRecords(id.clone()), false).await?;
        got.map_or(Ok(None), |item| read_source_records(&item))
    }

    /// Acquires the leases of source records for `owner`, except for those that another owner has.
    pub async fn lease_records(
        &self,
        ids: &[VulnerabilityId],
        owner: &Owner,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Vec<Lease>, Error> {
        let lease = Acquisition::new("UpdateItem(records lease)", owner, now, lease)?;
        let leases = stream::iter(ids.to_vec()).map(|id| self.lease_record(id, lease)).buffered(CONCURRENCY);
        leases.try_filter_map(|lease| async { Ok(lease) }).try_collect().await
    }

    async fn lease_record(&self, id: VulnerabilityId, lease: Acquisition<'_>) -> Result<Option<Lease>, Error> {
        let update = lease.update(&Key::SourceRecords(id.clone())).when(lease.is_allowed()).returning();
        let Answer::Applied(item) = self.write("UpdateItem(records lease)", update).await? else { return Ok(None) };
        let attempt = number(&item, ATTEMPT).ok_or_else(|| corrupt(&item, "no attempt"))?;
        Ok(Some(Lease { id, attempt, records: read_source_records(&item)? }))
    }

    /// Writes source records and their summary, and ends the lease; idempotent. Returns false, and changes nothing, if
    /// the lease was lost.
    pub async fn put_source_records(
        &self,
        lease: &Lease,
        records: &SourceRecords,
        summary: &VulnerabilitySummary,
    ) -> Result<bool, Error> {
        const OPERATION: &str = "UpdateItem(records)";
        let json = serde_json::to_vec(records).map_err(Error::refused(OPERATION))?;
        let blob = zstd::bulk::compress(&json, LEVEL).map_err(Error::refused(OPERATION))?;
        let update = Update::of(&Key::SourceRecords(lease.id.clone())).set(BLOB, blob).remove([LEASE_UNTIL]);
        if !self.write(OPERATION, update.when(is_ours(lease.attempt))).await?.is_applied() {
            return Ok(false);
        }
        // After a crash here the old summary is still due. The next owner finds the answers in the source records and
        // writes the summary without asking a source.
        self.put_summary(lease, records, summary).await?;
        self.put_new_aliases(lease.records.as_ref(), records).await?;
        Ok(true)
    }

    /// Writes a summary, unless a later lease has written a newer one.
    async fn put_summary(
        &self,
        lease: &Lease,
        records: &SourceRecords,
        summary: &VulnerabilitySummary,
    ) -> Result<(), Error> {
        const OPERATION: &str = "PutItem(summary)";
        let put = Put::new(&Key::VulnerabilitySummary(lease.id.clone()))
            .set(SUMMARY, serde_json::to_string(summary).map_err(Error::refused(OPERATION))?)
            .set(ATTEMPT, lease.attempt)
            .set(LISTING, CVES_LIST)
            .set(RANK, summary.next_fetch)
            .set_some(NEW, (!was_asked(records)).then_some(true));
        let is_newest = absent(ATTEMPT).or(at_most(ATTEMPT, lease.attempt));
        self.write(OPERATION, put.when(is_newest)).await.map(drop)
    }

    /// Reads up to `limit` known vulnerabilities after a place, the longest due first, and the place to continue from
    /// if there may be more. A vulnerability that is fetched meanwhile may be read twice or not at all.
    pub async fn known_cves(
        &self,
        after: Option<Place>,
        limit: usize,
    ) -> Result<(Vec<VulnerabilitySummary>, Option<Place>), Error> {
        let query = self.query(equals(LISTING, CVES_LIST), None).index_name(LISTING_INDEX);
        let query = query.set_exclusive_start_key(after.map(|Place(key)| key));
        let (items, last) = query::page("Query(known CVEs)", query, limit).await?;
        // One item that cannot be read must not keep the others from being updated.
        let read = |item: &Item| {
            let unreadable = |error: &Error| tracing::error!(%error, "a summary is not readable");
            read_summary(item).inspect_err(unreadable).ok()
        };
        Ok((items.iter().filter_map(read).collect(), last.map(Place)))
    }

    /// Reads the vulnerabilities about which a source is to be asked by now, the longest due first.
    pub async fn due_cves(&self, now: Timestamp, limit: usize) -> Result<Vec<Due>, Error> {
        let due = |_, key, item: &Item| match key {
            Key::VulnerabilitySummary(id) => Some(Due { id, is_new: item.contains_key(NEW) }),
            _ => None,
        };
        self.due(CVES_LIST, now, limit, due).await
    }
}

/// Returns whether a source of single vulnerabilities was asked.
fn was_asked(records: &SourceRecords) -> bool {
    [Source::Nvd, Source::Osv, Source::CveServices].iter().any(|source| records.sources.contains_key(source))
}

pub(super) fn read_summary(item: &Item) -> Result<VulnerabilitySummary, Error> {
    let json = text(item, SUMMARY).ok_or_else(|| corrupt(item, "no summary"))?;
    serde_json::from_str(json).map_err(|error| corrupt(item, error))
}

/// Reads the source records of an item; none if it was leased and never written.
fn read_source_records(item: &Item) -> Result<Option<SourceRecords>, Error> {
    item.contains_key(BLOB).then(|| unpacked(item, MAX_JSON)).transpose()
}
