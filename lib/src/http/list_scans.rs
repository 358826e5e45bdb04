//! `GET /api/container/scans`: lists all scans, newest first, or those of one image.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use lambda_http::{Body, Request, Response};

use super::parameter::{CURRENT, IMAGE_NAME, SEEN_BEFORE};
use super::query::Query;
use super::reply::{self, ListBody};
use super::response::scan::ContainerScan;
use super::{ApiError, routes};
use crate::domain::image_name::ImageName;
use crate::domain::scan::{Scan, ScanId};
use crate::queries::scan_lookup::name_with_scans;
use crate::store::Store;
use crate::store::cursor::{self, InvalidCursor, Scope};
use crate::store::scans::ScanPage;

/// Scans that are read at a time without a limit.
const SCANS_PER_READ: usize = 500;

/// Answers 200 with an array of scans.
pub async fn handle(store: &Store, request: &Request) -> Result<Response<Body>, ApiError> {
    let query = Query::read(request, &routes::LIST_SCANS)?;
    let (image, current) = (query.parsed::<ImageName>(IMAGE_NAME)?, query.flag(CURRENT)?.unwrap_or(false));
    let seen_before = query.one(SEEN_BEFORE)?.map(time_or_day).transpose()?;
    match image {
        Some(_) if current => {
            return Err(ApiError::parameter(
                "current",
                "is not allowed with image_name: GET /scans/{image_name} has the current scan",
            ));
        }
        _ if seen_before.is_some() && !current => {
            return Err(ApiError::parameter("seen_before", "is only allowed with current=true"));
        }
        Some(image) => {
            let name = name_with_scans(store, image).await?;
            return respond_with_history(store, request, &query, &name).await;
        }
        None if current => return respond_with_current_scans(store, request, &query, seen_before).await,
        None => {}
    }
    let scope = Scope::new(&["scans"]);
    let (limit, cursor) = (query.limit()?, query.cursor()?);
    let before = cursor.map(|cursor| scan_id(cursor.position())).transpose()?;
    // The first page and the key of the cursors are read at the same time. The page is discarded if the cursor is
    // forged.
    let first = store.scans(before, limit.unwrap_or(SCANS_PER_READ));
    let (totals, first) = futures_util::future::join(store.totals(), first).await;
    let (total, key) = totals?;
    if let Some(cursor) = cursor {
        cursor.verify(scope, key.as_ref())?;
    }
    let mut list = ScanList::new(ListBody::new(reply::accepts_gzip(request)));
    let mut page = first?;
    while list.add(&page)? && limit.is_none() {
        page = store.scans(list.last, SCANS_PER_READ).await?;
    }
    let next =
        list.next_after().zip(key).map(|(last, key)| query.next_page(&cursor::sign(last.get().into(), scope, &key)));
    list.body.respond(Some(total), next.as_deref())
}

/// Reads the scan id in the position of a cursor.
fn scan_id(position: u128) -> Result<ScanId, InvalidCursor> {
    u64::try_from(position).ok().and_then(ScanId::new).ok_or(InvalidCursor)
}

/// Parses a time, or a day as its beginning in UTC.
fn time_or_day(text: &str) -> Result<Timestamp, ApiError> {
    // A time of day without an offset is ambiguous.
    let date = (!text.contains(':')).then(|| text.parse::<Date>().ok()).flatten();
    let day = || date?.to_zoned(TimeZone::UTC).ok().map(|day| day.timestamp());
    text.parse::<Timestamp>().ok().or_else(day).ok_or_else(|| {
        ApiError::parameter("seen_before", "is not a day such as 2026-11-21 or a time such as 2026-11-21T10:00:00Z")
    })
}

/// Answers with the current scans on each platform, seen last first; with a time, only those last seen before it.
async fn respond_with_current_scans(
    store: &Store,
    request: &Request,
    query: &Query,
    seen_before: Option<Timestamp>,
) -> Result<Response<Body>, ApiError> {
    /// The lower bits of a position have the scan id, the upper ones the milliseconds at which it was last seen.
    const SCAN_ID_BITS: u32 = 64;
    let before = seen_before.map(|before| before.as_millisecond().to_string()).unwrap_or_default();
    let scope = Scope::new(&["current scans", &before]);
    let limit = query.limit()?;
    let mut after = None;
    if let Some(position) = query.position(scope, store).await? {
        let seen = i64::try_from(position >> SCAN_ID_BITS).map_err(|_| InvalidCursor)?;
        after = Some((seen, scan_id(position & u128::from(u64::MAX))?));
    }
    let place = |scan: &Scan| (scan.last_seen_at.as_millisecond(), scan.scan_id);
    let mut body = ListBody::new(reply::accepts_gzip(request));
    let mut more = true;
    'pages: while more {
        let page = store.current_scans(seen_before, after, limit.unwrap_or(SCANS_PER_READ)).await?;
        for scan in &page.scans {
            if !body.push(&ContainerScan::from(scan))? {
                break 'pages;
            }
            after = Some(place(scan));
        }
        more = page.more;
        if limit.is_some() {
            break;
        }
    }
    let position =
        |(seen, scan): (i64, ScanId)| u128::try_from(seen).unwrap_or_default() << SCAN_ID_BITS | u128::from(scan.get());
    let next = query.page_at(after.filter(|_| more).map(position), scope, store).await?;
    body.respond(None, next.as_deref())
}

/// Answers with all scans of one image, newest first.
pub(super) async fn respond_with_history(
    store: &Store,
    request: &Request,
    query: &Query,
    image: &ImageName,
) -> Result<Response<Body>, ApiError> {
    let scope = Scope::new(&["scans of", image.as_str()]);
    let limit = query.limit()?;
    let before = query.position(scope, store).await?.map(scan_id).transpose()?;
    let is_first = before.is_none();
    let mut list = ScanList { last: before, ..ScanList::new(ListBody::new(reply::accepts_gzip(request))) };
    while list.add(&store.scans_of_image(image, list.last, limit.unwrap_or(SCANS_PER_READ)).await?)? && limit.is_none()
    {
    }
    let rest = list.next_after();
    // The total is known only if all scans were read.
    let total = (is_first && rest.is_none()).then_some(list.body.len() as u64);
    let next = query.page_at(rest.map(|last| last.get().into()), scope, store).await?;
    list.body.respond(total, next.as_deref())
}

/// A list of scans under construction.
struct ScanList {
    body: ListBody,
    /// The last scan that was added.
    last: Option<ScanId>,
    /// Whether there are scans after it.
    more: bool,
}

impl ScanList {
    const fn new(body: ListBody) -> Self {
        Self { body, last: None, more: false }
    }

    /// Adds a page, and returns whether to read the next one.
    fn add(&mut self, page: &ScanPage) -> Result<bool, ApiError> {
        for scan in &page.scans {
            if !self.body.push(&ContainerScan::from(scan))? {
                self.more = true;
                return Ok(false);
            }
            self.last = Some(scan.scan_id);
        }
        self.last = page.last.or(self.last);
        self.more = page.more;
        Ok(page.more)
    }

    /// Returns the last scan of this page, if there is a next page.
    fn next_after(&self) -> Option<ScanId> {
        self.last.filter(|_| self.more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::standing::tests::scan;

    #[test]
    fn a_list_that_is_full_goes_on_after_its_last_scan_wherever_a_page_ended() {
        // A scan weighs about 1,000 bytes here, so two of them fit and a third does not.
        for page_len in 1..=5 {
            let mut list = ScanList::new(ListBody::with_budget(false, 2500));
            let ids: Vec<u64> = (1..=5).rev().collect();
            let mut pages = ids.chunks(page_len).peekable();
            while let Some(page) = pages.next() {
                let scans: Vec<Scan> = page.iter().map(|&id| scan(id, 1, "a", 0, 0)).collect();
                let last = scans.last().map(|scan| scan.scan_id);
                let page = ScanPage { scans, last, more: pages.peek().is_some() };
                if !list.add(&page).unwrap() {
                    break;
                }
            }
            assert_eq!((list.body.len(), list.next_after()), (2, ScanId::new(4)), "pages of {page_len}");
        }
    }

    #[test]
    fn a_day_is_the_time_at_which_it_begins_in_utc() {
        assert_eq!(time_or_day("2026-11-21").unwrap(), "2026-11-21T00:00:00Z".parse().unwrap());
        assert_eq!(time_or_day("2026-11-21T10:00:00+01:00").unwrap(), "2026-11-21T09:00:00Z".parse().unwrap());
        for wrong in ["", "yesterday", "2026-13-01", "21.11.2026", "2026-11-21T10:00:00"] {
            assert!(time_or_day(wrong).is_err(), "{wrong}");
        }
    }
}
