//! `GET /api/container/scans`: all scans, newest first, or those of one image.

use lambda_http::{Body, Request, Response};

use super::ApiError;
use super::dto::ContainerScan;
use super::query::Query;
use super::reply::{self, ListBody};
use crate::domain::image_name::ImageName;
use crate::domain::scan::ScanId;
use crate::store::Store;
use crate::store::cursor::{self, InvalidCursor, Scope};
use crate::store::scans::ScanPage;

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
    let mut list = ScanList::new(ListBody::new(reply::accepts_gzip(request)));
    let mut page = first?;
    while list.take(&page)? && limit.is_none() {
        page = deps.store.scans(list.last, CHUNK).await?;
    }
    let next = list.rest().zip(key).map(|(last, key)| query.next_page(&cursor::sign(last.get(), scope, &key)));
    list.body.respond(Some(total), next.as_deref())
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
    let mut list = ScanList { last: before, ..ScanList::new(ListBody::new(reply::accepts_gzip(request))) };
    while list.take(&store.scans_of_image(image, list.last, limit.unwrap_or(CHUNK)).await?)? && limit.is_none() {}
    let rest = list.rest();
    // How many there are is known once all of them were read.
    let total = (is_first && rest.is_none()).then_some(list.body.len() as u64);
    let next = match rest {
        Some(last) => {
            let key = store.cursor_key().await?;
            key.map(|key| query.next_page(&cursor::sign(last.get(), scope, &key)))
        }
        None => None,
    };
    list.body.respond(total, next.as_deref())
}

/// A list of scans under construction.
struct ScanList {
    body: ListBody,
    /// The last scan that went in.
    last: Option<ScanId>,
    /// There are scans after that one.
    more: bool,
}

impl ScanList {
    const fn new(body: ListBody) -> Self {
        Self { body, last: None, more: false }
    }

    /// Puts a page in. Answers whether the next one would find room.
    fn take(&mut self, page: &ScanPage) -> Result<bool, ApiError> {
        for scan in &page.scans {
            if !self.body.push(&ContainerScan::from(scan))? {
                self.more = true;
                return Ok(false);
            }
            self.last = Some(scan.scan_id);
        }
        self.more = page.more;
        Ok(page.more)
    }

    /// The scan after which the next page goes on, if there is one.
    fn rest(&self) -> Option<ScanId> {
        self.last.filter(|_| self.more)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::domain::scan::{Artifact, Scan};
    use crate::domain::severity::SeverityCounts;

    fn scan(id: u64) -> Scan {
        Scan {
            scan_id: ScanId::new(id).unwrap(),
            report_hash: [0; 32].into(),
            artifact: Artifact {
                image_name: "app".parse().unwrap(),
                image_digest: None,
                image_id: None,
                artifact_type: None,
                os_family: None,
                os_name: None,
                os_end_of_life: false,
                trivy_version: None,
            },
            scan_timestamp: Timestamp::UNIX_EPOCH,
            ingested_at: Timestamp::UNIX_EPOCH,
            reported_findings: 0,
            severity_counts: SeverityCounts::default(),
            fixable_counts: SeverityCounts::default(),
        }
    }

    #[test]
    fn a_list_that_is_full_goes_on_after_its_last_scan_wherever_a_page_ended() {
        // A scan weighs about 570 bytes here, so two of them fit and a third does not.
        for page_len in 1..=5 {
            let mut list = ScanList::new(ListBody::with_budget(false, 1400));
            let ids: Vec<u64> = (1..=5).rev().collect();
            let mut pages = ids.chunks(page_len).peekable();
            while let Some(page) = pages.next() {
                let page = ScanPage { scans: page.iter().map(|&id| scan(id)).collect(), more: pages.peek().is_some() };
                if !list.take(&page).unwrap() {
                    break;
                }
            }
            assert_eq!((list.body.len(), list.rest()), (2, ScanId::new(4)), "pages of {page_len}");
        }
    }
}
