//! The verbs. The order of effects is decided here and nowhere else.

pub mod analyze;
pub mod analyze_scan;
pub mod delete_scan;
pub mod enrich;
pub mod ingest;
pub mod join;
pub mod recover;
pub mod refresh_feeds;
pub mod reingest;
pub mod take_upload;
