//! Having a model explain a finding: asked for once per prompt, by whoever comes first.
//!
//! ```text
//! request:  look ──▶ ask (conditional) ──▶ send a message      any number of callers, one question
//! work:     take a turn ──▶ the model ──▶ complete │ fail │ postpone      only with the turn's token
//! ```

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::domain::analysis::{Analysis, Answered, Failure, Removed, Status};
use crate::domain::prompt_hash::PromptHash;
use crate::llm::{self, Explanation, Ollama, Outcome, Question};
use crate::queue::{self, Queue};
use crate::store::analyses::{Acquired, Asked, Lease};
use crate::store::{self, Store};
use crate::telemetry::chain;
use crate::telemetry::metrics::{self, Fact};

/// Recovery looks this long after a question was asked whether its message was lost.
pub(super) const FIRST_LOOK: Duration = Duration::from_secs(120);
/// The wait after the first answer that did not come, doubled with each further one …
const FIRST_BACK_OFF: Duration = Duration::from_secs(30);
/// … up to this one: an Ollama host that comes back is noticed within ten minutes.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(600);
/// When to ask again after the model gave two unusable answers. It is seeded, so it would say the
/// same again: somebody has to change the model or its settings.
const AFTER_INVALID: Duration = Duration::from_secs(24 * 3600);
/// When to ask again after a failure that somebody has to mend, such as a missing model.
const AFTER_FINAL: Duration = Duration::from_secs(15 * 60);
/// Workers in a row that may not get to the end of one question before it is given up.
const MAX_ABANDONED: u32 = 5;
/// Times in a row that a host which was reached may fail at one question before it is given up.
const MAX_REACHED: u32 = 8;
/// Failures after which a message is worth keeping in the dead-letter queue.
const WORKERS_DIED: &str = "workers_died";
const NO_QUESTION: &str = "no_question";

/// Why nothing could be asked, or worked at, this time.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The table.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The queue.
    #[error(transparent)]
    Queue(#[from] queue::Error),
    /// The settings leave no room for a prompt.
    #[error(transparent)]
    Prompt(#[from] llm::prompt::Error),
    /// The message is about something that cannot be worked at: it belongs in the dead-letter queue.
    #[error("the message cannot be worked at: {0}")]
    Poison(&'static str),
}

impl Error {
    /// Whether trying again may help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Queue(error) => error.is_transient(),
            Self::Prompt(error) => error.is_transient(),
            Self::Poison(_) => false,
        }
    }
}

/// The analysis of a question as it stands, after seeing to it that someone is asked if need be.
///
/// `again` asks even if there is an answer or a recent failure.
///
/// # Errors
/// Those of the table and the queue. If the queue fails, the question is pending all the same, and
/// recovery sends the message.
pub async fn request(
    store: &Store,
    queue: &Queue,
    hash: &PromptHash,
    question: &Question,
    again: bool,
    now: Timestamp,
) -> Result<Analysis, Error> {
    let due = after(now, FIRST_LOOK);
    let known = store.analysis(hash).await?;
    if let Some(analysis) = &known
        && !is_to_be_asked(analysis, again, now)
    {
        // One that is pending or has failed is neither: nobody is asked, and there is no answer.
        if analysis.status == Status::Completed {
            metrics::emit(Fact::Wanted { cached: 1, missing: 0 }, now);
        }
        return Ok(analysis.clone());
    }
    store.put_question(hash, &write(question)?, known.is_some()).await?;
    let is_new = match known {
        Some(analysis) => store.ask_again(hash, analysis.status, due).await?,
        None => match store.ask(hash, due).await? {
            Asked::New => true,
            Asked::Existing(analysis) => return Ok(*analysis),
        },
    };
    if is_new {
        metrics::emit(Fact::Wanted { cached: 0, missing: 1 }, now);
        queue.send(hash).await?;
    }
    Ok(store.analysis(hash).await?.unwrap_or(Analysis { status: Status::Pending, answer: None, failure: None }))
}

/// Whether an analysis that exists needs someone to be asked.
pub(super) fn is_to_be_asked(analysis: &Analysis, again: bool, now: Timestamp) -> bool {
    match analysis.status {
        Status::Pending => false,
        Status::Completed => again,
        Status::Failed => again || analysis.failure.as_ref().is_none_or(|failure| failure.retry_at <= now),
    }
}

/// A question as it is stored.
pub(super) fn write(question: &Question) -> Result<String, llm::prompt::Error> {
    serde_json::to_string(question).map_err(llm::prompt::Error::Encode)
}

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worked {
    /// There is an answer now.
    Completed,
    /// There is none, and will be none by itself.
    Failed,
    /// The host cannot answer for now; recovery sends the message again.
    Postponed,
    /// Someone else has done it, is at it, or it is not due.
    NothingToDo,
}

impl Worked {
    /// The name that metrics read.
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

/// Works at a pending analysis: one call of the model, or two.
///
/// `lease` must be longer than this worker can live, `deadline` earlier than it dies.
///
/// # Errors
/// [`Error::Poison`] for what no worker can do; those of the table.
pub async fn work(
    store: &Store,
    ollama: &Ollama,
    hash: &PromptHash,
    now: Timestamp,
    lease: Duration,
    deadline: Instant,
) -> Result<Worked, Error> {
    let lease = match store.lease_analysis(hash, now, lease).await? {
        Acquired::Ours(lease) => lease,
        Acquired::NotNow(Some(failure)) if [WORKERS_DIED, NO_QUESTION].contains(&failure.reason.as_str()) => {
            return Err(Error::Poison("it has failed for good"));
        }
        Acquired::NotNow(_) => return Ok(Worked::NothingToDo),
        Acquired::Unknown => return Err(Error::Poison("nobody has asked for this analysis")),
    };
    if lease.abandoned > MAX_ABANDONED {
        let detail = format!("{MAX_ABANDONED} workers in a row did not get to its end");
        fail(store, &lease, WORKERS_DIED, detail, after(now, AFTER_INVALID)).await?;
        return Err(Error::Poison("workers did not get to its end"));
    }
    let question = store.question(hash).await?.and_then(|json| serde_json::from_str::<Question>(&json).ok());
    let is_intact = |question: &Question| question.prompt.hash().is_ok_and(|found| found == *hash);
    let Some(question) = question.filter(is_intact) else {
        fail(
            store,
            &lease,
            NO_QUESTION,
            "its question is not in the table as it was asked".to_owned(),
            after(now, AFTER_FINAL),
        )
        .await?;
        return Err(Error::Poison("its question is missing or changed"));
    };
    let started = Instant::now();
    let outcome = llm::explain(ollama, &question.prompt, &question.facts, deadline).await;
    // Asking may have taken minutes.
    let now = after(now, started.elapsed());
    let name = outcome.name();
    let worked = match outcome {
        Outcome::Completed(explanation) => {
            let answer = answered(*explanation, &question, now);
            // The host has worked for it, even if another worker's answer counts in the end.
            let (prompt, said) = (answer.prompt_tokens, answer.answer_tokens);
            let fact =
                Fact::Answered { prompt_tokens: prompt.unwrap_or_default(), answer_tokens: said.unwrap_or_default() };
            metrics::emit(fact, now);
            // First: it is shown only where the present prompt has no answer, which this one then is.
            store.put_latest_answer(&question.facts.subject(), hash, &answer, now).await?;
            mine(store.complete_analysis(&lease, &answer).await, Worked::Completed)?
        }
        Outcome::Invalid { first, repair } => {
            let detail = format!("the model's answers are unusable: first {}, then {}", first.name(), repair.name());
            fail(store, &lease, "invalid_answer", detail, after(now, AFTER_INVALID)).await?
        }
        Outcome::Final(error) => {
            // The host's own words stay in the log: a client reads which kind of failure it was.
            tracing::error!(prompt_hash = %hash, outcome = name, cause = chain(&error), "the Ollama host needs attention");
            fail(
                store,
                &lease,
                name,
                "the Ollama host or its settings need attention".to_owned(),
                after(now, AFTER_FINAL),
            )
            .await?
        }
        Outcome::Transient(error) if is_reached(&error) && lease.reached >= MAX_REACHED => {
            tracing::error!(prompt_hash = %hash, outcome = name, cause = chain(&error), "the Ollama host fails at this again and again");
            let detail = "the Ollama host was reached, and failed at this again and again".to_owned();
            fail(store, &lease, name, detail, after(now, AFTER_INVALID)).await?
        }
        Outcome::Transient(error) => {
            tracing::warn!(prompt_hash = %hash, outcome = name, cause = chain(&error), "the Ollama host cannot answer for now");
            let detail = "the Ollama host cannot answer for now; it is asked again by itself".to_owned();
            let failure = Failure { reason: name.to_owned(), detail, retry_at: after(now, back_off(&lease, &error)) };
            mine(store.postpone_analysis(&lease, &failure, is_reached(&error)).await, Worked::Postponed)?
        }
    };
    Ok(worked)
}

/// Whether a host was there, and not merely busy: what it fails at time and again, it may fail at for ever.
const fn is_reached(error: &llm::ollama::Error) -> bool {
    use llm::ollama::Error;
    !matches!(
        error,
        Error::Refused(_) | Error::Dns(_) | Error::Connect(_) | Error::Busy { .. } | Error::FirstTokenTimeout(_)
    )
}

/// Doubles with each time in a row; at least what the host asks for.
fn back_off(lease: &Lease, error: &llm::ollama::Error) -> Duration {
    let doubled = FIRST_BACK_OFF.saturating_mul(1u32.checked_shl(lease.postponed).unwrap_or(u32::MAX));
    let asked = match error {
        llm::ollama::Error::Busy { retry_after, .. } => retry_after.unwrap_or_default(),
        _ => Duration::ZERO,
    };
    doubled.max(asked).min(LONGEST_BACK_OFF)
}

async fn fail(
    store: &Store,
    lease: &Lease,
    reason: &str,
    detail: String,
    retry_at: Timestamp,
) -> Result<Worked, store::Error> {
    let failure = Failure { reason: reason.to_owned(), detail, retry_at };
    mine(store.fail_analysis(lease, &failure).await, Worked::Failed)
}

/// A result that came too late for its turn is thrown away: another worker's counts.
fn mine(written: Result<(), store::Error>, worked: Worked) -> Result<Worked, store::Error> {
    match written {
        Ok(()) => Ok(worked),
        Err(store::Error::LostClaim) => Ok(Worked::NothingToDo),
        Err(error) => Err(error),
    }
}

fn answered(explanation: Explanation, question: &Question, timestamp: Timestamp) -> Answered {
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

/// `now` and some time, without a way to overflow.
pub(super) fn after(now: Timestamp, by: Duration) -> Timestamp {
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}
