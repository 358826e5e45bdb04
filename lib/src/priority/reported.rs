//! What a report and the public sources say of a finding → what the priority's rule looks at.
//!
//! The report is always there; the rest may be missing, and is said to be ([`Facts`]). Scores are computed
//! from their vectors here as everywhere ([`super::cvss`]).

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::{cvss, upstream_time};
use crate::domain::vulnerability::{self, CvssVersion, Status};
use crate::domain::finding::{Finding, Rating};
use crate::domain::vulnerabilities::Vulnerabilities;
use crate::domain::occurrence::Details;
use crate::priority::exposure::Exposure;
use crate::priority::ssvc::{Exploitation, Ssvc, TechnicalImpact, derive_ssvc};
use crate::priority::{Epss, Facts, FixStatus, Kev, Record, RecordStatus, VectorReading};
use crate::domain::remediation::has_fix;
use crate::domain::severity::Severity;
use crate::domain::vulnerability::VulnerabilitySummary;

/// What a report says of a finding, as far as its priority needs it.
///
/// Trivy maps a distribution's `negligible` and `unimportant` to `LOW` and writes numbers into
/// `VendorSeverity` (<https://github.com/aquasecurity/trivy-db/blob/main/pkg/types/types.go>), so that a report
/// cannot tell them from a plain `LOW`: nothing is taken for negligible here.
#[derive(Debug, Clone, PartialEq)]
pub struct Reported {
    /// Trivy's severity.
    pub severity: Severity,
    /// What the vendor does about it.
    pub status: FixStatus,
    /// Whether a version with the fix is named.
    pub fixed_version: bool,
    /// The rating that the report's own words are judged by.
    pub rating: Option<Rating>,
    /// The day on which the vulnerability was published.
    pub published: Option<Date>,
    /// The time of the scan.
    pub scanned_at: Timestamp,
    /// The time of the oldest scan that is known to have it.
    pub first_seen: Timestamp,
}

impl Reported {
    /// What a stored finding says, of a scan of that time, and when its problem was first seen.
    #[must_use]
    pub fn finding(finding: &Finding, scanned_at: Timestamp, first_seen: Timestamp) -> Self {
        let published = finding.text("PublishedDate");
        Self {
            severity: finding.severity(),
            status: FixStatus::from_trivy(&finding.text("Status").unwrap_or_default()),
            fixed_version: finding.text("FixedVersion").is_some_and(|version| has_fix(&version)),
            rating: finding.rating(),
            published: published.and_then(|text| upstream_time::instant(&text)).map(day),
            scanned_at,
            first_seen,
        }
    }

    /// What is kept of an asset's scans.
    #[must_use]
    pub fn occurrence(details: &Details, first_seen: Timestamp, last_seen: Timestamp) -> Self {
        Self {
            severity: details.severity,
            status: FixStatus::from_trivy(details.status.as_deref().unwrap_or_default()),
            fixed_version: details.fixed_version.as_ref().is_some_and(|version| has_fix(version)),
            rating: details.rating.clone(),
            published: None,
            scanned_at: last_seen,
            first_seen,
        }
    }
}

/// What the rule looks at: the sources' words where there are any, else the report's.
#[must_use]
pub fn facts(reported: &Reported, signals: Option<&VulnerabilitySummary>, known: &Vulnerabilities, exposure: Exposure) -> Facts {
    let ratings = signals.map(|signals| signals.cvss.as_slice()).unwrap_or_default();
    let (cvss_scores, vector) = if ratings.is_empty() {
        let scores = reported.rating.iter().filter_map(|rating| cvss::score(&rating.vector).ok());
        let scores = scores.filter(|score| score.version != CvssVersion::V4).map(|score| score.score).collect();
        let assigner = reported.rating.as_ref().map(|rating| format!("trivy:{}", rating.assigner));
        let rated = reported.rating.iter().zip(&assigner);
        (scores, reading(rated.map(|(it, assigner)| (assigner.as_str(), it.vector.as_str(), reported.scanned_at))))
    } else {
        let scores = ratings.iter().filter(|rating| rating.version != CvssVersion::V4).map(|rating| rating.score);
        let rated = ratings.iter().map(|rating| (rating.assigner.as_str(), rating.vector.as_str(), rating.as_of));
        (scores.collect(), reading(rated))
    };
    Facts {
        severity: reported.severity,
        vendor_negligible: false,
        status: reported.status,
        fixed_version: reported.fixed_version,
        cvss_scores,
        network_reach: vector.as_ref().map(|vector| vector.derived.network_reach),
        kev: kev(signals, known),
        epss: signals.and_then(|signals| signals.epss.as_ref()).map(|epss| Epss {
            score: epss.fact.score,
            percentile: epss.fact.percentile,
            date: epss.fact.date,
            model_version: epss.fact.model_version.clone(),
        }),
        epss_median: known.epss.as_ref().and_then(|feed| feed.median),
        ssvc: signals.and_then(|signals| signals.ssvc.as_ref()).map(|said| Ssvc {
            exploitation: said.fact.exploitation.map(exploitation),
            automatable: said.fact.automatable,
            technical_impact: said.fact.technical_impact.map(technical_impact),
            source: said.fact.assigner.clone(),
            assessed_at: Some(day(said.fact.assessed_at.unwrap_or(said.as_of))),
        }),
        vector,
        exposure,
        record: signals.and_then(record),
        vex: None,
        first_seen: Some(day(reported.first_seen)),
        published: signals.and_then(|signals| signals.published).map(day).or(reported.published),
    }
}

fn kev(signals: Option<&VulnerabilitySummary>, known: &Vulnerabilities) -> Kev {
    let Some(signals) = signals else { return Kev::Unknown };
    match (&signals.kev, known.catalogue(signals)) {
        // Not known to be used by ransomware is what CISA's own "Unknown" means, too.
        (Some(listed), _) => {
            Kev::Listed { date_added: listed.date_added, ransomware: listed.ransomware.unwrap_or(false) }
        }
        (None, Some(catalogue)) => Kev::NotListed { catalogue: day(catalogue) },
        (None, None) => Kev::Unknown,
    }
}

fn record(signals: &VulnerabilitySummary) -> Option<Record> {
    let status = match signals.status {
        Status::Published => RecordStatus::Published,
        Status::Rejected => RecordStatus::Rejected,
        Status::Disputed => RecordStatus::Disputed,
        Status::NotFound | Status::Partial | Status::Pending => return None,
    };
    Some(Record { status, source: signals.status_source.as_str().to_owned(), as_of: Some(day(signals.status_as_of)) })
}

/// The first vector of CVSS 3, else the first of CVSS 4: the rule for 3 was held against CISA's own answers.
fn reading<'a>(rated: impl Iterator<Item = (&'a str, &'a str, Timestamp)> + Clone) -> Option<VectorReading> {
    let wanted = |prefix: &'static str| {
        rated.clone().filter(move |(_, vector, _)| vector.starts_with(prefix)).find_map(|(source, vector, as_of)| {
            Some(VectorReading { derived: derive_ssvc(vector)?, source: source.to_owned(), as_of: Some(day(as_of)) })
        })
    };
    wanted("CVSS:3").or_else(|| wanted("CVSS:4"))
}

const fn exploitation(said: enrichment::Exploitation) -> Exploitation {
    match said {
        enrichment::Exploitation::None => Exploitation::None,
        enrichment::Exploitation::Poc => Exploitation::Poc,
        enrichment::Exploitation::Active => Exploitation::Active,
    }
}

const fn technical_impact(said: enrichment::TechnicalImpact) -> TechnicalImpact {
    match said {
        enrichment::TechnicalImpact::Partial => TechnicalImpact::Partial,
        enrichment::TechnicalImpact::Total => TechnicalImpact::Total,
    }
}

fn day(time: Timestamp) -> Date {
    time.to_zoned(TimeZone::UTC).date()
}

#[cfg(test)]
mod tests;
