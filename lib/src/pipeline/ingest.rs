//! Taking a report in: all or nothing, and once.
//!
//! ```text
//! claim ──▶ number ──▶ findings ──▶ publish
//!   │ complete already: a duplicate
//!   │ someone's live lease: busy
//!   └ an expired lease: taken over, same number, same keys, same items
//! ```
//!
//! Nobody sees anything of a scan before it is published, and each step can be done again, so a
//! crash between any two of them is mended by the next delivery of the same report.

use std::time::Duration;

use jiff::Timestamp;

use crate::domain::scan::{Scan, ScanId};
use crate::report::Report;
use crate::store::claims::{Claim, Claimed, Holder};
use crate::store::{self, Store};

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

/// Takes a report in.
///
/// `holder` names this attempt, `now` is the time by which leases are judged, and `lease` must be
/// longer than this attempt can live.
///
/// # Errors
/// [`Error::Busy`] while another attempt has the report, and those of the table.
pub async fn run(
    store: &Store,
    report: &Report<'_>,
    holder: &Holder,
    now: Timestamp,
    lease: Duration,
) -> Result<Ingested, Error> {
    let claim = match store.claim(report.hash, holder, now, lease).await? {
        Claimed::Ours(claim) => claim,
        Claimed::Complete(scan_id) => return Ok(Ingested { scan_id, duplicate: true }),
        Claimed::Busy { until } => return Err(Error::Busy { until }),
    };
    match store_and_publish(store, report, &claim, now).await {
        Ok(ingested) => Ok(ingested),
        Err(error) => {
            if let Err(release) = store.release(&claim).await {
                tracing::warn!(error = %release, "the lease stays until it ends by itself");
            }
            Err(error.into())
        }
    }
}

async fn store_and_publish(
    store: &Store,
    report: &Report<'_>,
    claim: &Claim,
    now: Timestamp,
) -> Result<Ingested, store::Error> {
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
    let published_by_us = store.publish(claim, &scan).await?;
    Ok(Ingested { scan_id, duplicate: !published_by_us })
}
