//! Findings for other tools: rows in, documents out; pure, and never a whole document in memory.
//!
//! Each writer is given its output when it is made, a [`Row`] at a time, and is finished at the end. Two formats need
//! more of the caller:
//!
//! * SARIF has one run of one image, and takes its rows most urgent first, since it is cut at a limit.
//! * CycloneDX lists the packages before the vulnerabilities, each with all of its packages: rows are given twice.
//!
//! What each needs in memory: SARIF about a kilobyte for each vulnerability up to its limit, CycloneDX and ASFF some
//! ten bytes for each row, the others nothing.

pub mod asff;
pub mod csv;
pub mod cyclonedx;
mod document;
mod elements;
mod error;
mod format;
pub mod html;
mod link;
pub mod markdown;
mod occurrences;
mod row;
pub mod sarif;
mod totals;

#[cfg(test)]
mod tests;

pub use document::Document;
pub use error::Error;
pub use format::{Format, UnknownFormat, accepted};
pub use row::{Found, Image, Listing, Row, Score};

/// Names the tool in documents.
const TOOL: &str = "Sirius";
/// The version of [`TOOL`].
const VERSION: &str = env!("CARGO_PKG_VERSION");
