//! Ingests an uploaded object.
//!
//! An upload that can never be ingested is stored as failed, with the reason, and its object is tagged. The event of
//! any other upload is delivered again until it succeeds.

use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::ingest::{self, Ingested, Ingestion, ingest_report};
use crate::domain::declared::Declared;
use crate::domain::instant::time_after;
use crate::domain::text::shortened;
use crate::domain::upload::{Sequencer, State, Upload, UploadId};
use crate::objects::{self, Fetched, Objects};
use crate::report::body::Compression;
use crate::report::{self, Submission};
use crate::store;
use crate::store::lease::Owner;

/// An object that an event names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// The upload.
    pub id: UploadId,
    /// The hash of its content.
    pub etag: String,
    /// The order of this event among those of the same key.
    pub sequencer: Option<Sequencer>,
    /// Its size in bytes.
    pub size: u64,
}

/// The result of handling an object.
#[derive(Debug, Clone, PartialEq)]
pub enum UploadOutcome {
    /// Its report is ingested.
    Done {
        /// The result.
        ingested: Box<Ingested>,
        /// The number of its findings.
        findings: usize,
    },
    /// It can never be ingested.
    Failed(report::Kind),
    /// The same event was handled earlier.
    Settled,
    /// A newer object has replaced it.
    Replaced,
    /// It was deleted before it was read.
    Gone,
}

/// Why an object was not ingested. Its event is delivered again.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the types describe the variants")]
pub enum Error {
    #[error(transparent)]
    Objects(#[from] objects::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Ingest(#[from] ingest::Error),
}

impl Error {
    /// Returns whether trying again may help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Objects(error) => error.is_transient(),
            Self::Store(error) => error.is_transient(),
            Self::Ingest(error) => error.is_transient(),
        }
    }
}

/// How long to wait for another attempt at the same report, of the function's two minutes.
const BUSY_WAIT: Duration = Duration::from_secs(40);
/// The time between two tries while waiting.
const BUSY_INTERVAL: Duration = Duration::from_secs(1);
/// The longest reason that is stored, in bytes: messages of the parser quote the report, which may be megabytes.
const MAX_REASON_LEN: usize = 600;
/// How long the state of an upload can be read.
const UPLOAD_RETENTION: Duration = Duration::from_secs(90 * 24 * 3600);

/// Ingests an uploaded object. `owner` names this attempt.
pub async fn ingest_upload(
    deps: &Ingestion,
    objects: &Objects,
    object: &Object,
    owner: &Owner,
    now: Timestamp,
) -> Result<UploadOutcome, Error> {
    let known = deps.store.upload(&object.id, now).await?;
    let settled = known.as_ref().filter(|known| known.is_settled());
    if let Some(settled) = settled.filter(|known| known.is_about(&object.etag, object.sequencer.as_ref())) {
        // Setting the tag may have failed.
        tag(objects, object, &settled.state).await?;
        return Ok(UploadOutcome::Settled);
    }
    if known.as_ref().is_some_and(|known| known.is_newer(object.sequencer.as_ref())) {
        return Ok(UploadOutcome::Replaced);
    }
    let is_settled = settled.is_some();
    let sent = known.as_ref().map(|known| known.declared.clone()).unwrap_or_default();
    let record = |state| Upload {
        upload_id: object.id.clone(),
        state,
        declared: sent.clone(),
        etag: Some(object.etag.clone()),
        sequencer: object.sequencer.clone(),
        updated_at: now,
    };
    let limit = deps.limits.max_bytes;
    let outcome = match objects.upload(&object.id, &object.etag, limit).await? {
        Fetched::Replaced => return Ok(UploadOutcome::Replaced),
        // A newer object of the same key was handled and then deleted.
        Fetched::Gone if is_settled => return Ok(UploadOutcome::Replaced),
        Fetched::Gone => {
            let reason = "the object was deleted before it was read".to_owned();
            let state = State::Failed { code: "upload_gone".to_owned(), reason };
            let is_last = deps.store.put_upload(&record(state), time_after(now, UPLOAD_RETENTION)).await?;
            return Ok(if is_last { UploadOutcome::Gone } else { UploadOutcome::Replaced });
        }
        Fetched::TooLarge { .. } => Err(report::Error::TooLarge { limit }),
        Fetched::Bytes { bytes, metadata } => {
            if !deps.store.put_upload(&record(State::Ingesting), time_after(now, UPLOAD_RETENTION)).await? {
                return Ok(UploadOutcome::Replaced);
            }
            match declared(sent.clone(), &metadata) {
                Ok(declared) => ingest_bytes(deps, bytes, declared, owner, now).await?,
                Err(refused) => Err(refused),
            }
        }
    };
    let (state, done) = match outcome {
        Ok((ingested, findings)) => {
            let Ingested { scan, duplicate, warnings, .. } = ingested.clone();
            let state = State::Done { scan_id: scan.scan_id, duplicate, current: scan.current, warnings };
            (state, UploadOutcome::Done { ingested: Box::new(ingested), findings })
        }
        Err(refused) => {
            let (kind, reason) = (refused.kind(), shortened(refused.to_string(), MAX_REASON_LEN));
            (State::Failed { code: kind.name().to_owned(), reason }, UploadOutcome::Failed(kind))
        }
    };
    // Before the tag: if the tag fails, the next delivery of the event only sets the tag.
    let written = record(state);
    // Not if a newer object of the same key was handled; the report of this one stays ingested.
    if deps.store.put_upload(&written, time_after(now, UPLOAD_RETENTION)).await? {
        tag(objects, object, &written.state).await?;
    }
    Ok(done)
}

/// Tags an object with the outcome of its upload, unless another object has replaced it: tagging takes no condition,
/// and the other object is tagged by its own event.
async fn tag(objects: &Objects, object: &Object, state: &State) -> Result<(), objects::Error> {
    if objects.upload_etag(&object.id).await?.as_deref() != Some(object.etag.as_str()) {
        return Ok(());
    }
    let outcome = if matches!(state, State::Done { .. }) { "done" } else { "failed" };
    objects.tag_upload(&object.id, outcome).await
}

/// Reads the sender's declarations in the request of the upload, or else in the metadata of the object.
fn declared(sent: Declared, metadata: &HashMap<String, String>) -> Result<Declared, report::Error> {
    Ok(Declared {
        image_name: declaration(sent.image_name, metadata, objects::IMAGE_NAME)?,
        scanners: declaration(sent.scanners, metadata, objects::SCANNERS)?,
        severities: declaration(sent.severities, metadata, objects::SEVERITIES)?,
    })
}

fn declaration<T: FromStr<Err: Display>>(
    sent: Option<T>,
    metadata: &HashMap<String, String>,
    name: &str,
) -> Result<Option<T>, report::Error> {
    let refused =
        |error: T::Err| report::Error::Field { path: format!("x-amz-meta-{name}"), reason: error.to_string() };
    match sent {
        Some(_) => Ok(sent),
        None => metadata.get(name).map(|text| text.parse().map_err(refused)).transpose(),
    }
}

/// Ingests the bytes of an object. The inner error is the report's, and permanent.
async fn ingest_bytes(
    deps: &Ingestion,
    bytes: Vec<u8>,
    declared: Declared,
    owner: &Owner,
    now: Timestamp,
) -> Result<Result<(Ingested, usize), report::Error>, Error> {
    let compression = Compression::detect(&bytes);
    let submission = match Submission::read(bytes, compression, declared, deps.limits, deps.archive.is_some()) {
        Ok(submission) => submission,
        Err(refused) => return Ok(Err(refused)),
    };
    let report = match deps.report(&submission) {
        Ok(report) => report,
        Err(refused) => return Ok(Err(refused)),
    };
    // Another attempt is usually done within seconds; the next delivery of the message is much later.
    let started = Instant::now();
    let mut tick = tokio::time::interval(BUSY_INTERVAL);
    loop {
        tick.tick().await;
        let waited = started.elapsed();
        match ingest_report(deps, &submission, &report, owner, time_after(now, waited)).await {
            Err(ingest::Error::Busy { .. } | ingest::Error::Deleting { .. }) if waited < BUSY_WAIT => {}
            outcome => return Ok(Ok((outcome?, report.findings.len()))),
        }
    }
}
