//! Has a model explain a finding, once per prompt.
//!
//! ```text
//! request: read ──▶ make pending (conditional) ──▶ send a message     any number of callers, one question
//! work:    lease ──▶ model ──▶ complete │ fail │ postpone             only with the lease's fencing token
//! ```

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::domain::analysis::{Analysis, Answered, Failure, Removed, Status};
use crate::domain::instant::time_after;
use crate::domain::prompt_hash::PromptHash;
use crate::llm::{self, Explanation, Ollama, Outcome, Question};
use crate::queries::prompt_reader::PromptIdentity;
use crate::queue::{self, Queue};
use crate::store::analyses::{Acquired, Lease};
use crate::store::{self, Store};
use crate::telemetry::chain;
use crate::telemetry::metrics::{self, Metric};

/// How long after a request recovery checks whether its message was lost.
const FIRST_RECOVERY_DELAY: Duration = Duration::from_secs(120);
/// The wait after the first failed attempt, doubled with each further one …
const FIRST_BACK_OFF: Duration = Duration::from_secs(30);
/// … up to this one, so that an Ollama host that is back is used within ten minutes.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(600);
/// The wait after two unusable answers. The model is seeded and would repeat them until an operator changes the model
/// or its settings.
const INVALID_ANSWER_WAIT: Duration = Duration::from_secs(24 * 3600);
/// The wait after a failure that an operator has to fix, such as a missing model.
const FINAL_FAILURE_WAIT: Duration = Duration::from_secs(15 * 60);
/// Consecutive abandoned attempts after which an analysis fails.
const MAX_ABANDONED_ATTEMPTS: u32 = 5;
/// Consecutive failures of a reachable host after which an analysis fails.
const MAX_REACHED_FAILURES: u32 = 8;
/// The reasons of failures after which a message belongs in the dead-letter queue.
const WORKERS_DIED: &str = "workers_died";
const NO_QUESTION: &str = "no_question";

/// Why an analysis could not be requested or worked on.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the types and messages describe the variants")]
pub enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Queue(#[from] queue::Error),
    #[error(transparent)]
    Prompt(#[from] llm::prompt::Error),
    /// The message can never be processed: it belongs in the dead-letter queue.
    #[error("the message cannot be processed: {0}")]
    InvalidMessage(&'static str),
}

impl Error {
    /// Returns whether trying again may help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Queue(_) => true,
            Self::Prompt(_) | Self::InvalidMessage(_) => false,
        }
    }
}

/// Returns the analysis of a prompt, and requests it if it is missing or due to be repeated.
///
/// `again` requests it even if it has an answer or a recent failure. If only the queue fails, the analysis is pending,
/// and recovery sends the message.
pub async fn request_analysis(
    store: &Store,
    queue: &Queue,
    prompt: &PromptIdentity,
    again: bool,
    now: Timestamp,
) -> Result<Analysis, Error> {
    let known = store.analysis(&prompt.hash).await?;
    if let Some(analysis) = &known
        && !needs_request(analysis, again, now)
    {
        // A pending or failed analysis counts neither as cached nor as missing.
        if analysis.status == Status::Completed {
            metrics::emit(Metric::Wanted { cached: 1, missing: 0 }, now);
        }
        return Ok(analysis.clone());
    }
    if make_pending(store, prompt, known.map(|analysis| analysis.status), now).await? {
        metrics::emit(Metric::Wanted { cached: 0, missing: 1 }, now);
        queue.send(&prompt.hash).await?;
    }
    Ok(store.analysis(&prompt.hash).await?.unwrap_or(Analysis { status: Status::Pending, answer: None, failure: None }))
}

/// Returns whether an existing analysis has to be requested again.
pub(super) fn needs_request(analysis: &Analysis, again: bool, now: Timestamp) -> bool {
    match analysis.status {
        Status::Pending => false,
        Status::Completed => again,
        Status::Failed => again || analysis.failure.as_ref().is_none_or(|failure| failure.retry_at <= now),
    }
}

/// Makes an analysis pending unless its status is no longer the `known` one, and returns whether it did.
pub(super) async fn make_pending(
    store: &Store,
    PromptIdentity { hash, question }: &PromptIdentity,
    known: Option<Status>,
    now: Timestamp,
) -> Result<bool, Error> {
    let due = time_after(now, FIRST_RECOVERY_DELAY);
    let question = serde_json::to_string(question).map_err(llm::prompt::Error::Encode)?;
    store.put_question(hash, &question, known.is_some()).await?;
    Ok(match known {
        Some(status) => store.ask_again(hash, status, due).await?,
        None => store.ask(hash, due).await?,
    })
}

/// The result of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worked {
    /// There is an answer.
    Completed,
    /// There is no answer, and there will be none without another request.
    Failed,
    /// The host cannot answer for now; recovery sends the message again.
    Postponed,
    /// The analysis is done, leased by another worker, or not due.
    NothingToDo,
}

impl Worked {
    /// Returns the name that metrics use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Postponed => "postponed",
            Self::NothingToDo => "nothing_to_do",
        }
    }
}

/// The dependencies of a worker.
#[derive(Debug, Clone, Copy)]
pub struct Worker<'a> {
    /// The table.
    pub store: &'a Store,
    /// The model's host.
    pub ollama: &'a Ollama,
    /// How long an attempt is leased: longer than the function can live.
    pub lease: Duration,
}

/// Works on a pending analysis with one or two calls of the model, before `deadline`.
pub async fn run_analysis(
    worker: Worker<'_>,
    hash: &PromptHash,
    now: Timestamp,
    deadline: Instant,
) -> Result<Worked, Error> {
    let Worker { store, ollama, lease } = worker;
    let lease = match store.lease_analysis(hash, now, lease).await? {
        Acquired::Ours(lease) => lease,
        Acquired::NotNow(Some(failure)) if [WORKERS_DIED, NO_QUESTION].contains(&failure.reason.as_str()) => {
            return Err(Error::InvalidMessage("it has failed for good"));
        }
        Acquired::NotNow(_) => return Ok(Worked::NothingToDo),
        Acquired::Unknown => return Err(Error::InvalidMessage("this analysis was not requested")),
    };
    if lease.abandoned > MAX_ABANDONED_ATTEMPTS {
        let detail = format!("{MAX_ABANDONED_ATTEMPTS} workers in a row did not finish");
        fail(store, &lease, WORKERS_DIED, detail, time_after(now, INVALID_ANSWER_WAIT)).await?;
        return Err(Error::InvalidMessage("its workers did not finish"));
    }
    let question = store.question(hash).await?.and_then(|json| serde_json::from_str::<Question>(&json).ok());
    let is_intact = |question: &Question| question.prompt.hash().is_ok_and(|found| found == *hash);
    let Some(question) = question.filter(is_intact) else {
        let detail = "its question in the table is missing or changed".to_owned();
        fail(store, &lease, NO_QUESTION, detail, time_after(now, FINAL_FAILURE_WAIT)).await?;
        return Err(Error::InvalidMessage("its question is missing or changed"));
    };
    let started = Instant::now();
    let outcome = llm::explain(ollama, &question.prompt, &question.facts, deadline).await;
    // The call may have taken minutes.
    let now = time_after(now, started.elapsed());
    let name = outcome.name();
    let worked = match outcome {
        Outcome::Completed(explanation) => {
            let answer = stored_answer(*explanation, &question, now);
            // The tokens are spent even if the answer of another worker is stored in the end.
            let prompt_tokens = answer.prompt_tokens.unwrap_or_default();
            let answer_tokens = answer.answer_tokens.unwrap_or_default();
            metrics::emit(Metric::Answered { prompt_tokens, answer_tokens }, now);
            // Before the analysis is completed: readers show it only while the present prompt has no answer.
            store.put_latest_answer(&question.facts.subject(), hash, &answer, now).await?;
            unless_lost(store.complete_analysis(&lease, &answer).await, Worked::Completed)?
        }
        Outcome::Invalid { first, repair } => {
            let detail = format!("the model's answers are unusable: first {}, then {}", first.name(), repair.name());
            fail(store, &lease, "invalid_answer", detail, time_after(now, INVALID_ANSWER_WAIT)).await?
        }
        Outcome::Final(error) => {
            // Clients read only the kind of failure; the host's message is for the log.
            let cause = chain(&error);
            tracing::error!(prompt_hash = %hash, outcome = name, cause, "the Ollama host needs attention");
            let detail = "the Ollama host or its settings need attention".to_owned();
            fail(store, &lease, name, detail, time_after(now, FINAL_FAILURE_WAIT)).await?
        }
        Outcome::Transient(error) if is_reached(&error) && lease.reached >= MAX_REACHED_FAILURES => {
            let cause = chain(&error);
            tracing::error!(prompt_hash = %hash, outcome = name, cause, "the Ollama host failed repeatedly at this analysis");
            let detail = "the Ollama host was reached, and failed repeatedly at this analysis".to_owned();
            fail(store, &lease, name, detail, time_after(now, INVALID_ANSWER_WAIT)).await?
        }
        Outcome::Transient(error) => {
            let cause = chain(&error);
            tracing::warn!(prompt_hash = %hash, outcome = name, cause, "the Ollama host cannot answer for now");
            let detail = "the Ollama host cannot answer for now; it is asked again automatically".to_owned();
            let retry_at = time_after(now, back_off(&lease, &error));
            let failure = Failure { reason: name.to_owned(), detail, retry_at };
            unless_lost(store.postpone_analysis(&lease, &failure, is_reached(&error)).await, Worked::Postponed)?
        }
    };
    Ok(worked)
}

/// Returns whether the host was reached and not busy: such a failure may repeat.
const fn is_reached(error: &llm::ollama::Error) -> bool {
    use llm::ollama::Error;
    !matches!(
        error,
        Error::Refused(_) | Error::Dns(_) | Error::Connect(_) | Error::Busy { .. } | Error::FirstTokenTimeout(_)
    )
}

/// Returns the wait before the next attempt: doubled with each failure in a row, at least what the host asks for.
fn back_off(lease: &Lease, error: &llm::ollama::Error) -> Duration {
    let doubled = FIRST_BACK_OFF.saturating_mul(1u32.checked_shl(lease.postponed).unwrap_or(u32::MAX));
    let asked = match error {
        llm::ollama::Error::Busy { retry_after, .. } => retry_after.unwrap_or_default(),
        _ => Duration::ZERO,
    };
    doubled.max(asked).min(LONGEST_BACK_OFF)
}

/// Stores that an analysis failed.
async fn fail(
    store: &Store,
    lease: &Lease,
    reason: &str,
    detail: String,
    retry_at: Timestamp,
) -> Result<Worked, store::Error> {
    let failure = Failure { reason: reason.to_owned(), detail, retry_at };
    unless_lost(store.fail_analysis(lease, &failure).await, Worked::Failed)
}

/// Discards the result of an attempt whose lease was lost: the result of the next attempt counts.
fn unless_lost(written: Result<(), store::Error>, worked: Worked) -> Result<Worked, store::Error> {
    match written {
        Ok(()) => Ok(worked),
        Err(store::Error::LostClaim) => Ok(Worked::NothingToDo),
        Err(error) => Err(error),
    }
}

/// Converts a checked explanation into the answer that is stored.
fn stored_answer(explanation: Explanation, question: &Question, timestamp: Timestamp) -> Answered {
    let Explanation { checked, repaired_after, answer } = explanation;
    Answered {
        recommendations: checked.recommendations_text(),
        risk_score: checked.risk_score.value(),
        needs_review: checked.needs_review,
        review: checked.review.iter().map(ToString::to_string).collect(),
        removed: checked
            .removed
            .into_iter()
            .map(|removed| Removed { reason: removed.reason.to_string(), sentence: removed.sentence })
            .collect(),
        summary: checked.summary,
        model: question.prompt.model.clone(),
        timestamp,
        prompt_tokens: answer.prompt_eval_count,
        answer_tokens: answer.eval_count,
        duration_ms: answer.total_duration_ns.map(|ns| ns / 1_000_000),
        repaired_after: repaired_after.map(str::to_owned),
    }
}
