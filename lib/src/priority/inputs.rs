//! The facts that a priority depends on. An unknown fact is none, never zero or "no".

use jiff::civil::Date;

use super::Reported;
use super::exposure::Exposure;
use crate::domain::fix_status::FixStatus;
use crate::domain::instant::day;
use crate::domain::severity::Severity;
use crate::domain::vulnerabilities::Vulnerabilities;
use crate::domain::vulnerability::{
    CvssVersion, DerivedSsvc, Epss, KevStatus, Rating, Sourced, Ssvc, Status, TechnicalImpact, Value,
    VulnerabilitySummary,
};

/// The facts about one finding that decide its priority.
#[derive(Debug, Clone, PartialEq)]
pub struct Inputs {
    /// Trivy's severity, which is that of a vendor.
    pub severity: Severity,
    /// The vendor's status of the fix, from Trivy.
    pub status: FixStatus,
    /// Whether Trivy names a fixed version.
    pub fixed_version: bool,
    /// CVSS v2 and v3 base scores, one per source, each computed from its vector. Without those of v4: Grype's
    /// formula has no place for them, and NVD's were wrong in 2026.
    pub cvss_scores: Vec<f64>,
    /// Whether an attack comes over a network, usually [`DerivedSsvc::network_reach`].
    pub network_reach: Option<bool>,
    /// Whether CISA lists it.
    pub kev: KevStatus,
    /// FIRST's prediction; none if it has none for this id, or if no scores are loaded.
    pub epss: Option<Epss>,
    /// The median probability of the EPSS snapshot that is loaded.
    pub epss_median: Option<f64>,
    /// An assessment, which goes before `vector`.
    pub ssvc: Option<Sourced<Ssvc>>,
    /// The decision points that a CVSS vector implies.
    pub vector: Option<VectorReading>,
    /// Whether untrusted people reach the image.
    pub exposure: Exposure,
    /// The state of the CVE record.
    pub record: Option<Sourced<Value<Status>>>,
    /// The day on which a scan first saw the finding in this image.
    pub first_seen: Option<Date>,
    /// The day on which the vulnerability was published.
    pub published: Option<Date>,
}

/// Decision points from a CVSS vector, with the vector's source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VectorReading {
    /// The decision points.
    pub derived: DerivedSsvc,
    /// `nvd`, `ghsa`, ….
    pub source: String,
    /// The day of the source's record.
    pub as_of: Option<Date>,
}

/// The origin of an answer to a question of the rule.
pub(super) enum Origin<'a> {
    Assessed(&'a Sourced<Ssvc>),
    Derived(&'a VectorReading),
    Assumed,
}

impl Inputs {
    /// Collects the facts: those of public sources where there are any, else those of the report.
    #[must_use]
    pub fn of(
        reported: &Reported,
        summary: Option<&VulnerabilitySummary>,
        known: &Vulnerabilities,
        exposure: Exposure,
    ) -> Self {
        let own = reported.scored();
        let public = summary.map(|summary| summary.cvss.as_slice()).unwrap_or_default();
        let ratings = if public.is_empty() { own.as_slice() } else { public };
        let vector = reading(ratings);
        Self {
            severity: reported.severity,
            status: reported.status,
            fixed_version: reported.fixed_version,
            cvss_scores: ratings.iter().filter(|it| !is_v4(it)).map(|it| it.fact.score).collect(),
            network_reach: vector.as_ref().map(|vector| vector.derived.network_reach),
            kev: summary.map_or(KevStatus::Unknown, |summary| known.kev_status(summary)),
            epss: summary.and_then(|summary| Some(summary.epss.as_ref()?.fact.clone())),
            epss_median: known.epss.as_ref().and_then(|feed| feed.median),
            ssvc: summary.and_then(|summary| summary.ssvc.clone()),
            vector,
            exposure,
            record: summary.map(VulnerabilitySummary::sourced_status),
            first_seen: Some(day(reported.first_seen)),
            published: summary.and_then(|summary| summary.published).map(day).or(reported.published),
        }
    }

    pub(super) fn automatable(&self) -> (bool, Origin<'_>) {
        self.answer(|assessed| assessed.automatable, |derived| derived.automatable, true)
    }

    pub(super) fn technical_impact(&self) -> (TechnicalImpact, Origin<'_>) {
        let is_low = self.severity == Severity::Low;
        let assumed = if is_low { TechnicalImpact::Partial } else { TechnicalImpact::Total };
        self.answer(|assessed| assessed.technical_impact, |derived| derived.technical_impact, assumed)
    }

    fn answer<T>(
        &self,
        assessed: impl Fn(&Ssvc) -> Option<T>,
        derived: impl Fn(&DerivedSsvc) -> T,
        assumed: T,
    ) -> (T, Origin<'_>) {
        let assessment = self.ssvc.as_ref().and_then(|ssvc| Some((assessed(&ssvc.fact)?, Origin::Assessed(ssvc))));
        let derivation = || self.vector.as_ref().map(|vector| (derived(&vector.derived), Origin::Derived(vector)));
        assessment.or_else(derivation).unwrap_or((assumed, Origin::Assumed))
    }

    /// Returns the statement by which the vendor gives the finding a low priority.
    pub(super) fn vendor_deprioritised(&self) -> Option<&'static str> {
        match self.status {
            FixStatus::WillNotFix => Some("Trivy status will_not_fix"),
            FixStatus::EndOfLife => Some("Trivy status end_of_life"),
            _ => None,
        }
    }
}

fn is_v4(rating: &Sourced<Rating>) -> bool {
    rating.fact.version == CvssVersion::V4
}

/// Reads the first vector of CVSS 3, else the first of CVSS 4: the rule for 3 was compared with CISA's assessments.
fn reading(ratings: &[Sourced<Rating>]) -> Option<VectorReading> {
    let read = |rating: &Sourced<Rating>| {
        let derived = DerivedSsvc::from_vector(&rating.fact.vector)?;
        Some(VectorReading { derived, source: rating.fact.assigner.clone(), as_of: Some(day(rating.as_of)) })
    };
    let first = |v4: bool| ratings.iter().filter(|rating| is_v4(rating) == v4).find_map(read);
    first(false).or_else(|| first(true))
}

#[cfg(test)]
mod tests;
