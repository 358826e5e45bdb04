//! The summaries of several vulnerabilities, and the feeds that were loaded.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::feed::Feed;
use super::instant::day;
use super::occurrence::FirstSeen;
use super::vulnerability::id::{Kind, VulnerabilityId};
use super::vulnerability::{KevStatus, VulnerabilitySummary};

/// Summaries and feeds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Vulnerabilities {
    /// The summaries, by id.
    pub summaries: BTreeMap<VulnerabilityId, VulnerabilitySummary>,
    /// The loaded catalogue of CISA.
    pub kev: Option<Feed>,
    /// The loaded scores of FIRST.
    pub epss: Option<Feed>,
    /// The time at which each problem was first seen in the repository in question.
    pub first_seen: FirstSeen,
}

impl Vulnerabilities {
    /// Finds the summary of an id in any spelling.
    #[must_use]
    pub fn of(&self, id: &str) -> Option<&VulnerabilitySummary> {
        self.summaries.get(&id.parse::<VulnerabilityId>().ok()?)
    }

    /// Returns the time of the newest catalogue that covers a vulnerability; none if no catalogue was searched for it.
    ///
    /// A new catalogue rewrites only the summaries that it changes, so the loaded one covers each vulnerability that an
    /// earlier one covered.
    #[must_use]
    pub fn catalogue(&self, summary: &VulnerabilitySummary) -> Option<Timestamp> {
        summary.kev_checked.map(|checked| self.kev.as_ref().map_or(checked, |feed| feed.date.max(checked)))
    }

    /// Tells whether CISA lists a vulnerability.
    #[must_use]
    pub fn kev_status(&self, summary: &VulnerabilitySummary) -> KevStatus {
        match (&summary.kev, self.catalogue(summary)) {
            (Some(listing), _) => KevStatus::Listed(listing.fact),
            (None, Some(catalogue)) => KevStatus::NotListed { catalogue: day(catalogue) },
            (None, None) => KevStatus::Unknown,
        }
    }

    /// Lists the CVEs of advisories that lack KEV and EPSS, which cover CVEs only.
    pub fn aliases_to_ask(&self) -> impl Iterator<Item = &VulnerabilityId> {
        self.summaries.values().filter(|summary| needs_alias(summary)).flat_map(|summary| &summary.aliases)
    }

    /// Gives advisories the facts of their CVEs where they have none, with source and date.
    pub fn fill_from_aliases(&mut self) {
        let mut filled = Vec::new();
        for summary in self.summaries.values().filter(|summary| needs_alias(summary)) {
            let mut with = summary.clone();
            for cve in summary.aliases.iter().filter_map(|alias| self.summaries.get(alias)) {
                with.kev = with.kev.or_else(|| cve.kev.clone());
                with.kev_checked = with.kev_checked.max(cve.kev_checked);
                with.epss = with.epss.or_else(|| cve.epss.clone());
                with.ssvc = with.ssvc.or_else(|| cve.ssvc.clone());
            }
            filled.push(with);
        }
        self.summaries.extend(filled.into_iter().map(|summary| (summary.id.clone(), summary)));
    }
}

fn needs_alias(summary: &VulnerabilitySummary) -> bool {
    summary.id.kind() != Kind::Cve && summary.epss.is_none() && !summary.aliases.is_empty()
}
