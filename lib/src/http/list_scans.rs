//! `GET /api/container/scans`: all scans, newest first, or those of one image.

use lambda_http::{Body, Request, Response};

use super::ApiError;
use super::dto::ContainerScan;
use super::query::Query;
use super::reply::{self, ListBody};
use crate::domain::image_name::ImageName;
use crate::domain::scan::{Scan, ScanId};
use crate::store::Store;
use crate::store::cursor::{self, InvalidCursor, Scope};

/// What the handler works with.
#[derive(Debug)]
pub struct Deps {
    /// The table.
    pub store: Store,
}

/// How many scans are read at a time when no limit is given.
const CHUNK: usize = 500;

/// Answers 200 with an array of scans.
///
/// # Errors
/// 400 for a wrong parameter.
pub async fn handle(deps: &Deps, request: &Request) -> Result<Response<Body>, ApiError> {
    let query = Query::read(request, &["image_name", "limit", "cursor"])?;
    if let Some(image) = query.parsed::<ImageName>("image_name")? {
        return history(&deps.store, request, &query, &image).await;
    }
    let scope = Scope::new(&["scans"]);
    let (limit, cursor) = (query.limit()?, query.cursor()?);
    let before = cursor.map(|cursor| ScanId::new(cursor.position()).ok_or(InvalidCursor)).transpose()?;
    // The first page is read while the key of the cursors is: it is thrown away if the cursor
    // turns out to be forged.
    let first = deps.store.scans(before, limit.unwrap_or(CHUNK));
    let (totals, first) = futures_util::future::join(deps.store.totals(), first).await;
    let (total, key) = totals?;
    if let Some(cursor) = cursor {
        cursor.verify(scope, key.as_ref())?;
    }
    let mut list = ListBody::new(reply::accepts_gzip(request));
    let mut page = first?;
    let rest = loop {
        let left_over = fill(&mut list, &page.scans)?;
        let last = page.scans.last().map(|scan| scan.scan_id);
        match last {
            _ if left_over.is_some() => break left_over,
            Some(last) if page.more && limit.is_none() => page = deps.store.scans(Some(last), CHUNK).await?,
            last => break last.filter(|_| page.more),
        }
    };
    let next = rest.zip(key).map(|(last, key)| query.next_page(&cursor::sign(last.get(), scope, &key)));
    list.respond(Some(total), next.as_deref())
}

/// All scans of one image, newest first.
pub(super) async fn history(
    store: &Store,
    request: &Request,
    query: &Query,
    image: &ImageName,
) -> Result<Response<Body>, ApiError> {
    let scope = Scope::new(&["scans of", image.as_str()]);
    let limit = query.limit()?;
    let mut before = None;
    if let Some(cursor) = query.cursor()? {
        let position = cursor.verify(scope, store.cursor_key().await?.as_ref())?;
        before = Some(ScanId::new(position).ok_or(InvalidCursor)?);
    }
    let is_first = before.is_none();
    let mut list = ListBody::new(reply::accepts_gzip(request));
    let rest = loop {
        let page = store.scans_of_image(image, before, limit.unwrap_or(CHUNK)).await?;
        let left_over = fill(&mut list, &page.scans)?;
        before = page.scans.last().map(|scan| scan.scan_id);
        if left_over.is_some() {
            break left_over;
        }
        if limit.is_some() || !page.more {
            break before.filter(|_| page.more);
        }
    };
    // How many there are is known once all of them were read.
    let total = (is_first && rest.is_none()).then_some(list.len() as u64);
    let next = match rest {
        Some(last) => {
            let key = store.cursor_key().await?;
            key.map(|key| query.next_page(&cursor::sign(last.get(), scope, &key)))
        }
        None => None,
    };
    list.respond(total, next.as_deref())
}

/// Puts scans into the list. If it gets full, answers the last one that went in.
fn fill(list: &mut ListBody, scans: &[Scan]) -> Result<Option<ScanId>, ApiError> {
    let mut last = None;
    for scan in scans {
        if !list.push(&ContainerScan::from(scan))? {
            return Ok(last);
        }
        last = Some(scan.scan_id);
    }
    Ok(None)
}
