//! Runs an analysis, with one repair attempt after an unusable answer.

use serde_json::Value;
use tokio::time::Instant;

use crate::llm::answer::{self, parse_answer, repair_schema};
use crate::llm::evidence::{self, Checked, Evidence, Unsupported};
use crate::llm::facts::Facts;
use crate::llm::ollama::{self, Answer, Ollama};
use crate::llm::prompt::Prompt;
use crate::llm::substance::{self, NoSubstance};

/// A usable explanation.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The checked answer.
    pub checked: Checked,
    /// The reason why the first answer was unusable; none without a repair attempt.
    pub repaired_after: Option<&'static str>,
    /// The used answer with its counters and unchecked text.
    pub answer: Answer,
}

/// The result of an analysis.
#[derive(Debug)]
pub enum Outcome {
    /// A usable explanation.
    Completed(Box<Explanation>),
    /// Two unusable answers.
    Invalid {
        /// The fault of the first one.
        first: Unusable,
        /// The fault of the repair attempt.
        repair: Unusable,
    },
    /// No answer for now.
    Transient(ollama::Error),
    /// No answer until the configuration or the host is changed.
    Final(ollama::Error),
}

/// An answer cannot be used. Each variant is worth one repair attempt.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages describe the variants")]
pub enum Unusable {
    #[error("no usable text: {0}")]
    Text(#[source] ollama::Error),
    #[error("the answer does not parse: {0}")]
    Form(#[from] answer::Error),
    #[error("{0}")]
    Content(#[from] Unsupported),
    #[error("{0}")]
    Substance(#[from] NoSubstance),
}

impl Unusable {
    /// Returns a stable name for logs, metrics and stored state.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Text(error) => error.name(),
            Self::Form(error) => error.name(),
            Self::Content(_) => "unsupported",
            Self::Substance(refused) => refused.name(),
        }
    }
}

impl Outcome {
    /// Returns a stable name for logs, metrics and stored state.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Completed(_) => "completed",
            Self::Invalid { .. } => "invalid",
            Self::Transient(error) | Self::Final(error) => error.name(),
        }
    }
}

/// Explains a finding. `facts` are those of the prompt; `deadline` limits both attempts.
pub async fn explain(ollama: &Ollama, prompt: &Prompt, facts: &Facts, deadline: Instant) -> Outcome {
    let analysis = Analysis { ollama, facts, evidence: Evidence::from(facts), deadline };
    let first = match analysis.attempt(prompt, None, None).await {
        Ok(outcome) => return outcome,
        Err(unusable) => unusable,
    };
    tracing::info!(reason = first.name(), "the first answer is unusable, asking for JSON");
    match analysis.attempt(&prompt.repair(), Some(&repair_schema()), Some(first.name())).await {
        Ok(outcome) => outcome,
        Err(repair) => Outcome::Invalid { first, repair },
    }
}

struct Analysis<'a> {
    ollama: &'a Ollama,
    facts: &'a Facts,
    evidence: Evidence,
    deadline: Instant,
}

impl Analysis<'_> {
    async fn attempt(
        &self,
        prompt: &Prompt,
        format: Option<&Value>,
        repaired_after: Option<&'static str>,
    ) -> Result<Outcome, Unusable> {
        let answer = match self.ollama.chat(prompt, format, self.deadline).await {
            Ok(answer) => answer,
            Err(error) if error.is_repairable() => return Err(Unusable::Text(error)),
            Err(error) if error.is_transient() => return Ok(Outcome::Transient(error)),
            Err(error) => return Ok(Outcome::Final(error)),
        };
        let supported = evidence::check(parse_answer(&answer.text)?, &self.evidence)?;
        let checked = substance::check_substance(supported, self.facts)?;
        Ok(Outcome::Completed(Box::new(Explanation { checked, repaired_after, answer })))
    }
}
