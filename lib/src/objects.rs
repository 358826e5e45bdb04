//! The bucket: what was uploaded, and the archive of every report. Nothing else knows S3.
//!
//! ```text
//! uploads/<upload id>             as it was sent; watched; deleted by a lifecycle rule once it is settled
//! reports/<report hash>.json.gz   the archive: the report as it was sent, as gzip
//! feeds/<name>-<n>                the last good feeds of the world's vulnerabilities
//! mirror/v1/…                     answers of public sources, where they cannot be reached: put there by hand
//! ```

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

/// The tag that says how an upload went: what the lifecycle rules of template.yaml go by, and what
/// someone who looks at the bucket sees.
const TAG: &str = "sirius";
/// The metadata under which the archive keeps the name that a report's sender gave.
pub(crate) const IMAGE_NAME: &str = "image-name";
/// The same of the scanners and the severities that a sender declared.
pub(crate) const SCANNERS: &str = "scanners";
pub(crate) const SEVERITIES: &str = "severities";
/// How long one try to archive a report may take: tens of megabytes, where other calls have kilobytes.
const PUT: Duration = Duration::from_secs(12);

/// A bucket and the client to reach it with.
#[derive(Debug, Clone)]
pub struct Objects {
    client: Client,
    bucket: String,
    /// The account that the bucket must belong to.
    owner: Option<String>,
}

/// A call that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The service asks for patience, or could not be reached in time; worth another try later.
    #[error("{operation} did not succeed for now")]
    Unavailable {
        /// The operation's name.
        operation: &'static str,
        /// What the SDK says.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The service refuses the call: a missing bucket, a missing permission, a bug of ours.
    #[error("{operation} was refused")]
    Refused {
        /// The operation's name.
        operation: &'static str,
        /// What the SDK says.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl Error {
    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    fn sdk<E>(operation: &'static str, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        let passes = match &error {
            SdkError::ServiceError(service) => match service.err().code() {
                Some(code) => passes(code),
                // The answer to HEAD has no body, so no code but the status.
                None => !matches!(service.raw().status().as_u16(), 400..=407 | 409..=428 | 430..=499),
            },
            SdkError::ConstructionFailure(_) => false,
            _ => true,
        };
        let source = Box::new(error);
        if passes { Self::Unavailable { operation, source } } else { Self::Refused { operation, source } }
    }
}

/// The error codes that are worth another try:
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>.
fn passes(code: &str) -> bool {
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

/// What an object that was uploaded turned out to be.
#[derive(Debug)]
pub enum Fetched {
    /// Its bytes, as they lie there.
    Bytes {
        /// The bytes.
        bytes: Vec<u8>,
        /// What its sender wrote beside them (`x-amz-meta-…`), by name.
        metadata: HashMap<String, String>,
    },
    /// It has more bytes than are taken.
    TooLarge {
        /// How many.
        bytes: u64,
    },
    /// Another one lies there by now, whose own event tells of it.
    Replaced,
    /// Nothing lies there.
    Gone,
}

/// A report as the archive keeps it.
#[derive(Debug)]
pub struct Archived {
    /// As gzip.
    pub packed: Vec<u8>,
    /// What its sender declared.
    pub declared: Declared,
}

/// An upload that someone may make, once, until it expires.
#[derive(Debug)]
pub struct Presigned {
    /// Where to PUT it.
    pub url: String,
    /// The headers that go with it, exactly as they are.
    pub headers: Vec<(String, String)>,
}

/// What an upload is bound to.
#[derive(Debug)]
pub struct Bounds {
    /// Bytes.
    pub size: u64,
    /// Media type.
    pub content_type: &'static str,
    /// SHA-256 of the bytes, in base64 as S3 wants it.
    pub sha256: String,
}

impl Objects {
    /// A bucket that exists.
    #[must_use]
    pub fn new(client: Client, bucket: impl Into<String>) -> Self {
        Self { client, bucket: bucket.into(), owner: None }
    }

    /// The same bucket, if it belongs to this account. Its name can be foretold: were it ever deleted, somebody else
    /// could make one of the same name, and S3 then refuses each call instead of handing reports over.
    #[must_use]
    pub fn owned_by(self, account: Option<String>) -> Self {
        Self { owner: account, ..self }
    }

    /// The bucket's name.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// What was uploaded, if it still is what `etag` says, and no more than `limit` bytes.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn upload(&self, id: &UploadId, etag: &str, limit: usize) -> Result<Fetched, Error> {
        const OPERATION: &str = "GetObject(upload)";
        let got = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .set_expected_bucket_owner(self.owner.clone())
            .key(id.key())
            .if_match(format!("\"{etag}\""))
            .send()
            .await;
        let object = match got {
            Ok(object) => object,
            Err(error) if is(&error, "PreconditionFailed") => return Ok(Fetched::Replaced),
            Err(error) if is(&error, "NoSuchKey") => return Ok(Fetched::Gone),
            Err(error) => return Err(Error::sdk(OPERATION, error)),
        };
        read(OPERATION, object, limit).await
    }

    /// The `ETag` of the object that lies there for the upload, if one does.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn upload_etag(&self, id: &UploadId) -> Result<Option<String>, Error> {
        match self
            .client
            .head_object()
            .bucket(&self.bucket)
            .set_expected_bucket_owner(self.owner.clone())
            .key(id.key())
            .send()
            .await
        {
            Ok(head) => Ok(Some(head.e_tag().unwrap_or_default().trim_matches('"').to_owned())),
            // The answer to HEAD has no body, so no code but the status.
            Err(SdkError::ServiceError(service)) if service.raw().status().as_u16() == 404 => Ok(None),
            Err(error) => Err(Error::sdk("HeadObject(upload)", error)),
        }
    }

    /// Says on the object itself how its upload went: `done` or `failed`. That is its only tag from
    /// then on. An object that is gone needs none.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn tag_upload(&self, id: &UploadId, outcome: &str) -> Result<(), Error> {
        const OPERATION: &str = "PutObjectTagging(upload)";
        let refused =
            |source: aws_sdk_s3::error::BuildError| Error::Refused { operation: OPERATION, source: source.into() };
        let tag = Tag::builder().key(TAG).value(outcome).build().map_err(refused)?;
        let tagging = Tagging::builder().tag_set(tag).build().map_err(refused)?;
        let tagged = self
            .client
            .put_object_tagging()
            .bucket(&self.bucket)
            .set_expected_bucket_owner(self.owner.clone())
            .key(id.key())
            .tagging(tagging)
            .send()
            .await;
        match tagged {
            Ok(_) => Ok(()),
            Err(error) if is(&error, "NoSuchKey") => Ok(()),
            Err(error) => Err(Error::sdk(OPERATION, error)),
        }
    }

    /// Lets someone upload one object within `time`: of exactly this size, type and content.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Unavailable`] for want of credentials.
    pub async fn presign_upload(&self, id: &UploadId, bounds: &Bounds, time: Duration) -> Result<Presigned, Error> {
        const OPERATION: &str = "PutObject(presigned)";
        let presigned = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .set_expected_bucket_owner(self.owner.clone())
            .key(id.key())
            .content_length(i64::try_from(bounds.size).unwrap_or(i64::MAX))
            .content_type(bounds.content_type)
            .checksum_sha256(&bounds.sha256)
            .presigned(presigning(OPERATION, time)?)
            .await
            .map_err(|error| Error::sdk(OPERATION, error))?;
        Ok(Presigned {
            url: presigned.uri().to_owned(),
            headers: presigned.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        })
    }

    /// Keeps a report, as gzip. To do it again writes the same report.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn archive(&self, hash: ReportHash, packed: &[u8], declared: &Declared) -> Result<(), Error> {
        // All metadata together may have 2 KB, and the longest name has one; in base64 it still fits.
        let Declared { image_name, scanners, severities } = declared;
        let metadata = [
            (IMAGE_NAME, image_name.as_ref().map(|name| URL_SAFE_NO_PAD.encode(name.as_str()))),
            (SCANNERS, scanners.as_ref().map(ToString::to_string)),
            (SEVERITIES, severities.as_ref().map(ToString::to_string)),
        ];
        let metadata: HashMap<String, String> =
            metadata.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        let patience = TimeoutConfig::builder().operation_attempt_timeout(PUT).operation_timeout(PUT * 2).build();
        self.client
            .put_object()
            .bucket(&self.bucket)
            .set_expected_bucket_owner(self.owner.clone())
            .key(report_key(hash))
            .content_type("application/json")
            .content_encoding("gzip")
            .set_metadata(Some(metadata).filter(|metadata| !metadata.is_empty()))
            .body(ByteStream::from(packed.to_vec()))
            .customize()
            .config_override(aws_sdk_s3::config::Builder::new().timeout_config(patience))
            .send()
            .await
            .map_err(|error| Error::sdk("PutObject(archive)", error))?;
        Ok(())
    }

    /// A report of the archive; none if it is not there (any more).
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn archived(&self, hash: ReportHash) -> Result<Option<Archived>, Error> {
        // Sirius wrote it, so it is within what a report may weigh.
        self.archived_within(hash, usize::MAX).await.map(|(archived, _)| archived)
    }

    /// A report of the archive that has at most `limit` bytes there, and whether there is a larger one.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn archived_within(&self, hash: ReportHash, limit: usize) -> Result<(Option<Archived>, bool), Error> {
        const OPERATION: &str = "GetObject(archive)";
        let object = match self
            .client
            .get_object()
            .bucket(&self.bucket)
            .set_expected_bucket_owner(self.owner.clone())
            .key(report_key(hash))
            .send()
            .await
        {
            Ok(object) => object,
            Err(error) if is(&error, "NoSuchKey") => return Ok((None, false)),
            Err(error) => return Err(Error::sdk(OPERATION, error)),
        };
        Ok(match read(OPERATION, object, limit).await? {
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
            _ => (None, true),
        })
    }

    /// Where a report of the archive can be fetched within `time`.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Unavailable`] for want of credentials.
    pub async fn presign_archived(&self, hash: ReportHash, disposition: &str, time: Duration) -> Result<String, Error> {
        const OPERATION: &str = "GetObject(presigned)";
        // Without the owner, which is a header: whoever follows a redirect sends none.
        let request = self.client.get_object().bucket(&self.bucket).key(report_key(hash));
        let request = request.response_content_disposition(disposition);
        let presigned = request.presigned(presigning(OPERATION, time)?).await;
        Ok(presigned.map_err(|error| Error::sdk(OPERATION, error))?.uri().to_owned())
    }

    /// Tells whether the bucket is there and may be used.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn check(&self) -> Result<(), Error> {
        let asked = self.client.head_bucket().bucket(&self.bucket).set_expected_bucket_owner(self.owner.clone());
        let there = asked.send().await;
        there.map(drop).map_err(|error| Error::sdk("HeadBucket", error))
    }

    /// Removes a report from the archive. To do it again is success.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn remove_archived(&self, hash: ReportHash) -> Result<(), Error> {
        let removed = self
            .client
            .delete_object()
            .bucket(&self.bucket)
            .set_expected_bucket_owner(self.owner.clone())
            .key(report_key(hash))
            .send()
            .await;
        removed.map(drop).map_err(|error| Error::sdk("DeleteObject(archive)", error))
    }
}

impl Objects {
    /// A file of the mirror; none if it is not there. Larger than `limit` is refused.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn mirrored(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, Error> {
        self.file("GetObject(mirror)", &format!("mirror/v1/{path}"), limit).await
    }

    /// A stored feed; none if it is not there. Larger than `limit` is refused.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn feed(&self, object: &str, limit: usize) -> Result<Option<Vec<u8>>, Error> {
        self.file("GetObject(feed)", &feed_key(object), limit).await
    }

    /// Stores a feed.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn put_feed(&self, object: &str, bytes: Vec<u8>) -> Result<(), Error> {
        let put = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .set_expected_bucket_owner(self.owner.clone())
            .key(feed_key(object))
            .body(ByteStream::from(bytes));
        put.send().await.map(drop).map_err(|error| Error::sdk("PutObject(feed)", error))
    }

    async fn file(&self, operation: &'static str, key: &str, limit: usize) -> Result<Option<Vec<u8>>, Error> {
        let object = match self
            .client
            .get_object()
            .bucket(&self.bucket)
            .set_expected_bucket_owner(self.owner.clone())
            .key(key)
            .send()
            .await
        {
            Ok(object) => object,
            Err(error) if is(&error, "NoSuchKey") => return Ok(None),
            Err(error) => return Err(Error::sdk(operation, error)),
        };
        match read(operation, object, limit).await? {
            Fetched::Bytes { bytes, .. } => Ok(Some(bytes)),
            Fetched::TooLarge { bytes } => {
                Err(Error::Refused { operation, source: format!("{key} has {bytes} bytes").into() })
            }
            Fetched::Replaced | Fetched::Gone => Ok(None),
        }
    }
}

fn feed_key(object: &str) -> String {
    format!("feeds/{object}")
}

fn report_key(hash: ReportHash) -> String {
    format!("reports/{hash}.json.gz")
}

fn presigning(operation: &'static str, time: Duration) -> Result<PresigningConfig, Error> {
    PresigningConfig::expires_in(time).map_err(|source| Error::Refused { operation, source: source.into() })
}

fn is<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>, code: &str) -> bool {
    matches!(error, SdkError::ServiceError(service) if service.err().code() == Some(code))
}

/// The object's bytes, of which no more than `limit` are ever taken in.
async fn read(operation: &'static str, object: GetObjectOutput, limit: usize) -> Result<Fetched, Error> {
    let length = object.content_length().and_then(|length| u64::try_from(length).ok());
    let limit_bytes = u64::try_from(limit).unwrap_or(u64::MAX);
    if let Some(bytes) = length.filter(|&length| length > limit_bytes) {
        return Ok(Fetched::TooLarge { bytes });
    }
    // One buffer of the right size: growing one would take twice the object's bytes for a moment.
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
