//! Handles the schedule of recovery.

use std::time::Duration;

use jiff::Timestamp;
use lambda_runtime::LambdaEvent;
use serde::de::IgnoredAny;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::pipeline::recover::{Recovery, run_recovery};
use crate::telemetry::invocation;

/// How long one run works, of the function's minute.
const TIME: Duration = Duration::from_secs(35);

/// Runs recovery once.
///
/// # Errors
/// Those of the table and the queue; the schedule repeats it.
pub async fn handle(deps: &Recovery, event: LambdaEvent<IgnoredAny>) -> Result<(), lambda_runtime::Error> {
    let deadline = Instant::now() + TIME;
    let recovering = async {
        let recovered = run_recovery(deps, &event.context.request_id, Timestamp::now(), deadline).await?;
        tracing::info!(
            resent = recovered.resent,
            scans = recovered.scans,
            ingested = recovered.ingested,
            abandoned = recovered.abandoned,
            deleted = recovered.deleted,
            stuck = recovered.stuck,
            "recovery ran"
        );
        Ok(())
    };
    recovering.instrument(invocation(&event.context)).await
}
