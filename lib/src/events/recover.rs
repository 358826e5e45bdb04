//! The schedule: puts right what was lost.

use std::time::Duration;

use jiff::Timestamp;
use lambda_runtime::LambdaEvent;
use serde::de::IgnoredAny;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::pipeline::recover::{self, Recovery};
use crate::telemetry::invocation;

/// How long one run works, of the minute that it has.
const TIME: Duration = Duration::from_secs(35);

/// One run.
///
/// # Errors
/// Those of the table and the queue: the schedule comes again.
pub async fn handle(deps: &Recovery, event: LambdaEvent<IgnoredAny>) -> Result<(), lambda_runtime::Error> {
    let deadline = Instant::now() + TIME;
    let recovering = async {
        let recovered = recover::run(deps, &event.context.request_id, Timestamp::now(), deadline).await?;
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
