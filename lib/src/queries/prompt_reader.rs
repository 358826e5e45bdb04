//! Identifies the prompts of findings. The hash of a prompt is the key of its analysis.

use super::priority_config::PriorityConfig;
use super::vulnerability_ids::vulnerability_ids;
use crate::domain::finding::Finding;
use crate::domain::prompt_hash::PromptHash;
use crate::domain::scan::Scan;
use crate::domain::vulnerabilities::Vulnerabilities;
use crate::llm::prompt::Error;
use crate::llm::{Question, Questions};
use crate::priority::Inputs;
use crate::store::{self, Store};

/// The prompt about a finding, and the hash that is the key of its analysis.
#[derive(Debug, Clone, PartialEq)]
pub struct PromptIdentity {
    /// The key of the analysis.
    pub hash: PromptHash,
    /// The prompt, and the facts that its answer is checked against.
    pub question: Question,
}

/// Reads the prompts of findings, where this deployment has a model.
#[derive(Debug, Clone, Copy)]
pub struct PromptReader<'a> {
    /// The table.
    pub store: &'a Store,
    /// The settings of the priority rule: a prompt states the priority.
    pub priorities: &'a PriorityConfig,
    /// The settings of the model.
    pub questions: &'a Questions,
}

impl PromptReader<'_> {
    /// Identifies the prompts of findings of one scan, in their order, in one round trip for each hundred distinct
    /// vulnerabilities. A prompt that does not fit into the model's context is an error of its own.
    ///
    /// # Errors
    /// Those of the table.
    pub async fn prompts(
        &self,
        scan: &Scan,
        findings: &[Finding],
    ) -> Result<impl Iterator<Item = Result<PromptIdentity, Error>>, store::Error> {
        let known = self.store.known(&vulnerability_ids(findings)).await?;
        Ok(findings.iter().map(move |finding| self.identify(scan, finding, &known)))
    }

    /// Identifies the prompt of one finding, in one round trip. The inner error is that of [`Self::identify`].
    ///
    /// # Errors
    /// Those of the table.
    pub async fn prompt(&self, scan: &Scan, finding: &Finding) -> Result<Result<PromptIdentity, Error>, store::Error> {
        let known = self.store.known(&vulnerability_ids([finding])).await?;
        Ok(self.identify(scan, finding, &known))
    }

    /// Identifies the prompt of a finding. `known` has the records of its vulnerability.
    ///
    /// # Errors
    /// If it does not fit into the model's context.
    pub fn identify(&self, scan: &Scan, finding: &Finding, known: &Vulnerabilities) -> Result<PromptIdentity, Error> {
        self.identify_with(&self.priorities.inputs(scan, finding, known), finding, known)
    }

    /// Identifies the prompt of a finding whose priority inputs are gathered already.
    ///
    /// # Errors
    /// If it does not fit into the model's context.
    pub(super) fn identify_with(
        &self,
        inputs: &Inputs,
        finding: &Finding,
        known: &Vulnerabilities,
    ) -> Result<PromptIdentity, Error> {
        let (hash, question) = self.questions.about(finding, self.priorities.prompt_facts(inputs, finding, known))?;
        Ok(PromptIdentity { hash, question })
    }
}
