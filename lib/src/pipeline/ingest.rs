//! Taking a report in: all or nothing, and once.
//!
//! ```text
//! claim ──▶ number ──▶ findings ──▶ publish ──▶ queue analyses, if that is configured
//!   │ complete already: a duplicate
//!   │ someone's live lease: busy
//!   └ an expired lease: taken over, same number, same keys, same items
//! ```
//!
//! Nobody sees anything of a scan before it is published, and each step can be done again, so a
//! crash between any two of them is mended by the next delivery of the same report.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::analyze::{self, after};
use super::analyze_scan::{self, Order};
use crate::domain::scan::{Scan, ScanId};
use crate::domain::severity::Severity;
use crate::llm::Questions;
use crate::queue::Queue;
use crate::report::Report;
use crate::store::claims::{Claim, Claimed, Holder};
use crate::store::{self, Store};
use crate::telemetry::chain;

/// How a report was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ingested {
    /// The scan that the report is.
    pub scan_id: ScanId,
    /// It had been ingested before; nothing was written.
    pub duplicate: bool,
}

/// Why a report was not taken in this time. Delivering it again is always safe.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Someone else is at the same report.
    #[error("the same report is being ingested by another request until {until}")]
    Busy {
        /// When that attempt's lease is over at the latest.
        until: Timestamp,
    },
    /// The table.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    /// Whether delivering the report again may help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Busy { .. } => true,
            Self::Store(error) => error.is_transient(),
        }
    }
}

/// What is analysed of every new scan without anyone asking.
#[derive(Debug)]
pub struct AutoAnalyze {
    /// Findings of these severities.
    pub severities: Vec<Severity>,
    /// How they are asked about.
    pub questions: Questions,
}

/// When recovery looks after a scan whose findings were not queued: longer than queueing may take.
const OUTBOX_DUE: Duration = Duration::from_secs(60);
/// How long the sender of a report waits for its findings to be queued; recovery does the rest.
const QUEUEING: Duration = Duration::from_secs(5);

/// Takes a report in.
///
/// `auto` is what to analyse of it, and where that is queued; `holder` names this attempt, `now` is the time by which leases are judged, and `lease` must be
/// longer than this attempt can live.
///
/// # Errors
/// [`Error::Busy`] while another attempt has the report, and those of the table.
pub async fn run(
    store: &Store,
    report: &Report<'_>,
    auto: Option<(&AutoAnalyze, &Queue)>,
    holder: &Holder,
    now: Timestamp,
    lease: Duration,
) -> Result<Ingested, Error> {
    let claim = match store.claim(report.hash, holder, now, lease).await? {
        Claimed::Ours(claim) => claim,
        Claimed::Complete(scan_id) => return Ok(Ingested { scan_id, duplicate: true }),
        Claimed::Busy { until } => return Err(Error::Busy { until }),
    };
    match store_and_publish(store, report, &claim, auto.is_some(), now).await {
        Ok((scan, is_ours)) => {
            if let Some((auto, queue)) = auto.filter(|_| is_ours) {
                let queueing = queue_analyses(store, queue, auto, &scan, now);
                if tokio::time::timeout(QUEUEING, queueing).await.is_err() {
                    tracing::info!(scan_id = scan.scan_id.get(), "recovery will queue the rest of the analyses");
                }
            }
            Ok(Ingested { scan_id: scan.scan_id, duplicate: !is_ours })
        }
        Err(error) => {
            if let Err(release) = store.release(&claim).await {
                tracing::warn!(cause = chain(&release), "the lease stays until it ends by itself");
            }
            Err(error.into())
        }
    }
}

async fn store_and_publish(
    store: &Store,
    report: &Report<'_>,
    claim: &Claim,
    is_to_be_analyzed: bool,
    now: Timestamp,
) -> Result<(Scan, bool), store::Error> {
    let scan_id = store.number(claim).await?;
    store.write_findings(scan_id, report).await?;
    let (severity_counts, fixable_counts) = report.counts();
    let scan = Scan {
        scan_id,
        report_hash: report.hash,
        artifact: report.artifact.clone(),
        scan_timestamp: report.created_at.unwrap_or(now),
        ingested_at: now,
        reported_findings: report.reported_findings,
        severity_counts,
        fixable_counts,
    };
    let outbox = is_to_be_analyzed.then(|| after(now, OUTBOX_DUE));
    let is_ours = store.publish(claim, &scan, outbox).await?;
    Ok((scan, is_ours))
}

/// Queues what is to be analysed. The report is in by now, so nothing here fails the request: what
/// does not happen stays in the outbox, and recovery does it.
async fn queue_analyses(store: &Store, queue: &Queue, auto: &AutoAnalyze, scan: &Scan, now: Timestamp) {
    let order = Order { severities: &auto.severities, limit: usize::MAX, deadline: Instant::now() + QUEUEING };
    let queued = analyze_scan::run(store, queue, &auto.questions, scan, order, now).await;
    let cleared = match queued {
        Ok(tally) if tally.more => return,
        Ok(_) => store.clear_outbox(scan.scan_id).await.map_err(analyze::Error::from),
        Err(error) => Err(error),
    };
    if let Err(error) = cleared {
        tracing::warn!(scan_id = scan.scan_id.get(), cause = chain(&error), "recovery will queue the analyses");
    }
}
