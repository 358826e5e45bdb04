//! Statements of the sender about a report.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::image_name::ImageName;
use super::severity::Severity;
use super::text::impl_string_conversions;

/// The sender's statements, none of which Trivy writes into its report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    /// The name of the image, instead of the one in the report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_name: Option<ImageName>,
    /// The scanners that ran; none if the sender does not declare them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scanners: Option<Scanners>,
    /// The severities that were looked for; none if the sender does not declare them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severities: Option<Severities>,
}

/// A scanner of Trivy, as `trivy --scanners` spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scanner {
    /// `vuln`
    Vulnerabilities,
    /// `misconfig`
    Misconfigurations,
    /// `secret`
    Secrets,
    /// `license`
    Licenses,
}

impl Scanner {
    const ALL: [Self; 4] = [Self::Vulnerabilities, Self::Misconfigurations, Self::Secrets, Self::Licenses];

    /// Returns Trivy's spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vulnerabilities => "vuln",
            Self::Misconfigurations => "misconfig",
            Self::Secrets => "secret",
            Self::Licenses => "license",
        }
    }
}

/// The text is not a list of scanners.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not a list of vuln, misconfig, secret and license with commas between them")]
pub struct ParseScannersError;

/// Scanners, each once, in the order of [`Scanner`]; as text with commas between them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scanners(Vec<Scanner>);

impl Scanners {
    /// Tells whether vulnerabilities were looked for.
    #[must_use]
    pub fn look_for_vulnerabilities(&self) -> bool {
        self.0.contains(&Scanner::Vulnerabilities)
    }
}

impl FromStr for Scanners {
    type Err = ParseScannersError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let one = |word: &str| {
            let word = word.trim();
            // Trivy before v0.50 also took `config`.
            let word = if word == "config" { "misconfig" } else { word };
            Scanner::ALL.into_iter().find(|scanner| scanner.as_str() == word).ok_or(ParseScannersError)
        };
        let mut scanners = text.split(',').map(one).collect::<Result<Vec<_>, _>>()?;
        scanners.sort_unstable();
        scanners.dedup();
        Ok(Self(scanners))
    }
}

impl fmt::Display for Scanners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.0.iter().map(|scanner| scanner.as_str()).collect();
        f.write_str(&words.join(","))
    }
}

/// The text is not a list of severities.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not a list of CRITICAL, HIGH, MEDIUM, LOW and UNKNOWN with commas between them")]
pub struct ParseSeveritiesError;

/// Severities, each once, the worst first; as text with commas between them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Severities(Vec<Severity>);

impl Severities {
    /// Tells whether findings of a severity were looked for.
    #[must_use]
    pub fn contains(&self, severity: Severity) -> bool {
        self.0.contains(&severity)
    }
}

impl FromStr for Severities {
    type Err = ParseSeveritiesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let one = |word: &str| word.trim().parse::<Severity>().map_err(|_| ParseSeveritiesError);
        let mut severities = text.split(',').map(one).collect::<Result<Vec<_>, _>>()?;
        severities.sort_unstable();
        severities.dedup();
        severities.reverse();
        Ok(Self(severities))
    }
}

impl fmt::Display for Severities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.0.iter().map(|severity| severity.as_str()).collect();
        f.write_str(&words.join(","))
    }
}

impl_string_conversions!(Scanners, Severities);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scanners_have_one_spelling_whatever_their_order() {
        let scanners: Scanners = "secret, vuln,secret".parse().unwrap();
        assert_eq!(scanners.to_string(), "vuln,secret");
        assert!(scanners.look_for_vulnerabilities());
        for wrong in ["", "vuln,", "Vuln", "vuln;secret", "rbac"] {
            assert_eq!(wrong.parse::<Scanners>(), Err(ParseScannersError), "{wrong}");
        }
    }

    #[test]
    fn severities_have_one_spelling_whatever_their_order() {
        let severities: Severities = "high,CRITICAL,HIGH".parse().unwrap();
        assert_eq!(severities.to_string(), "CRITICAL,HIGH");
        assert!(severities.contains(Severity::High) && !severities.contains(Severity::Low));
        for wrong in ["", "HIGH,", "SEVERE"] {
            assert_eq!(wrong.parse::<Severities>(), Err(ParseSeveritiesError), "{wrong}");
        }
    }
}
