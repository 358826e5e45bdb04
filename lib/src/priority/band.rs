//! The urgency of a finding.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The five timelines of CISA's BOD 26-04, most urgent first, and "suppressed".
///
/// The order is that of urgency: `P0 < P1 < … < P4 < none`. Names and days:
/// <https://github.com/CERTCC/SSVC> (`cisa/BOD2604`, version 1.0.0).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Band {
    /// Within 3 days, with a search for traces of an attack.
    P0,
    /// Within 3 days.
    P1,
    /// Within 14 days.
    P2,
    /// Within 60 days.
    P3,
    /// With the next upgrade or rebuild; no date.
    P4,
    /// No action: the record is rejected, or Trivy's status is `not_affected`.
    #[serde(rename = "none")]
    Suppressed,
}

impl Band {
    /// All bands, most urgent first.
    pub const ALL: [Self; 6] = [Self::P0, Self::P1, Self::P2, Self::P3, Self::P4, Self::Suppressed];

    /// Returns the name in JSON: `P0` … `P4`, `none`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::P0 => "P0",
            Self::P1 => "P1",
            Self::P2 => "P2",
            Self::P3 => "P3",
            Self::P4 => "P4",
            Self::Suppressed => "none",
        }
    }

    /// Returns the timeline in words.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::P0 => "3 days + forensic triage",
            Self::P1 => "3 days",
            Self::P2 => "14 days",
            Self::P3 => "60 days",
            Self::P4 => "next upgrade",
            Self::Suppressed => "suppressed",
        }
    }

    /// Returns the days to fix a finding; none for [`Band::P4`] and [`Band::Suppressed`].
    #[must_use]
    pub const fn days(self) -> Option<i64> {
        match self {
            Self::P0 | Self::P1 => Some(3),
            Self::P2 => Some(14),
            Self::P3 => Some(60),
            Self::P4 | Self::Suppressed => None,
        }
    }

    /// Returns the range of risk scores, 1 to 10, that fits the band: a model's score is compared with it.
    ///
    /// It is wide, because a band states urgency and a score severity: a critical flaw out of reach may have P4 and a 7.
    #[must_use]
    pub const fn risk_scores(self) -> (f64, f64) {
        match self {
            Self::P0 => (8.0, 10.0),
            Self::P1 => (7.0, 10.0),
            Self::P2 => (5.0, 9.0),
            Self::P3 => (3.0, 8.0),
            Self::P4 => (1.0, 7.0),
            Self::Suppressed => (1.0, 3.0),
        }
    }

    /// Returns the same days without forensic triage, which is for findings in KEV only.
    pub(super) const fn without_forensics(self) -> Self {
        match self {
            Self::P0 => Self::P1,
            other => other,
        }
    }

    /// Returns one band more urgent, at most [`Band::P2`]; P0 and P1 stay.
    pub(super) const fn one_up_to_p2(self) -> Self {
        match self {
            Self::P4 => Self::P3,
            Self::P3 => Self::P2,
            other => other,
        }
    }

    /// Returns one band less urgent, never below [`Band::P4`].
    pub(super) const fn one_down_to_p4(self) -> Self {
        match self {
            Self::P0 => Self::P1,
            Self::P1 => Self::P2,
            Self::P2 => Self::P3,
            Self::P3 | Self::P4 => Self::P4,
            Self::Suppressed => Self::Suppressed,
        }
    }
}

impl fmt::Display for Band {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_more_urgent_band_never_has_a_smaller_score() {
        for pair in Band::ALL.windows(2) {
            let [(low, high), (lower, less_high)] = [pair[0].risk_scores(), pair[1].risk_scores()];
            assert!(low >= lower && high >= less_high, "{pair:?}");
        }
        for (low, high) in Band::ALL.map(Band::risk_scores) {
            assert!(1.0 <= low && low < high && high <= 10.0);
        }
    }
}
