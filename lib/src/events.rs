//! The edges that are not HTTP: what SQS, schedules and operators hand over.

pub mod enrich_cves;
pub mod ingest_upload;
pub mod recover;
pub mod refresh_feeds;
pub mod reingest;
pub mod run_analysis;
mod s3;
mod sqs;
