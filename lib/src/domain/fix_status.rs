//! The vendor's status of a fix.

use serde::Deserialize;
use serde::de::IntoDeserializer as _;
use serde::de::value::{Error, StrDeserializer};

/// Trivy's `Status` of a finding
/// (<https://github.com/aquasecurity/trivy-db/blob/main/pkg/types/status.go>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FixStatus {
    /// `unknown`, or a status of a later Trivy.
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
    /// Reads the status of a report; [`FixStatus::Unknown`] for any other text.
    #[must_use]
    pub fn from_trivy(word: &str) -> Self {
        let word: StrDeserializer<'_, Error> = word.into_deserializer();
        Self::deserialize(word).unwrap_or(Self::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trivys_statuses_are_read_and_other_words_are_unknown() {
        use FixStatus::{
            Affected, EndOfLife, FixDeferred, Fixed, NotAffected, UnderInvestigation, Unknown, WillNotFix,
        };
        for (word, status) in [
            ("unknown", Unknown),
            ("not_affected", NotAffected),
            ("affected", Affected),
            ("fixed", Fixed),
            ("under_investigation", UnderInvestigation),
            ("will_not_fix", WillNotFix),
            ("fix_deferred", FixDeferred),
            ("end_of_life", EndOfLife),
        ] {
            assert_eq!(FixStatus::from_trivy(word), status);
        }
        assert_eq!(FixStatus::from_trivy("WILL_NOT_FIX"), Unknown);
        assert_eq!(FixStatus::from_trivy(""), Unknown);
    }
}
