//! The reasons for refusing a report, worded for its sender.

use crate::domain::image_name::ImageNameError;

/// A refusal. Each message names the fault, its place and the fix; lines and columns count from 1, offsets from 0.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages describe the variants")]
pub enum Error {
    #[error("the report is larger than {limit} bytes of JSON")]
    TooLarge { limit: usize },
    #[error("the body is not a readable {format} stream: {source}")]
    Compression { format: &'static str, source: std::io::Error },
    #[error("the {format} stream ends, and other bytes follow it from byte {offset} on: send the stream only")]
    Trailing { format: &'static str, offset: usize },
    #[error("the {format} stream has more than {limit} members or frames: pack the report as one")]
    TooManyParts { format: &'static str, limit: usize },
    #[error("the JSON is not UTF-8 at byte {offset} (line {line}, column {column}): send it as UTF-8")]
    NotUtf8 { offset: usize, line: usize, column: usize },
    #[error("the UTF-16 text is broken or cut off at byte {offset}: send it as UTF-8")]
    NotUtf16 { offset: usize },
    #[error("the body is not JSON but {found}; {advice}")]
    NotJson { found: &'static str, advice: &'static str },
    #[error("the JSON is broken at line {line}, column {column}: {reason}")]
    Syntax { line: usize, column: usize, reason: String },
    #[error(
        "the JSON ends too early, at line {line}, column {column}: the report seems to be cut off; \
         send the whole file"
    )]
    Truncated { line: usize, column: usize },
    #[error("a second JSON value begins at line {line}, column {column}: send each report by itself")]
    SecondValue { line: usize, column: usize },
    #[error(
        "the JSON is whole, and other text begins at line {line}, column {column}: keep log lines apart, with --output, \
         or with --quiet and standard output only"
    )]
    TextAfter { line: usize, column: usize },
    #[error("the JSON is nested too deep at line {line}, column {column}: at most 127 levels are read")]
    TooDeep { line: usize, column: usize },
    #[error("this is not a Trivy JSON report: it looks like {looks_like}; {advice}")]
    NotTrivy { looks_like: &'static str, advice: &'static str },
    #[error("SchemaVersion {found} is not known: only 2, and the arrays of Trivy up to v0.19, are")]
    SchemaVersion { found: String },
    #[error("SchemaVersion is 2, but {missing}: {advice}")]
    NoArtifact { missing: &'static str, advice: &'static str },
    #[error("{path}: {reason}")]
    Field { path: String, reason: String },
    #[error("the report has more than {limit} vulnerabilities, the most that is taken from one report")]
    TooManyFindings { limit: usize },
    #[error("nothing in the report names an image: send it with an image_name")]
    NoImageName,
    #[error("the report's ArtifactName {source}: send it with an image_name")]
    ImageName { source: ImageNameError },
}

/// The kind of a refusal. The names are part of the API and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Too many bytes or findings.
    TooLarge,
    /// Not JSON, or broken JSON.
    InvalidJson,
    /// JSON, but no Trivy report.
    NotATrivyReport,
    /// A Trivy report with an invalid field.
    InvalidReport,
}

impl Kind {
    /// Returns the name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::InvalidJson => "invalid_json",
            Self::NotATrivyReport => "not_a_trivy_report",
            Self::InvalidReport => "invalid_report",
        }
    }
}

impl Error {
    /// Returns the kind of the refusal.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::TooLarge { .. } | Self::TooManyFindings { .. } => Kind::TooLarge,
            Self::NotTrivy { .. } => Kind::NotATrivyReport,
            Self::SchemaVersion { .. }
            | Self::NoArtifact { .. }
            | Self::Field { .. }
            | Self::NoImageName
            | Self::ImageName { .. } => Kind::InvalidReport,
            _ => Kind::InvalidJson,
        }
    }
}
