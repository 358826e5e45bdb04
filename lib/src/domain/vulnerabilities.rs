//! What the public sources say of a set of vulnerabilities, in short, and how new their feeds are.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::feed::Feed;
use super::occurrence::FirstSeen;
use super::signals::VulnerabilitySummary;
use super::vulnerability::id::{Kind, VulnerabilityId};

/// The signals of those that are known, and the feeds that are loaded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Known {
    /// What is known, by vulnerability.
    pub signals: BTreeMap<VulnerabilityId, VulnerabilitySummary>,
    /// CISA's catalogue.
    pub kev: Option<Feed>,
    /// FIRST's scores.
    pub epss: Option<Feed>,
    /// When their problems were first seen in the repository that was asked about.
    pub first_seen: FirstSeen,
}

impl Known {
    /// The signals of an id as a report spells it; none if nothing is known, or if it is none.
    #[must_use]
    pub fn of(&self, id: &str) -> Option<&VulnerabilitySummary> {
        self.signals.get(&id.parse::<VulnerabilityId>().ok()?)
    }

    /// The time of the newest catalogue that speaks for a vulnerability; none if it was never looked up.
    ///
    /// A feed is pushed only where something changed, so one that is loaded speaks for every vulnerability
    /// that was looked up in one before.
    #[must_use]
    pub fn catalogue(&self, signals: &VulnerabilitySummary) -> Option<Timestamp> {
        signals.kev_checked.map(|checked| self.kev.as_ref().map_or(checked, |feed| feed.date.max(checked)))
    }

    /// CVEs that are the same as an advisory of which CISA and FIRST know nothing: they go by CVE only.
    pub fn aliases_to_ask(&self) -> impl Iterator<Item = &VulnerabilityId> {
        self.signals.values().filter(|signals| needs_alias(signals)).flat_map(|signals| &signals.aliases)
    }

    /// Gives advisories what is known of the CVEs that they are the same as, where nobody speaks of the advisory
    /// itself. Who said it and when stays beside it.
    pub fn fill_from_aliases(&mut self) {
        let mut filled = Vec::new();
        for signals in self.signals.values().filter(|signals| needs_alias(signals)) {
            let mut with = signals.clone();
            for cve in signals.aliases.iter().filter_map(|alias| self.signals.get(alias)) {
                with.kev = with.kev.or_else(|| cve.kev.clone());
                with.kev_checked = with.kev_checked.max(cve.kev_checked);
                with.epss = with.epss.or_else(|| cve.epss.clone());
                with.ssvc = with.ssvc.or_else(|| cve.ssvc.clone());
            }
            filled.push(with);
        }
        self.signals.extend(filled.into_iter().map(|signals| (signals.id.clone(), signals)));
    }
}

fn needs_alias(signals: &VulnerabilitySummary) -> bool {
    signals.id.kind() != Kind::Cve && signals.epss.is_none() && !signals.aliases.is_empty()
}
