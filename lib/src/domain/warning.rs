//! Warnings to the sender of an ingested report.

use serde::{Deserialize, Serialize};

/// A warning: a code for programs, and a message for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// The kind of warning.
    pub code: WarningCode,
    /// The problem and its remedy; the wording may change.
    pub message: String,
}

impl Warning {
    /// Creates a warning.
    pub fn new(code: WarningCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// The kinds of warnings. The names are part of the API and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WarningCode {
    /// The image has no name, so the scan replaces no other.
    NoImageName,
    /// The report does not show a search for vulnerabilities, or the sender declares that there was none.
    NotAVulnerabilityScan,
    /// All findings of a class are gone although the image is the same.
    Suspect,
    /// The scan is not the current one of its image.
    NotCurrent,
    /// The image is retired.
    Retired,
    /// `CreatedAt` is implausible, so the time of ingestion counts.
    CreatedAt,
    /// The report has secrets, misconfigurations or licences, which are counted only.
    OtherFindings,
    /// Trivy has suppressed findings.
    SuppressedFindings,
}
