//! Handles events that are not HTTP requests: messages of SQS, schedules and invocations by operators.

pub mod enrich_cves;
pub mod ingest_upload;
pub mod recover;
pub mod refresh_feeds;
pub mod reingest;
pub mod run_analysis;
mod s3;
mod sqs;
