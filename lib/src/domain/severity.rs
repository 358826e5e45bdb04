//! Trivy's severities, and counts of findings by severity.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Trivy's severity, ordered from [`Severity::Unknown`] to [`Severity::Critical`].
///
/// The spelling is that of trivy-db's `types.Severity`:
/// <https://github.com/aquasecurity/trivy-db/blob/main/pkg/types/types.go>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Severity {
    /// No source rated it, or the report's word is unknown.
    Unknown,
    /// `LOW`
    Low,
    /// `MEDIUM`
    Medium,
    /// `HIGH`
    High,
    /// `CRITICAL`
    Critical,
}

impl Severity {
    /// Most severe first: the order in which a scan's findings are stored.
    pub const DESCENDING: [Self; 5] = [Self::Critical, Self::High, Self::Medium, Self::Low, Self::Unknown];

    /// Returns Trivy's spelling, in capitals.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Low => "LOW",
            Self::Medium => "MEDIUM",
            Self::High => "HIGH",
            Self::Critical => "CRITICAL",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is not a severity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not one of CRITICAL, HIGH, MEDIUM, LOW, UNKNOWN")]
pub struct ParseSeverityError;

impl FromStr for Severity {
    type Err = ParseSeverityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::DESCENDING
            .into_iter()
            .find(|severity| text.eq_ignore_ascii_case(severity.as_str()))
            .ok_or(ParseSeverityError)
    }
}

/// A number for each severity; as JSON an object keyed `CRITICAL` … `UNKNOWN`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub struct SeverityCounts {
    /// Number of `CRITICAL` ones.
    pub critical: u32,
    /// Number of `HIGH` ones.
    pub high: u32,
    /// Number of `MEDIUM` ones.
    pub medium: u32,
    /// Number of `LOW` ones.
    pub low: u32,
    /// Number of `UNKNOWN` ones.
    pub unknown: u32,
}

impl SeverityCounts {
    /// Returns the number of one severity.
    #[must_use]
    pub const fn of(&self, severity: Severity) -> u32 {
        match severity {
            Severity::Critical => self.critical,
            Severity::High => self.high,
            Severity::Medium => self.medium,
            Severity::Low => self.low,
            Severity::Unknown => self.unknown,
        }
    }

    /// Counts one more of `severity`.
    pub const fn add(&mut self, severity: Severity) {
        let count = match severity {
            Severity::Critical => &mut self.critical,
            Severity::High => &mut self.high,
            Severity::Medium => &mut self.medium,
            Severity::Low => &mut self.low,
            Severity::Unknown => &mut self.unknown,
        };
        *count += 1;
    }

    /// Returns the sum over all severities.
    #[must_use]
    pub fn total(&self) -> u32 {
        Severity::DESCENDING.into_iter().map(|s| self.of(s)).sum()
    }

    /// Returns the ordinals of the findings of a severity: those of a scan are numbered from 0 in descending severity.
    #[must_use]
    pub fn ordinals(&self, severity: Severity) -> Range<u32> {
        let start = Severity::DESCENDING.into_iter().take_while(|&s| s != severity).map(|s| self.of(s)).sum();
        start..start + self.of(severity)
    }

    /// Returns the ordinals from `start` on of the findings of `severities` (of all if it is empty), as nonempty ranges.
    #[must_use]
    pub fn of_any(&self, severities: &[Severity], start: u32) -> Vec<Range<u32>> {
        let ranges = if severities.is_empty() {
            vec![0..self.total()]
        } else {
            let wanted = Severity::DESCENDING.into_iter().filter(|severity| severities.contains(severity));
            wanted.map(|severity| self.ordinals(severity)).collect()
        };
        let from_start = ranges.into_iter().map(|range| range.start.max(start)..range.end);
        from_start.filter(|range| !range.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_severity_is_read_in_any_case_and_nothing_else_is() {
        assert_eq!("critical".parse(), Ok(Severity::Critical));
        assert_eq!("UNKNOWN".parse(), Ok(Severity::Unknown));
        for text in ["", "SEVERE", "HIGH ", "HIGH,LOW"] {
            assert_eq!(text.parse::<Severity>(), Err(ParseSeverityError), "{text}");
        }
    }

    #[test]
    fn severities_are_ranges_of_ordinals() {
        use Severity::{Critical, High, Low, Medium};
        let counts = SeverityCounts { critical: 2, high: 3, medium: 0, low: 4, unknown: 1 };
        assert_eq!(counts.of_any(&[], 0), [0..10]);
        assert_eq!(counts.of_any(&[Low, Critical], 0), [0..2, 5..9]);
        assert_eq!(counts.of_any(&[Low, Critical], 6), [6..9]);
        assert_eq!(counts.of_any(&[High, High, Medium], 0), [2..5]);
        assert_eq!(counts.of_any(&[], 10), []);
    }

    proptest! {
        #[test]
        fn the_ordinals_of_all_severities_cover_every_finding_once(
            critical in 0u32..9, high in 0u32..9, medium in 0u32..9, low in 0u32..9, unknown in 0u32..9
        ) {
            let counts = SeverityCounts { critical, high, medium, low, unknown };
            let covered: Vec<u32> = Severity::DESCENDING.into_iter().flat_map(|s| counts.ordinals(s)).collect();
            prop_assert_eq!(covered, (0..counts.total()).collect::<Vec<_>>());
        }
    }
}
