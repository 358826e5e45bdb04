//! The vendor's status of a fix.

/// Trivy's `Status` of a finding
/// (<https://github.com/aquasecurity/trivy-db/blob/main/pkg/types/status.go>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FixStatus {
    /// `unknown`, or a word that a later Trivy may have.
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

    /// Returns Trivy's word.
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

    /// Reads the status of a report; [`FixStatus::Unknown`] for any other word.
    #[must_use]
    pub fn from_trivy(word: &str) -> Self {
        Self::ALL.into_iter().find(|status| status.as_str() == word).unwrap_or(Self::Unknown)
    }
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
