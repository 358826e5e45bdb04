//! The schedule: puts right what was lost.

use std::time::Duration;

use jiff::Timestamp;
use lambda_runtime::LambdaEvent;
use serde::de::IgnoredAny;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::pipeline::ingest::AutoAnalyze;
use crate::pipeline::recover;
use crate::queue::Queue;
use crate::store::Store;
use crate::telemetry::invocation;

/// What the handler works with.
#[derive(Debug)]
pub struct Deps {
    /// The table.
    pub store: Store,
    /// Where questions are queued.
    pub queue: Queue,
    /// What is analysed of every new scan.
    pub auto: Option<AutoAnalyze>,
}

/// How long one run queues findings of scans.
const TIME: Duration = Duration::from_secs(30);

/// One run.
///
/// # Errors
/// Those of the table and the queue: the schedule comes again.
pub async fn handle(deps: &Deps, event: LambdaEvent<IgnoredAny>) -> Result<(), lambda_runtime::Error> {
    let deadline = Instant::now() + TIME;
    let queue = deps.queue.on_behalf_of(&event.context.request_id);
    let recovering = async {
        let recovered = recover::run(&deps.store, &queue, deps.auto.as_ref(), Timestamp::now(), deadline).await?;
        tracing::info!(resent = recovered.resent, scans = recovered.scans, "recovery ran");
        Ok(())
    };
    recovering.instrument(invocation(&event.context)).await
}
