//! The SQS queues.

use super::{Environment, Error};

const ANALYSIS: &str = "ANALYSIS_QUEUE_URL";
const ENRICHMENT: &str = "ENRICHMENT_QUEUE_URL";

/// Reads `ANALYSIS_QUEUE_URL`: where analyses are queued.
///
/// # Errors
/// If it is not set.
pub fn analysis_url(environment: &Environment) -> Result<String, Error> {
    environment.required(ANALYSIS)
}

/// Reads `ENRICHMENT_QUEUE_URL`: where vulnerabilities are queued that are to be looked up; none if none are.
#[must_use]
pub fn enrichment_url(environment: &Environment) -> Option<String> {
    environment.owned(ENRICHMENT)
}

/// Reads `ENRICHMENT_QUEUE_URL` where vulnerabilities are looked up.
///
/// # Errors
/// If it is not set.
pub fn required_enrichment_url(environment: &Environment) -> Result<String, Error> {
    environment.required(ENRICHMENT)
}

/// Reads the URLs of all queues, each with the name of its queue: `UPLOAD_QUEUE_URL`, `ANALYSIS_QUEUE_URL`,
/// `ENRICHMENT_QUEUE_URL`. None where a queue is not configured.
#[must_use]
pub fn all(environment: &Environment) -> [(&'static str, Option<String>); 3] {
    [("upload_queue", "UPLOAD_QUEUE_URL"), ("analysis_queue", ANALYSIS), ("enrichment_queue", ENRICHMENT)]
        .map(|(name, variable)| (name, environment.owned(variable)))
}
