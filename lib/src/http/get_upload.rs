//! `GET /api/container/uploads/{upload_id}`: shows the state of an upload.

use jiff::Timestamp;
use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, RequestExt as _, Response};

use super::error::Code;
use super::query::Query;
use super::{ApiError, Storage, path, reply, routes};
use crate::domain::upload::{State, Upload, UploadId};
use crate::objects::Objects;
use crate::store::Store;

/// Answers 200 with the state of an upload: a requested one, or any object under the prefix of uploads.
pub async fn handle(storage: &Storage, request: &Request) -> Result<Response<Body>, ApiError> {
    Query::read(request, &routes::GET_UPLOAD)?;
    let now = Timestamp::now();
    let ids = path::upload_ids(request.raw_http_path())?;
    let objects = storage.objects.as_ref().ok_or_else(ApiError::bucket_not_configured)?;
    for id in ids {
        if let Some(upload) = find_upload(&storage.store, objects, id, now).await? {
            return reply::json(request, StatusCode::OK, &upload);
        }
    }
    Err(ApiError::new(Code::NotFound, "there is no upload of that name"))
}

async fn find_upload(
    store: &Store,
    objects: &Objects,
    id: UploadId,
    now: Timestamp,
) -> Result<Option<Upload>, ApiError> {
    let known = store.upload(&id, now).await?;
    // The table learns of an object only when it is ingested; until then only the bucket has it.
    let Some(etag) = objects.upload_etag(&id).await? else { return Ok(known) };
    Ok(Some(match known {
        Some(known) if known.etag.as_ref() == Some(&etag) => known,
        // A stored state is that of an object which this one has replaced.
        known => Upload {
            upload_id: id,
            state: State::Received,
            declared: known.map(|known| known.declared).unwrap_or_default(),
            etag: Some(etag),
            sequencer: None,
            updated_at: now,
        },
    }))
}
