//! `GET /api/container/priorities`: what to upgrade first, over all images.

use std::time::Duration;

use jiff::Timestamp;
use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, Response};
use tokio::time::Instant;

use super::parameter::{FIXABLE, IMAGE_PREFIX};
use super::query::Query;
use super::response::priority::TopWork;
use super::{ApiError, reply, routes};
use crate::domain::fleet::Fleet;
use crate::pipeline::judge::Judge;
use crate::pipeline::priorities::{self, Order};
use crate::store::Store;

/// What the handler works with.
#[derive(Debug)]
pub struct Deps {
    /// The table.
    pub store: Store,
    /// How findings are judged.
    pub judge: Judge,
    /// Which images count.
    pub fleet: Fleet,
    /// Whether vulnerabilities are looked up here: without, nobody knows which images have them.
    pub enriched: bool,
    /// How long the fleet is read at most; [`TIME`] outside tests.
    pub time: Duration,
}

/// Well before the 29 seconds of its function: what was read by then is answered with.
pub const TIME: Duration = Duration::from_secs(20);
/// Entries if it is not said how many.
const DEFAULT_LIMIT: usize = 20;

/// Answers 200 with the most urgent upgrades; with `?fixable=false` with the most urgent packages without one.
///
/// # Errors
/// 400 for a wrong parameter, 501 if no vulnerabilities are looked up.
pub async fn handle(deps: &Deps, request: &Request) -> Result<Response<Body>, ApiError> {
    let deadline = Instant::now() + deps.time;
    let query = Query::read(request, &routes::LIST_PRIORITIES)?;
    let fixable = query.flag(FIXABLE)?.unwrap_or(true);
    let limit = query.limit()?.unwrap_or(DEFAULT_LIMIT);
    if !deps.enriched {
        return Err(ApiError::enrichment_not_configured());
    }
    let image_prefix = query.one(IMAGE_PREFIX)?.unwrap_or_default();
    let order = Order { image_prefix, fixable, limit, deadline };
    let top = priorities::top(&deps.store, &deps.judge, &deps.fleet, order, Timestamp::now()).await?;
    if top.unread_buckets > 0 {
        tracing::warn!(unread_buckets = top.unread_buckets, "there was no time to read the whole fleet");
    }
    reply::json(request, StatusCode::OK, &TopWork::from(&top))
}
