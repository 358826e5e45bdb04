//! Analyses: one for each prompt, worked on by one worker at a time.
//!
//! Two items share the partition of a prompt's hash. `QUESTION` is the input of the worker. `ANALYSIS` is small, and
//! the only item that readers need. While it is pending it is under a [lease](super::lease), and a back-off is a lease
//! without an owner.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use super::expression::{Condition, Value, absent, at_most, equals};
use super::item::{Item, corrupt, key_of, number, text, typed};
use super::keys::{Key, LISTING, PENDING_LIST, PK, RANK};
use super::lease::{ATTEMPT, Acquisition, LEASE_UNTIL, OWNER, Owner, is_ours};
use super::write::{Answer, Put, Update, value_of};
use super::{Error, Store};
use crate::domain::analysis::{Analysis, Answered, Failure, Status};
use crate::domain::prompt_hash::PromptHash;

const STATUS: &str = "status";
const PENDING: &str = "pending";
const COMPLETED: &str = "completed";
const FAILED: &str = "failed";
const ANSWER: &str = "answer";
const FAILURE: &str = "failure";
/// The number of consecutive attempts in which the host could not answer.
const POSTPONED: &str = "postponed";
/// The number of consecutive attempts in which the host was reached and failed.
const REACHED: &str = "reached";
/// The number of consecutive leases that ended without a result.
const ABANDONED: &str = "abandoned";
/// The number of times that a message about it was sent again.
const RESENT: &str = "resent";
const QUESTION: &str = "question";

/// The right to work on an analysis until the lease ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Lease {
    /// The prompt.
    pub hash: PromptHash,
    /// The fencing token.
    pub attempt: u64,
    /// The number of consecutive earlier attempts in which the host could not answer.
    pub postponed: u32,
    /// The number of consecutive attempts in which the host was reached and failed.
    pub reached: u32,
    /// The number of consecutive leases, including this one, whose workers died.
    pub abandoned: u32,
    /// An earlier answer exists.
    pub has_answer: bool,
}

/// The result of acquiring a lease.
#[derive(Debug, Clone, PartialEq)]
pub enum Acquired {
    /// The worker has the lease.
    Ours(Lease),
    /// It is completed, failed (with the reason), leased by another worker, or not due yet.
    NotNow(Option<Failure>),
    /// It does not exist.
    Unknown,
}

/// A pending analysis that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The prompt.
    pub hash: PromptHash,
    /// Since when it has been due.
    pub at: Timestamp,
    /// The number of times that a message about it was sent again.
    pub resent: u32,
    /// A worker's lease ended without a result.
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
    abandoned: u32,
    answer: Option<serde::de::IgnoredAny>,
}

impl Store {
    /// Reads an analysis; strongly consistent.
    pub async fn analysis(&self, hash: &PromptHash) -> Result<Option<Analysis>, Error> {
        self.get("GetItem(analysis)", &Key::Analysis(hash.clone()), true).await?.map(typed).transpose()
    }

    /// Reads the analyses of distinct hashes, as far as they exist.
    pub async fn analyses(&self, hashes: &[PromptHash]) -> Result<HashMap<PromptHash, Analysis>, Error> {
        let keys = hashes.iter().cloned().map(Key::Analysis).collect();
        let items = self.batch_get_all("BatchGetItem(analyses)", keys, false).await?;
        let read = |item: Item| match key_of(&item) {
            Some(Key::Analysis(hash)) => Ok((hash, typed(item)?)),
            _ => Err(corrupt(&item, "not the key of an analysis")),
        };
        items.into_iter().map(read).collect()
    }

    /// Stores the question of a hash, before the analysis is requested. The first question is kept, so that a worker's
    /// facts never change. With `replace`, which needs that no worker has a lease, it is replaced.
    pub async fn put_question(&self, hash: &PromptHash, question: &str, replace: bool) -> Result<(), Error> {
        let put = Put::new(&Key::Question(hash.clone())).set(QUESTION, question);
        let put = if replace { put.into() } else { put.when(absent(PK)) };
        self.write("PutItem(question)", put).await.map(drop)
    }

    /// Makes an analysis pending if it does not exist, and returns whether it was missing. Recovery looks at it at
    /// `due`, in case its message is lost.
    pub async fn ask(&self, hash: &PromptHash, due: Timestamp) -> Result<bool, Error> {
        Ok(self.write("UpdateItem(ask)", pending(hash, due).when(absent(PK))).await?.is_applied())
    }

    /// Makes an analysis that was `seen` completed or failed pending again, and keeps its answer until there is a new
    /// one. Returns false if it has changed since.
    pub async fn ask_again(&self, hash: &PromptHash, seen: Status, due: Timestamp) -> Result<bool, Error> {
        let seen = match seen {
            Status::Pending => return Ok(false),
            Status::Completed => COMPLETED,
            Status::Failed => FAILED,
        };
        let update = pending(hash, due).remove([FAILURE, POSTPONED, REACHED, ABANDONED, RESENT, LEASE_UNTIL]);
        Ok(self.write("UpdateItem(ask again)", update.when(equals(STATUS, seen))).await?.is_applied())
    }

    /// Acquires the lease of a pending analysis.
    pub async fn lease_analysis(&self, hash: &PromptHash, now: Timestamp, lease: Duration) -> Result<Acquired, Error> {
        const OPERATION: &str = "UpdateItem(analysis lease)";
        let owner = Owner::random().map_err(Error::refused(OPERATION))?;
        let lease = Acquisition::new(OPERATION, &owner, now, lease)?;
        let update = lease.update(&Key::Analysis(hash.clone())).set(RANK, lease.until).add(ABANDONED, 1_u32);
        let update = update.when(equals(STATUS, PENDING).and(lease.is_allowed())).returning();
        match self.write(OPERATION, update).await? {
            Answer::Applied(item) => {
                let Pending { attempt, postponed, reached, abandoned, answer } = typed(item)?;
                let (hash, has_answer) = (hash.clone(), answer.is_some());
                Ok(Acquired::Ours(Lease { hash, attempt, postponed, reached, abandoned, has_answer }))
            }
            Answer::Refused(Some(item)) => {
                let analysis: Analysis = typed(item)?;
                Ok(Acquired::NotNow(analysis.failure.filter(|_| analysis.status == Status::Failed)))
            }
            Answer::Refused(None) => Ok(Acquired::Unknown),
        }
    }

    /// Reads the question of a hash.
    pub async fn question(&self, hash: &PromptHash) -> Result<Option<String>, Error> {
        let found = self.get("GetItem(question)", &Key::Question(hash.clone()), true).await?;
        let Some(item) = found.filter(|item| item.contains_key(QUESTION)) else { return Ok(None) };
        let question = text(&item, QUESTION).ok_or_else(|| corrupt(&item, "its question is not text"))?;
        Ok(Some(question.to_owned()))
    }

    /// Completes an analysis with its answer.
    ///
    /// # Errors
    /// [`Error::LostClaim`] if another worker acquired the lease since.
    pub async fn complete_analysis(&self, lease: &Lease, answer: &Answered) -> Result<(), Error> {
        const OPERATION: &str = "UpdateItem(complete)";
        let update = update_of(lease).set(ANSWER, value_of(OPERATION, answer)?).remove([FAILURE]);
        self.finish(OPERATION, lease, update, COMPLETED).await
    }

    /// Fails an analysis for good, or completes it with its earlier answer if there is one.
    ///
    /// # Errors
    /// [`Error::LostClaim`] if another worker acquired the lease since.
    pub async fn fail_analysis(&self, lease: &Lease, failure: &Failure) -> Result<(), Error> {
        const OPERATION: &str = "UpdateItem(fail)";
        let update = update_of(lease).set(FAILURE, value_of(OPERATION, failure)?);
        self.finish(OPERATION, lease, update, if lease.has_answer { COMPLETED } else { FAILED }).await
    }

    async fn finish(
        &self,
        operation: &'static str,
        lease: &Lease,
        update: Update,
        status: &'static str,
    ) -> Result<(), Error> {
        let update = update.set(STATUS, status);
        let update = update.remove([LISTING, RANK, LEASE_UNTIL, POSTPONED, REACHED, ABANDONED, RESENT]);
        match self.write(operation, update.when(is_held(lease)).returning()).await? {
            // The SDK repeated a write whose answer was lost.
            Answer::Refused(Some(item))
                if text(&item, STATUS) == Some(status) && number(&item, ATTEMPT) == Some(lease.attempt) =>
            {
                Ok(())
            }
            answer => answer.or_lost().map(drop),
        }
    }

    /// Ends a lease without an answer, and refuses other leases until the failure's `retry_at`. `reached` states
    /// whether the host was reached.
    ///
    /// # Errors
    /// [`Error::LostClaim`] if another worker acquired the lease since.
    pub async fn postpone_analysis(&self, lease: &Lease, failure: &Failure, reached: bool) -> Result<(), Error> {
        const OPERATION: &str = "UpdateItem(postpone)";
        let update = update_of(lease)
            .set(LEASE_UNTIL, failure.retry_at)
            .set(RANK, failure.retry_at)
            .set(FAILURE, value_of(OPERATION, failure)?)
            .set(POSTPONED, lease.postponed.saturating_add(1))
            .set(REACHED, lease.reached.saturating_add(reached.into()))
            .remove([OWNER, ABANDONED, RESENT]);
        self.write(OPERATION, update.when(is_held(lease))).await?.or_lost().map(drop)
    }

    /// Reads the pending analyses that are due, the longest due first.
    pub async fn due_analyses(&self, now: Timestamp, limit: usize) -> Result<Vec<Due>, Error> {
        let count = |item: &Item, name| number(item, name).and_then(|n| u32::try_from(n).ok()).unwrap_or_default();
        let due = |at, key, item: &Item| {
            let Key::Analysis(hash) = key else { return None };
            Some(Due { hash, at, resent: count(item, RESENT), is_stuck: count(item, ABANDONED) > 0 })
        };
        self.due(PENDING_LIST, now, limit, due).await
    }

    /// Sets when recovery looks at a pending analysis again, unless it has changed since it was due. Returns whether
    /// this call did so, and may send a message.
    pub async fn look_again(&self, hash: &PromptHash, now: Timestamp, due: Timestamp) -> Result<bool, Error> {
        let update = Update::of(&Key::Analysis(hash.clone())).set(RANK, due).add(RESENT, 1_u32);
        let update = update.when(equals(STATUS, PENDING).and(at_most(RANK, now)));
        Ok(self.write("UpdateItem(look again)", update).await?.is_applied())
    }
}

/// Makes an analysis pending. The new token fences off a worker that still has an older lease.
fn pending(hash: &PromptHash, due: impl Into<Value>) -> Update {
    let update = Update::of(&Key::Analysis(hash.clone())).set(STATUS, PENDING);
    update.set(LISTING, PENDING_LIST).set(RANK, due).add(ATTEMPT, 1_u32)
}

fn update_of(lease: &Lease) -> Update {
    Update::of(&Key::Analysis(lease.hash.clone()))
}

fn is_held(lease: &Lease) -> Condition {
    equals(STATUS, PENDING).and(is_ours(lease.attempt))
}
