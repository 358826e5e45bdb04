//! Commands: each changes stored data, and decides the order of its effects.
//!
//! A command fails with the errors of the table, the bucket and the queue that it uses. A failed source is never an
//! error.

#![expect(clippy::missing_errors_doc, reason = "the errors that all commands have are listed once")]

pub mod admit;
pub mod analyze;
pub mod analyze_scan;
pub mod catalogue;
pub mod confirm_scan;
pub mod delete_scan;
pub mod drop_records;
pub mod enrich;
pub mod forget;
pub mod ingest;
pub mod ingest_upload;
mod queue_occurrences;
pub mod recover;
pub mod refresh_feeds;
pub mod reingest;
