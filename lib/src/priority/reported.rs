//! The facts of a report that a priority depends on.

use jiff::Timestamp;
use jiff::civil::Date;

use crate::domain::finding::{self, Finding};
use crate::domain::fix_status::FixStatus;
use crate::domain::instant::day;
use crate::domain::occurrence::Details;
use crate::domain::remediation::has_fix;
use crate::domain::severity::Severity;
use crate::domain::upstream_time;
use crate::domain::vulnerability::{Rating, Source, Sourced, cvss};

/// The facts of a finding in a report.
#[derive(Debug, Clone, PartialEq)]
pub struct Reported {
    /// Trivy's severity.
    pub severity: Severity,
    /// The vendor's status of the fix.
    pub status: FixStatus,
    /// Whether a fixed version is named.
    pub fixed_version: bool,
    /// The report's own rating.
    pub rating: Option<finding::Rating>,
    /// The day on which the vulnerability was published.
    pub published: Option<Date>,
    /// The time of the scan.
    pub scanned_at: Timestamp,
    /// The time of the oldest scan that is known to have it.
    pub first_seen: Timestamp,
}

impl Reported {
    /// Reads a stored finding of a scan of that time, whose problem was first seen at `first_seen`.
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

    /// Reads an occurrence in an asset's scans.
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

    /// Scores the report's own rating.
    pub(super) fn scored(&self) -> Option<Sourced<Rating>> {
        let finding::Rating { assigner, vector } = self.rating.as_ref()?;
        let cvss::Score { version, score, .. } = cvss::score(vector).ok()?;
        let fact = Rating { version, vector: vector.clone(), score, assigner: format!("trivy:{assigner}") };
        Some(Sourced { fact, source: Source::Trivy, as_of: self.scanned_at })
    }
}
