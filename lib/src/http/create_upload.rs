//! `POST /api/container/uploads`: lets the client put a report into the bucket, where it is
//! ingested: for reports that are too large for a request.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use lambda_http::http::{HeaderValue, StatusCode, header};
use lambda_http::{Body, Request, Response};
use serde::{Deserialize, Serialize};

use super::error::Code;
use super::query::Query;
use super::{ApiError, order, reply, routes};
use crate::domain::digest::parse_hex;
use crate::domain::image_name::ImageName;
use crate::domain::instant;
use crate::domain::upload::{State, Upload, UploadId};
use crate::objects::{Bounds, Objects};
use crate::report::Kind;
use crate::store::Store;

/// What the handler works with.
#[derive(Debug)]
pub struct Deps {
    /// The table.
    pub store: Store,
    /// The bucket; none if nothing can be uploaded.
    pub objects: Option<Objects>,
    /// Bytes that an upload may have.
    pub max_bytes: usize,
}

/// How long the upload may be begun.
const OPEN: Duration = Duration::from_secs(10 * 60);
/// How long an upload that was opened is remembered: longer than its event may take, by way of the
/// queue and the dead letters.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// What the client says of the object that it will upload.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    /// Its bytes, as they will be sent.
    size: u64,
    /// Their SHA-256, as `sha256sum` prints it.
    sha256: Digest,
    #[serde(default)]
    content_type: ContentType,
    image_name: Option<ImageName>,
}

/// 64 hexadecimal digits.
struct Digest([u8; 32]);

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digest = parse_hex::<32>(&text.to_ascii_lowercase());
        digest.map(Self).ok_or_else(|| serde::de::Error::custom("sha256 is not 64 hexadecimal digits"))
    }
}

/// How the object is packed.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(try_from = "String")]
enum ContentType {
    #[default]
    Json,
    Gzip,
    Zstd,
}

impl TryFrom<String> for ContentType {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let known = [Self::Json, Self::Gzip, Self::Zstd].into_iter().find(|known| known.as_str() == text);
        known.ok_or("is neither application/json nor application/gzip nor application/zstd")
    }
}

impl ContentType {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Gzip => "application/gzip",
            Self::Zstd => "application/zstd",
        }
    }
}

#[derive(Serialize)]
struct Answer {
    upload_id: UploadId,
    method: &'static str,
    url: String,
    headers: serde_json::Map<String, serde_json::Value>,
    #[serde(serialize_with = "instant::serialize")]
    expires_at: Timestamp,
    status_url: String,
}

/// The URL is a credential: it must not get into a log by way of `Debug`.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("upload_id", &self.upload_id).finish_non_exhaustive()
    }
}

/// Answers 201 with where and how to upload.
///
/// # Errors
/// 400 for a body that is not such an order, 413 if the object would be too large.
pub async fn handle(deps: &Deps, request: &Request) -> Result<Response<Body>, ApiError> {
    Query::read(request, &routes::CREATE_UPLOAD)?;
    let order: Order = order::read(request, ": the report itself is sent to the address in the answer")?;
    if order.size == 0 {
        return Err(ApiError::parameter("size", "is 0"));
    }
    if usize::try_from(order.size).map_or(true, |size| size > deps.max_bytes) {
        let most = format!("size: an upload may have {} bytes at most", deps.max_bytes);
        return Err(ApiError::new(Code::Refused(Kind::TooLarge), most));
    }
    let objects = deps.objects.as_ref().ok_or_else(ApiError::bucket_not_configured)?;
    let now = Timestamp::now();
    let id = UploadId::random()?;
    let Digest(digest) = order.sha256;
    let bounds =
        Bounds { size: order.size, content_type: order.content_type.as_str(), sha256: STANDARD.encode(digest) };
    let presigned = objects.presign_upload(&id, &bounds, OPEN).await?;
    let upload = Upload {
        upload_id: id.clone(),
        state: State::AwaitingUpload,
        image_name: order.image_name,
        etag: None,
        sequencer: None,
        updated_at: now,
    };
    deps.store.put_upload(&upload, now.checked_add(KEPT).unwrap_or(Timestamp::MAX)).await?;
    tracing::info!(upload_id = id.as_str(), bytes = order.size, "an upload was opened");

    let status_url = routes::GET_UPLOAD.with(&id);
    let location = HeaderValue::try_from(&status_url).map_err(std::io::Error::other)?;
    let answer = Answer {
        upload_id: id,
        method: "PUT",
        url: presigned.url,
        // The client itself knows its own host, and the trace is ours.
        headers: presigned
            .headers
            .into_iter()
            .filter(|(name, _)| !["host", "x-amzn-trace-id"].contains(&name.to_ascii_lowercase().as_str()))
            .map(|(name, value)| (name, value.into()))
            .collect(),
        expires_at: now.checked_add(OPEN).unwrap_or(Timestamp::MAX),
        status_url,
    };
    let mut response = reply::json(request, StatusCode::CREATED, &answer)?;
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_says_size_and_digest_and_nothing_unknown() {
        let digest = "0aF1".repeat(16);
        let order: Order = serde_json::from_str(&format!(r#"{{"size": 7, "sha256": "{digest}"}}"#)).unwrap();
        assert_eq!((order.size, order.content_type.as_str(), order.sha256.0[1]), (7, "application/json", 0xF1));
        for wrong in [
            r#"{"size": 7}"#.to_owned(),
            format!(r#"{{"size": -7, "sha256": "{digest}"}}"#),
            format!(r#"{{"size": 7, "sha256": "{digest}0"}}"#),
            format!(r#"{{"size": 7, "sha256": "+{}"}}"#, &digest[1..]),
            format!(r#"{{"size": 7, "sha256": "{digest}", "key": "x"}}"#),
            format!(r#"{{"size": 7, "sha256": "{digest}", "content_type": "text/html"}}"#),
            format!(r#"{{"size": 7, "sha256": "{digest}", "image_name": "\n"}}"#),
        ] {
            assert!(serde_json::from_str::<Order>(&wrong).is_err(), "{wrong}");
        }
    }
}
