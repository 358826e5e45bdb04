//! `GET /api/container/scans/{identifier}/findings`: the findings of a scan, most severe first.

use std::ops::Range;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use lambda_http::{Body, Request, RequestExt as _, Response};

use super::dto::ContainerFinding;
use super::error::Code;
use super::path::{self, Identifier, Wanted};
use super::query::Query;
use super::reply::{self, ListBody};
use super::{ApiError, get_scan};
use crate::domain::scan::{Scan, ScanId};
use crate::domain::severity::Severity;
use crate::llm::Questions;
use crate::pipeline::join::{self, Joined};
use crate::store::cursor::{self, InvalidCursor, Scope};
use crate::store::{self, Selection, Store, findings};

/// What the handler works with.
#[derive(Debug)]
pub struct Deps {
    /// The table.
    pub store: Store,
    /// How findings are asked about; none if nothing is analysed here.
    pub questions: Option<Questions>,
}

/// Runs of findings that are read ahead while an answer is being written.
const READ_AHEAD: usize = 4;

/// Answers 200 with an array of findings.
///
/// # Errors
/// 400 for a wrong name or parameter, 404 if there is no such scan.
pub async fn handle(deps: &Deps, request: &Request) -> Result<Response<Body>, ApiError> {
    match path::scans(request.raw_http_path())? {
        Wanted::Findings(identifier) => of(deps, request, identifier).await,
        Wanted::Scan(_) | Wanted::Report(_) => Err(ApiError::new(Code::NotFound, "there is no such resource")),
    }
}

/// The findings of a scan that is already named.
pub(super) async fn of(deps: &Deps, request: &Request, identifier: Identifier) -> Result<Response<Body>, ApiError> {
    let query = Query::read(request, &["severity", "package", "vulnerability_id", "fixable", "limit", "cursor"])?;
    let severities = query
        .all("severity")
        .map(|text| text.parse().map_err(|error| ApiError::parameter("severity", error)))
        .collect::<Result<Vec<Severity>, _>>()?;
    let wanted = Selection {
        package: query.parsed("package")?,
        vulnerability_id: query.parsed("vulnerability_id")?,
        fixable: query.flag("fixable")?,
    };
    let (limit, cursor) = (query.limit()?, query.cursor()?);

    let scan = get_scan::find(&deps.store, identifier).await?;
    let scope = scope(&scan, &severities, &wanted);
    let start = match cursor {
        Some(cursor) => {
            let position = cursor.verify(scope, deps.store.cursor_key().await?.as_ref())?;
            u32::try_from(position).map_err(|_| InvalidCursor)?
        }
        None => 0,
    };
    let page = page(deps, request, &scan, &severities, &wanted, start, limit).await?;
    let total = match total(&scan, &severities, &wanted) {
        // Where a filter makes the number unknown, it is known once all findings were read.
        None => (start == 0 && page.next.is_none()).then_some(page.list.len() as u64),
        known => known,
    };
    let next = match page.next {
        Some(next) => {
            let key = deps.store.cursor_key().await?;
            key.map(|key| query.next_page(&cursor::sign(next.into(), scope, &key)))
        }
        None => None,
    };
    page.list.respond(total, next.as_deref())
}

struct Page {
    list: ListBody,
    /// The ordinal from which the next page goes on.
    next: Option<u32>,
}

async fn page(
    deps: &Deps,
    request: &Request,
    scan: &Scan,
    severities: &[Severity],
    wanted: &Selection,
    start: u32,
    limit: Option<usize>,
) -> Result<Page, ApiError> {
    let limit = limit.unwrap_or(usize::MAX);
    let ordinals = scan.severity_counts.of_any(severities, start);
    let end = ordinals.last().map_or(start, |range| range.end);
    // Without a filter it is known beforehand which findings the page has.
    let to_read = if wanted.is_everything() { first(ordinals, limit) } else { ordinals };
    let runs = to_read.into_iter().flat_map(findings::runs);
    let mut runs = stream::iter(runs).map(|run| read(deps, scan.scan_id, run, wanted)).buffered(READ_AHEAD);
    let mut list = ListBody::new(reply::accepts_gzip(request));
    let mut after_last = None;
    while let Some(findings) = runs.try_next().await? {
        for finding in findings {
            let ordinal = finding.0.ordinal.get();
            if list.len() == limit || !list.push(&ContainerFinding::from(finding))? {
                return Ok(Page { list, next: Some(after_last.unwrap_or(ordinal)) });
            }
            after_last = Some(ordinal + 1);
        }
    }
    // Every finding that was read went in; whether there is more was decided by what was read.
    let next = after_last.filter(|&next| wanted.is_everything() && next < end);
    Ok(Page { list, next })
}

/// The wanted findings of a run, with their analyses.
async fn read(deps: &Deps, scan: ScanId, run: Range<u32>, wanted: &Selection) -> Result<Vec<Joined>, store::Error> {
    let findings = deps.store.findings(scan, run, wanted).await?;
    join::analyses(&deps.store, deps.questions.as_ref(), findings).await
}

/// The first `limit` ordinals.
fn first(ranges: Vec<Range<u32>>, limit: usize) -> Vec<Range<u32>> {
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

/// How many findings the whole list has, if the scan's own counts tell.
fn total(scan: &Scan, severities: &[Severity], wanted: &Selection) -> Option<u64> {
    if wanted.package.is_some() || wanted.vulnerability_id.is_some() {
        return None;
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

fn scope(scan: &Scan, severities: &[Severity], wanted: &Selection) -> Scope {
    let mut severities = severities.to_vec();
    severities.sort_unstable();
    severities.dedup();
    let severities: String = severities.into_iter().map(Severity::as_str).collect();
    Scope::new(&[
        "findings",
        &scan.scan_id.to_string(),
        &severities,
        &format!("{:?}", wanted.package),
        &format!("{:?}", wanted.vulnerability_id),
        &format!("{:?}", wanted.fixable),
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
            prop_assert_eq!(first(all, limit).into_iter().flatten().collect::<Vec<_>>(), expected);
        }
    }
}
