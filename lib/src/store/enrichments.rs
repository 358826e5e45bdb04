//! What is known of vulnerabilities: dossiers, leased while their sources are asked, and signals.
//!
//! A lease fences: each taking counts up, and what is written carries the count. One that has lost its
//! lease writes nothing, be it to the dossier or to the signals.

use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;
use std::time::Duration;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;

use super::claims::{ATTEMPT, HOLDER, Holder, LEASE_UNTIL};
use super::error::condition_failed;
use super::item::{Item, key_of};
use super::keys::{CVES_LIST, Key, LISTING, LISTING_INDEX, PK, RANK};
use super::{Error, Store, millis};
use crate::domain::vulnerability::id::VulnerabilityId;
use crate::domain::vulnerability::{Source, SourceRecords, VulnerabilitySummary};

/// Calls under way at once.
const CONCURRENCY: usize = 16;
/// The largest dossier, as JSON; the longest that sources can make is some 300 KB.
const MAX_JSON: u64 = 4 << 20;
const LEVEL: i32 = 3;

const BLOB: &str = "z";
const SIGNALS: &str = "signals";
/// Of signals: no source was asked yet.
const NEW: &str = "is_new";

/// The right to write a dossier until the lease is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Lease {
    /// The vulnerability.
    pub id: VulnerabilityId,
    /// The fencing token: higher with every taking.
    pub attempt: u64,
    /// What is known so far; none if nothing.
    pub dossier: Option<SourceRecords>,
}

/// A vulnerability of which a source is to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Which.
    pub id: VulnerabilityId,
    /// No source was asked about it yet.
    pub is_new: bool,
}

/// A place in the list of known vulnerabilities.
#[derive(Debug, Clone)]
pub struct Place(Item);

impl Store {
    /// The signals of vulnerabilities, a hundred in each round trip; those unknown are missing.
    ///
    /// The read is eventually consistent: what was written in the last second may be missing.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn signals(
        &self,
        ids: &[VulnerabilityId],
    ) -> Result<BTreeMap<VulnerabilityId, VulnerabilitySummary>, Error> {
        let mut ids = ids.to_vec();
        ids.sort();
        ids.dedup();
        let keys = ids.into_iter().map(Key::Signals).collect();
        let read = self.batch_get_all("BatchGetItem(signals)", keys, false).await?;
        read.iter().map(|item| read_signals(item).map(|signals| (signals.id.clone(), signals))).collect()
    }

    /// What each source says of a vulnerability; none if it is unknown.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn dossier(&self, id: &VulnerabilityId) -> Result<Option<SourceRecords>, Error> {
        let got = self.get("GetItem(dossier)", &Key::Dossier(id.clone()), false).await?;
        got.map_or(Ok(None), |item| read_dossier(id, &item))
    }

    /// Takes leases for `holder`, one by one; answers those it got. Who has the others is at work on them.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn take_dossiers(
        &self,
        ids: &[VulnerabilityId],
        holder: &Holder,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Vec<Lease>, Error> {
        let taken: Vec<Option<Lease>> = stream::iter(ids.to_vec())
            .map(|id| self.take_dossier(id, holder, now, lease))
            .buffered(CONCURRENCY)
            .try_collect()
            .await?;
        Ok(taken.into_iter().flatten().collect())
    }

    async fn take_dossier(
        &self,
        id: VulnerabilityId,
        holder: &Holder,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<Lease>, Error> {
        const OPERATION: &str = "UpdateItem(dossier lease)";
        let until =
            now.checked_add(lease).map_err(|source| Error::Refused { operation: OPERATION, source: source.into() })?;
        let taken = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::Dossier(id.clone()).attributes()))
            .update_expression(
                "SET #until = :until, #holder = :holder, #attempt = if_not_exists(#attempt, :seed) + :one",
            )
            // Also ours: if the answer to our own write was lost, the SDK tries a second time.
            .condition_expression("attribute_not_exists(#until) OR #until < :now OR #holder = :holder")
            .expression_attribute_names("#until", LEASE_UNTIL)
            .expression_attribute_names("#holder", HOLDER)
            .expression_attribute_names("#attempt", ATTEMPT)
            .expression_attribute_values(":until", AttributeValue::N(millis(until)))
            .expression_attribute_values(":now", AttributeValue::N(millis(now)))
            .expression_attribute_values(":holder", AttributeValue::S(holder.as_str().to_owned()))
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()))
            // A record that was dropped and comes again must not count from 1 again.
            .expression_attribute_values(":seed", AttributeValue::N(millis(now)))
            .return_values(ReturnValue::AllNew)
            .send()
            .await;
        let item = match taken {
            Ok(updated) => updated.attributes.unwrap_or_default(),
            Err(error) => return condition_failed(OPERATION, error).map(|_| None),
        };
        let attempt = item.get(ATTEMPT).and_then(|n| n.as_n().ok()?.parse().ok());
        let attempt = attempt.ok_or_else(|| Error::corrupt(&id, "no attempt"))?;
        let dossier = read_dossier(&id, &item)?;
        Ok(Some(Lease { id, attempt, dossier }))
    }

    /// Writes a dossier and its signals, and ends the lease. To do it again is success. Answers false,
    /// and has changed nothing, if the lease was lost.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn put_dossier(
        &self,
        lease: &Lease,
        dossier: &SourceRecords,
        signals: &VulnerabilitySummary,
    ) -> Result<bool, Error> {
        const OPERATION: &str = "UpdateItem(dossier)";
        let refused =
            |source: Box<dyn std::error::Error + Send + Sync>| Error::Refused { operation: OPERATION, source };
        let json = serde_json::to_vec(dossier).map_err(|error| refused(error.into()))?;
        let blob = zstd::bulk::compress(&json, LEVEL).map_err(|error| refused(error.into()))?;
        let written = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::Dossier(lease.id.clone()).attributes()))
            .update_expression("SET #blob = :blob REMOVE #until, #holder")
            .condition_expression("#attempt = :attempt")
            .expression_attribute_names("#blob", BLOB)
            .expression_attribute_names("#until", LEASE_UNTIL)
            .expression_attribute_names("#holder", HOLDER)
            .expression_attribute_names("#attempt", ATTEMPT)
            .expression_attribute_values(":blob", AttributeValue::B(Blob::new(blob)))
            .expression_attribute_values(":attempt", AttributeValue::N(lease.attempt.to_string()))
            .send()
            .await;
        if let Err(error) = written {
            return condition_failed(OPERATION, error).map(|_| false);
        }
        // Second: cut off here, the old signals are still due, and whoever takes the lease then finds
        // the answers in the dossier and writes the signals without asking a source.
        self.put_signals(lease, dossier, signals).await?;
        self.put_new_aliases(lease.dossier.as_ref(), dossier).await?;
        Ok(true)
    }

    async fn put_signals(
        &self,
        lease: &Lease,
        dossier: &SourceRecords,
        signals: &VulnerabilitySummary,
    ) -> Result<(), Error> {
        const OPERATION: &str = "PutItem(signals)";
        let json = serde_json::to_string(signals)
            .map_err(|source| Error::Refused { operation: OPERATION, source: source.into() })?;
        let mut item = Key::Signals(lease.id.clone()).attributes();
        item.extend(HashMap::from([
            (SIGNALS.to_owned(), AttributeValue::S(json)),
            (ATTEMPT.to_owned(), AttributeValue::N(lease.attempt.to_string())),
            (LISTING.to_owned(), AttributeValue::S(CVES_LIST.to_owned())),
            (RANK.to_owned(), AttributeValue::N(millis(signals.next_fetch))),
        ]));
        if !was_asked(dossier) {
            item.insert(NEW.to_owned(), AttributeValue::Bool(true));
        }
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(#attempt) OR #attempt <= :attempt")
            .expression_attribute_names("#attempt", ATTEMPT)
            .expression_attribute_values(":attempt", AttributeValue::N(lease.attempt.to_string()))
            .send()
            .await;
        match put {
            Ok(_) => Ok(()),
            // Somebody has taken the lease since and written newer ones.
            Err(SdkError::ServiceError(service)) if service.err().is_conditional_check_failed_exception() => Ok(()),
            Err(error) => Err(Error::sdk(OPERATION, error)),
        }
    }

    /// Known vulnerabilities, the longest due first: up to `limit` after a place, and the place to go on
    /// from, if there may be more. One that is fetched meanwhile may come twice or not at all.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn known_cves(
        &self,
        after: Option<Place>,
        limit: usize,
    ) -> Result<(Vec<VulnerabilitySummary>, Option<Place>), Error> {
        let page = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(LISTING_INDEX)
            .key_condition_expression("#listing = :list")
            .expression_attribute_names("#listing", LISTING)
            .expression_attribute_values(":list", AttributeValue::S(CVES_LIST.to_owned()))
            .set_exclusive_start_key(after.map(|Place(key)| key))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|error| Error::sdk("Query(known CVEs)", error))?;
        // One that cannot be read must not keep the others from what is new.
        let read = |item: &Item| {
            let unreadable = |error: &Error| tracing::error!(%error, "signals are not readable");
            read_signals(item).inspect_err(unreadable).ok()
        };
        let signals = page.items.unwrap_or_default().iter().filter_map(read).collect();
        Ok((signals, page.last_evaluated_key.map(Place)))
    }

    /// Vulnerabilities of which a source is to be asked by now, the longest due first.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn due_cves(&self, now: Timestamp, limit: usize) -> Result<Vec<Due>, Error> {
        let items = self.due(CVES_LIST, now, limit).await?;
        let due = |(_, item): &(Timestamp, Item)| match key_of(item) {
            Some(Key::Signals(id)) => Some(Due { id, is_new: item.contains_key(NEW) }),
            _ => None,
        };
        Ok(items.iter().filter_map(due).collect())
    }
}

/// Whether any source was asked that is asked vulnerability by vulnerability.
fn was_asked(dossier: &SourceRecords) -> bool {
    [Source::Nvd, Source::Osv, Source::CveServices].iter().any(|source| dossier.sources.contains_key(source))
}

pub(super) fn read_signals(item: &Item) -> Result<VulnerabilitySummary, Error> {
    let corrupt = |reason: String| Error::corrupt(format!("{:?}", item.get(PK)), reason);
    let json = item.get(SIGNALS).and_then(|json| json.as_s().ok()).ok_or_else(|| corrupt("no signals".to_owned()))?;
    serde_json::from_str(json).map_err(|error| corrupt(error.to_string()))
}

/// The dossier in an item; none if it is only leased so far.
fn read_dossier(id: &VulnerabilityId, item: &Item) -> Result<Option<SourceRecords>, Error> {
    let Some(blob) = item.get(BLOB) else { return Ok(None) };
    let blob = blob.as_b().map_err(|_| Error::corrupt(id, "its blob is not binary"))?;
    let json = unzip(blob.as_ref(), MAX_JSON).map_err(|error| Error::corrupt(id, error))?;
    serde_json::from_slice(&json).map_err(|error| Error::corrupt(id, error))
}

/// Undoes zstd, up to `max` bytes.
pub(super) fn unzip(blob: &[u8], max: u64) -> std::io::Result<Vec<u8>> {
    let mut json = Vec::new();
    zstd::Decoder::new(blob)?.take(max).read_to_end(&mut json)?;
    Ok(json)
}
