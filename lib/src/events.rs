//! The edges that are not HTTP: what SQS and schedules hand over.

pub mod recover;
pub mod run_analysis;
mod sqs;
