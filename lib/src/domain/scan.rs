//! One ingested report: which image, when, and what was found, in numbers.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::finding::FindingId;
use super::image_name::ImageName;
use super::report_hash::ReportHash;
use super::severity::SeverityCounts;

/// The number of a scan: 1, 2, 3 …, given once; gaps are fine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScanId(u64);

impl ScanId {
    /// The largest scan id whose findings still have ids below 2^53, so that every JSON reader
    /// keeps them exactly (RFC 8259 §6).
    pub const MAX: u64 = (1 << 53) / FindingId::PER_SCAN - 1;

    /// A scan id, if `number` is between 1 and [`ScanId::MAX`].
    #[must_use]
    pub const fn new(number: u64) -> Option<Self> {
        if number >= 1 && number <= Self::MAX { Some(Self(number)) } else { None }
    }

    /// The number itself.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ScanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The text is not the number of a scan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not a scan id: decimal digits without sign or leading zero, 1 to {}", ScanId::MAX)]
pub struct ParseScanIdError;

impl FromStr for ScanId {
    type Err = ParseScanIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_decimal(text).and_then(Self::new).ok_or(ParseScanIdError)
    }
}

/// Reads decimal digits in their one spelling: `7`, never `+7` or `07`.
pub(super) fn parse_decimal(text: &str) -> Option<u64> {
    let canonical = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    canonical.then(|| text.parse().ok()).flatten()
}

/// What Sirius keeps of a report besides its findings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    /// The scan's number.
    pub scan_id: ScanId,
    /// Which report this was: a second one with the same hash is not stored again.
    pub report_hash: ReportHash,
    /// Facts that the report states about the artifact.
    #[serde(flatten)]
    pub artifact: Artifact,
    /// When the report was made (`CreatedAt`), or ingested if it does not say.
    pub scan_timestamp: Timestamp,
    /// When Sirius took it in.
    pub ingested_at: Timestamp,
    /// Vulnerabilities in the report as it came, exact repeats included.
    pub reported_findings: u32,
    /// Stored findings by severity.
    pub severity_counts: SeverityCounts,
    /// Stored findings that have a fixed version, by severity.
    pub fixable_counts: SeverityCounts,
}

impl Scan {
    /// Number of stored findings.
    #[must_use]
    pub fn total_findings(&self) -> u32 {
        self.severity_counts.total()
    }
}

/// Facts that a report states about what was scanned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// The image reference as it was typed, or what else the report calls its artifact.
    pub image_name: ImageName,
    /// `sha256:…` of the first of the image's `RepoDigests`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<String>,
    /// `sha256:…` of the image's configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    /// `container_image`, `filesystem`, `repository`, `cyclonedx`, `vm` …; old reports do not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// `alpine`, `debian`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os_family: Option<String>,
    /// The distribution's version, e.g. `12.5`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os_name: Option<String>,
    /// The distribution's version is out of support.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub os_end_of_life: bool,
    /// The Trivy that made the report; reports before v0.69 do not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trivy_version: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_id_has_one_spelling() {
        assert_eq!("17".parse(), Ok(ScanId(17)));
        for text in ["", "0", "017", "+17", "-1", " 17", "1e3", "17.0", "9007199254", "99999999999999999999", "１７"]
        {
            assert_eq!(text.parse::<ScanId>(), Err(ParseScanIdError), "{text}");
        }
    }

    #[test]
    fn the_last_finding_of_the_last_scan_is_below_2_to_the_53() {
        const { assert!((ScanId::MAX + 1) * FindingId::PER_SCAN <= 1 << 53) };
    }
}
