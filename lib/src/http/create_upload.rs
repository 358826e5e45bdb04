//! `POST /api/container/uploads`: prepares the upload of a report that is too large for a request.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use lambda_http::http::{HeaderValue, StatusCode, header};
use lambda_http::{Body, Request, Response};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::error::Code;
use super::query::Query;
use super::{ApiError, Storage, order, reply, routes};
use crate::domain::declared::{Declared, Scanners, Severities};
use crate::domain::digest::parse_hex;
use crate::domain::image_name::ImageName;
use crate::domain::instant;
use crate::domain::upload::{State, Upload, UploadId};
use crate::objects::Bounds;
use crate::report::Kind;

/// The state of the handler.
#[derive(Debug)]
pub struct Deps {
    pub(crate) storage: Storage,
    /// The most bytes of an upload.
    pub(crate) max_bytes: usize,
}

/// How long the upload may be started.
const PRESIGNED_URL_TTL: Duration = Duration::from_secs(10 * 60);
/// How long the state of an upload is stored: longer than its notification can stay in the queues.
const UPLOAD_RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);

/// The object that the client will upload.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    /// The number of bytes that will be sent.
    size: u64,
    /// Their SHA-256, as `sha256sum` prints it.
    sha256: Digest,
    #[serde(default)]
    content_type: ContentType,
    image_name: Option<ImageName>,
    scanners: Option<Scanners>,
    severities: Option<Severities>,
}

/// 64 hexadecimal digits.
struct Digest([u8; 32]);

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digest = parse_hex::<32>(&text.to_ascii_lowercase());
        digest.map(Self).ok_or_else(|| D::Error::custom("sha256 is not 64 hexadecimal digits"))
    }
}

/// The content type of the object, which states its compression.
struct ContentType(&'static str);

impl Default for ContentType {
    fn default() -> Self {
        Self("application/json")
    }
}

impl<'de> Deserialize<'de> for ContentType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let known =
            ["application/json", "application/gzip", "application/zstd"].into_iter().find(|known| *known == text);
        let refusal = "is neither application/json nor application/gzip nor application/zstd";
        known.map(Self).ok_or_else(|| D::Error::custom(refusal))
    }
}

#[derive(Serialize)]
struct Answer {
    upload_id: UploadId,
    method: &'static str,
    url: String,
    headers: BTreeMap<String, String>,
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

/// Answers 201 with the presigned URL and the headers of the upload.
pub async fn handle(deps: &Deps, request: &Request) -> Result<Response<Body>, ApiError> {
    Query::read(request, &routes::CREATE_UPLOAD)?;
    let order: Order = order::read_order(request, ": the report itself is sent to the address in the answer")?;
    if order.size == 0 {
        return Err(ApiError::parameter("size", "is 0"));
    }
    if usize::try_from(order.size).map_or(true, |size| size > deps.max_bytes) {
        let most = format!("size: an upload may have {} bytes at most", deps.max_bytes);
        return Err(ApiError::new(Code::Refused(Kind::TooLarge), most));
    }
    let objects = deps.storage.objects.as_ref().ok_or_else(ApiError::bucket_not_configured)?;
    let now = Timestamp::now();
    let id = UploadId::random()?;
    let bounds =
        Bounds { size: order.size, content_type: order.content_type.0, sha256: STANDARD.encode(order.sha256.0) };
    let presigned = objects.presign_upload(&id, &bounds, PRESIGNED_URL_TTL).await?;
    let upload = Upload {
        upload_id: id.clone(),
        state: State::AwaitingUpload,
        declared: Declared { image_name: order.image_name, scanners: order.scanners, severities: order.severities },
        etag: None,
        sequencer: None,
        updated_at: now,
    };
    deps.storage.store.put_upload(&upload, now.checked_add(UPLOAD_RETENTION).unwrap_or(Timestamp::MAX)).await?;
    tracing::info!(upload_id = id.as_str(), bytes = order.size, "an upload was opened");

    let status_url = routes::GET_UPLOAD.with(&id);
    let location = HeaderValue::try_from(&status_url)?;
    let answer = Answer {
        upload_id: id,
        method: "PUT",
        url: presigned.url,
        // The client sets the host itself, and the trace is that of this function.
        headers: presigned
            .headers
            .into_iter()
            .filter(|(name, _)| !["host", "x-amzn-trace-id"].contains(&name.to_ascii_lowercase().as_str()))
            .collect(),
        expires_at: now.checked_add(PRESIGNED_URL_TTL).unwrap_or(Timestamp::MAX),
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
        assert_eq!((order.size, order.content_type.0, order.sha256.0[1]), (7, "application/json", 0xF1));
        for wrong in [
            r#"{"size": 7}"#.to_owned(),
            format!(r#"{{"size": -7, "sha256": "{digest}"}}"#),
            format!(r#"{{"size": 7, "sha256": "{digest}0"}}"#),
            format!(r#"{{"size": 7, "sha256": "+{}"}}"#, &digest[1..]),
            format!(r#"{{"size": 7, "sha256": "{digest}", "key": "x"}}"#),
            format!(r#"{{"size": 7, "sha256": "{digest}", "content_type": "text/html"}}"#),
            format!(r#"{{"size": 7, "sha256": "{digest}", "image_name": "\n"}}"#),
            format!(r#"{{"size": 7, "sha256": "{digest}", "scanners": "vuln,virus"}}"#),
            format!(r#"{{"size": 7, "sha256": "{digest}", "severities": "SEVERE"}}"#),
        ] {
            assert!(serde_json::from_str::<Order>(&wrong).is_err(), "{wrong}");
        }
    }
}
