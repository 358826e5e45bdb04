//! Taking an uploaded object in.
//!
//! What can never be ingested is settled as failed, with the reason, where its sender can ask for
//! it, and on the object itself. Everything else is either done, or comes back.

use std::time::Duration;

use jiff::Timestamp;

use super::analyze::after;
use super::ingest::{self, Ingested, Ingestion};
use crate::domain::upload::{State, Upload, UploadId};
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
    /// Its version, in a bucket that keeps them.
    pub version: Option<String>,
    /// Its bytes.
    pub size: u64,
}

/// What became of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// Its report is in.
    Done {
        /// As this scan.
        ingested: Ingested,
        /// With so many findings.
        findings: usize,
    },
    /// It can never be ingested.
    Failed(report::Kind),
    /// It was settled before: the same event again.
    Settled,
    /// It is gone, or another object lies there, of which another event tells.
    Replaced,
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
    if known.as_ref().is_some_and(|known| known.is_settled(&object.etag)) {
        return Ok(Taken::Settled);
    }
    let image_name = known.and_then(|known| known.image_name);
    let record = |state| Upload {
        upload_id: object.id.clone(),
        state,
        image_name: image_name.clone(),
        etag: Some(object.etag.clone()),
        updated_at: now,
    };
    let limit = deps.limits.max_bytes;
    let fetched = if usize::try_from(object.size).is_ok_and(|size| size <= limit) {
        objects.upload(&object.id, &object.etag, object.version.as_deref(), limit).await?
    } else {
        Fetched::TooLarge { bytes: object.size }
    };
    let outcome = match fetched {
        Fetched::Replaced => return Ok(Taken::Replaced),
        Fetched::TooLarge { .. } => Err(report::Error::TooLarge { limit }),
        Fetched::Bytes(bytes) => {
            deps.store.put_upload(&record(State::Ingesting), after(now, KEPT)).await?;
            ingest(deps, bytes, image_name.clone(), holder, now).await?
        }
    };
    let (state, tag, taken) = match outcome {
        Ok((ingested, findings)) => {
            let Ingested { scan_id, duplicate } = ingested;
            (State::Done { scan_id, duplicate }, "done", Taken::Done { ingested, findings })
        }
        Err(refused) => {
            let (kind, reason) = (refused.kind(), shortened(refused.to_string()));
            (State::Failed { code: kind.name().to_owned(), reason }, "failed", Taken::Failed(kind))
        }
    };
    // The tag first: once the record says that it is settled, nobody comes back to tag it.
    objects.tag_upload(&object.id, object.version.as_deref(), tag).await?;
    deps.store.put_upload(&record(state), after(now, KEPT)).await?;
    Ok(taken)
}

/// The inner error is the report's own, and for good.
async fn ingest(
    deps: &Ingestion,
    bytes: Vec<u8>,
    image_name: Option<crate::domain::image_name::ImageName>,
    holder: &Holder,
    now: Timestamp,
) -> Result<Result<(Ingested, usize), report::Error>, Error> {
    let compression = Compression::of(&bytes);
    let submission = match Submission::read(bytes, compression, image_name, deps.limits, deps.archive.is_some()) {
        Ok(submission) => submission,
        Err(refused) => return Ok(Err(refused)),
    };
    let report = match submission.report() {
        Ok(report) => report,
        Err(refused) => return Ok(Err(refused)),
    };
    let ingested = ingest::run(deps, &submission, &report, holder, now).await?;
    Ok(Ok((ingested, report.findings.len())))
}

/// A parser's words quote what they are about, which may be megabytes.
fn shortened(mut reason: String) -> String {
    const MOST: usize = 600;
    if reason.len() > MOST {
        reason.truncate(reason.floor_char_boundary(MOST));
        reason.push('…');
    }
    reason
}
