//! `POST /api/container/images/retire` and `POST /api/container/images/unretire`: excludes an image from the fleet, and
//! includes it again. Its scans are kept.

use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, RequestExt as _, Response};
use serde::{Deserialize, Serialize};

use super::error::Code;
use super::principal::principal_of;
use super::query::Query;
use super::{ApiError, order, reply, routes};
use crate::domain::image_name::ImageName;
use crate::domain::platform::Platform;
use crate::queries::scan_lookup::with_familiar_forms;
use crate::store::Store;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    image_name: ImageName,
    platform: Option<Platform>,
}

#[derive(Serialize)]
struct Answer<'a> {
    image_name: &'a ImageName,
    retired: bool,
    /// The platforms that were changed; null for reports that state none.
    platforms: Vec<Option<Platform>>,
}

/// Answers 200 with the platforms of the image. Idempotent.
pub async fn handle(store: &Store, request: &Request) -> Result<Response<Body>, ApiError> {
    let retired = !routes::UNRETIRE_IMAGE.has(request.raw_http_path().trim_end_matches('/'));
    let route = if retired { &routes::RETIRE_IMAGE } else { &routes::UNRETIRE_IMAGE };
    Query::read(request, route)?;
    let order: Order = order::read_order(request, "")?;
    for name in with_familiar_forms(vec![order.image_name]) {
        let platforms = store.retire(&name, order.platform.as_ref(), retired).await?;
        if !platforms.is_empty() {
            let (principal, changed) = (principal_of(request), platforms.len());
            tracing::info!(%name, retired, platforms = changed, principal, "an image was retired or included again");
            return reply::json(request, StatusCode::OK, &Answer { image_name: &name, retired, platforms });
        }
    }
    Err(ApiError::new(Code::NotFound, "there is no image of that name and platform"))
}
