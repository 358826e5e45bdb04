//! `POST /api/container/images/retire` and `POST /api/container/images/unretire`: takes an image out of the fleet, and
//! brings it back. Its scans stay.

use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, RequestExt as _, Response};
use serde::{Deserialize, Serialize};

use super::error::Code;
use super::path::Identifier;
use super::query::Query;
use super::{ApiError, order, principal, reply, routes};
use crate::domain::image_name::ImageName;
use crate::domain::platform::Platform;
use crate::store::Store;

/// What the handler works with.
#[derive(Debug)]
pub struct Deps {
    /// The table.
    pub store: Store,
}

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
    /// Those of the image that were meant; null where its reports name none.
    platforms: Vec<Option<Platform>>,
}

/// Answers 200 with the platforms of the image. To do it again is success.
///
/// # Errors
/// 400 for a body that names no image, 404 if there is no such image.
pub async fn handle(deps: &Deps, request: &Request) -> Result<Response<Body>, ApiError> {
    let retired = !routes::UNRETIRE_IMAGE.has(request.raw_http_path().trim_end_matches('/'));
    let route = if retired { &routes::RETIRE_IMAGE } else { &routes::UNRETIRE_IMAGE };
    Query::read(request, route)?;
    let order: Order = order::read(request, "")?;
    if let Identifier::Image(names) = Identifier::named(&order.image_name) {
        for name in names {
            let platforms = deps.store.retire(&name, order.platform.as_ref(), retired).await?;
            if !platforms.is_empty() {
                let (principal, platforms_named) = (principal::of(request), platforms.len());
                tracing::info!(%name, retired, platforms = platforms_named, principal, "an image was retired or brought back");
                let answer = Answer { image_name: &name, retired, platforms };
                return reply::json(request, StatusCode::OK, &answer);
            }
        }
    }
    Err(ApiError::new(Code::NotFound, "there is no image of that name and platform"))
}
