//! `reingest`: invoked by hand, scan by scan, to bring a better parser to what is archived.

use jiff::Timestamp;
use lambda_runtime::LambdaEvent;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::domain::scan::ScanId;
use crate::pipeline::ingest::Ingestion;
use crate::pipeline::reingest::{self, Reingested};
use crate::store::claims::Holder;
use crate::telemetry::{chain, invocation};

/// What is to be ingested anew.
#[derive(Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Order {
    /// `{"scan_id": 7}`: one scan.
    One {
        /// Which.
        scan_id: ScanId,
    },
    /// `{"after": 0}`: all scans with higher numbers, for as long as there is time.
    After {
        /// The last number that needs no more work.
        after: u64,
    },
}

/// How it went.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Scans that were ingested anew.
    pub reingested: usize,
    /// Scans whose report is not in the archive; they stay as they are.
    pub not_archived: usize,
    /// Scans that failed; the log says why. They stay as they are, or recovery finishes them.
    pub failed: usize,
    /// Where to go on with `after`; none if all is done.
    pub next_after: Option<ScanId>,
}

/// Kept back from the function's own time.
const MARGIN_MS: u64 = 20_000;
/// Scans that are read at once.
const PAGE: usize = 50;

/// Works at scans until they are done or the time is over.
///
/// # Errors
/// If the list of scans cannot be read.
pub async fn handle(deps: &Ingestion, event: LambdaEvent<Order>) -> Result<Tally, lambda_runtime::Error> {
    let span = invocation(&event.context);
    work(deps, event).instrument(span).await
}

async fn work(deps: &Ingestion, event: LambdaEvent<Order>) -> Result<Tally, lambda_runtime::Error> {
    let request_id = &event.context.request_id;
    let now = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default();
    let time = event.context.deadline.saturating_sub(now).saturating_sub(MARGIN_MS);
    let deadline = Instant::now() + std::time::Duration::from_millis(time);
    let mut tally = Tally::default();
    match event.payload {
        Order::One { scan_id } => one(deps, request_id, scan_id, &mut tally).await,
        Order::After { after } => {
            let mut last = ScanId::new(after);
            loop {
                let scans = deps.store.oldest_scans(last, PAGE).await?;
                if scans.is_empty() {
                    break;
                }
                for scan in scans {
                    if Instant::now() >= deadline {
                        tally.next_after = last;
                        return Ok(tally);
                    }
                    one(deps, request_id, scan.scan_id, &mut tally).await;
                    last = Some(scan.scan_id);
                }
            }
        }
    }
    Ok(tally)
}

async fn one(deps: &Ingestion, request_id: &str, scan: ScanId, tally: &mut Tally) {
    let again = match Holder::random() {
        Ok(holder) => reingest::run(deps, scan, &holder.of_request(request_id), Timestamp::now()).await,
        Err(error) => Err(crate::pipeline::ingest::Error::from(error).into()),
    };
    match again {
        Ok(Reingested::Done { .. }) => tally.reingested += 1,
        Ok(Reingested::NotArchived) => tally.not_archived += 1,
        Ok(Reingested::NoScan) => {}
        Err(error) => {
            tally.failed += 1;
            tracing::error!(scan_id = scan.get(), cause = chain(&error), "a scan was not ingested anew");
        }
    }
}
