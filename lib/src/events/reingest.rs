//! Handles `reingest`: operators invoke it to parse archived reports with a newer version.

use std::time::Duration;

use jiff::Timestamp;
use lambda_runtime::LambdaEvent;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::sqs;
use crate::domain::scan::ScanId;
use crate::pipeline::ingest::Ingestion;
use crate::pipeline::reingest::{Reingested, reingest_scan};
use crate::store::lease::Owner;
use crate::telemetry::chain;

/// Selects the scans that are ingested again.
#[derive(Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Order {
    /// `{"scan_id": 7}`: one scan.
    One {
        /// Its id.
        scan_id: ScanId,
    },
    /// `{"after": 0}`: all scans with higher ids, within the function's time.
    After {
        /// The last id that was processed, or 0.
        after: u64,
    },
}

/// The scans, by result.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Scans that were ingested again.
    pub reingested: usize,
    /// Scans whose report is not archived; they are not changed.
    pub not_archived: usize,
    /// Scans that failed; the log has the reason. They are not changed, or recovery finishes them.
    pub failed: usize,
    /// The `after` of the next invocation; none if all scans are done.
    pub next_after: Option<ScanId>,
}

/// Time that is reserved for the scan that is being ingested.
const TIME_RESERVE: Duration = Duration::from_secs(20);
/// Scans that are read at a time.
const SCANS_PER_READ: usize = 50;

/// Ingests scans again until they are done or the time is over.
pub async fn handle(deps: &Ingestion, event: LambdaEvent<Order>) -> Result<Tally, lambda_runtime::Error> {
    let request_id = &event.context.request_id;
    let deadline = sqs::deadline(&event.context, TIME_RESERVE);
    let mut tally = Tally::default();
    match event.payload {
        Order::One { scan_id } => reingest_one(deps, request_id, scan_id, &mut tally).await,
        Order::After { after } => {
            let mut last = ScanId::new(after);
            loop {
                let scans = deps.store.oldest_scans(last, SCANS_PER_READ).await?;
                if scans.is_empty() {
                    break;
                }
                for scan in scans {
                    if Instant::now() >= deadline {
                        tally.next_after = last;
                        return Ok(tally);
                    }
                    reingest_one(deps, request_id, scan.scan_id, &mut tally).await;
                    last = Some(scan.scan_id);
                }
            }
        }
    }
    Ok(tally)
}

/// Ingests one scan again, and counts the result.
async fn reingest_one(deps: &Ingestion, request_id: &str, scan: ScanId, tally: &mut Tally) {
    let result = match Owner::random() {
        Ok(owner) => reingest_scan(deps, scan, &owner.of_request(request_id), Timestamp::now()).await,
        Err(error) => Err(crate::pipeline::ingest::Error::from(error).into()),
    };
    match result {
        Ok(Reingested::Done { .. }) => tally.reingested += 1,
        Ok(Reingested::NotArchived) => tally.not_archived += 1,
        Ok(Reingested::NoScan) => {}
        Err(error) => {
            tally.failed += 1;
            tracing::error!(scan_id = scan.get(), cause = chain(&error), "a scan was not ingested again");
        }
    }
}
