//! `GET /api/container/priorities`: lists the most urgent upgrades of all images.

use std::time::Duration;

use jiff::Timestamp;
use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, Response};
use tokio::time::Instant;

use super::parameter::{FIXABLE, IMAGE_PREFIX};
use super::query::Query;
use super::response::priority::UpgradeList;
use super::{ApiError, reply, routes};
use crate::queries::fleet_reader::FleetReader;
use crate::queries::upgrades::UpgradeQuery;

/// The state of the handler.
#[derive(Debug)]
pub struct Deps {
    /// Reads the upgrades.
    pub reader: FleetReader,
    /// Whether vulnerabilities are looked up: otherwise the images that have them are unknown.
    pub enriched: bool,
    /// The longest time that the fleet is read; [`READ_BUDGET`] outside tests.
    pub time: Duration,
}

/// How long the fleet is read, well before the function's timeout of 29 seconds.
pub const READ_BUDGET: Duration = Duration::from_secs(20);
/// The number of entries without a limit.
const DEFAULT_LIMIT: usize = 20;

/// Answers 200 with the most urgent upgrades; with `?fixable=false` with the most urgent packages without one.
pub async fn handle(deps: &Deps, request: &Request) -> Result<Response<Body>, ApiError> {
    let deadline = Instant::now() + deps.time;
    let query = Query::read(request, &routes::LIST_PRIORITIES)?;
    let fixable = query.flag(FIXABLE)?.unwrap_or(true);
    let limit = query.limit()?.unwrap_or(DEFAULT_LIMIT);
    if !deps.enriched {
        return Err(ApiError::enrichment_not_configured());
    }
    let image_prefix = query.one(IMAGE_PREFIX)?.unwrap_or_default();
    let query = UpgradeQuery { image_prefix, fixable, limit, deadline };
    let upgrades = deps.reader.upgrades(query, Timestamp::now()).await?;
    if upgrades.unread_buckets > 0 {
        tracing::warn!(unread_buckets = upgrades.unread_buckets, "there was no time to read the whole fleet");
    }
    reply::json(request, StatusCode::OK, &UpgradeList::from(&upgrades))
}
