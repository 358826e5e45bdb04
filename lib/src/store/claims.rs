//! Who ingests a report: one at a time, and for good only once.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::error::{BuildError, SdkError};
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, Delete, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::condition_failed;
use super::item::{Item, key_of};
use super::keys::{INGESTING_LIST, Key, LISTING, PK, RANK, SCAN_ID};
use super::{Error, Store, millis};
use crate::domain::random;
use crate::domain::report_hash::ReportHash;
use crate::domain::scan::ScanId;
use crate::report;

pub(super) const STATE: &str = "state";
pub(super) const ATTEMPT: &str = "attempt";
pub(super) const INGESTING: &str = "ingesting";
pub(super) const COMPLETE: &str = "complete";
pub(super) const DELETING: &str = "deleting";
pub(super) const HOLDER: &str = "holder";
pub(super) const LEASE_UNTIL: &str = "lease_until";
/// Of a scan that was taken back to be ingested again: a [`Former`].
pub(super) const FORMER: &str = "former";
/// The version of the canonical form that the hash is of.
const FORM: &str = "form";

/// Names one attempt at ingesting: a text that no other attempt has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder(String);

impl Holder {
    /// A name made of 128 random bits.
    ///
    /// # Errors
    /// If the operating system has no randomness.
    pub fn random() -> Result<Self, getrandom::Error> {
        random::name().map(Self)
    }

    /// The same with the id of a request before it, so that the claim leads to the log. An empty id
    /// changes nothing.
    #[must_use]
    pub fn of_request(self, request_id: &str) -> Self {
        if request_id.is_empty() { self } else { Self(format!("{request_id}/{}", self.0)) }
    }

    /// The id of the request; empty if there is none.
    #[must_use]
    pub fn request_id(&self) -> &str {
        self.0.split_once('/').map_or("", |(request_id, _)| request_id)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The right to ingest one report until the lease is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The report.
    pub hash: ReportHash,
    /// The fencing token: higher with every take-over. What is written last is written only if
    /// this is still the highest.
    pub attempt: u64,
    /// The number that an earlier attempt took for this report; every later one uses it again.
    pub scan_id: Option<ScanId>,
    /// What the scan of that number was before it was taken back.
    pub former: Option<Former>,
}

/// A scan that is ingested again, as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Former {
    /// How many findings it had: what is not written over is to be removed.
    pub findings: u32,
    /// It keeps its times: when its content was first seen,
    pub scan_timestamp: Timestamp,
    /// when it was last seen,
    pub last_seen_at: Timestamp,
    /// whether these are the times of its ingestion,
    pub undated: bool,
    /// and when Sirius first took it in.
    pub ingested_at: Timestamp,
    /// It had been confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_until: Option<Timestamp>,
}

/// A report whose ingestion was begun and not finished in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// The report.
    pub hash: ReportHash,
    /// When the lease of its last attempt was over.
    pub since: Timestamp,
}

/// How a claim was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// The report is ours to ingest.
    Ours(Claim),
    /// The report is ingested already.
    Complete(ScanId),
    /// Another attempt is at it, at most until then.
    Busy {
        /// When its lease is over.
        until: Timestamp,
    },
    /// The scan that the report became is being deleted.
    Deleting {
        /// When whoever is at that is at it no more.
        until: Timestamp,
    },
}

/// The claim as it is stored.
#[derive(Debug, Deserialize)]
struct Stored {
    state: String,
    holder: String,
    attempt: u64,
    lease_until: i64,
    scan_id: Option<ScanId>,
    former: Option<Former>,
}

impl Stored {
    fn read(hash: ReportHash, item: HashMap<String, AttributeValue>) -> Result<Self, Error> {
        serde_dynamo::from_item(item).map_err(|error| Error::corrupt(Key::Claim(hash).pk(), error))
    }

    fn into_claim(self, hash: ReportHash) -> Claim {
        Claim { hash, attempt: self.attempt, scan_id: self.scan_id, former: self.former }
    }
}

impl Store {
    /// Claims a report for `holder` in one conditional write, which also tells what stands in the way.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn claim(
        &self,
        hash: ReportHash,
        holder: &Holder,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Claimed, Error> {
        let condition = "attribute_not_exists(#pk) OR (#state = :ingesting AND #until < :now)";
        let claimed = self.claim_if(condition, hash, holder, now, lease).await?;
        claimed.ok_or_else(|| Error::corrupt(Key::Claim(hash).pk(), "neither there nor not there"))
    }

    /// Claims a report whose ingestion was begun and not finished. None if there is no such report
    /// (any more): it was deleted meanwhile, and must not come back.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn take_over(
        &self,
        hash: ReportHash,
        holder: &Holder,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<Claimed>, Error> {
        let condition = "attribute_exists(#pk) AND #state = :ingesting AND #until < :now";
        self.claim_if(condition, hash, holder, now, lease).await
    }

    async fn claim_if(
        &self,
        condition: &str,
        hash: ReportHash,
        holder: &Holder,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<Claimed>, Error> {
        const OPERATION: &str = "UpdateItem(claim)";
        let until =
            now.checked_add(lease).map_err(|source| Error::Refused { operation: OPERATION, source: source.into() })?;
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::Claim(hash).attributes()))
            .update_expression(
                "SET #state = :ingesting, #until = :until, #holder = :holder, #listing = :list, #rank = :until, \
                 #form = if_not_exists(#form, :form), #attempt = if_not_exists(#attempt, :seed) + :one",
            )
            .condition_expression(condition)
            .expression_attribute_names("#pk", PK)
            .expression_attribute_names("#state", STATE)
            .expression_attribute_names("#until", LEASE_UNTIL)
            .expression_attribute_names("#holder", HOLDER)
            .expression_attribute_names("#attempt", ATTEMPT)
            .expression_attribute_names("#listing", LISTING)
            .expression_attribute_names("#rank", RANK)
            .expression_attribute_names("#form", FORM)
            .expression_attribute_values(":form", AttributeValue::N(report::FORM.to_string()))
            .expression_attribute_values(":list", AttributeValue::S(INGESTING_LIST.to_owned()))
            .expression_attribute_values(":ingesting", AttributeValue::S(INGESTING.to_owned()))
            .expression_attribute_values(":until", AttributeValue::N(millis(until)))
            .expression_attribute_values(":now", AttributeValue::N(millis(now)))
            .expression_attribute_values(":holder", AttributeValue::S(holder.0.clone()))
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()))
            // A claim that was given up, or went with its scan, and is made again must not count from 1 again.
            .expression_attribute_values(":seed", AttributeValue::N(millis(now)))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let stored = match answer {
            Ok(updated) => Stored::read(hash, updated.attributes.unwrap_or_default())?,
            Err(error) => match condition_failed(OPERATION, error)? {
                Some(item) => Stored::read(hash, item)?,
                None => return Ok(None),
            },
        };
        // Also on a failed condition: if the answer to our own write was lost, the SDK's second try
        // meets the claim that its first one made.
        if stored.state == INGESTING && stored.holder == holder.0 {
            return Ok(Some(Claimed::Ours(stored.into_claim(hash))));
        }
        match (stored.state.as_str(), stored.scan_id) {
            (COMPLETE, Some(scan_id)) => Ok(Some(Claimed::Complete(scan_id))),
            (state @ (INGESTING | DELETING), _) => match Timestamp::from_millisecond(stored.lease_until) {
                Ok(until) if state == DELETING => Ok(Some(Claimed::Deleting { until })),
                Ok(until) => Ok(Some(Claimed::Busy { until })),
                Err(error) => Err(Error::corrupt(Key::Claim(hash).pk(), error)),
            },
            (other, _) => Err(Error::corrupt(Key::Claim(hash).pk(), format!("state {other}"))),
        }
    }

    /// The scan id for a claimed report: the one that the claim remembers, or a new one that it
    /// will remember from now on.
    ///
    /// # Errors
    /// [`Error::LostClaim`] if another attempt took over, and those of any call.
    pub async fn number(&self, claim: &Claim) -> Result<ScanId, Error> {
        const OPERATION: &str = "UpdateItem(claim number)";
        if let Some(scan_id) = claim.scan_id {
            return Ok(scan_id);
        }
        let fresh = self.next_scan_id().await?;
        let updated = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::Claim(claim.hash).attributes()))
            .update_expression("SET #scan = if_not_exists(#scan, :scan)")
            .condition_expression("#state = :ingesting AND #attempt = :attempt")
            .expression_attribute_names("#scan", SCAN_ID)
            .expression_attribute_names("#state", STATE)
            .expression_attribute_names("#attempt", ATTEMPT)
            .expression_attribute_values(":scan", AttributeValue::N(fresh.to_string()))
            .expression_attribute_values(":ingesting", AttributeValue::S(INGESTING.to_owned()))
            .expression_attribute_values(":attempt", AttributeValue::N(claim.attempt.to_string()))
            .return_values(ReturnValue::AllNew)
            .send()
            .await
            .map_err(|error| lost_or(OPERATION, error))?;
        Stored::read(claim.hash, updated.attributes.unwrap_or_default())?
            .scan_id
            .ok_or_else(|| Error::corrupt(Key::Claim(claim.hash).pk(), "no scan_id"))
    }

    /// Ends a lease early, so that the next delivery need not wait for it; for recovery it counts as
    /// over since `due`. To fail at this is harmless: the lease ends by itself.
    ///
    /// # Errors
    /// [`Error::LostClaim`] if another attempt took over, and those of any call.
    pub async fn release(&self, claim: &Claim, due: Timestamp) -> Result<(), Error> {
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::Claim(claim.hash).attributes()))
            .update_expression("SET #until = :never, #rank = :due")
            .condition_expression("#state = :ingesting AND #attempt = :attempt")
            .expression_attribute_names("#until", LEASE_UNTIL)
            .expression_attribute_names("#state", STATE)
            .expression_attribute_names("#attempt", ATTEMPT)
            .expression_attribute_names("#rank", RANK)
            .expression_attribute_values(":never", AttributeValue::N("0".to_owned()))
            .expression_attribute_values(":due", AttributeValue::N(millis(due)))
            .expression_attribute_values(":ingesting", AttributeValue::S(INGESTING.to_owned()))
            .expression_attribute_values(":attempt", AttributeValue::N(claim.attempt.to_string()))
            .send()
            .await
            .map_err(|error| lost_or("UpdateItem(claim release)", error))?;
        Ok(())
    }

    /// Reports whose ingestion was begun and not finished by `before`, the longest ago first.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn unfinished(&self, before: Timestamp, limit: usize) -> Result<Vec<Unfinished>, Error> {
        self.due(INGESTING_LIST, before, limit).await?.into_iter().map(|(at, item)| unfinished(at, &item)).collect()
    }

    /// The claim of a report, if `holder` has it.
    pub(super) async fn claim_of(&self, hash: ReportHash, holder: &Holder) -> Result<Option<Claim>, Error> {
        let got = self.get("GetItem(claim)", &Key::Claim(hash), true).await?;
        let stored = got.map(|item| Stored::read(hash, item)).transpose()?;
        let ours = stored.filter(|stored| stored.state == INGESTING && stored.holder == holder.0);
        Ok(ours.map(|stored| stored.into_claim(hash)))
    }

    /// Gives a claim up for good, as if the report had never been sent. To do it again is success.
    ///
    /// # Errors
    /// [`Error::LostClaim`] if another attempt took over, and those of any call.
    pub async fn abandon(&self, claim: &Claim) -> Result<(), Error> {
        const OPERATION: &str = "TransactWriteItems(abandon)";
        let refused = |source: BuildError| Error::Refused { operation: OPERATION, source: source.into() };
        let delete = |key: Key| Delete::builder().table_name(&self.table).set_key(Some(key.attributes()));
        let ours = delete(Key::Claim(claim.hash))
            .condition_expression("attribute_not_exists(#pk) OR (#state = :ingesting AND #attempt = :attempt)")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_names("#state", STATE)
            .expression_attribute_names("#attempt", ATTEMPT)
            .expression_attribute_values(":ingesting", AttributeValue::S(INGESTING.to_owned()))
            .expression_attribute_values(":attempt", AttributeValue::N(claim.attempt.to_string()));
        let mut writes = vec![TransactWriteItem::builder().delete(ours.build().map_err(refused)?).build()];
        if let Some(scan) = claim.scan_id {
            let reopened = delete(Key::Reopened(scan)).build().map_err(refused)?;
            writes.push(TransactWriteItem::builder().delete(reopened).build());
        }
        if self.transact(OPERATION, writes).await?.is_written() { Ok(()) } else { Err(Error::LostClaim) }
    }
}

fn unfinished(since: Timestamp, item: &Item) -> Result<Unfinished, Error> {
    match key_of(item) {
        Some(Key::Claim(hash)) => Ok(Unfinished { hash, since }),
        _ => Err(Error::corrupt(format!("{:?}", item.get(PK)), "not the claim of a report")),
    }
}

type UpdateFailed = SdkError<UpdateItemError, HttpResponse>;

fn lost_or(operation: &'static str, error: UpdateFailed) -> Error {
    match condition_failed(operation, error) {
        Ok(_) => Error::LostClaim,
        Err(error) => error,
    }
}
