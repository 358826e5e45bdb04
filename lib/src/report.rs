//! From the bytes of a Trivy report to findings: pure, and ready for hostile input.
//!
//! ```text
//! body ── body::unpack ──▶ bytes ── encoding::Text ──▶ JSON ── Canonical::read ──▶ canonical text + hash
//!                                                                     └── Report::read ──▶ scan facts + ordered findings
//! ```
//!
//! A report is read twice. [`Canonical`] walks the JSON once and writes it down again with sorted
//! keys, no white space and one spelling for each number: what two equal reports have in common,
//! and thus, but for what depends on Trivy's cache, what is hashed. [`Report`] then reads the canonical text and borrows from it, so that a
//! finding's stored form is cut from text that is already in order.

pub mod body;
mod canonical;
mod encoding;
mod envelope;
mod error;
mod finding;
mod findings;
mod lookalike;
mod naming;
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

/// What a report may cost at most.
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
