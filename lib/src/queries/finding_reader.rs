//! Defines the reader of findings.

use super::priority_config::PriorityConfig;
use super::prompt_reader::PromptReader;
use crate::llm::Questions;
use crate::store::Store;

/// Reads findings with their priorities and analyses.
#[derive(Debug)]
pub struct FindingReader {
    pub(crate) store: Store,
    pub(crate) priorities: PriorityConfig,
    /// None if this deployment has no model.
    pub(crate) questions: Option<Questions>,
}

impl FindingReader {
    /// Returns the reader of prompts; none if this deployment has no model.
    pub(crate) fn prompts(&self) -> Option<PromptReader<'_>> {
        let Self { store, priorities, questions } = self;
        questions.as_ref().map(|questions| PromptReader { store, priorities, questions })
    }
}
