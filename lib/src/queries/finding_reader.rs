//! Holds what findings are read with.

use super::priority_config::PriorityConfig;
use super::prompt_reader::PromptReader;
use crate::llm::Questions;
use crate::store::Store;

/// Reads findings with their priorities and analyses.
#[derive(Debug)]
pub struct FindingReader {
    /// The table.
    pub store: Store,
    /// The settings of the priority rule.
    pub priorities: PriorityConfig,
    /// The settings of the model; none if this deployment has no model.
    pub questions: Option<Questions>,
}

impl FindingReader {
    /// Returns the reader of prompts; none if this deployment has no model.
    #[must_use]
    pub fn prompts(&self) -> Option<PromptReader<'_>> {
        let Self { store, priorities, questions } = self;
        questions.as_ref().map(|questions| PromptReader { store, priorities, questions })
    }
}
