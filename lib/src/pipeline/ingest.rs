//! Ingests a report once, completely or not at all.
//!
//! ```text
//! claim ──┬─▶ number ──▶ findings ──┬─▶ publish ──▶ queue enrichment and analyses, if configured
//!   │     └─▶ archive the report ───┘
//!   │ already complete: a duplicate; the time at which it was seen is stored, and which scan is current follows
//!   │ a running lease: busy
//!   └ an expired lease: taken over, with the same id, keys and items
//! ```
//!
//! A scan is invisible until it is published, and each step is idempotent. So the next delivery of the same report, or
//! recovery from the archive, completes an ingestion that was interrupted between two steps.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::analyze;
use super::analyze_scan::{Order, request_analyses};
use super::forget::forget_reopened;
use super::queue_occurrences::{RECOVERY_DELAY, SEND_TIMEOUT, queue_occurrences};
use crate::domain::asset::Asset;
use crate::domain::instant::time_after;
use crate::domain::scan::{Scan, ScanId};
use crate::domain::severity::Severity;
use crate::domain::standing::is_suspect;
use crate::domain::warning::{Warning, WarningCode};
use crate::llm::Questions;
use crate::objects::{self, Objects};
use crate::queries::priority_config::PriorityConfig;
use crate::queries::prompt_reader::PromptReader;
use crate::queue::Queue;
use crate::report::{self, Limits, Report, Submission};
use crate::store::assets::SeenAgain;
use crate::store::claims::{Claim, Claimed};
use crate::store::lease::Owner;
use crate::store::scans::Published;
use crate::store::{self, Store};
use crate::telemetry::chain;

/// The result of an ingestion.
#[derive(Debug, Clone, PartialEq)]
pub struct Ingested {
    /// The scan of the report, as it is now.
    pub scan: Scan,
    /// The report was ingested earlier; at most its times and which scan is current have changed.
    pub duplicate: bool,
    /// The report made this scan the current one of its image.
    pub moved: bool,
    /// Warnings for its sender.
    pub warnings: Vec<Warning>,
}

/// Why a report was not ingested. Delivering it again is always safe.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the types and messages describe the variants")]
pub enum Error {
    #[error("the same report is being ingested by another request until {until}")]
    Busy { until: Timestamp },
    #[error("the scan of the same report is being deleted, until {until} at the latest")]
    Deleting { until: Timestamp },
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Archive(#[from] objects::Error),
    #[error("the operating system returned no random bytes")]
    Random(#[from] getrandom::Error),
}

impl Error {
    /// Returns whether delivering the report again may help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Busy { .. } | Self::Deleting { .. } | Self::Random(_) => true,
            Self::Store(error) => error.is_transient(),
            Self::Archive(error) => error.is_transient(),
        }
    }
}

/// Which findings of every new scan are analysed without a request.
#[derive(Debug)]
pub struct AutoAnalyze {
    /// Findings of these severities.
    pub severities: Vec<Severity>,
    /// The settings of the model.
    pub questions: Questions,
    /// The settings of the priority rule.
    pub priorities: PriorityConfig,
}

impl AutoAnalyze {
    /// Returns the reader of the prompts.
    pub(super) fn prompts<'a>(&'a self, store: &'a Store) -> PromptReader<'a> {
        PromptReader { store, priorities: &self.priorities, questions: &self.questions }
    }
}

/// The dependencies of an ingestion.
#[derive(Debug)]
pub struct Ingestion {
    /// The table.
    pub store: Store,
    /// The archive of the reports; none if they are not archived.
    pub archive: Option<Objects>,
    /// The automatic analyses of every new scan, and their queue.
    pub auto: Option<(AutoAnalyze, Queue)>,
    /// The queue of enrichment; none if vulnerabilities are not looked up.
    pub enrichment: Option<Queue>,
    /// The limits of a report.
    pub limits: Limits,
    /// Whether a report that names no image is refused.
    pub require_image_name: bool,
    /// How long an attempt is leased: longer than the function can live.
    pub lease: Duration,
}

/// When recovery queues the analyses of a scan whose vulnerabilities are looked up first, because prompts contain the
/// facts of the sources.
const RECOVERY_DELAY_AFTER_ENRICHMENT: Duration = Duration::from_secs(90);

impl Ingestion {
    /// Parses the report of a submission, and checks that this deployment accepts it.
    ///
    /// # Errors
    /// [`report::Error::NoImageName`] for a report without an image name, where one is required.
    pub fn report<'s>(&self, submission: &'s Submission) -> Result<Report<'s>, report::Error> {
        let report = submission.report()?;
        if self.require_image_name && report.artifact.nameless { Err(report::Error::NoImageName) } else { Ok(report) }
    }
}

/// Returns when a report was created. A time more than a year ahead is ignored, because it would keep every later scan
/// from becoming current.
fn seen_at(report: &Report<'_>, now: Timestamp) -> Option<Timestamp> {
    const MAX_FUTURE: Duration = Duration::from_secs(366 * 24 * 3600);
    report.created_at.filter(|at| *at <= time_after(now, MAX_FUTURE))
}

/// Collects the warnings for the sender of a report.
fn warnings(report: &Report<'_>, scan: &Scan, current: Option<&Scan>, now: Timestamp) -> Vec<Warning> {
    /// A larger difference is not one between correct clocks.
    const CLOCK_TOLERANCE: Duration = Duration::from_secs(24 * 3600);
    let mut warnings = report.warnings.clone();
    let mut warn = |code, message: &str| warnings.push(Warning::new(code, message));
    if report.created_at.is_some_and(|at| at > time_after(now, CLOCK_TOLERANCE)) {
        let message = match seen_at(report, now) {
            None => {
                "CreatedAt lies more than a year in the future, so the time of ingestion counts; check the clock of \
                 the scanner"
            }
            Some(_) => {
                "CreatedAt lies in the future: until then no other scan of this image becomes current; check the clock \
                 of the scanner"
            }
        };
        warn(WarningCode::CreatedAt, message);
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

/// Ingests the report of a submission. `owner` names this attempt.
pub async fn ingest_report(
    deps: &Ingestion,
    submission: &Submission,
    report: &Report<'_>,
    owner: &Owner,
    now: Timestamp,
) -> Result<Ingested, Error> {
    match deps.store.claim(report.hash, owner, now, deps.lease).await? {
        Claimed::Ours(claim) => finish_ingestion(deps, Incoming { submission, report }, &claim, owner, now).await,
        Claimed::Complete(scan_id) => see_again(deps, report, scan_id, owner, now).await,
        Claimed::Busy { until } => Err(Error::Busy { until }),
        Claimed::Deleting { until } => Err(Error::Deleting { until }),
    }
}

/// Stores when an already ingested report was seen again. The occurrences are updated only if more than the time of
/// the current scan may change.
async fn see_again(
    deps: &Ingestion,
    report: &Report<'_>,
    scan_id: ScanId,
    owner: &Owner,
    now: Timestamp,
) -> Result<Ingested, Error> {
    let due = deps.enrichment.is_some().then(|| time_after(now, RECOVERY_DELAY));
    let seen = match seen_at(report, now) {
        Some(at) => deps.store.see_again(scan_id, at, due).await?,
        None => deps.store.scan(scan_id).await?.map(SeenAgain::Unchanged),
    };
    let seen = seen.ok_or(store::Error::Vanished { scan_id })?;
    let moved = matches!(seen, SeenAgain::Moved(_));
    if let Some(queue) = deps.enrichment.as_ref().filter(|_| moved) {
        queue_occurrences(&queue.on_behalf_of(owner.request_id()), scan_id).await;
    }
    let scan = seen.scan().clone();
    let current = current_instead(&deps.store, &scan).await?;
    let warnings = warnings(report, &scan, current.as_ref(), now);
    Ok(Ingested { moved: moved && scan.current, scan, duplicate: true, warnings })
}

/// Reads the current scan of an image if it is another vulnerability scan and no other warning explains why.
async fn current_instead(store: &Store, scan: &Scan) -> Result<Option<Scan>, store::Error> {
    if scan.current || scan.suspect || !scan.is_vulnerability_scan {
        return Ok(None);
    }
    match store.current(&Asset::of(scan.scan_id, &scan.artifact)).await?.scan_id {
        Some(current) => store.scan(current).await,
        None => Ok(None),
    }
}

/// A report and its submission.
#[derive(Debug, Clone, Copy)]
pub(super) struct Incoming<'a> {
    pub(super) submission: &'a Submission,
    pub(super) report: &'a Report<'a>,
}

/// Completes an ingestion whose report is claimed.
pub(super) async fn finish_ingestion(
    deps: &Ingestion,
    incoming: Incoming<'_>,
    claim: &Claim,
    owner: &Owner,
    now: Timestamp,
) -> Result<Ingested, Error> {
    let Ingestion { store, auto, enrichment, .. } = deps;
    // Boxed, because the large future would be part of every caller's future.
    match Box::pin(store_and_publish(deps, incoming, claim, now)).await {
        Ok(Published { scan, is_ours }) => {
            if let Some(queue) = enrichment.as_ref().filter(|_| is_ours) {
                let queue = queue.on_behalf_of(owner.request_id());
                let queueing = queue_enrichment(store, &queue, scan.scan_id, auto.is_none());
                if tokio::time::timeout(SEND_TIMEOUT, queueing).await.is_err() {
                    tracing::info!(scan_id = scan.scan_id.get(), "recovery will queue the enrichment");
                }
            } else if let Some((auto, queue)) = auto.as_ref().filter(|_| is_ours) {
                let queue = queue.on_behalf_of(owner.request_id());
                let queueing = queue_analyses(store, &queue, auto, &scan, now);
                if tokio::time::timeout(SEND_TIMEOUT, queueing).await.is_err() {
                    tracing::info!(scan_id = scan.scan_id.get(), "recovery will queue the rest of the analyses");
                }
            }
            let current = current_instead(store, &scan).await?;
            let warnings = warnings(incoming.report, &scan, current.as_ref(), now);
            Ok(Ingested { moved: is_ours && scan.current, scan, duplicate: !is_ours, warnings })
        }
        Err(error) => {
            if let Err(release) = store.release(claim, now).await {
                tracing::warn!(cause = chain(&release), "the lease could not be released and lasts until its end");
            }
            Err(error)
        }
    }
}

/// Archives a report, writes its findings and publishes its scan.
async fn store_and_publish(
    deps: &Ingestion,
    Incoming { submission, report }: Incoming<'_>,
    claim: &Claim,
    now: Timestamp,
) -> Result<Published, Error> {
    let Ingestion { store, archive, auto, enrichment, .. } = deps;
    let previous = claim.previous;
    // Before publishing, so that every published scan has its report in the archive.
    let archived = async {
        if let Some(archive) = archive.as_ref().filter(|_| !submission.packed.is_empty()) {
            archive.archive(report.hash, &submission.packed, &submission.declared).await?;
        }
        Ok::<_, Error>(())
    };
    let write = async {
        let scan_id = store.number(claim).await?;
        store.write_findings(scan_id, report).await?;
        // A scan that is ingested again under its id may have had more findings.
        let written = report.findings.len().saturating_add(report.suppressed.len());
        let written = u32::try_from(written).unwrap_or(u32::MAX);
        store.remove_findings(scan_id, written..previous.map_or(0, |previous| previous.findings)).await?;
        Ok(scan_id)
    };
    let ((), scan_id) = tokio::try_join!(archived, write)?;
    let (severity_counts, fixable_counts) = report.counts();
    let dated = seen_at(report, now);
    let seen = dated.unwrap_or(now);
    let scan = Scan {
        scan_id,
        report_hash: report.hash,
        artifact: report.artifact.clone(),
        // A scan that is ingested again keeps its times.
        scan_timestamp: previous.map_or(seen, |previous| previous.scan_timestamp),
        last_seen_at: previous.map_or(seen, |previous| previous.last_seen_at),
        undated: previous.map_or_else(|| dated.is_none(), |previous| previous.undated),
        ingested_at: previous.map_or(now, |previous| previous.ingested_at),
        reported_findings: report.reported_findings,
        severity_counts,
        fixable_counts,
        class_counts: report.class_counts,
        suppressed_counts: report.suppressed_counts(),
        suppressed_class_counts: report.suppressed_class_counts,
        other_findings: report.other_findings,
        is_vulnerability_scan: report.is_vulnerability_scan,
        scanners: submission.declared.scanners.clone(),
        scanned_severities: submission.declared.severities.clone(),
        confirmed_until: previous.and_then(|previous| previous.confirmed_until),
        // Publishing sets these by the other scans of the asset.
        suspect: false,
        current: false,
        retired: false,
        asset_since: None,
    };
    if previous.is_some() {
        // A newer parser may read another image name from the same report.
        forget_reopened(store, scan_id, Some(&Asset::of(scan_id, &scan.artifact))).await?;
    }
    let wait = if enrichment.is_some() { RECOVERY_DELAY_AFTER_ENRICHMENT } else { RECOVERY_DELAY };
    let outbox = (auto.is_some() || enrichment.is_some()).then(|| time_after(now, wait));
    Ok(store.publish(claim, &scan, outbox).await?)
}

/// Queues a scan whose vulnerabilities are to be looked up. Recovery repeats it if it fails. If it is the `only` entry
/// of the outbox, the outbox is cleared.
async fn queue_enrichment(store: &Store, queue: &Queue, scan_id: ScanId, only: bool) {
    if let Err(error) = queue.send_scan(scan_id).await {
        tracing::warn!(scan_id = scan_id.get(), cause = chain(&error), "recovery will queue the enrichment");
        return;
    }
    if only && let Err(error) = store.clear_outbox(scan_id).await {
        tracing::warn!(scan_id = scan_id.get(), cause = chain(&error), "recovery will queue the enrichment again");
    }
}

/// Queues the findings that are analysed without a request. A failure does not fail the ingestion: the scan stays in
/// the outbox, and recovery queues them.
async fn queue_analyses(store: &Store, queue: &Queue, auto: &AutoAnalyze, scan: &Scan, now: Timestamp) {
    let order = Order { severities: &auto.severities, limit: usize::MAX, deadline: Instant::now() + SEND_TIMEOUT };
    let cleared = match request_analyses(auto.prompts(store), queue, scan, order, now).await {
        Ok(tally) if tally.more => return,
        Ok(_) => store.clear_outbox(scan.scan_id).await.map_err(analyze::Error::from),
        Err(error) => Err(error),
    };
    if let Err(error) = cleared {
        tracing::warn!(scan_id = scan.scan_id.get(), cause = chain(&error), "recovery will queue the analyses");
    }
}
