//! Handles the schedule of feeds: KEV, EPSS, and the vulnerabilities that are due.

use jiff::Timestamp;
use lambda_runtime::LambdaEvent;
use serde::de::IgnoredAny;

use crate::pipeline::enrich::Enrichment;
use crate::pipeline::refresh_feeds::{self, refresh_feeds};
use crate::sources::Budget;
use crate::store::lease::Owner;

/// Refreshes the feeds once. A feed that was not refreshed is an error after all other work, so that the alarm is raised.
pub async fn handle(deps: &Enrichment, event: LambdaEvent<IgnoredAny>) -> Result<(), lambda_runtime::Error> {
    let budget = Budget::new(Timestamp::now(), refresh_feeds::TIME);
    let owner = Owner::random()?.of_request(&event.context.request_id);
    let refreshed = refresh_feeds(deps, &owner, &budget).await?;
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
}
