//! What is asked about a finding, and under which hash: the same for the whole fleet.

use serde::{Deserialize, Serialize};

use super::facts::{EnrichmentFacts, Facts};
use super::prompt::{Error, Options, Prompt};
use crate::domain::finding::Finding;
use crate::domain::prompt_hash::PromptHash;

/// How findings are asked about: two services with the same settings ask the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Questions {
    /// The model's name on the Ollama host.
    pub model: String,
    /// What it runs with.
    pub options: Options,
}

/// A prompt, and the facts that its answer is checked against.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// What is sent.
    pub prompt: Prompt,
    /// What is true.
    pub facts: Facts,
}

impl Questions {
    /// The question about a finding, with what public sources and the rule say of it, and its hash.
    ///
    /// # Errors
    /// Those of [`Prompt::build`] and [`Prompt::hash`].
    pub fn about(&self, finding: &Finding, enrichment: EnrichmentFacts) -> Result<(PromptHash, Question), Error> {
        let facts = Facts { enrichment: Some(enrichment), ..Facts::from(finding) };
        let prompt = Prompt::build(&facts, &self.model, &self.options)?;
        Ok((prompt.hash()?, Question { prompt, facts }))
    }
}
