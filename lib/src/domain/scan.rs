//! Scans: the image, the times and the counts of one ingested report.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::declared::{Scanners, Severities};
use super::image_name::ImageName;
use super::platform::Platform;
use super::report_hash::ReportHash;
use super::severity::SeverityCounts;

/// The number of a scan: 1, 2, 3 …, used once, with gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScanId(u64);

impl ScanId {
    /// The most findings of a scan.
    pub const FINDINGS: u64 = 1_000_000;

    /// The largest scan id whose findings have ids below 2^53, which every JSON reader keeps exactly (RFC 8259 §6).
    pub const MAX: u64 = (1 << 53) / Self::FINDINGS - 1;

    /// Accepts a number from 1 to [`ScanId::MAX`].
    #[must_use]
    pub const fn new(number: u64) -> Option<Self> {
        if number >= 1 && number <= Self::MAX { Some(Self(number)) } else { None }
    }

    /// Returns the number.
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

/// Reads decimal digits in their only spelling: `7`, not `+7` or `07`.
pub(super) fn parse_decimal(text: &str) -> Option<u64> {
    let canonical = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    canonical.then(|| text.parse().ok()).flatten()
}

/// A report without its findings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    /// The number of the scan.
    pub scan_id: ScanId,
    /// The hash of the report: a second one with the same hash is not stored again.
    pub report_hash: ReportHash,
    /// Facts that the report states about the artifact.
    #[serde(flatten)]
    pub artifact: Artifact,
    /// The earliest time at which this content was seen: the oldest `CreatedAt` of its deliveries, or the time of
    /// ingestion if none has one.
    pub scan_timestamp: Timestamp,
    /// The latest time at which this content was seen: the newest `CreatedAt` of its deliveries.
    pub last_seen_at: Timestamp,
    /// No delivery has a `CreatedAt`, so both times are that of the ingestion.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undated: bool,
    /// The time of the ingestion.
    pub ingested_at: Timestamp,
    /// Vulnerabilities in the report, exact repeats included.
    pub reported_findings: u32,
    /// Stored open findings by severity.
    pub severity_counts: SeverityCounts,
    /// Stored open findings that have a fixed version, by severity.
    pub fixable_counts: SeverityCounts,
    /// Stored open findings by the class of their result.
    #[serde(default)]
    pub class_counts: ClassCounts,
    /// Stored findings that Trivy has suppressed, by severity. Their ordinals follow those of the open ones.
    #[serde(default)]
    pub suppressed_counts: SeverityCounts,
    /// Stored suppressed findings by the class of their result.
    #[serde(default)]
    pub suppressed_class_counts: ClassCounts,
    /// The counts of other findings.
    #[serde(default)]
    pub other_findings: OtherFindings,
    /// Whether vulnerabilities were looked for.
    pub is_vulnerability_scan: bool,
    /// The scanners that ran, if the sender declares them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scanners: Option<Scanners>,
    /// The severities that were looked for, if the sender declares them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scanned_severities: Option<Severities>,
    /// `last_seen_at` at the time at which a user confirmed that the missing findings are gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_until: Option<Timestamp>,
    /// It lacks findings of the scan before it of the same image, and is not confirmed.
    #[serde(default)]
    pub suspect: bool,
    /// It is the current scan of its asset.
    #[serde(default)]
    pub current: bool,
    /// Its asset is retired.
    #[serde(default)]
    pub retired: bool,
    /// For a current scan, the time at which any scan of its asset was first seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset_since: Option<Timestamp>,
}

impl Scan {
    /// Tells whether the confirmation holds for a time at which the scan was seen.
    #[must_use]
    pub fn is_confirmed_at(&self, at: Timestamp) -> bool {
        self.confirmed_until.is_some_and(|until| at <= until)
    }

    /// Counts the stored open findings.
    #[must_use]
    pub fn total_findings(&self) -> u32 {
        self.severity_counts.total()
    }

    /// Counts the stored findings, open and suppressed.
    #[must_use]
    pub fn stored_findings(&self) -> u32 {
        self.total_findings().saturating_add(self.suppressed_counts.total())
    }
}

/// Findings by the class of the result that they are in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassCounts {
    /// `os-pkgs`: packages of the distribution.
    pub os_pkgs: u32,
    /// `lang-pkgs`: packages of languages.
    pub lang_pkgs: u32,
    /// Any other class, or none.
    pub other: u32,
}

impl ClassCounts {
    /// Counts one finding of a class, in Trivy's spelling.
    pub fn add(&mut self, class: Option<&str>) {
        let count = match class {
            Some("os-pkgs") => &mut self.os_pkgs,
            Some("lang-pkgs") => &mut self.lang_pkgs,
            _ => &mut self.other,
        };
        *count = count.saturating_add(1);
    }
}

/// The counts of findings other than vulnerabilities, which are only in the archived report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherFindings {
    /// Secrets.
    pub secrets: u32,
    /// Misconfigurations that failed their check.
    pub misconfigurations: u32,
    /// Licences.
    pub licenses: u32,
}

/// Facts that a report states about what was scanned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// The image reference as it was typed, or another name of the artifact.
    pub image_name: ImageName,
    /// The name does not identify an image (`.`, a path), so the scan replaces no other.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nameless: bool,
    /// The platform of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// `Metadata.Reference`: the reference that Trivy resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_ref: Option<String>,
    /// `Metadata.RepoTags`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repo_tags: Vec<String>,
    /// `sha256:…` of the scanned repository, from `RepoDigests`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<String>,
    /// `sha256:…` of the image's configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    /// `ArtifactID`: Trivy's own name for image and repository, or repository and commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_id: Option<String>,
    /// `Metadata.ImageConfig.created`; none for a reproducible image, which has no real time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_created_at: Option<Timestamp>,
    /// `container_image`, `filesystem`, `repository`, `cyclonedx`, `vm` …; old reports lack it.
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
    /// The version of Trivy; reports before v0.69 lack it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trivy_version: Option<String>,
}

impl Artifact {
    /// Returns the name of the asset: `docker.io/library/x` and `x` are one. A path or URL has one form only.
    #[must_use]
    pub fn familiar_name(&self) -> ImageName {
        let familiar = if self.nameless { None } else { self.image_name.familiar().parse().ok() };
        familiar.unwrap_or_else(|| self.image_name.clone())
    }
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
        const { assert!((ScanId::MAX + 1) * ScanId::FINDINGS <= 1 << 53) };
    }
}
