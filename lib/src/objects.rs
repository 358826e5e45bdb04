//! The bucket of uploads, archived reports, feeds and exports. No other module uses S3.
//!
//! ```text
//! uploads/<upload id>             an upload; causes an event; deleted by a lifecycle rule once it is settled
//! reports/<report hash>.json.gz   the archived report, as gzip
//! feeds/<name>-<n>                the last good feeds
//! exports/<random>.<ending>.gz    an export that is too large for an answer, as gzip; expires after a day
//! mirror/v1/…                     answers of public sources, copied by hand where there is no internet access
//! ```

#![expect(clippy::missing_errors_doc, reason = "the variants of the error describe the failures of all functions")]

use std::collections::HashMap;
use std::error::Error as StdError;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Tag, Tagging};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::timeout::TimeoutConfig;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::declared::Declared;
use crate::domain::report_hash::ReportHash;
use crate::domain::upload::UploadId;

/// The tag with the result of an upload, by which the lifecycle rules of template.yaml select objects.
const TAG: &str = "sirius";
/// The metadata of an archived report with the sender's declarations.
pub(crate) const IMAGE_NAME: &str = "image-name";
pub(crate) const SCANNERS: &str = "scanners";
pub(crate) const SEVERITIES: &str = "severities";
/// The time-out of one try to store a report or an export, which may have tens of megabytes.
const LARGE_PUT_TIMEOUT: Duration = Duration::from_secs(12);

/// A bucket and its client.
#[derive(Debug, Clone)]
pub struct Objects {
    client: Client,
    bucket: String,
    /// The account that the bucket must belong to.
    owner: Option<String>,
}

/// A failed call.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages describe the variants")]
pub enum Error {
    /// A retry later may succeed.
    #[error("{operation} did not succeed for now")]
    Unavailable { operation: &'static str, source: Box<dyn StdError + Send + Sync> },
    /// A bucket or a permission is missing, or the request is wrong.
    #[error("{operation} was refused")]
    Refused { operation: &'static str, source: Box<dyn StdError + Send + Sync> },
}

impl Error {
    /// Returns whether the same call may succeed later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    fn sdk<E>(operation: &'static str, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        let is_temporary = match &error {
            SdkError::ServiceError(service) => match service.err().code() {
                Some(code) => is_temporary_code(code),
                // The answer to HEAD has no body, only a status.
                None => !matches!(service.raw().status().as_u16(), 400..=407 | 409..=428 | 430..=499),
            },
            SdkError::ConstructionFailure(_) => false,
            _ => true,
        };
        let source = Box::new(error);
        if is_temporary { Self::Unavailable { operation, source } } else { Self::Refused { operation, source } }
    }
}

/// Returns whether an error code is worth a retry:
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>.
fn is_temporary_code(code: &str) -> bool {
    matches!(
        code,
        "InternalError"
            | "OperationAborted"
            | "RequestTimeout"
            | "ServiceUnavailable"
            | "SlowDown"
            | "ConditionalRequestConflict"
    )
}

/// The result of fetching an object.
#[derive(Debug)]
pub enum Fetched {
    /// The object.
    Bytes {
        /// The content.
        bytes: Vec<u8>,
        /// The metadata (`x-amz-meta-…`), by name.
        metadata: HashMap<String, String>,
    },
    /// It exceeds the limit.
    TooLarge {
        /// Its length.
        bytes: u64,
    },
    /// A newer object has replaced it.
    Replaced,
    /// It does not exist.
    Gone,
}

/// An archived report.
#[derive(Debug)]
pub struct Archived {
    /// The report as gzip.
    pub packed: Vec<u8>,
    /// The sender's declarations.
    pub declared: Declared,
}

/// The permission to PUT an object until it expires.
#[derive(Debug)]
pub struct Presigned {
    /// The URL.
    pub url: String,
    /// The headers that the request must have.
    pub headers: Vec<(String, String)>,
}

/// The content that a presigned upload allows.
#[derive(Debug)]
pub struct Bounds {
    /// The length in bytes.
    pub size: u64,
    /// The media type.
    pub content_type: &'static str,
    /// The SHA-256 of the bytes, in base64.
    pub sha256: String,
}

/// Starts a request for the bucket, and names the account that has to own it.
macro_rules! request {
    ($objects:expr, $call:ident) => {
        $objects.client.$call().bucket(&$objects.bucket).set_expected_bucket_owner($objects.owner.clone())
    };
}

impl Objects {
    /// Uses an existing bucket.
    #[must_use]
    pub fn new(client: Client, bucket: impl Into<String>) -> Self {
        Self { client, bucket: bucket.into(), owner: None }
    }

    /// Requires the bucket to belong to an account. If it was deleted and another account took its predictable name, S3
    /// then refuses each call instead of handing reports over.
    #[must_use]
    pub fn owned_by(self, account: Option<String>) -> Self {
        Self { owner: account, ..self }
    }

    /// Returns the name of the bucket.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Fetches an upload if it still has this `ETag` and no more than `limit` bytes.
    pub async fn upload(&self, id: &UploadId, etag: &str, limit: usize) -> Result<Fetched, Error> {
        self.fetch("GetObject(upload)", id.key(), Some(format!("\"{etag}\"")), limit).await
    }

    /// Returns the `ETag` of an upload, if its object exists.
    pub async fn upload_etag(&self, id: &UploadId) -> Result<Option<String>, Error> {
        match request!(self, head_object).key(id.key()).send().await {
            Ok(head) => Ok(Some(head.e_tag().unwrap_or_default().trim_matches('"').to_owned())),
            // The answer to HEAD has no body, only a status.
            Err(SdkError::ServiceError(service)) if service.raw().status().as_u16() == 404 => Ok(None),
            Err(error) => Err(Error::sdk("HeadObject(upload)", error)),
        }
    }

    /// Replaces the tags of an upload by its result, `done` or `failed`. Succeeds if the object was deleted.
    pub async fn tag_upload(&self, id: &UploadId, outcome: &str) -> Result<(), Error> {
        const OPERATION: &str = "PutObjectTagging(upload)";
        let tag = Tag::builder().key(TAG).value(outcome).build();
        let tagging = tag.and_then(|tag| Tagging::builder().tag_set(tag).build());
        let tagging = tagging.map_err(|source| Error::Refused { operation: OPERATION, source: source.into() })?;
        match request!(self, put_object_tagging).key(id.key()).tagging(tagging).send().await {
            Ok(_) => Ok(()),
            Err(error) if has_code(&error, "NoSuchKey") => Ok(()),
            Err(error) => Err(Error::sdk(OPERATION, error)),
        }
    }

    /// Permits to upload one object of this size, type and content within `time`.
    pub async fn presign_upload(&self, id: &UploadId, bounds: &Bounds, time: Duration) -> Result<Presigned, Error> {
        const OPERATION: &str = "PutObject(presigned)";
        let presigned = request!(self, put_object)
            .key(id.key())
            .content_length(i64::try_from(bounds.size).unwrap_or(i64::MAX))
            .content_type(bounds.content_type)
            .checksum_sha256(&bounds.sha256)
            .presigned(presigning_config(OPERATION, time)?)
            .await
            .map_err(|error| Error::sdk(OPERATION, error))?;
        Ok(Presigned {
            url: presigned.uri().to_owned(),
            headers: presigned.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        })
    }

    /// Archives a report, as gzip. Idempotent.
    pub async fn archive(&self, hash: ReportHash, packed: &[u8], declared: &Declared) -> Result<(), Error> {
        // All metadata may have 2 KB; the longest name has one, and still fits in base64.
        let Declared { image_name, scanners, severities } = declared;
        let metadata = [
            (IMAGE_NAME, image_name.as_ref().map(|name| URL_SAFE_NO_PAD.encode(name.as_str()))),
            (SCANNERS, scanners.as_ref().map(ToString::to_string)),
            (SEVERITIES, severities.as_ref().map(ToString::to_string)),
        ];
        let metadata: HashMap<String, String> =
            metadata.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        let archived = request!(self, put_object)
            .key(report_key(hash))
            .content_type("application/json")
            .content_encoding("gzip")
            .set_metadata(Some(metadata).filter(|metadata| !metadata.is_empty()))
            .body(ByteStream::from(packed.to_vec()))
            .customize()
            .config_override(config_of_large_put());
        archived.send().await.map(drop).map_err(|error| Error::sdk("PutObject(archive)", error))
    }

    /// Fetches an archived report, if it exists.
    pub async fn archived(&self, hash: ReportHash) -> Result<Option<Archived>, Error> {
        // Its size was limited when it was archived.
        self.archived_within(hash, usize::MAX).await.map(|(archived, _)| archived)
    }

    /// Fetches an archived report of at most `limit` bytes, and returns whether it is larger.
    pub async fn archived_within(&self, hash: ReportHash, limit: usize) -> Result<(Option<Archived>, bool), Error> {
        Ok(match self.fetch("GetObject(archive)", report_key(hash), None, limit).await? {
            Fetched::Bytes { bytes: packed, metadata } => {
                let text = |name: &str| metadata.get(name);
                let decoded = |name: &String| String::from_utf8(URL_SAFE_NO_PAD.decode(name).ok()?).ok();
                let declared = Declared {
                    image_name: text(IMAGE_NAME).and_then(decoded).and_then(|name| name.parse().ok()),
                    scanners: text(SCANNERS).and_then(|scanners| scanners.parse().ok()),
                    severities: text(SEVERITIES).and_then(|severities| severities.parse().ok()),
                };
                (Some(Archived { packed, declared }), false)
            }
            Fetched::TooLarge { .. } => (None, true),
            Fetched::Replaced | Fetched::Gone => (None, false),
        })
    }

    /// Creates a URL from which an archived report can be fetched within `time`.
    pub async fn presign_archived(&self, hash: ReportHash, disposition: &str, time: Duration) -> Result<String, Error> {
        self.presign_get(report_key(hash), disposition, time).await
    }

    /// Stores an export, which is gzip.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn put_export(&self, name: &str, content_type: &str, packed: Vec<u8>) -> Result<(), Error> {
        let put = request!(self, put_object)
            .key(export_key(name))
            .content_type(content_type)
            .content_encoding("gzip")
            .body(ByteStream::from(packed))
            .customize()
            .config_override(config_of_large_put());
        put.send().await.map(drop).map_err(|error| Error::sdk("PutObject(export)", error))
    }

    /// Creates a URL from which an export can be fetched within `time`.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Unavailable`] without credentials.
    pub async fn presign_export(&self, name: &str, disposition: &str, time: Duration) -> Result<String, Error> {
        self.presign_get(export_key(name), disposition, time).await
    }

    async fn presign_get(&self, key: String, disposition: &str, time: Duration) -> Result<String, Error> {
        const OPERATION: &str = "GetObject(presigned)";
        // The owner is a header, which a client that follows a redirect does not send.
        let request = self.client.get_object().bucket(&self.bucket).key(key);
        let request = request.response_content_disposition(disposition);
        let presigned = request.presigned(presigning_config(OPERATION, time)?).await;
        Ok(presigned.map_err(|error| Error::sdk(OPERATION, error))?.uri().to_owned())
    }

    /// Checks that the bucket exists and may be used.
    pub async fn check(&self) -> Result<(), Error> {
        let answered = request!(self, head_bucket).send().await;
        answered.map(drop).map_err(|error| Error::sdk("HeadBucket", error))
    }

    /// Removes a report from the archive. Idempotent.
    pub async fn remove_archived(&self, hash: ReportHash) -> Result<(), Error> {
        let removed = request!(self, delete_object).key(report_key(hash)).send().await;
        removed.map(drop).map_err(|error| Error::sdk("DeleteObject(archive)", error))
    }

    /// Fetches a file of the mirror, if it exists. Refuses more than `limit` bytes.
    pub async fn mirrored(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, Error> {
        self.fetch_file("GetObject(mirror)", format!("mirror/v1/{path}"), limit).await
    }

    /// Fetches the kept order of a list, unless it has expired.
    pub async fn order(&self, id: u64) -> Result<Option<Vec<u8>>, Error> {
        self.fetch_file("GetObject(order)", order_key(id), 4 << 20).await
    }

    /// Keeps the order of a list for its next pages. The lifecycle of exports removes it after a day.
    pub async fn put_order(&self, id: u64, packed: Vec<u8>) -> Result<(), Error> {
        let put = request!(self, put_object).key(order_key(id)).body(ByteStream::from(packed)).send().await;
        put.map(drop).map_err(|error| Error::sdk("PutObject(order)", error))
    }

    /// Fetches a stored feed, if it exists. Refuses more than `limit` bytes.
    pub async fn feed(&self, object: &str, limit: usize) -> Result<Option<Vec<u8>>, Error> {
        self.fetch_file("GetObject(feed)", feed_key(object), limit).await
    }

    /// Stores a feed.
    pub async fn put_feed(&self, object: &str, bytes: Vec<u8>) -> Result<(), Error> {
        let put = request!(self, put_object).key(feed_key(object)).body(ByteStream::from(bytes)).send().await;
        put.map(drop).map_err(|error| Error::sdk("PutObject(feed)", error))
    }

    async fn fetch_file(&self, operation: &'static str, key: String, limit: usize) -> Result<Option<Vec<u8>>, Error> {
        let path = key.clone();
        match self.fetch(operation, key, None, limit).await? {
            Fetched::Bytes { bytes, .. } => Ok(Some(bytes)),
            Fetched::TooLarge { bytes } => {
                Err(Error::Refused { operation, source: format!("{path} has {bytes} bytes").into() })
            }
            Fetched::Replaced | Fetched::Gone => Ok(None),
        }
    }

    async fn fetch(
        &self,
        operation: &'static str,
        key: String,
        etag: Option<String>,
        limit: usize,
    ) -> Result<Fetched, Error> {
        match request!(self, get_object).key(key).set_if_match(etag).send().await {
            Ok(object) => read_body(operation, object, limit).await,
            Err(error) if has_code(&error, "PreconditionFailed") => Ok(Fetched::Replaced),
            Err(error) if has_code(&error, "NoSuchKey") => Ok(Fetched::Gone),
            Err(error) => Err(Error::sdk(operation, error)),
        }
    }
}

fn feed_key(object: &str) -> String {
    format!("feeds/{object}")
}

fn order_key(id: u64) -> String {
    format!("exports/order-{id:016x}")
}

fn export_key(name: &str) -> String {
    format!("exports/{name}")
}

fn report_key(hash: ReportHash) -> String {
    format!("reports/{hash}.json.gz")
}

fn config_of_large_put() -> aws_sdk_s3::config::Builder {
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(LARGE_PUT_TIMEOUT)
        .operation_timeout(LARGE_PUT_TIMEOUT * 2)
        .build();
    aws_sdk_s3::config::Builder::new().timeout_config(timeouts)
}

fn presigning_config(operation: &'static str, time: Duration) -> Result<PresigningConfig, Error> {
    PresigningConfig::expires_in(time).map_err(|source| Error::Refused { operation, source: source.into() })
}

fn has_code<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>, code: &str) -> bool {
    matches!(error, SdkError::ServiceError(service) if service.err().code() == Some(code))
}

/// Reads the content of an object, up to `limit` bytes.
async fn read_body(operation: &'static str, object: GetObjectOutput, limit: usize) -> Result<Fetched, Error> {
    let length = object.content_length().and_then(|length| u64::try_from(length).ok());
    let limit_bytes = u64::try_from(limit).unwrap_or(u64::MAX);
    if let Some(bytes) = length.filter(|&length| length > limit_bytes) {
        return Ok(Fetched::TooLarge { bytes });
    }
    // The buffer has its final size, because growing it would take twice the memory.
    let mut bytes = Vec::with_capacity(length.and_then(|length| usize::try_from(length).ok()).unwrap_or_default());
    let metadata = object.metadata.unwrap_or_default();
    let mut body = object.body;
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|source| Error::Unavailable { operation, source: source.into() })?;
        if bytes.len().saturating_add(chunk.len()) > limit {
            return Ok(Fetched::TooLarge { bytes: limit_bytes.saturating_add(1) });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Fetched::Bytes { bytes, metadata })
}
