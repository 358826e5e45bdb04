//! Taking a report in: all or nothing, and once.
//!
//! ```text
//! claim ──┬─▶ number ──▶ findings ──┬─▶ publish ──▶ queue enrichment and analyses, if configured
//!   │     └─▶ archive the report ───┘
//!   │ complete already: a duplicate; when it was seen is noted, and which scan is current then
//!   │ someone's live lease: busy
//!   └ an expired lease: taken over, same number, same keys, same items
//! ```
//!
//! Nobody sees anything of a scan before it is published, and each step can be done again, so a
//! crash between any two of them is mended by the next delivery of the same report, or by recovery
//! from the archive.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::analyze::{self, after};
use super::analyze_scan::{self, Order};
use super::forget;
use super::judge::Judge;
use crate::domain::asset::Asset;
use crate::domain::scan::{Scan, ScanId};
use crate::domain::severity::Severity;
use crate::domain::standing::is_suspect;
use crate::domain::warning::{Warning, WarningCode};
use crate::llm::Questions;
use crate::objects::{self, Objects};
use crate::queue::Queue;
use crate::report::{self, Limits, Report, Submission};
use crate::store::assets::SeenAgain;
use crate::store::claims::{Claim, Claimed, Holder};
use crate::store::scans::Published;
use crate::store::{self, Store};
use crate::telemetry::chain;

/// How a report was taken in.
#[derive(Debug, Clone, PartialEq)]
pub struct Ingested {
    /// The scan that the report is, as it is now.
    pub scan: Scan,
    /// It had been ingested before; at most its times and which scan is current have changed.
    pub duplicate: bool,
    /// The report made this scan the current one of its image, which it was not before.
    pub moved: bool,
    /// What its sender should know.
    pub warnings: Vec<Warning>,
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
    /// The scan that the report was before is being deleted.
    #[error("the scan of the same report is being deleted, until {until} at the latest by whoever is at it")]
    Deleting {
        /// When that one's lease is over.
        until: Timestamp,
    },
    /// The table.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The archive.
    #[error(transparent)]
    Archive(#[from] objects::Error),
    /// The operating system has no randomness.
    #[error("no name could be made for this attempt")]
    Random(#[from] getrandom::Error),
}

impl Error {
    /// Whether delivering the report again may help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Busy { .. } | Self::Deleting { .. } | Self::Random(_) => true,
            Self::Store(error) => error.is_transient(),
            Self::Archive(error) => error.is_transient(),
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
    /// How soon they have to be dealt with, which is part of what is asked.
    pub judge: Judge,
}

/// What reports are taken in with.
#[derive(Debug)]
pub struct Ingestion {
    /// The table.
    pub store: Store,
    /// Where reports are kept as they came; none if they are not.
    pub archive: Option<Objects>,
    /// What is analysed of every new scan, and where that is queued.
    pub auto: Option<(AutoAnalyze, Queue)>,
    /// Where it is queued that a scan's vulnerabilities be looked up; none if they are not.
    pub enrichment: Option<Queue>,
    /// What a report may cost.
    pub limits: Limits,
    /// Whether a report is refused that names nothing.
    pub require_image_name: bool,
    /// How long an attempt may be at a report before another may take over: longer than an attempt
    /// can live.
    pub lease: Duration,
}

/// When recovery looks after a scan whose findings were not queued: longer than queueing may take.
const OUTBOX_DUE: Duration = Duration::from_secs(60);
/// The same where vulnerabilities are looked up: recovery queues all analyses then, once their prompts
/// can have what the sources say.
const OUTBOX_DUE_AFTER_ENRICHMENT: Duration = Duration::from_secs(90);
/// How long the sender of a report waits for its findings to be queued; recovery does the rest.
const QUEUEING: Duration = Duration::from_secs(5);

impl Ingestion {
    /// The report of a submission, if it may be taken in here.
    ///
    /// # Errors
    /// Those of [`Submission::report`]; [`report::Error::NoImageName`] for a report that names nothing, where one that
    /// does is required.
    pub fn report<'s>(&self, submission: &'s Submission) -> Result<Report<'s>, report::Error> {
        let report = submission.report()?;
        if self.require_image_name && report.artifact.nameless { Err(report::Error::NoImageName) } else { Ok(report) }
    }
}

/// When a report says that its content was seen. A clock that is years ahead would keep every later scan from
/// becoming current.
fn seen_at(report: &Report<'_>, now: Timestamp) -> Option<Timestamp> {
    /// A year.
    const FUTURE: Duration = Duration::from_secs(366 * 24 * 3600);
    report.created_at.filter(|at| *at <= after(now, FUTURE))
}

/// What the sender of a report should know of the scan that it is.
fn warnings(report: &Report<'_>, scan: &Scan, current: Option<&Scan>, now: Timestamp) -> Vec<Warning> {
    /// Clocks differ; more than this is no difference of clocks.
    const TOLERANCE: Duration = Duration::from_secs(24 * 3600);
    let mut warnings = report.warnings.clone();
    let mut warn = |code, message: &str| warnings.push(Warning::new(code, message));
    match report.created_at {
        Some(at) if at > after(now, TOLERANCE) && seen_at(report, now).is_none() => warn(
            WarningCode::CreatedAt,
            "CreatedAt lies more than a year in the future, so the time of ingestion counts; check the clock of the \
             scanner",
        ),
        Some(at) if at > after(now, TOLERANCE) => warn(
            WarningCode::CreatedAt,
            "CreatedAt lies in the future: until then no other scan of this image becomes current; check the clock of \
             the scanner",
        ),
        _ => {}
    }
    if scan.suspect {
        warn(
            WarningCode::Suspect,
            "the scan before this one found vulnerabilities of a class or severity of which this one has none, although \
             the image is the same: it may not have looked for them. It is stored and does not become current; if they are \
             really gone, confirm it with POST /api/container/scans/{scan_id}/confirm",
        );
    } else if scan.is_vulnerability_scan && !scan.current {
        if current.is_some_and(|current| is_suspect(current, scan)) {
            warn(
                WarningCode::Suspect,
                "the current scan has vulnerabilities of a class or severity of which this one has none, although the \
                 image is the same: this one may not have looked for them",
            );
        }
        warn(
            WarningCode::NotCurrent,
            "another scan of this image was seen later, so this one goes into the history and does not change what the \
             image has now",
        );
    }
    if scan.retired {
        warn(
            WarningCode::Retired,
            "the image is retired, so its scans do not count in the fleet; POST /api/container/images/unretire brings it \
             back",
        );
    }
    warnings
}

/// Takes a report in, the one of the submission. `holder` names this attempt, `now` is the time by
/// which leases are judged.
///
/// # Errors
/// [`Error::Busy`] while another attempt has the report, [`Error::Deleting`] while its scan is being deleted, and those of the table and the archive.
pub async fn run(
    deps: &Ingestion,
    submission: &Submission,
    report: &Report<'_>,
    holder: &Holder,
    now: Timestamp,
) -> Result<Ingested, Error> {
    match deps.store.claim(report.hash, holder, now, deps.lease).await? {
        Claimed::Ours(claim) => finish(deps, submission, report, &claim, holder, now).await,
        Claimed::Complete(scan_id) => see_again(deps, report, scan_id, holder, now).await,
        Claimed::Busy { until } => Err(Error::Busy { until }),
        Claimed::Deleting { until } => Err(Error::Deleting { until }),
    }
}

/// Notes when the content of a report was seen that is stored already. Only where that may change more than the
/// time of the current scan are its occurrences looked at again.
async fn see_again(
    deps: &Ingestion,
    report: &Report<'_>,
    scan_id: ScanId,
    holder: &Holder,
    now: Timestamp,
) -> Result<Ingested, Error> {
    let gone = store::Error::Vanished { scan_id };
    let due = deps.enrichment.is_some().then(|| after(now, OUTBOX_DUE));
    let seen = match seen_at(report, now) {
        Some(at) => deps.store.see_again(scan_id, at, due).await?,
        None => deps.store.scan(scan_id).await?.map(SeenAgain::Unchanged),
    };
    let seen = seen.ok_or(gone)?;
    let moved = matches!(seen, SeenAgain::Moved(_));
    if let Some(queue) = deps.enrichment.as_ref().filter(|_| moved) {
        let queue = queue.on_behalf_of(holder.request_id());
        let sent = tokio::time::timeout(QUEUEING, queue.send_scan(scan_id)).await;
        if !matches!(sent, Ok(Ok(()))) {
            tracing::warn!(scan_id = scan_id.get(), "recovery will have the occurrences follow");
        }
    }
    let scan = seen.scan().clone();
    let current = in_its_place(&deps.store, &scan).await?;
    let warnings = warnings(report, &scan, current.as_ref(), now);
    Ok(Ingested { moved: moved && scan.current, scan, duplicate: true, warnings })
}

/// The current scan, where a scan that looked for vulnerabilities is not current and nothing else says why.
async fn in_its_place(store: &Store, scan: &Scan) -> Result<Option<Scan>, store::Error> {
    if scan.current || scan.suspect || !scan.is_vulnerability_scan {
        return Ok(None);
    }
    match store.current(&Asset::of(scan.scan_id, &scan.artifact)).await?.scan_id {
        Some(current) => store.scan(current).await,
        None => Ok(None),
    }
}

/// All that comes after the claim.
pub(super) async fn finish(
    deps: &Ingestion,
    submission: &Submission,
    report: &Report<'_>,
    claim: &Claim,
    holder: &Holder,
    now: Timestamp,
) -> Result<Ingested, Error> {
    let Ingestion { store, auto, enrichment, .. } = deps;
    // Its future is large, and would make every caller's as large.
    match Box::pin(store_and_publish(deps, submission, report, claim, now)).await {
        Ok(Published { scan, is_ours }) => {
            if let Some(queue) = enrichment.as_ref().filter(|_| is_ours) {
                let queue = queue.on_behalf_of(holder.request_id());
                let queueing = queue_enrichment(store, &queue, scan.scan_id, auto.is_none());
                if tokio::time::timeout(QUEUEING, queueing).await.is_err() {
                    tracing::info!(scan_id = scan.scan_id.get(), "recovery will queue the enrichment");
                }
            } else if let Some((auto, queue)) = auto.as_ref().filter(|_| is_ours) {
                let queue = queue.on_behalf_of(holder.request_id());
                let queueing = queue_analyses(store, &queue, auto, &scan, now);
                if tokio::time::timeout(QUEUEING, queueing).await.is_err() {
                    tracing::info!(scan_id = scan.scan_id.get(), "recovery will queue the rest of the analyses");
                }
            }
            let current = in_its_place(store, &scan).await?;
            let warnings = warnings(report, &scan, current.as_ref(), now);
            Ok(Ingested { moved: is_ours && scan.current, scan, duplicate: !is_ours, warnings })
        }
        Err(error) => {
            if let Err(release) = store.release(claim, now).await {
                tracing::warn!(cause = chain(&release), "the lease stays until it ends by itself");
            }
            Err(error)
        }
    }
}

async fn store_and_publish(
    deps: &Ingestion,
    submission: &Submission,
    report: &Report<'_>,
    claim: &Claim,
    now: Timestamp,
) -> Result<Published, Error> {
    let Ingestion { store, archive, auto, enrichment, .. } = deps;
    // What is published is in the archive, if there is one.
    let keep = async {
        match archive {
            Some(archive) if !submission.packed().is_empty() => {
                archive.archive(report.hash, submission.packed(), submission.declared()).await
            }
            _ => Ok(()),
        }
    };
    let write = async {
        let scan_id = store.number(claim).await?;
        store.write_findings(scan_id, report).await?;
        // Under a number that was used before, what is not written over would stay for ever.
        let written = report.findings.len().saturating_add(report.suppressed.len());
        let written = u32::try_from(written).unwrap_or(u32::MAX);
        store.remove_findings(scan_id, written..claim.previous.map_or(0, |previous| previous.findings)).await?;
        Ok(scan_id)
    };
    let ((), scan_id) = tokio::try_join!(async { keep.await.map_err(Error::from) }, write)?;
    let (severity_counts, fixable_counts) = report.counts();
    let dated = seen_at(report, now);
    let seen = dated.unwrap_or(now);
    let scan = Scan {
        scan_id,
        report_hash: report.hash,
        artifact: report.artifact.clone(),
        // What is ingested again stays as old as it is.
        scan_timestamp: claim.previous.map_or(seen, |previous| previous.scan_timestamp),
        last_seen_at: claim.previous.map_or(seen, |previous| previous.last_seen_at),
        undated: claim.previous.map_or_else(|| dated.is_none(), |previous| previous.undated),
        ingested_at: claim.previous.map_or(now, |previous| previous.ingested_at),
        reported_findings: report.reported_findings,
        severity_counts,
        fixable_counts,
        class_counts: report.class_counts,
        suppressed_counts: report.suppressed_counts(),
        suppressed_class_counts: report.suppressed_class_counts,
        other_findings: report.other_findings,
        is_vulnerability_scan: report.is_vulnerability_scan,
        scanners: submission.declared().scanners.clone(),
        scanned_severities: submission.declared().severities.clone(),
        confirmed_until: claim.previous.and_then(|previous| previous.confirmed_until),
        // What follows from the other scans of its asset is set as it is published.
        suspect: false,
        current: false,
        retired: false,
        asset_since: None,
    };
    if claim.previous.is_some() {
        // What a better parser takes for another image must not stay under the old one.
        forget::taken_back(store, scan_id, Some(&Asset::of(scan_id, &scan.artifact))).await?;
    }
    let wait = if enrichment.is_some() { OUTBOX_DUE_AFTER_ENRICHMENT } else { OUTBOX_DUE };
    let outbox = (auto.is_some() || enrichment.is_some()).then(|| after(now, wait));
    Ok(store.publish(claim, &scan, outbox).await?)
}

/// Queues that a scan's vulnerabilities be looked up. As with analyses, recovery does what fails here;
/// `is_all` says that nothing else is left in the outbox.
async fn queue_enrichment(store: &Store, queue: &Queue, scan_id: ScanId, is_all: bool) {
    if let Err(error) = queue.send_scan(scan_id).await {
        tracing::warn!(scan_id = scan_id.get(), cause = chain(&error), "recovery will queue the enrichment");
        return;
    }
    if is_all && let Err(error) = store.clear_outbox(scan_id).await {
        tracing::warn!(scan_id = scan_id.get(), cause = chain(&error), "recovery will queue the enrichment again");
    }
}

/// Queues what is to be analysed. The report is in by now, so nothing here fails the request: what
/// does not happen stays in the outbox, and recovery does it.
async fn queue_analyses(store: &Store, queue: &Queue, auto: &AutoAnalyze, scan: &Scan, now: Timestamp) {
    let order = Order { severities: &auto.severities, limit: usize::MAX, deadline: Instant::now() + QUEUEING };
    let queued = analyze_scan::run(store, queue, &auto.questions, &auto.judge, scan, order, now).await;
    let cleared = match queued {
        Ok(tally) if tally.more => return,
        Ok(_) => store.clear_outbox(scan.scan_id).await.map_err(analyze::Error::from),
        Err(error) => Err(error),
    };
    if let Err(error) = cleared {
        tracing::warn!(scan_id = scan.scan_id.get(), cause = chain(&error), "recovery will queue the analyses");
    }
}
