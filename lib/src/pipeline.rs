//! Commands: each changes what is stored, and decides the order of its effects.

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
