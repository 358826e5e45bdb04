//! What the sender of a report that was taken in should know all the same.

use serde::{Deserialize, Serialize};

/// A warning: a code that programs read, and words for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// Which warning it is.
    pub code: WarningCode,
    /// What is the matter and what to do; its wording may change.
    pub message: String,
}

impl Warning {
    /// A warning in words.
    pub fn new(code: WarningCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// The kinds of warnings. The names are part of the API and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WarningCode {
    /// Nothing names what was scanned, so the scan replaces no other.
    NoImageName,
    /// The report does not say whether vulnerabilities were looked for, or the sender says they were not.
    NotAVulnerabilityScan,
    /// Findings of a whole class are gone though the image is the same.
    Suspect,
    /// The scan is not the current one of its image.
    NotCurrent,
    /// The image is retired.
    Retired,
    /// `CreatedAt` cannot be right, so the time of ingestion counts.
    CreatedAt,
    /// The report has secrets, misconfigurations or licences, which are counted only.
    OtherFindings,
    /// Trivy has suppressed findings.
    SuppressedFindings,
}
