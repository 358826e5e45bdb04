//! Builds the question about a finding, the same for all images.

use serde::{Deserialize, Serialize};

use super::facts::{EnrichmentFacts, Facts};
use super::prompt::{Error, Options, Prompt};
use crate::domain::finding::Finding;
use crate::domain::prompt_hash::PromptHash;

/// The settings of all questions.
#[derive(Debug, Clone, PartialEq)]
pub struct Questions {
    /// The name of the model on the Ollama host.
    pub model: String,
    /// The options of the model.
    pub options: Options,
}

/// A prompt, and the facts against which its answer is checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// The prompt.
    pub prompt: Prompt,
    /// The facts.
    pub facts: Facts,
}

impl Questions {
    /// Builds the question about a finding and its enrichment, and the hash of the prompt.
    ///
    /// # Errors
    /// Those of [`Prompt::build`] and [`Prompt::hash`].
    pub fn about(&self, finding: &Finding, enrichment: EnrichmentFacts) -> Result<(PromptHash, Question), Error> {
        let facts = Facts { enrichment: Some(enrichment), ..Facts::from(finding) };
        let prompt = Prompt::build(&facts, &self.model, &self.options)?;
        Ok((prompt.hash()?, Question { prompt, facts }))
    }
}
