//! Findings: one vulnerability of one package in one scan.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::scan::{ScanId, parse_decimal};
use super::severity::Severity;
use super::text::cut;
use super::vulnerability::VulnerabilitySummary;

/// The place of a finding in its scan, from 0, most severe first.
///
/// Findings are ordered by severity, then vulnerability id, then package, so that a severity is a range of ordinals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ordinal(u32);

impl Ordinal {
    /// Accepts a number below [`FindingId::PER_SCAN`].
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        if (number as u64) < FindingId::PER_SCAN { Some(Self(number)) } else { None }
    }

    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// The number of a finding: `scan_id` × 1,000,000 + ordinal, which gives its key in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FindingId(u64);

impl FindingId {
    /// The most findings of a scan.
    pub const PER_SCAN: u64 = ScanId::FINDINGS;

    /// Returns the id of the finding at `ordinal` in the scan.
    #[must_use]
    pub const fn new(scan: ScanId, ordinal: Ordinal) -> Self {
        Self(scan.get() * Self::PER_SCAN + ordinal.get() as u64)
    }

    /// Splits the id into scan and ordinal; none for an impossible number.
    #[must_use]
    pub fn split(self) -> Option<(ScanId, Ordinal)> {
        let scan = ScanId::new(self.0 / Self::PER_SCAN)?;
        let ordinal = u32::try_from(self.0 % Self::PER_SCAN).ok().and_then(Ordinal::new)?;
        Some((scan, ordinal))
    }

    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for FindingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The text is not the number of a finding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not a finding id: decimal digits without sign or leading zero")]
pub struct ParseFindingIdError;

impl FromStr for FindingId {
    type Err = ParseFindingIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_decimal(text).map(Self).ok_or(ParseFindingIdError)
    }
}

/// The members of a JSON object as text, since a parsed hostile one could take a hundred times the memory.
pub type Members = BTreeMap<String, Box<RawValue>>;

/// The reason for which Trivy suppresses a finding.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppression {
    /// `ignored`, `not_affected`, `fixed`, …
    pub status: Option<String>,
    /// The ignore file, policy or VEX document that suppresses it.
    pub source: Option<String>,
    /// The statement in that document.
    pub statement: Option<String>,
}

/// A CVSS rating in the report.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Rating {
    /// The member of Trivy's `CVSS`: `nvd`, `redhat`, `ghsa`, …
    #[serde(rename = "a")]
    pub assigner: String,
    /// The CVSS vector.
    #[serde(rename = "v")]
    pub vector: String,
}

/// A stored finding with all of its members in the report.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The scan that has it.
    pub scan_id: ScanId,
    /// Its place in the scan.
    pub ordinal: Ordinal,
    /// `CVE-…`, `GHSA-…`, …; an edited report may lack it.
    pub vulnerability_id: Option<String>,
    /// The package's name.
    pub pkg_name: Option<String>,
    /// The part of the artifact that was scanned: `name (os version)` or a file.
    pub target: String,
    /// `os-pkgs`, `lang-pkgs`, …
    pub class: Option<String>,
    /// `debian`, `npm`, `jar`, …
    pub kind: Option<String>,
    /// The suppression; none for an open finding.
    pub suppressed: Option<Suppression>,
    /// The other members of the vulnerability object, under Trivy's names.
    pub vulnerability: Members,
}

impl Finding {
    /// Returns the number of the finding.
    #[must_use]
    pub const fn id(&self) -> FindingId {
        FindingId::new(self.scan_id, self.ordinal)
    }

    /// Returns the severity; [`Severity::Unknown`] if Trivy's is missing or invalid.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.text("Severity").and_then(|severity| severity.parse().ok()).unwrap_or(Severity::Unknown)
    }

    /// Returns a member of the vulnerability object that is a string.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.vulnerability.get(name)?.get()).ok()
    }

    /// Selects a rating of `CVSS`: version 3 before 4 before 2; within a version the source of Trivy's severity, else NVD,
    /// else the first by name.
    #[must_use]
    pub fn rating(&self) -> Option<Rating> {
        let cvss = self.value("CVSS")?;
        let severity_source = self.text("SeveritySource").unwrap_or_default();
        let mut sources: Vec<(&String, &Value)> = cvss.as_object()?.iter().collect();
        sources.sort_by_key(|(name, _)| (**name != severity_source, *name != "nvd", *name));
        let usable = |vector: &&str| {
            (1..=VulnerabilitySummary::VECTOR_BYTES).contains(&vector.len())
                && vector.bytes().all(|byte| byte.is_ascii_graphic())
        };
        ["V3Vector", "V40Vector", "V2Vector"].into_iter().find_map(|version| {
            sources.iter().find_map(|(name, rated)| {
                let vector = rated.get(version)?.as_str().filter(usable)?;
                let assigner = cut(name, VulnerabilitySummary::ASSIGNER_BYTES).to_owned();
                Some(Rating { assigner, vector: vector.to_owned() })
            })
        })
    }

    /// Parses a member of the vulnerability object.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<Value> {
        serde_json::from_str(self.vulnerability.get(name)?.get()).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_finding_id_names_its_scan_and_ordinal(scan in 1..=ScanId::MAX, ordinal in 0u32..1_000_000) {
            let (scan, ordinal) = (ScanId::new(scan).unwrap(), Ordinal::new(ordinal).unwrap());
            let id = FindingId::new(scan, ordinal);
            prop_assert!(id.get() < 1 << 53);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            prop_assert_eq!(id.split(), Some((scan, ordinal)));
        }
    }

    #[test]
    fn a_number_below_the_first_scan_is_no_finding() {
        let id: FindingId = "999999".parse().unwrap();
        assert_eq!(id.split(), None);
        assert_eq!("18446744073709551615".parse::<FindingId>().unwrap().split(), None);
    }

    #[test]
    fn a_finding_id_has_one_spelling() {
        for text in ["", "01000000", "+1000000", "1000000.0", "abc", "18446744073709551616", "1000000\n"] {
            assert_eq!(text.parse::<FindingId>(), Err(ParseFindingIdError), "{text}");
        }
    }
}
