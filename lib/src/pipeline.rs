//! The verbs. The order of effects is decided here and nowhere else.

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
pub mod join;
pub mod judge;
pub mod locate;
pub mod priorities;
pub mod rank;
pub mod recover;
pub mod refresh_feeds;
pub mod reingest;
pub mod take_upload;
