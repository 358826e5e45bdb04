//! The schedule: puts right what was lost.

use std::time::Duration;

use jiff::Timestamp;
use lambda_runtime::LambdaEvent;
use serde::de::IgnoredAny;
use tokio::time::Instant;

use crate::pipeline::ingest::AutoAnalyze;
use crate::pipeline::recover;
use crate::queue::Queue;
use crate::store::Store;

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
pub async fn handle(deps: &Deps, _: LambdaEvent<IgnoredAny>) -> Result<(), lambda_runtime::Error> {
    let deadline = Instant::now() + TIME;
    let recovered = recover::run(&deps.store, &deps.queue, deps.auto.as_ref(), Timestamp::now(), deadline).await?;
    tracing::info!(resent = recovered.resent, scans = recovered.scans, "recovery ran");
    Ok(())
}
