//! Ingests an archived report again, under the id of its scan, so that a newer parser reads old reports.
//!
//! The scan is reopened and its report ingested as if its first ingestion had been interrupted. For these seconds the
//! scan is invisible. Recovery finishes an interrupted one like any other ingestion.

use jiff::Timestamp;

use super::ingest::{self, Incoming, Ingestion, finish_ingestion};
use crate::domain::report_hash::ReportHash;
use crate::domain::scan::ScanId;
use crate::objects::{self, Archived};
use crate::report::body::Compression;
use crate::report::{self, Report, Submission};
use crate::store;
use crate::store::lease::Owner;

/// The result of ingesting a scan again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reingested {
    /// The scan was ingested again.
    Done {
        /// The number of its findings.
        findings: usize,
    },
    /// The scan does not exist, or another attempt has its lease.
    NoScan,
    /// Its report is not in the archive; the scan stays as it is.
    NotArchived,
}

/// Why a scan was not ingested again. Only after an error of the ingestion it is incomplete, and recovery finishes it.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the types and messages describe the variants")]
pub enum Error {
    #[error("the archived report is refused")]
    Report(#[from] report::Error),
    #[error("the archived report has another hash")]
    OtherReport,
    #[error(transparent)]
    Archive(#[from] objects::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Ingest(#[from] ingest::Error),
}

/// Ingests the archived report of a scan again. `owner` names this attempt.
pub async fn reingest_scan(deps: &Ingestion, id: ScanId, owner: &Owner, now: Timestamp) -> Result<Reingested, Error> {
    let Some(scan) = deps.store.scan(id).await? else { return Ok(Reingested::NoScan) };
    let Some(archive) = &deps.archive else { return Ok(Reingested::NotArchived) };
    let Some(archived) = archive.archived(scan.report_hash).await? else { return Ok(Reingested::NotArchived) };
    // Before the scan is reopened: a report with an error leaves the scan as it is.
    let submission = unpack(deps, archived)?;
    let report = parse_report(&submission, scan.report_hash)?;
    let Some(claim) = deps.store.reopen(&scan, owner, now, deps.lease).await? else { return Ok(Reingested::NoScan) };
    let incoming = Incoming { submission: &submission, report: &report };
    finish_ingestion(deps, incoming, &claim, owner, now).await?;
    Ok(Reingested::Done { findings: report.findings.len() })
}

/// Unpacks an archived report.
pub(super) fn unpack(deps: &Ingestion, archived: Archived) -> Result<Submission, Error> {
    Ok(Submission::read(archived.packed, Compression::Gzip, archived.declared, deps.limits, false)?)
}

/// Parses an archived report, and checks its hash.
pub(super) fn parse_report(submission: &Submission, hash: ReportHash) -> Result<Report<'_>, Error> {
    let report = submission.report()?;
    if report.hash == hash { Ok(report) } else { Err(Error::OtherReport) }
}
