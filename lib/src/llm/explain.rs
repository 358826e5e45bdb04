//! The order of an analysis: ask, parse, check, weigh; one repair attempt for an answer that is unusable.

use serde_json::Value;
use tokio::time::Instant;

use crate::llm::answer::{self, repair_schema};
use crate::llm::evidence::{self, Checked, Evidence, Unsupported};
use crate::llm::facts::Facts;
use crate::llm::ollama::{self, Answer, Ollama};
use crate::llm::prompt::Prompt;
use crate::llm::substance::{self, Hollow};

/// A usable explanation.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// What may be shown.
    pub checked: Checked,
    /// Why the first answer was unusable, when it took the repair attempt.
    pub repaired_after: Option<&'static str>,
    /// The answer that was used: raw text, counters, timings. The text is unchecked.
    pub answer: Answer,
}

/// How an analysis ended.
#[derive(Debug)]
pub enum Outcome {
    /// Store it as completed.
    Completed(Box<Explanation>),
    /// The model answered twice and neither answer is usable: failed, with these reasons.
    Invalid {
        /// The first answer's.
        first: Unusable,
        /// The repair attempt's.
        repair: Unusable,
    },
    /// No answer for now: postpone; nothing is failed.
    Transient(ollama::Error),
    /// No answer until somebody changes something: failed, with an alarm.
    Final(ollama::Error),
}

/// Why an answer cannot be used. All of them are worth the one repair attempt.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// Cut off, empty or oversized.
    #[error("no usable text: {0}")]
    Text(#[source] ollama::Error),
    /// Text without the three parts.
    #[error("the answer does not parse: {0}")]
    Form(#[from] answer::Error),
    /// Three parts, and nothing of one of them is supported by the facts.
    #[error("{0}")]
    Content(#[from] Unsupported),
    /// Text that says nothing.
    #[error("{0}")]
    Substance(#[from] Hollow),
}

impl Unusable {
    /// Always false: a later delivery would get the same kind of answer.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        false
    }

    /// A stable name for logs, metrics and stored state.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Text(error) => error.name(),
            Self::Form(error) => error.name(),
            Self::Content(_) => "unsupported",
            Self::Substance(hollow) => hollow.name(),
        }
    }
}

impl Outcome {
    /// A stable name for logs, metrics and stored state.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Completed(_) => "completed",
            Self::Invalid { .. } => "invalid",
            Self::Transient(error) | Self::Final(error) => error.name(),
        }
    }
}

/// Explains a finding. `facts` are the ones the prompt was built from; `deadline` bounds both attempts.
pub async fn explain(ollama: &Ollama, prompt: &Prompt, facts: &Facts, deadline: Instant) -> Outcome {
    let evidence = Evidence::from(facts);
    let first = match attempt(ollama, prompt, None, facts, &evidence, deadline).await {
        Ok((checked, answer)) => return completed(checked, answer, None),
        Err(Failure::Host(error)) => return undone(error),
        Err(Failure::Answer(unusable)) => unusable,
    };
    tracing::info!(reason = first.name(), "the first answer is unusable, asking for JSON");
    match attempt(ollama, &prompt.repair(), Some(&repair_schema()), facts, &evidence, deadline).await {
        Ok((checked, answer)) => completed(checked, answer, Some(first.name())),
        Err(Failure::Host(error)) => undone(error),
        Err(Failure::Answer(repair)) => Outcome::Invalid { first, repair },
    }
}

/// The host failed, or the model answered badly.
enum Failure {
    Host(ollama::Error),
    Answer(Unusable),
}

async fn attempt(
    ollama: &Ollama,
    prompt: &Prompt,
    format: Option<&Value>,
    facts: &Facts,
    evidence: &Evidence,
    deadline: Instant,
) -> Result<(Checked, Answer), Failure> {
    let answer = ollama.chat(prompt, format, deadline).await.map_err(|error| {
        if error.is_repairable() { Failure::Answer(Unusable::Text(error)) } else { Failure::Host(error) }
    })?;
    let checked = judge(&answer.text, facts, evidence).map_err(Failure::Answer)?;
    Ok((checked, answer))
}

/// What may be shown of a model's text: its parts, what the facts support of them, if that says anything.
fn judge(text: &str, facts: &Facts, evidence: &Evidence) -> Result<Checked, Unusable> {
    let parsed = answer::parse(text)?;
    let checked = evidence::check(parsed, evidence)?;
    Ok(substance::weigh(checked, facts)?)
}

fn completed(checked: Checked, answer: Answer, repaired_after: Option<&'static str>) -> Outcome {
    Outcome::Completed(Box::new(Explanation { checked, repaired_after, answer }))
}

fn undone(error: ollama::Error) -> Outcome {
    if error.is_transient() { Outcome::Transient(error) } else { Outcome::Final(error) }
}
