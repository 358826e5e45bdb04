//! Analyses: asked for once per prompt, worked at by one, kept for everyone.
//!
//! Two items share the partition of a prompt's hash. `QUESTION` is what to ask, written once and
//! never changed, since the hash is its own. `ANALYSIS` is small, and all that readers read.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use jiff::Timestamp;
use serde::Deserialize;

use super::error::condition_failed;
use super::item::{Item, key_of};
use super::keys::{Key, LISTING, LISTING_INDEX, PENDING_LIST, PK, RANK};
use super::{Error, Store, millis};
use crate::domain::analysis::{Analysis, Answered, Failure, Status};
use crate::domain::prompt_hash::PromptHash;

const STATUS: &str = "status";
const PENDING: &str = "pending";
const COMPLETED: &str = "completed";
const FAILED: &str = "failed";
/// The fencing token of whoever works at it.
const ATTEMPT: &str = "attempt";
/// Until when nobody else may work at it: a worker's lease, or a back-off.
const UNTIL: &str = "until";
const ANSWER: &str = "answer";
const FAILURE: &str = "failure";
/// How often in a row the host could not answer.
const POSTPONED: &str = "postponed";
/// How often in a row of those it was reached, and failed all the same.
const REACHED: &str = "reached";
/// How many turns in a row nobody has ended.
const UNENDED: &str = "unended";
/// How often a message about it was sent again.
const RESENT: &str = "resent";
const QUESTION: &str = "question";

/// What asking for an analysis came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked {
    /// It is pending now and was not before: someone must be told.
    New,
    /// It was there already.
    Existing(Box<Analysis>),
}

/// The right to work at an analysis until a lease is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// Which analysis.
    pub hash: PromptHash,
    /// The fencing token.
    pub attempt: u64,
    /// How often in a row the host could not answer before this turn.
    pub postponed: u32,
    /// How often in a row of those it was reached, and failed all the same.
    pub reached: u32,
    /// Turns in a row, this one included, that nobody has ended: their workers died.
    pub unended: u32,
    /// An earlier answer stands.
    pub has_answer: bool,
}

/// How a worker's wish for a turn was answered.
#[derive(Debug, Clone, PartialEq)]
pub enum TurnAnswer {
    /// It is this worker's turn.
    Yours(Turn),
    /// Nothing to do: answered or failed, worked at by another, or not due yet. With the reason if
    /// it failed.
    NotNow(Option<Failure>),
    /// There is no such analysis.
    Unknown,
}

/// A pending analysis that it is time to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Which analysis.
    pub hash: PromptHash,
    /// Since when it has been due.
    pub at: Timestamp,
    /// How often a message about it was sent again.
    pub resent: u32,
    /// A worker had it, and did not get to its end before its lease was over.
    pub is_stuck: bool,
}

#[derive(Deserialize)]
struct Pending {
    attempt: u64,
    #[serde(default)]
    postponed: u32,
    #[serde(default)]
    reached: u32,
    #[serde(default)]
    unended: u32,
    answer: Option<serde::de::IgnoredAny>,
}

impl Store {
    /// An analysis, as it stands now.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn analysis(&self, hash: &PromptHash) -> Result<Option<Analysis>, Error> {
        let found = self.get("GetItem(analysis)", &Key::Analysis(hash.clone()), true).await?;
        found.map(|item| read(hash, item)).transpose()
    }

    /// The analyses that exist among those of `hashes`, which must be distinct: one round trip for
    /// each hundred.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn analyses(&self, hashes: &[PromptHash]) -> Result<HashMap<PromptHash, Analysis>, Error> {
        let keys = hashes.iter().cloned().map(Key::Analysis).collect();
        let items = self.batch_get_all("BatchGetItem(analyses)", keys, false).await?;
        let read = |item: Item| {
            let hash = hash_of(&item)?;
            let analysis = read(&hash, item)?;
            Ok((hash, analysis))
        };
        items.into_iter().map(read).collect()
    }

    /// Writes down what is asked under a hash. It comes before asking: a pending analysis without
    /// its question could not be worked at. The first one stands, so that nobody changes the facts
    /// under a worker; with `anew`, where nobody works at it, it is replaced.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn put_question(&self, hash: &PromptHash, question: &str, anew: bool) -> Result<(), Error> {
        const OPERATION: &str = "PutItem(question)";
        let mut item = Key::Question(hash.clone()).attributes();
        item.insert(QUESTION.to_owned(), AttributeValue::S(question.to_owned()));
        let mut put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        if !anew {
            put = put.condition_expression("attribute_not_exists(#pk)").expression_attribute_names("#pk", PK);
        }
        match put.send().await {
            Err(SdkError::ServiceError(service)) if service.err().is_conditional_check_failed_exception() => Ok(()),
            Err(error) => Err(Error::sdk(OPERATION, error)),
            Ok(_) => Ok(()),
        }
    }

    /// Makes an analysis pending unless there is one. `due` is when to look whether the message
    /// about it was lost.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn ask(&self, hash: &PromptHash, due: Timestamp) -> Result<Asked, Error> {
        const OPERATION: &str = "UpdateItem(ask)";
        let asked = self
            .update(&Key::Analysis(hash.clone()))
            .update_expression(
                "SET #status = :pending, #until = :never, #listing = :list, #rank = :due ADD #attempt :one",
            )
            .condition_expression("attribute_not_exists(#pk)")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_names("#status", STATUS)
            .expression_attribute_names("#until", UNTIL)
            .expression_attribute_names("#listing", LISTING)
            .expression_attribute_names("#rank", RANK)
            .expression_attribute_names("#attempt", ATTEMPT)
            .expression_attribute_values(":pending", text(PENDING))
            .expression_attribute_values(":never", number(0))
            .expression_attribute_values(":list", text(PENDING_LIST))
            .expression_attribute_values(":due", AttributeValue::N(millis(due)))
            .expression_attribute_values(":one", number(1))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match asked {
            Ok(_) => Ok(Asked::New),
            Err(error) => match condition_failed(OPERATION, error)? {
                Some(item) => Ok(Asked::Existing(Box::new(read(hash, item)?))),
                None => Err(Error::corrupt(Key::Analysis(hash.clone()).pk(), "vanished while it was asked for")),
            },
        }
    }

    /// Makes an analysis that was `seen` completed or failed, pending again. Its answer stays until
    /// there is a new one. Answers whether this call did it: not if it has changed since.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn ask_again(&self, hash: &PromptHash, seen: Status, due: Timestamp) -> Result<bool, Error> {
        let seen = match seen {
            Status::Pending => return Ok(false),
            Status::Completed => COMPLETED,
            Status::Failed => FAILED,
        };
        let asked = self
            .update(&Key::Analysis(hash.clone()))
            .update_expression(
                "SET #status = :pending, #until = :never, #listing = :list, #rank = :due \
                 REMOVE #failure, #postponed, #reached, #unended, #resent ADD #attempt :one",
            )
            .condition_expression("#status = :seen")
            .expression_attribute_values(":seen", text(seen))
            .expression_attribute_names("#reached", REACHED)
            .expression_attribute_names("#status", STATUS)
            .expression_attribute_names("#until", UNTIL)
            .expression_attribute_names("#listing", LISTING)
            .expression_attribute_names("#rank", RANK)
            .expression_attribute_names("#failure", FAILURE)
            .expression_attribute_names("#postponed", POSTPONED)
            .expression_attribute_names("#unended", UNENDED)
            .expression_attribute_names("#resent", RESENT)
            .expression_attribute_names("#attempt", ATTEMPT)
            .expression_attribute_values(":pending", text(PENDING))
            .expression_attribute_values(":never", number(0))
            .expression_attribute_values(":list", text(PENDING_LIST))
            .expression_attribute_values(":due", AttributeValue::N(millis(due)))
            .expression_attribute_values(":one", number(1))
            .send()
            .await;
        Ok(match asked {
            Ok(_) => true,
            Err(error) => {
                condition_failed("UpdateItem(ask again)", error)?;
                false
            }
        })
    }

    /// Takes a turn at a pending analysis that nobody is at, for as long as `lease`.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn take_turn(&self, hash: &PromptHash, now: Timestamp, lease: Duration) -> Result<TurnAnswer, Error> {
        const OPERATION: &str = "UpdateItem(turn)";
        let until = later(OPERATION, now, lease)?;
        let taken = self
            .update(&Key::Analysis(hash.clone()))
            .update_expression("SET #until = :until, #rank = :until ADD #attempt :one, #unended :one")
            .condition_expression("#status = :pending AND #until <= :now")
            .expression_attribute_names("#unended", UNENDED)
            .expression_attribute_names("#status", STATUS)
            .expression_attribute_names("#until", UNTIL)
            .expression_attribute_names("#rank", RANK)
            .expression_attribute_names("#attempt", ATTEMPT)
            .expression_attribute_values(":pending", text(PENDING))
            .expression_attribute_values(":until", AttributeValue::N(millis(until)))
            .expression_attribute_values(":now", AttributeValue::N(millis(now)))
            .expression_attribute_values(":one", number(1))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match taken {
            Ok(updated) => {
                let pending: Pending = serde_dynamo::from_item(updated.attributes.unwrap_or_default())
                    .map_err(|error| Error::corrupt(Key::Analysis(hash.clone()).pk(), error))?;
                let Pending { attempt, postponed, reached, unended, answer } = pending;
                let has_answer = answer.is_some();
                Ok(TurnAnswer::Yours(Turn { hash: hash.clone(), attempt, postponed, reached, unended, has_answer }))
            }
            // If the answer to our own write was lost, its repetition ends here too: the lease then
            // runs out by itself, and recovery sends the message again.
            Err(error) => match condition_failed(OPERATION, error)? {
                Some(item) => {
                    let analysis = read(hash, item)?;
                    Ok(TurnAnswer::NotNow(analysis.failure.filter(|_| analysis.status == Status::Failed)))
                }
                None => Ok(TurnAnswer::Unknown),
            },
        }
    }

    /// What is to be asked under a hash.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn question(&self, hash: &PromptHash) -> Result<Option<String>, Error> {
        let key = Key::Question(hash.clone());
        let found = self.get("GetItem(question)", &key, true).await?;
        match found.and_then(|mut item| item.remove(QUESTION)) {
            Some(AttributeValue::S(question)) => Ok(Some(question)),
            Some(_) => Err(Error::corrupt(key.pk(), "its question is not text")),
            None => Ok(None),
        }
    }

    /// Stores an answer, if it is still this turn's to give.
    ///
    /// # Errors
    /// [`Error::LostClaim`] if another worker has a later turn, and those of any call.
    pub async fn complete_analysis(&self, turn: &Turn, answer: &Answered) -> Result<(), Error> {
        let answer = to_value("UpdateItem(complete)", answer)?;
        self.finish(
            turn,
            "UpdateItem(complete)",
            "SET #status = :status, #answer = :value REMOVE #listing, #rank, #until, #failure, #postponed, #reached, #unended, #resent",
            COMPLETED,
            (ANSWER, answer),
        )
        .await
    }

    /// Gives up, if it is still this turn's to do. An earlier answer, if there is one, stands.
    ///
    /// # Errors
    /// [`Error::LostClaim`] if another worker has a later turn, and those of any call.
    pub async fn fail_analysis(&self, turn: &Turn, failure: &Failure) -> Result<(), Error> {
        let status = if turn.has_answer { COMPLETED } else { FAILED };
        let failure = to_value("UpdateItem(fail)", failure)?;
        self.finish(
            turn,
            "UpdateItem(fail)",
            "SET #status = :status, #failure = :value REMOVE #listing, #rank, #until, #postponed, #reached, #unended, #resent",
            status,
            (FAILURE, failure),
        )
        .await
    }

    async fn finish(
        &self,
        turn: &Turn,
        operation: &'static str,
        expression: &str,
        status: &str,
        (name, value): (&str, AttributeValue),
    ) -> Result<(), Error> {
        let placeholder = format!("#{name}");
        let mut update = self
            .update(&Key::Analysis(turn.hash.clone()))
            .update_expression(expression)
            .condition_expression("#status = :pending AND #attempt = :attempt")
            .expression_attribute_names(placeholder, name)
            .expression_attribute_names("#status", STATUS)
            .expression_attribute_names("#attempt", ATTEMPT)
            .expression_attribute_names("#listing", LISTING)
            .expression_attribute_names("#rank", RANK)
            .expression_attribute_names("#until", UNTIL)
            .expression_attribute_names("#postponed", POSTPONED)
            .expression_attribute_names("#unended", UNENDED)
            .expression_attribute_names("#resent", RESENT)
            .expression_attribute_names("#reached", REACHED)
            .expression_attribute_values(":value", value)
            .expression_attribute_values(":status", text(status))
            .expression_attribute_values(":pending", text(PENDING))
            .expression_attribute_values(":attempt", number(turn.attempt))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        if name != FAILURE && expression.contains("#failure") {
            update = update.expression_attribute_names("#failure", FAILURE);
        }
        self.ours_or_done(turn, operation, status, update.send().await.map(drop))
    }

    /// Ends a turn without an answer: nobody takes another one before the failure's `retry_at`.
    /// `reached` tells whether the host was.
    ///
    /// # Errors
    /// [`Error::LostClaim`] if another worker has a later turn, and those of any call.
    pub async fn postpone_analysis(&self, turn: &Turn, failure: &Failure, reached: bool) -> Result<(), Error> {
        const OPERATION: &str = "UpdateItem(postpone)";
        let until = AttributeValue::N(millis(failure.retry_at));
        let updated = self
            .update(&Key::Analysis(turn.hash.clone()))
            .update_expression(
                "SET #until = :until, #rank = :until, #failure = :failure, #postponed = :postponed, #reached = :reached REMOVE #unended, #resent",
            )
            .condition_expression("#status = :pending AND #attempt = :attempt")
            .expression_attribute_names("#status", STATUS)
            .expression_attribute_names("#attempt", ATTEMPT)
            .expression_attribute_names("#until", UNTIL)
            .expression_attribute_names("#rank", RANK)
            .expression_attribute_names("#failure", FAILURE)
            .expression_attribute_names("#postponed", POSTPONED)
            .expression_attribute_names("#resent", RESENT)
            .expression_attribute_names("#unended", UNENDED)
            .expression_attribute_values(":pending", text(PENDING))
            .expression_attribute_values(":attempt", number(turn.attempt))
            .expression_attribute_values(":until", until)
            .expression_attribute_values(":failure", to_value(OPERATION, failure)?)
            .expression_attribute_names("#reached", REACHED)
            .expression_attribute_values(":reached", number((turn.reached + u32::from(reached)).into()))
            .expression_attribute_values(":postponed", number(turn.postponed.saturating_add(1).into()))
            .send()
            .await;
        match updated {
            Ok(_) => Ok(()),
            Err(error) => condition_failed(OPERATION, error).and(Err(Error::LostClaim)),
        }
    }

    /// Pending analyses that are due, the longest due first.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn due_analyses(&self, now: Timestamp, limit: usize) -> Result<Vec<Due>, Error> {
        let items = self.due(PENDING_LIST, now, limit).await?;
        let number = |item: &Item, name| item.get(name).and_then(|n| n.as_n().ok()?.parse().ok()).unwrap_or_default();
        items
            .iter()
            .map(|(at, item)| {
                let (resent, unended) = (number(item, RESENT), number(item, UNENDED));
                Ok(Due { hash: hash_of(item)?, at: *at, resent, is_stuck: unended > 0 })
            })
            .collect()
    }

    /// Sets when to look at a pending analysis again, unless it has changed since it was due.
    /// Answers whether this call did it, and so may tell someone.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn look_again(&self, hash: &PromptHash, now: Timestamp, due: Timestamp) -> Result<bool, Error> {
        let updated = self
            .update(&Key::Analysis(hash.clone()))
            .update_expression("SET #rank = :due ADD #resent :one")
            .condition_expression("#status = :pending AND #rank <= :now")
            .expression_attribute_names("#resent", RESENT)
            .expression_attribute_values(":one", number(1))
            .expression_attribute_names("#status", STATUS)
            .expression_attribute_names("#rank", RANK)
            .expression_attribute_values(":pending", text(PENDING))
            .expression_attribute_values(":now", AttributeValue::N(millis(now)))
            .expression_attribute_values(":due", AttributeValue::N(millis(due)))
            .send()
            .await;
        Ok(match updated {
            Ok(_) => true,
            Err(error) => {
                condition_failed("UpdateItem(look again)", error)?;
                false
            }
        })
    }

    /// The items of a list whose time has come, the longest due first, each with that time.
    pub(super) async fn due(&self, list: &str, now: Timestamp, limit: usize) -> Result<Vec<(Timestamp, Item)>, Error> {
        let page = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(LISTING_INDEX)
            .key_condition_expression("#listing = :list AND #rank <= :now")
            .expression_attribute_names("#listing", LISTING)
            .expression_attribute_names("#rank", RANK)
            .expression_attribute_values(":list", text(list))
            .expression_attribute_values(":now", AttributeValue::N(millis(now)))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|error| Error::sdk("Query(due)", error))?;
        let at = |item: &Item| Timestamp::from_millisecond(item.get(RANK)?.as_n().ok()?.parse().ok()?).ok();
        // The index sorts by it, so each item has one.
        let with_time = |item| (at(&item).unwrap_or(now), item);
        Ok(page.items.unwrap_or_default().into_iter().map(with_time).collect())
    }

    fn update(&self, key: &Key) -> aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder {
        self.client.update_item().table_name(&self.table).set_key(Some(key.attributes()))
    }

    /// A write of a turn that met another state is lost, unless it is this turn's own write that
    /// the SDK repeated.
    fn ours_or_done(
        &self,
        turn: &Turn,
        operation: &'static str,
        status: &str,
        written: Result<(), SdkError<UpdateItemError, HttpResponse>>,
    ) -> Result<(), Error> {
        let Err(error) = written else { return Ok(()) };
        let item = condition_failed(operation, error)?.unwrap_or_default();
        let is = |name: &str, value: &str| match item.get(name) {
            Some(AttributeValue::S(text) | AttributeValue::N(text)) => text == value,
            _ => false,
        };
        if is(STATUS, status) && is(ATTEMPT, &turn.attempt.to_string()) { Ok(()) } else { Err(Error::LostClaim) }
    }
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn later(operation: &'static str, now: Timestamp, by: Duration) -> Result<Timestamp, Error> {
    now.checked_add(by).map_err(|source| Error::Refused { operation, source: source.into() })
}

pub(super) fn to_value(operation: &'static str, value: &impl serde::Serialize) -> Result<AttributeValue, Error> {
    serde_dynamo::to_attribute_value(value).map_err(|source| Error::Refused { operation, source: source.into() })
}

fn read(hash: &PromptHash, item: Item) -> Result<Analysis, Error> {
    serde_dynamo::from_item(item).map_err(|error| Error::corrupt(Key::Analysis(hash.clone()).pk(), error))
}

fn hash_of(item: &Item) -> Result<PromptHash, Error> {
    match key_of(item) {
        Some(Key::Analysis(hash)) => Ok(hash),
        _ => Err(Error::corrupt(format!("{:?}", item.get(PK)), "not the key of an analysis")),
    }
}
