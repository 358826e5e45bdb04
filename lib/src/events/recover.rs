//! Handles the schedule of recovery.

use std::time::Duration;

use jiff::Timestamp;
use lambda_runtime::LambdaEvent;
use serde::de::IgnoredAny;
use tokio::time::Instant;

use crate::pipeline::recover::{Recovery, run_recovery};

/// How long one run works; the function's timeout is a minute.
const TIME_BUDGET: Duration = Duration::from_secs(35);

/// Runs recovery once.
pub async fn handle(deps: &Recovery, event: LambdaEvent<IgnoredAny>) -> Result<(), lambda_runtime::Error> {
    let deadline = Instant::now() + TIME_BUDGET;
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
}
