//! The priority of findings: what the report says, what the sources say, and who can reach the image.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::domain::finding::Finding;
use crate::domain::occurrence::Problem;
use crate::domain::scan::Scan;
use crate::domain::vulnerabilities::Vulnerabilities;
use crate::domain::vulnerability::id::VulnerabilityId;
use crate::llm::facts::EnrichmentFacts;
use crate::priority::exposure::Exposures;
use crate::priority::{self, Inputs, Reported, Thresholds};

/// What the owners of the fleet say. All functions must have the same, for it is part of what is asked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Judge {
    /// Which images untrusted people reach.
    pub exposures: Exposures,
    /// Where the rule's steps begin.
    pub thresholds: Thresholds,
}

impl Judge {
    /// What the rule looks at.
    pub(super) fn facts(&self, scan: &Scan, finding: &Finding, known: &Vulnerabilities) -> Inputs {
        let first = Problem::of(finding).and_then(|problem| known.first_seen.get(&problem).copied());
        let first = first.map_or(scan.scan_timestamp, |first| first.min(scan.scan_timestamp));
        let reported = Reported::finding(finding, scan.scan_timestamp, first);
        self.weigh(scan, finding.vulnerability_id.as_deref(), &reported, known)
    }

    /// The same of what was kept of a finding.
    pub(super) fn weigh(&self, scan: &Scan, id: Option<&str>, reported: &Reported, known: &Vulnerabilities) -> Inputs {
        let exposure = self.exposures.of(scan.artifact.familiar_name().as_str());
        Inputs::of(reported, id.and_then(|id| known.of(id)), known, exposure)
    }

    /// What a model is told besides the report.
    #[must_use]
    pub fn tell(&self, scan: &Scan, finding: &Finding, known: &Vulnerabilities) -> EnrichmentFacts {
        self.told(&self.facts(scan, finding, known), finding, known)
    }

    pub(super) fn told(&self, facts: &Inputs, finding: &Finding, known: &Vulnerabilities) -> EnrichmentFacts {
        let signals = finding.vulnerability_id.as_deref().and_then(|id| known.of(id));
        let aliases = signals.map(|signals| signals.aliases.iter().map(ToString::to_string).collect());
        EnrichmentFacts::of(facts, &self.thresholds, aliases.unwrap_or_default())
    }

    pub(super) fn assess(&self, facts: &Inputs, now: Timestamp) -> priority::Priority {
        priority::assess(facts, &self.thresholds, now)
    }
}

/// The vulnerabilities of findings, each once. What is no id is known to no source.
#[must_use]
pub fn ids<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Vec<VulnerabilityId> {
    let ids = findings.into_iter().filter_map(|finding| finding.vulnerability_id.as_deref()?.parse().ok());
    ids.collect::<BTreeSet<_>>().into_iter().collect()
}
