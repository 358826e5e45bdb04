//! `GET /api/container/scans/{identifier}/findings`: lists the findings of a scan, by severity or by priority.

use std::ops::Range;

use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use lambda_http::http::{HeaderValue, header};
use lambda_http::{Body, Request, RequestExt as _, Response};

use super::error::Code;
use super::export_findings::respond_with_export;
use super::parameter::{
    CURSOR, FIXABLE, FORMAT, LIMIT, PACKAGE, PLATFORM, SEVERITY, SORT, SUPPRESSED, VULNERABILITY_ID,
};
use super::path::{self, Wanted};
use super::priority_order::PriorityOrder;
use super::query::Query;
use super::reply::{self, ListBody};
use super::response::finding::ContainerFinding;
pub use super::selected_findings::Deps;
use super::selected_findings::{Filter, Sort, Suppressed, views_at, views_of_ordinals};
use super::{ApiError, routes};
use crate::domain::scan::Scan;
use crate::domain::severity::Severity;
use crate::exports::{Format, accepted};
use crate::queries::finding_reader::FindingReader;
use crate::queries::scan_lookup::{ScanIdentifier, find_scan};
use crate::store::Selection;
use crate::store::cursor::{InvalidCursor, Scope};

/// Answers 200 with an array of findings, or with an export of them.
///
/// # Errors
/// 400 for a wrong name or parameter, 404 if there is no such scan.
pub async fn handle(deps: &Deps, request: &Request) -> Result<Response<Body>, ApiError> {
    match path::scans(request.raw_http_path())? {
        Wanted::Findings(identifier) => respond_with_findings(deps, request, &identifier).await,
        Wanted::Scan(_) | Wanted::Report(_) => Err(ApiError::new(Code::NotFound, "there is no such resource")),
    }
}

/// Answers with the findings of the scan that the path names.
pub(super) async fn respond_with_findings(
    deps: &Deps,
    request: &Request,
    identifier: &ScanIdentifier,
) -> Result<Response<Body>, ApiError> {
    let Deps { reader, .. } = deps;
    let query = Query::read(request, &routes::LIST_FINDINGS)?;
    let format = format(request, &query)?;
    let severities: Vec<Severity> = query.list(SEVERITY)?;
    let wanted = Selection {
        package: query.parsed(PACKAGE)?,
        vulnerability_id: query.parsed(VULNERABILITY_ID)?,
        fixable: query.flag(FIXABLE)?,
    };
    let sort = match query.one(SORT)? {
        // What is beyond the limit of a SARIF document is left out.
        None if format == Some(Format::Sarif) => Sort::Priority,
        None | Some("severity") => Sort::Severity,
        Some("priority") => Sort::Priority,
        Some(_) => return Err(ApiError::parameter("sort", "is neither severity nor priority")),
    };
    let suppressed = match query.one(SUPPRESSED)? {
        None | Some("exclude") => Suppressed::Exclude,
        Some("include") => Suppressed::Include,
        Some("only") => Suppressed::Only,
        Some(_) => return Err(ApiError::parameter("suppressed", "is none of exclude, include and only")),
    };
    let (limit, cursor) = (query.limit()?, query.cursor()?);

    let store = &reader.store;
    let scan = find_scan(store, identifier, query.parsed(PLATFORM)?.as_ref()).await?;
    let filter = Filter { scan: &scan, severities: &severities, suppressed, wanted: &wanted };
    if let Some(format) = format {
        return respond_with_export(deps, request, filter, sort, format).await;
    }
    let scope = scope(&scan, &severities, &wanted, sort, suppressed);
    let after = match cursor {
        Some(cursor) => Some(cursor.verify(scope, store.cursor_key().await?.as_ref())?),
        None => None,
    };
    let page = match sort {
        Sort::Severity => {
            let start = u32::try_from(after.unwrap_or_default()).map_err(|_| InvalidCursor)?;
            page_by_severity(reader, request, filter, start, limit).await?
        }
        Sort::Priority => page_by_priority(deps, request, filter, after, limit).await?,
    };
    let total = match page.total.or_else(|| total(&filter)) {
        // With a filter, the total is known only if all findings were read.
        None => (after.unwrap_or_default() == 0 && page.next.is_none()).then_some(page.list.len() as u64),
        known => known,
    };
    let next = query.page_at(page.next, scope, store).await?;
    let mut response = page.list.respond(total, next.as_deref())?;
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept, accept-encoding"));
    Ok(response)
}

/// Reads the format of an export; none for a list.
fn format(request: &Request, query: &Query) -> Result<Option<Format>, ApiError> {
    let format = match query.one(FORMAT)? {
        Some("json") => None,
        Some(name) => Some(name.parse().map_err(|error| ApiError::parameter(FORMAT.name, error))?),
        None => request.headers().get(header::ACCEPT).and_then(|accept| accepted(accept.to_str().ok()?)),
    };
    let Some(format) = format else { return Ok(None) };
    for parameter in [LIMIT, CURSOR] {
        if query.one(parameter)?.is_some() {
            let reason = format!("does not go with the format {format}: an export has no pages");
            return Err(ApiError::parameter(parameter.name, reason));
        }
    }
    Ok(Some(format))
}

struct Page {
    list: ListBody,
    /// How many findings the whole list has, if they were counted.
    total: Option<u64>,
    /// The position of the next page.
    next: Option<u128>,
}

/// Reads a page by priority.
async fn page_by_priority(
    deps: &Deps,
    request: &Request,
    filter: Filter<'_>,
    position: Option<u128>,
    limit: Option<usize>,
) -> Result<Page, ApiError> {
    let Deps { reader, objects, .. } = deps;
    let now = Timestamp::now();
    let order = PriorityOrder::read(reader, objects.as_ref(), filter, position, now).await?;
    let left = order.ordinals.get(order.start..).unwrap_or_default();
    let of_page = left.get(..limit.unwrap_or(usize::MAX)).unwrap_or(left);
    let mut end = order.start + of_page.len();
    let mut list = ListBody::new(reply::accepts_gzip(request));
    let mut read = views_at(reader, filter.scan, of_page, now);
    'page: while let Some(views) = read.try_next().await? {
        for view in views {
            let listed = list.len();
            if !list.push(&ContainerFinding::from(view))? {
                end = order.start + listed;
                break 'page;
            }
        }
    }
    let next = match end < order.ordinals.len() {
        true => Some(order.position(objects.as_ref(), end).await?),
        false => None,
    };
    Ok(Page { list, total: Some(order.ordinals.len() as u64), next })
}

/// Reads a page by severity, from an ordinal on.
async fn page_by_severity(
    reader: &FindingReader,
    request: &Request,
    filter: Filter<'_>,
    start: u32,
    limit: Option<usize>,
) -> Result<Page, ApiError> {
    let Filter { wanted, .. } = filter;
    let now = Timestamp::now();
    let limit = limit.unwrap_or(usize::MAX);
    let ordinals = filter.ordinals(start);
    let end = ordinals.last().map_or(start, |range| range.end);
    // Without a filter, the page has the first ordinals, and no others are read.
    let to_read = if wanted.is_everything() { first_ordinals(ordinals, limit) } else { ordinals };
    let mut read = views_of_ordinals(reader, filter, to_read, now);
    let mut list = ListBody::new(reply::accepts_gzip(request));
    let mut after_last = None;
    while let Some(views) = read.try_next().await? {
        for view in views {
            let ordinal = view.finding.ordinal.get();
            if list.len() == limit || !list.push(&ContainerFinding::from(view))? {
                return Ok(Page { list, total: None, next: Some(after_last.unwrap_or(ordinal).into()) });
            }
            after_last = Some(ordinal + 1);
        }
    }
    // All findings that were read are in the list. Only a limit without a filter leaves some unread.
    let next = after_last.filter(|&next| wanted.is_everything() && next < end);
    Ok(Page { list, total: None, next: next.map(u128::from) })
}

/// Returns the first `limit` ordinals.
fn first_ordinals(ranges: Vec<Range<u32>>, limit: usize) -> Vec<Range<u32>> {
    let mut left = u32::try_from(limit).unwrap_or(u32::MAX);
    let mut taken = Vec::new();
    for range in ranges {
        let end = range.end.min(range.start.saturating_add(left));
        left -= end - range.start;
        taken.push(range.start..end);
        if left == 0 {
            break;
        }
    }
    taken
}

/// Returns how many findings the whole list has, if it follows from the scan's counts.
fn total(filter: &Filter<'_>) -> Option<u64> {
    let Filter { scan, severities, wanted, .. } = filter;
    if wanted.package.is_some() || wanted.vulnerability_id.is_some() {
        return None;
    }
    if filter.suppressed != Suppressed::Exclude {
        let all = || filter.ordinals(0).into_iter().map(|range| u64::from(range.end - range.start)).sum();
        return wanted.fixable.is_none().then(all);
    }
    let of = |severity| {
        let (all, fixable) = (scan.severity_counts.of(severity), scan.fixable_counts.of(severity));
        u64::from(match wanted.fixable {
            None => all,
            Some(true) => fixable,
            Some(false) => all.saturating_sub(fixable),
        })
    };
    let wanted = |severity: &Severity| severities.is_empty() || severities.contains(severity);
    Some(Severity::DESCENDING.into_iter().filter(wanted).map(of).sum())
}

/// Returns the list that a cursor is for: it cannot be used with other filters.
fn scope(scan: &Scan, severities: &[Severity], wanted: &Selection, sort: Sort, suppressed: Suppressed) -> Scope {
    let mut severities = severities.to_vec();
    severities.sort_unstable();
    severities.dedup();
    let severities: Vec<&str> = severities.into_iter().map(Severity::as_str).collect();
    // The equals sign makes an absent filter different from every text.
    let text = |filter: &Option<String>| filter.as_ref().map(|text| format!("={text}")).unwrap_or_default();
    let id = wanted.vulnerability_id.as_ref().map(|ids| format!("={}", ids.iter().collect::<Vec<_>>().join(",")));
    let fixable = match wanted.fixable {
        None => "",
        Some(true) => "=true",
        Some(false) => "=false",
    };
    Scope::new(&[
        "findings",
        &scan.scan_id.to_string(),
        &severities.join(","),
        &text(&wanted.package),
        &id.unwrap_or_default(),
        fixable,
        match sort {
            Sort::Severity => "severity",
            Sort::Priority => "priority",
        },
        match suppressed {
            Suppressed::Exclude => "exclude",
            Suppressed::Include => "include",
            Suppressed::Only => "only",
        },
    ])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::severity::SeverityCounts;

    const COUNTS: SeverityCounts = SeverityCounts { critical: 2, high: 3, medium: 0, low: 4, unknown: 1 };

    proptest! {
        #[test]
        fn the_first_ordinals_are_the_first(start in 0u32..12, limit in 1usize..12, severities in prop::collection::vec(prop::sample::select(&Severity::DESCENDING[..]), 0..4)) {
            let all = COUNTS.of_any(&severities, start);
            let expected: Vec<u32> = all.clone().into_iter().flatten().take(limit).collect();
            prop_assert_eq!(first_ordinals(all, limit).into_iter().flatten().collect::<Vec<_>>(), expected);
        }
    }
}
