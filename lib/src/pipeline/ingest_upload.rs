//! Taking an uploaded object in.
//!
//! What can never be ingested is settled as failed, with the reason, where its sender can ask for
//! it, and on the object itself. Everything else is either done, or comes back.

use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::analyze::after;
use super::ingest::{self, Ingested, Ingestion};
use crate::domain::declared::Declared;
use crate::domain::image_name::ImageName;
use crate::domain::text::shortened;
use crate::domain::upload::{Sequencer, State, Upload, UploadId};
use crate::objects::{self, Fetched, Objects};
use crate::report::body::Compression;
use crate::report::{self, Submission};
use crate::store;
use crate::store::claims::Holder;

/// An object of which an event tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Which upload it is.
    pub id: UploadId,
    /// Its content.
    pub etag: String,
    /// Which event of its name this is.
    pub sequencer: Option<Sequencer>,
    /// Its bytes.
    pub size: u64,
}

/// What became of an object.
#[derive(Debug, Clone, PartialEq)]
pub enum Taken {
    /// Its report is in.
    Done {
        /// As this scan.
        ingested: Box<Ingested>,
        /// With so many findings.
        findings: usize,
    },
    /// It can never be ingested.
    Failed(report::Kind),
    /// It was settled before: the same event again.
    Settled,
    /// Another object lies there, of which another event tells.
    Replaced,
    /// It was deleted before it was read.
    Gone,
}

/// Why an object was not taken in this time. Its event comes back.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bucket.
    #[error(transparent)]
    Objects(#[from] objects::Error),
    /// The table.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The ingestion.
    #[error(transparent)]
    Ingest(#[from] ingest::Error),
}

impl Error {
    /// Whether trying again may help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Objects(error) => error.is_transient(),
            Self::Store(error) => error.is_transient(),
            Self::Ingest(error) => error.is_transient(),
        }
    }
}

/// How long to wait for someone else who is at the same report, of the two minutes that there are.
const PATIENCE: Duration = Duration::from_secs(40);
/// How often to look whether it is in.
const LOOK: Duration = Duration::from_secs(1);
/// A parser's words quote what they are about, which may be megabytes.
const MAX_REASON: usize = 600;
/// How long it can be asked how an upload went.
const KEPT: Duration = Duration::from_secs(90 * 24 * 3600);

/// Takes an object in. `holder` names this attempt.
///
/// # Errors
/// Those of the bucket, the table and the ingestion.
pub async fn run(
    deps: &Ingestion,
    objects: &Objects,
    object: &Object,
    holder: &Holder,
    now: Timestamp,
) -> Result<Taken, Error> {
    let known = deps.store.upload(&object.id, now).await?;
    let settled = known.as_ref().filter(|known| known.is_settled());
    if let Some(settled) = settled.filter(|known| known.is_about(&object.etag, object.sequencer.as_ref())) {
        // Perhaps it was the tag that failed.
        tag(objects, object, &settled.state).await?;
        return Ok(Taken::Settled);
    }
    if known.as_ref().is_some_and(|known| known.is_newer(object.sequencer.as_ref())) {
        return Ok(Taken::Replaced);
    }
    let is_settled = settled.is_some();
    let image_name = known.as_ref().and_then(|known| known.image_name.clone());
    let record = |state| Upload {
        upload_id: object.id.clone(),
        state,
        image_name: image_name.clone(),
        etag: Some(object.etag.clone()),
        sequencer: object.sequencer.clone(),
        updated_at: now,
    };
    let limit = deps.limits.max_bytes;
    let outcome = match objects.upload(&object.id, &object.etag, limit).await? {
        Fetched::Replaced => return Ok(Taken::Replaced),
        // An older object of a name whose newer one was settled, and then deleted.
        Fetched::Gone if is_settled => return Ok(Taken::Replaced),
        Fetched::Gone => {
            let reason = "the object was deleted before it was read".to_owned();
            let state = State::Failed { code: "upload_gone".to_owned(), reason };
            let is_last = deps.store.put_upload(&record(state), after(now, KEPT)).await?;
            return Ok(if is_last { Taken::Gone } else { Taken::Replaced });
        }
        Fetched::TooLarge { .. } => Err(report::Error::TooLarge { limit }),
        Fetched::Bytes { bytes, metadata } => {
            if !deps.store.put_upload(&record(State::Ingesting), after(now, KEPT)).await? {
                return Ok(Taken::Replaced);
            }
            match declared(image_name.clone(), &metadata) {
                Ok(declared) => ingest(deps, bytes, declared, holder, now).await?,
                Err(refused) => Err(refused),
            }
        }
    };
    let (state, taken) = match outcome {
        Ok((ingested, findings)) => {
            let Ingested { scan, duplicate, warnings, .. } = &ingested;
            let (scan_id, duplicate) = (scan.scan_id, *duplicate);
            let state = State::Done { scan_id, duplicate, current: scan.current, warnings: warnings.clone() };
            (state, Taken::Done { ingested: Box::new(ingested), findings })
        }
        Err(refused) => {
            let (kind, reason) = (refused.kind(), shortened(refused.to_string(), MAX_REASON));
            (State::Failed { code: kind.name().to_owned(), reason }, Taken::Failed(kind))
        }
    };
    // The record first: if the tag fails, the event comes back, and finds that only the tag is left.
    let written = record(state);
    // Not over what a newer object of the same name has come to; its report is in all the same.
    if deps.store.put_upload(&written, after(now, KEPT)).await? {
        tag(objects, object, &written.state).await?;
    }
    Ok(taken)
}

/// Says on the object itself how its upload went, if it still lies there: tagging knows no condition, and an object that
/// has taken its place is tagged by its own event once that is settled.
async fn tag(objects: &Objects, object: &Object, state: &State) -> Result<(), objects::Error> {
    if objects.upload_etag(&object.id).await?.as_deref() != Some(object.etag.as_str()) {
        return Ok(());
    }
    let outcome = if matches!(state, State::Done { .. }) { "done" } else { "failed" };
    objects.tag_upload(&object.id, outcome).await
}

/// What the sender declares: with the order of the upload, or as metadata of the object.
fn declared(image_name: Option<ImageName>, metadata: &HashMap<String, String>) -> Result<Declared, report::Error> {
    fn read<T: FromStr<Err: Display>>(
        metadata: &HashMap<String, String>,
        name: &str,
    ) -> Result<Option<T>, report::Error> {
        let text = metadata.get(name).map(|text| text.parse::<T>());
        text.transpose()
            .map_err(|error| report::Error::Field { path: format!("x-amz-meta-{name}"), reason: error.to_string() })
    }
    let image_name = match image_name {
        Some(name) => Some(name),
        None => read(metadata, objects::IMAGE_NAME)?,
    };
    let (scanners, severities) = (read(metadata, objects::SCANNERS)?, read(metadata, objects::SEVERITIES)?);
    Ok(Declared { image_name, scanners, severities })
}

/// The inner error is the report's own, and for good.
async fn ingest(
    deps: &Ingestion,
    bytes: Vec<u8>,
    declared: Declared,
    holder: &Holder,
    now: Timestamp,
) -> Result<Result<(Ingested, usize), report::Error>, Error> {
    let compression = Compression::of(&bytes);
    let submission = match Submission::read(bytes, compression, declared, deps.limits, deps.archive.is_some()) {
        Ok(submission) => submission,
        Err(refused) => return Ok(Err(refused)),
    };
    let report = match deps.report(&submission) {
        Ok(report) => report,
        Err(refused) => return Ok(Err(refused)),
    };
    // Someone else is at the same report: soon it is in. The message would come back much later.
    let started = Instant::now();
    let mut tick = tokio::time::interval(LOOK);
    loop {
        tick.tick().await;
        let waited = started.elapsed();
        match ingest::run(deps, &submission, &report, holder, after(now, waited)).await {
            Err(ingest::Error::Busy { .. } | ingest::Error::Deleting { .. }) if waited < PATIENCE => {}
            outcome => return Ok(Ok((outcome?, report.findings.len()))),
        }
    }
}
