//! What the rule looks at. What is not known is said to be unknown, never left at zero or "no".

use jiff::civil::Date;

use super::exposure::Exposure;
use super::ssvc::{Derived, Ssvc};
use crate::domain::severity::Severity;

/// Everything about one finding that decides its priority.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// Trivy's severity: the word of the vendor that Trivy chose.
    pub severity: Severity,
    /// Whether the distribution itself calls it negligible or unimportant, which Trivy shows as `LOW`.
    pub vendor_negligible: bool,
    /// What the vendor does about it, as Trivy says.
    pub status: FixStatus,
    /// Whether Trivy names a version with the fix.
    pub fixed_version: bool,
    /// CVSS v2 and v3 base scores, one per source, each recomputed from its vector. Not those of v4: Grype's
    /// formula has no place for them, and NVD's were wrong in 2026.
    pub cvss_scores: Vec<f64>,
    /// Whether an attack comes over a network; usually [`Derived::network_reach`]. None: not known.
    pub network_reach: Option<bool>,
    /// CISA's catalogue of known exploited vulnerabilities.
    pub kev: Kev,
    /// FIRST's prediction. None: there is none for this id, or it is not loaded.
    pub epss: Option<Epss>,
    /// The median probability of the EPSS snapshot that is loaded.
    pub epss_median: Option<f64>,
    /// An assessment by CISA or another. It goes before what a vector implies.
    pub ssvc: Option<Ssvc>,
    /// What a CVSS vector implies where `ssvc` is silent.
    pub vector: Option<VectorReading>,
    /// Whether untrusted people reach the image.
    pub exposure: Exposure,
    /// What the CVE record says of itself.
    pub record: Option<Record>,
    /// What a VEX document says about this product.
    pub vex: Option<Vex>,
    /// The day on which a scan first saw the finding in this image.
    pub first_seen: Option<Date>,
    /// The day on which the vulnerability was published.
    pub published: Option<Date>,
}

impl Facts {
    /// A finding of which nothing else is known.
    #[must_use]
    pub const fn unknown(severity: Severity, exposure: Exposure) -> Self {
        Self {
            severity,
            vendor_negligible: false,
            status: FixStatus::Unknown,
            fixed_version: false,
            cvss_scores: Vec::new(),
            network_reach: None,
            kev: Kev::Unknown,
            epss: None,
            epss_median: None,
            ssvc: None,
            vector: None,
            exposure,
            record: None,
            vex: None,
            first_seen: None,
            published: None,
        }
    }
}

/// Trivy's `Status` of a finding
/// (<https://github.com/aquasecurity/trivy-db/blob/main/pkg/types/status.go>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FixStatus {
    /// `unknown`, or a word that Trivy may yet invent.
    Unknown,
    /// `not_affected`
    NotAffected,
    /// `affected`
    Affected,
    /// `fixed`
    Fixed,
    /// `under_investigation`
    UnderInvestigation,
    /// `will_not_fix`
    WillNotFix,
    /// `fix_deferred`
    FixDeferred,
    /// `end_of_life`
    EndOfLife,
}

impl FixStatus {
    const ALL: [Self; 8] = [
        Self::Unknown,
        Self::NotAffected,
        Self::Affected,
        Self::Fixed,
        Self::UnderInvestigation,
        Self::WillNotFix,
        Self::FixDeferred,
        Self::EndOfLife,
    ];

    /// Trivy's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::NotAffected => "not_affected",
            Self::Affected => "affected",
            Self::Fixed => "fixed",
            Self::UnderInvestigation => "under_investigation",
            Self::WillNotFix => "will_not_fix",
            Self::FixDeferred => "fix_deferred",
            Self::EndOfLife => "end_of_life",
        }
    }

    /// The status that a report names; [`FixStatus::Unknown`] for any other word.
    #[must_use]
    pub fn from_trivy(word: &str) -> Self {
        Self::ALL.into_iter().find(|status| status.as_str() == word).unwrap_or(Self::Unknown)
    }
}

/// Whether CISA's catalogue of known exploited vulnerabilities has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kev {
    /// It is in the catalogue.
    Listed {
        /// `dateAdded`
        date_added: Date,
        /// Whether `knownRansomwareCampaignUse` is `Known`.
        ransomware: bool,
    },
    /// It is not in the catalogue of that day.
    NotListed {
        /// The catalogue's `dateReleased`.
        catalogue: Date,
    },
    /// No catalogue is loaded.
    Unknown,
}

/// FIRST's prediction that attacks will be seen within 30 days.
#[derive(Debug, Clone, PartialEq)]
pub struct Epss {
    /// The probability, 0 to 1.
    pub score: f64,
    /// The share of all CVEs with this probability or less, 0 to 1. Old files have none.
    pub percentile: Option<f64>,
    /// The day of the prediction.
    pub date: Date,
    /// `v2026.06.15`, …
    pub model_version: Option<String>,
}

/// What a CVSS vector implies, and whose vector it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VectorReading {
    /// From [`super::ssvc::derive_ssvc`].
    pub derived: Derived,
    /// `nvd`, `ghsa`, ….
    pub source: String,
    /// The day of the source's record.
    pub as_of: Option<Date>,
}

/// The state of a CVE record, from a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The state.
    pub status: RecordStatus,
    /// `nvd`, `cve-services`, ….
    pub source: String,
    /// The day of the source's record.
    pub as_of: Option<Date>,
}

/// What a CVE record says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordStatus {
    /// It stands.
    Published,
    /// The vendor says it is none. That is a dispute, not a verdict: it suppresses nothing.
    Disputed,
    /// It was withdrawn.
    Rejected,
}

/// What a VEX document says about this vulnerability in this product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vex {
    /// The statement.
    pub status: VexStatus,
    /// The document's author.
    pub source: String,
    /// The day of the statement.
    pub as_of: Option<Date>,
}

/// The four words of VEX (<https://github.com/openvex/spec>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VexStatus {
    /// `not_affected`: also what nothing reaches.
    NotAffected,
    /// `affected`
    Affected,
    /// `fixed`
    Fixed,
    /// `under_investigation`
    UnderInvestigation,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trivys_statuses_are_read_and_other_words_are_unknown() {
        for status in FixStatus::ALL {
            assert_eq!(FixStatus::from_trivy(status.as_str()), status);
        }
        assert_eq!(FixStatus::from_trivy("WILL_NOT_FIX"), FixStatus::Unknown);
        assert_eq!(FixStatus::from_trivy(""), FixStatus::Unknown);
    }
}
