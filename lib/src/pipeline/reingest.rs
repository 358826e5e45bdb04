//! Ingesting an archived report anew, under the number that its scan has: what a better parser is
//! brought to old scans with.
//!
//! The scan is taken back and its report ingested as if the first attempt had been cut off. For
//! those seconds nobody sees the scan; a crash is mended as that of any ingestion is.

use jiff::Timestamp;

use super::ingest::{self, Ingestion};
use crate::domain::report_hash::ReportHash;
use crate::domain::scan::ScanId;
use crate::objects::{self, Archived};
use crate::report::body::Compression;
use crate::report::{self, Report, Submission};
use crate::store;
use crate::store::claims::Holder;

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reingested {
    /// The scan now is what the archived report says.
    Done {
        /// How many findings it has.
        findings: usize,
    },
    /// There is no such scan, or someone else is at it.
    NoScan,
    /// Its report is not in the archive (any more); the scan stays as it is.
    NotArchived,
}

/// Why a scan was not ingested anew.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The archived report cannot be read; the scan stays as it is.
    #[error("the archived report is refused")]
    Report(#[from] report::Error),
    /// The archived report is another one; the scan stays as it is.
    #[error("the archived report has another hash")]
    OtherReport,
    /// The archive.
    #[error(transparent)]
    Archive(#[from] objects::Error),
    /// The table.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The ingestion; recovery finishes it.
    #[error(transparent)]
    Ingest(#[from] ingest::Error),
}

/// Ingests the archived report of a scan anew. There must be an archive.
///
/// # Errors
/// See [`Error`].
pub async fn run(deps: &Ingestion, id: ScanId, holder: &Holder, now: Timestamp) -> Result<Reingested, Error> {
    let Some(scan) = deps.store.scan(id).await? else { return Ok(Reingested::NoScan) };
    let Some(archive) = &deps.archive else { return Ok(Reingested::NotArchived) };
    let Some(archived) = archive.archived(scan.report_hash).await? else { return Ok(Reingested::NotArchived) };
    // Everything that can be wrong with the report is known before the scan is touched.
    let submission = unpacked(deps, archived)?;
    let report = report(&submission, scan.report_hash)?;
    let Some(claim) = deps.store.reopen(&scan, holder, now, deps.lease).await? else { return Ok(Reingested::NoScan) };
    ingest::finish(deps, &submission, &report, &claim, holder, now).await?;
    Ok(Reingested::Done { findings: report.findings.len() })
}

/// A report of the archive, as it was sent.
pub(super) fn unpacked(deps: &Ingestion, archived: Archived) -> Result<Submission, Error> {
    Ok(Submission::read(archived.packed, Compression::Gzip, archived.declared, deps.limits, false)?)
}

/// The report in it, if it is the one of that hash.
pub(super) fn report(submission: &Submission, hash: ReportHash) -> Result<Report<'_>, Error> {
    let report = submission.report()?;
    if report.hash == hash { Ok(report) } else { Err(Error::OtherReport) }
}
