//! The SQS queues.

use super::{Environment, Error};

const ANALYSIS: &str = "ANALYSIS_QUEUE_URL";
const ENRICHMENT: &str = "ENRICHMENT_QUEUE_URL";

/// Reads `ANALYSIS_QUEUE_URL`: the queue of analyses.
pub(crate) fn analysis_url(environment: &Environment) -> Result<String, Error> {
    environment.required(ANALYSIS)
}

/// Reads `ENRICHMENT_QUEUE_URL`: the queue of vulnerabilities that have to be looked up; none if they are not looked up.
pub(crate) fn enrichment_url(environment: &Environment) -> Option<String> {
    environment.owned(ENRICHMENT)
}

/// Reads `ENRICHMENT_QUEUE_URL` where vulnerabilities are looked up.
pub(crate) fn required_enrichment_url(environment: &Environment) -> Result<String, Error> {
    environment.required(ENRICHMENT)
}

/// Reads the URLs of all queues under the names that `GET /api/health` has for them.
pub(crate) fn all_urls(environment: &Environment) -> [(&'static str, Option<String>); 3] {
    [("upload_queue", "UPLOAD_QUEUE_URL"), ("analysis_queue", ANALYSIS), ("enrichment_queue", ENRICHMENT)]
        .map(|(name, variable)| (name, environment.owned(variable)))
}
