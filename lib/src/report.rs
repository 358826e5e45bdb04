//! Reads the bytes of a Trivy report into findings. Pure; the input may be hostile.
//!
//! ```text
//! body ── body::unpack ──▶ bytes ── encoding::Text ──▶ JSON ── Canonical::read ──▶ canonical text + hash
//!                                                                     └── Report::read ──▶ scan facts + ordered findings
//! ```
//!
//! A report is read twice. [`Canonical`] rewrites the JSON with sorted keys, without white space and with one spelling
//! for each number, and hashes all of it that does not depend on Trivy's cache. [`Report`] then reads the canonical text
//! and borrows from it, so that a stored finding is cut from text that is already in order.

pub mod body;
mod canonical;
mod encoding;
mod envelope;
mod error;
mod finding;
mod findings;
mod lookalike;
mod naming;
mod reader;
pub(crate) mod reason;
mod submission;
mod suppressed;
mod trivy;
mod warnings;

pub use canonical::{Canonical, FORM};
pub use error::{Error, Kind};
pub use finding::Finding;
pub use findings::Scanned;
pub use submission::Submission;
pub use suppressed::Suppressed;
pub use trivy::Report;

/// The limits of one report.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of JSON, after decompression.
    pub max_bytes: usize,
    /// Vulnerabilities in one report.
    pub max_findings: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_bytes: 64 << 20, max_findings: 50_000 }
    }
}
