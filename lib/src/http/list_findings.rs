//! `GET /api/container/scans/{identifier}/findings`: the findings of a scan, most severe or most urgent first.

use std::ops::Range;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use lambda_http::{Body, Request, RequestExt as _, Response};

use super::error::Code;
use super::parameter::{FIXABLE, PACKAGE, SEVERITY, SORT, SUPPRESSED, VULNERABILITY_ID};
use super::path::{self, Identifier, Wanted};
use super::query::Query;
use super::reply::{self, ListBody};
use super::response::finding::ContainerFinding;
use super::{ApiError, get_scan, routes};
use crate::domain::finding::Ordinal;
use crate::domain::scan::Scan;
use crate::domain::severity::Severity;
use crate::llm::Questions;
use crate::pipeline::join::{self, Joined};
use crate::pipeline::judge::Judge;
use crate::pipeline::rank;
use crate::priority::SortKey;
use crate::store::cursor::{self, InvalidCursor, Scope};
use crate::store::{self, Selection, Store, findings};

/// What the handler works with.
#[derive(Debug)]
pub struct Deps {
    /// The table.
    pub store: Store,
    /// How findings are judged.
    pub judge: Judge,
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
    let query = Query::read(request, &routes::LIST_FINDINGS)?;
    let severities: Vec<Severity> = query.list(SEVERITY)?;
    let wanted = Selection {
        package: query.parsed(PACKAGE)?,
        vulnerability_id: query.parsed(VULNERABILITY_ID)?,
        fixable: query.flag(FIXABLE)?,
    };
    let sort = match query.one(SORT)? {
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

    let scan = get_scan::find(&deps.store, identifier, &query).await?;
    let scope = scope(&scan, &severities, &wanted, sort, suppressed);
    let after = match cursor {
        Some(cursor) => Some(cursor.verify(scope, deps.store.cursor_key().await?.as_ref())?),
        None => None,
    };
    let asked = Asked { scan: &scan, severities: &severities, suppressed, wanted: &wanted, limit };
    let page = match sort {
        Sort::Severity => {
            let start = u32::try_from(after.unwrap_or_default()).map_err(|_| InvalidCursor)?;
            page(deps, request, asked, start).await?
        }
        Sort::Priority => page_by_priority(deps, request, asked, after).await?,
    };
    let total = match page.total.or_else(|| total(&asked)) {
        // Where a filter makes the number unknown, it is known once all findings were read.
        None => (after.unwrap_or_default() == 0 && page.next.is_none()).then_some(page.list.len() as u64),
        known => known,
    };
    let next = match page.next {
        Some(next) => {
            let key = deps.store.cursor_key().await?;
            key.map(|key| query.next_page(&cursor::sign(next, scope, &key)))
        }
        None => None,
    };
    page.list.respond(total, next.as_deref())
}

/// The order of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// By ordinal: most severe first, then by vulnerability and package. A position is an ordinal.
    Severity,
    /// What to fix first. A position is the key of the last finding that came before.
    Priority,
}

/// What of the findings that Trivy has suppressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Suppressed {
    /// Open findings only.
    Exclude,
    /// Open findings, then suppressed ones.
    Include,
    /// Suppressed findings only.
    Only,
}

/// Which findings are wanted.
#[derive(Clone, Copy)]
struct Asked<'a> {
    scan: &'a Scan,
    severities: &'a [Severity],
    suppressed: Suppressed,
    wanted: &'a Selection,
    limit: Option<usize>,
}

impl Asked<'_> {
    /// The wanted ordinals from `start` on: those of the suppressed findings follow those of the open ones.
    fn ordinals(&self, start: u32) -> Vec<Range<u32>> {
        let open = self.scan.total_findings();
        let mut ranges = match self.suppressed {
            Suppressed::Only => Vec::new(),
            Suppressed::Exclude | Suppressed::Include => self.scan.severity_counts.of_any(self.severities, start),
        };
        if self.suppressed != Suppressed::Exclude {
            let suppressed = self.scan.suppressed_counts.of_any(self.severities, start.saturating_sub(open));
            ranges.extend(suppressed.into_iter().map(|range| range.start + open..range.end + open));
        }
        ranges
    }
}

struct Page {
    list: ListBody,
    /// How many findings the whole list has, if it was counted.
    total: Option<u64>,
    /// The position from which the next page goes on.
    next: Option<u128>,
}

/// A page in the order of priority: what comes after the last finding of the page before, whatever has moved in front of
/// that meanwhile. A finding that a source's news move over that place, forward or back, comes not at all or twice; no
/// other one does.
async fn page_by_priority(
    deps: &Deps,
    request: &Request,
    asked: Asked<'_>,
    after: Option<u128>,
) -> Result<Page, ApiError> {
    /// What one round trip reads.
    const CHUNK: usize = 100;
    let Asked { scan, wanted, limit, .. } = asked;
    let now = Timestamp::now();
    let ordinals = asked.ordinals(0);
    let order = rank::ordinals(&deps.store, &deps.judge, scan, ordinals, wanted, now).await?;
    let total = Some(order.len() as u64);
    let mut list = ListBody::new(reply::accepts_gzip(request));
    let passed = order.partition_point(|(key, _)| after.is_some_and(|after| key.get() <= after));
    let left = order.get(passed..).unwrap_or_default();
    let of_page: Vec<(SortKey, Ordinal)> = left.iter().copied().take(limit.unwrap_or(usize::MAX)).collect();
    let has_more = of_page.len() < left.len();
    let mut keys = of_page.iter().map(|(key, _)| key.get());
    let of_page: Vec<Ordinal> = of_page.iter().map(|(_, ordinal)| *ordinal).collect();
    let mut last = after;
    let chunks = of_page.chunks(CHUNK).map(<[Ordinal]>::to_vec).collect::<Vec<_>>();
    let mut chunks = stream::iter(chunks)
        .map(|chunk| async move {
            let findings = deps.store.findings_at(scan.scan_id, &chunk).await?;
            join::findings(&deps.store, &deps.judge, deps.questions.as_ref(), scan, findings, now).await
        })
        .buffered(READ_AHEAD);
    while let Some(findings) = chunks.try_next().await? {
        for finding in findings {
            if !list.push(&ContainerFinding::from(finding))? {
                return Ok(Page { list, total, next: last });
            }
            last = keys.next();
        }
    }
    Ok(Page { list, total, next: last.filter(|_| has_more) })
}

async fn page(deps: &Deps, request: &Request, asked: Asked<'_>, start: u32) -> Result<Page, ApiError> {
    let Asked { scan, wanted, limit, .. } = asked;
    let now = Timestamp::now();
    let limit = limit.unwrap_or(usize::MAX);
    let ordinals = asked.ordinals(start);
    let end = ordinals.last().map_or(start, |range| range.end);
    // Without a filter it is known beforehand which findings the page has.
    let to_read = if wanted.is_everything() { first(ordinals, limit) } else { ordinals };
    let runs = to_read.into_iter().flat_map(findings::runs);
    let mut runs = stream::iter(runs).map(|run| read(deps, scan, run, wanted, now)).buffered(READ_AHEAD);
    let mut list = ListBody::new(reply::accepts_gzip(request));
    let mut after_last = None;
    while let Some(findings) = runs.try_next().await? {
        for finding in findings {
            let ordinal = finding.finding.ordinal.get();
            if list.len() == limit || !list.push(&ContainerFinding::from(finding))? {
                return Ok(Page { list, total: None, next: Some(after_last.unwrap_or(ordinal).into()) });
            }
            after_last = Some(ordinal + 1);
        }
    }
    // Every finding that was read went in; whether there is more was decided by what was read.
    let next = after_last.filter(|&next| wanted.is_everything() && next < end);
    Ok(Page { list, total: None, next: next.map(u128::from) })
}

/// The wanted findings of a run, with what is said of them.
async fn read(
    deps: &Deps,
    scan: &Scan,
    run: Range<u32>,
    wanted: &Selection,
    now: Timestamp,
) -> Result<Vec<Joined>, store::Error> {
    let findings = deps.store.findings(scan.scan_id, run, wanted).await?;
    join::findings(&deps.store, &deps.judge, deps.questions.as_ref(), scan, findings, now).await
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
fn total(asked: &Asked<'_>) -> Option<u64> {
    let Asked { scan, severities, wanted, .. } = asked;
    if wanted.package.is_some() || wanted.vulnerability_id.is_some() {
        return None;
    }
    if asked.suppressed != Suppressed::Exclude {
        let all = || asked.ordinals(0).into_iter().map(|range| u64::from(range.end - range.start)).sum();
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

fn scope(scan: &Scan, severities: &[Severity], wanted: &Selection, sort: Sort, suppressed: Suppressed) -> Scope {
    let mut severities = severities.to_vec();
    severities.sort_unstable();
    severities.dedup();
    let severities: Vec<&str> = severities.into_iter().map(Severity::as_str).collect();
    // An absent filter is told from every text, since no text has an equals sign before it.
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
            prop_assert_eq!(first(all, limit).into_iter().flatten().collect::<Vec<_>>(), expected);
        }
    }
}
