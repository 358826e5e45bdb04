//! The schedule of feeds: KEV, EPSS, and what is due to be asked about.

use jiff::Timestamp;
use lambda_runtime::LambdaEvent;
use serde::de::IgnoredAny;
use tracing::Instrument as _;

use crate::pipeline::enrich::Enrichment;
use crate::pipeline::refresh_feeds;
use crate::sources::Budget;
use crate::store::claims::Holder;
use crate::telemetry::invocation;

/// One run.
///
/// # Errors
/// Those of the table, the bucket and the queue; and if a feed could not be had, once everything else is
/// done: the schedule comes again, and the alarm tells of it.
pub async fn handle(deps: &Enrichment, event: LambdaEvent<IgnoredAny>) -> Result<(), lambda_runtime::Error> {
    let refreshing = async {
        let budget = Budget::new(Timestamp::now(), refresh_feeds::TIME);
        let holder = Holder::random()?.of_request(&event.context.request_id);
        let refreshed = refresh_feeds::run(deps, &holder, &budget).await?;
        tracing::info!(
            replaced = refreshed.replaced,
            failed = refreshed.failed,
            pushed = refreshed.pushed,
            missed = refreshed.missed,
            due = refreshed.due,
            put_off = refreshed.put_off,
            unseen = refreshed.unseen,
            dropped = refreshed.dropped,
            sources = %deps.mode,
            "feeds were refreshed"
        );
        if refreshed.failed > 0 {
            return Err(format!("{} feeds were not refreshed", refreshed.failed).into());
        }
        Ok(())
    };
    refreshing.instrument(invocation(&event.context)).await
}
