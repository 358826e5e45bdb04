//! Why a report is refused, in words for the one who sent it.

use crate::domain::image_name::ImageNameError;

/// A report that cannot be taken. Every message says what is wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The JSON, as sent or once decompressed, is over the limit.
    #[error("the report is larger than {limit} bytes of JSON")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The compressed body is not what its content type says, or is cut off.
    #[error("the body is not a readable {format} stream: {source}")]
    Compression {
        /// `gzip` or `zstd`.
        format: &'static str,
        /// What the decompressor says.
        source: std::io::Error,
    },
    /// Something follows the compressed stream.
    #[error("the {format} stream ends, and other bytes follow it from byte {offset} on: send the stream only")]
    Trailing {
        /// `gzip` or `zstd`.
        format: &'static str,
        /// Where they begin, counted from 0.
        offset: usize,
    },
    /// The compressed stream is cut into far too many pieces.
    #[error("the {format} stream has more than {limit} members or frames: pack the report as one")]
    TooManyParts {
        /// `gzip` or `zstd`.
        format: &'static str,
        /// The limit.
        limit: usize,
    },
    /// Text that is not UTF-8.
    #[error("the JSON is not UTF-8 at byte {offset} (line {line}, column {column}): send it as UTF-8")]
    NotUtf8 {
        /// The first byte that is not, counted from 0.
        offset: usize,
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in bytes.
        column: usize,
    },
    /// UTF-16 that is broken.
    #[error("the UTF-16 text is broken or cut off at byte {offset}: send it as UTF-8")]
    NotUtf16 {
        /// Where, counted from 0.
        offset: usize,
    },
    /// Not JSON at all, recognised by its first bytes.
    #[error("the body is not JSON but {found}; {advice}")]
    NotJson {
        /// What it looks like.
        found: &'static str,
        /// What to send instead.
        advice: &'static str,
    },
    /// Broken JSON.
    #[error("the JSON is broken at line {line}, column {column}: {reason}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in bytes.
        column: usize,
        /// The parser's words.
        reason: String,
    },
    /// The JSON stops before its end.
    #[error(
        "the JSON ends too early, at line {line}, column {column}: the report seems to be cut off; \
         send the whole file"
    )]
    Truncated {
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in bytes.
        column: usize,
    },
    /// Another JSON value after the first: JSON lines, or files that were put together.
    #[error("a second JSON value begins at line {line}, column {column}: send each report by itself")]
    SecondValue {
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in bytes.
        column: usize,
    },
    /// Text after the JSON.
    #[error(
        "the JSON is whole, and other text begins at line {line}, column {column}: keep log lines apart, with --output, \
         or with --quiet and standard output only"
    )]
    TextAfter {
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in bytes.
        column: usize,
    },
    /// Nested deeper than any report.
    #[error("the JSON is nested too deep at line {line}, column {column}: at most 127 levels are read")]
    TooDeep {
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in bytes.
        column: usize,
    },
    /// JSON, but another tool's, or another of Trivy's formats.
    #[error("this is not a Trivy JSON report: it looks like {looks_like}; {advice}")]
    NotTrivy {
        /// The format that was recognised.
        looks_like: &'static str,
        /// What to send instead.
        advice: &'static str,
    },
    /// A Trivy report whose version is not known.
    #[error("SchemaVersion {found} is not known: only 2, and the arrays of Trivy up to v0.19, are")]
    SchemaVersion {
        /// The version in the report.
        found: String,
    },
    /// A document of `SchemaVersion` 2 that does not say what was scanned.
    #[error("SchemaVersion is 2, but {missing}: {advice}")]
    NoArtifact {
        /// Which members there are not.
        missing: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// A field that is not of its type, or missing.
    #[error("{path}: {reason}")]
    Field {
        /// For example `Results[0].Vulnerabilities[3].PkgName`.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// More vulnerabilities than the limit.
    #[error("the report has more than {limit} vulnerabilities, the most that is taken from one report")]
    TooManyFindings {
        /// The limit.
        limit: usize,
    },
    /// Nothing in the report names what was scanned.
    #[error("nothing in the report names an image: send it with an image_name")]
    NoImageName,
    /// The report's own name for its artifact cannot be stored.
    #[error("the report's ArtifactName {source}: send it with an image_name")]
    ImageName {
        /// What is wrong with it.
        source: ImageNameError,
    },
}

/// What kind of refusal it is. The names are part of the API and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// More bytes or findings than are taken.
    TooLarge,
    /// Not JSON, or broken.
    InvalidJson,
    /// JSON, but no Trivy report.
    NotATrivyReport,
    /// A Trivy report with something in it that cannot be stored.
    InvalidReport,
}

impl Kind {
    /// The name that clients read.
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
    /// What kind of refusal it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::TooLarge { .. } | Self::TooManyFindings { .. } => Kind::TooLarge,
            Self::Compression { .. }
            | Self::Trailing { .. }
            | Self::TooManyParts { .. }
            | Self::NotUtf8 { .. }
            | Self::NotUtf16 { .. }
            | Self::NotJson { .. }
            | Self::Syntax { .. }
            | Self::SecondValue { .. }
            | Self::TextAfter { .. }
            | Self::Truncated { .. }
            | Self::TooDeep { .. } => Kind::InvalidJson,
            Self::NotTrivy { .. } => Kind::NotATrivyReport,
            Self::SchemaVersion { .. }
            | Self::NoArtifact { .. }
            | Self::Field { .. }
            | Self::NoImageName
            | Self::ImageName { .. } => Kind::InvalidReport,
        }
    }

    /// A report that was refused once is refused again.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        false
    }
}
