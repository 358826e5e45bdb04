//! Computes the priority of a finding from its report, the public sources and the exposure of its image.

use jiff::Timestamp;

use crate::domain::finding::Finding;
use crate::domain::occurrence::Problem;
use crate::domain::scan::Scan;
use crate::domain::vulnerabilities::Vulnerabilities;
use crate::llm::facts::EnrichmentFacts;
use crate::priority::exposure::Exposures;
use crate::priority::{self, Inputs, Priority, Reported, Thresholds};

/// The operator's settings of the priority rule. Every function needs the same ones, because prompts state the priority.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PriorityConfig {
    /// The images that untrusted people can reach.
    pub exposures: Exposures,
    /// The limits between the steps of the rule.
    pub thresholds: Thresholds,
}

impl PriorityConfig {
    /// Gathers the priority inputs of a finding.
    pub(super) fn inputs(&self, scan: &Scan, finding: &Finding, known: &Vulnerabilities) -> Inputs {
        let first = Problem::of(finding).and_then(|problem| known.first_seen.get(&problem).copied());
        let first = first.map_or(scan.scan_timestamp, |first| first.min(scan.scan_timestamp));
        let reported = Reported::finding(finding, scan.scan_timestamp, first);
        self.inputs_of_reported(scan, finding.vulnerability_id.as_deref(), &reported, known)
    }

    /// Gathers the priority inputs of the part of a finding that the rule reads.
    pub(super) fn inputs_of_reported(
        &self,
        scan: &Scan,
        id: Option<&str>,
        reported: &Reported,
        known: &Vulnerabilities,
    ) -> Inputs {
        let exposure = self.exposures.of(scan.artifact.familiar_name().as_str());
        Inputs::of(reported, id.and_then(|id| known.of(id)), known, exposure)
    }

    /// Gathers the facts that a prompt states in addition to the report.
    pub(super) fn prompt_facts(&self, inputs: &Inputs, finding: &Finding, known: &Vulnerabilities) -> EnrichmentFacts {
        let summary = finding.vulnerability_id.as_deref().and_then(|id| known.of(id));
        let aliases = summary.map(|summary| summary.aliases.iter().map(ToString::to_string).collect());
        EnrichmentFacts::of(inputs, &self.thresholds, aliases.unwrap_or_default())
    }

    /// Applies the priority rule.
    pub(super) fn assess(&self, inputs: &Inputs, now: Timestamp) -> Priority {
        priority::assess(inputs, &self.thresholds, now)
    }
}
