//! Refreshes KEV and EPSS, and queues the vulnerabilities that are due.
//!
//! ```text
//! fetch ──▶ plausible? ──▶ bucket ──▶ the last good feed ──▶ each known CVE whose value changed
//!             └ no: the last good feed stays
//! known, but in no image ──▶ dropped, see `drop_records`
//! ```

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};

use super::admit;
use super::drop_records::{KnownRecords, Tally, drop_unseen_records};
use super::enrich::{self, Enrichment, Error, Feeds};
use crate::domain::feed::{Feed, FeedName, LastGood};
use crate::domain::occurrence::Bucket;
use crate::domain::vulnerability::id::{Kind, VulnerabilityId};
use crate::domain::vulnerability::{Source, VulnerabilitySummary};
use crate::enrichment::merge::Said;
use crate::enrichment::{epss, kev};
use crate::sources::fetch::Budget;
use crate::sources::{Mode, feeds};
use crate::store::enrichments::{Due, Lease};
use crate::store::lease::Owner;
use crate::telemetry::chain;

/// The shortest time between two fetches of a feed: the schedule may fire twice.
const MIN_FETCH_INTERVAL: SignedDuration = SignedDuration::from_hours(5);
/// Known CVEs that are read at a time.
const PAGE: usize = 500;
/// The most ids that one run queues; the next run continues.
const MAX_DUE: usize = 5000;
/// CVEs that are written at the same time.
const CONCURRENCY: usize = 8;

/// The result of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refreshed {
    /// Feeds that were replaced.
    pub replaced: usize,
    /// Feeds that could not be fetched, or are not plausible.
    pub failed: usize,
    /// CVEs whose value changed.
    pub pushed: usize,
    /// CVEs that the next run updates, because another worker held the lease or the time was over.
    pub missed: usize,
    /// Ids that were queued for the sources.
    pub due: usize,
    /// New ids beyond the limit of the day: they are due the next day.
    pub put_off: usize,
    /// Records that were marked because no image has their vulnerability.
    pub unseen: usize,
    /// Records that were dropped.
    pub dropped: usize,
}

/// Refreshes stale feeds, updates the CVEs whose values changed, and queues due ones.
pub async fn refresh_feeds(deps: &Enrichment, owner: &Owner, budget: &Budget) -> Result<Refreshed, Error> {
    let mut refreshed = Refreshed::default();
    for name in FeedName::ALL {
        match refresh(deps, name, budget).await {
            Ok(true) => refreshed.replaced += 1,
            Ok(false) => {}
            Err(Failed::Source(reason)) => {
                refreshed.failed += 1;
                tracing::error!(feed = %name, reason, "a feed was not refreshed; the last good one stays");
            }
            Err(Failed::Internal(error)) => return Err(error),
        }
    }
    let pushing = Budget::new(budget.now(), budget.left() / 2);
    if let Some(known) = push(deps, owner, &pushing, &mut refreshed).await? {
        let dropping = Budget::new(budget.now(), budget.left() / 2);
        let Tally { unseen, dropped, .. } = drop_unseen_records(&deps.store, &known, &dropping).await?;
        (refreshed.unseen, refreshed.dropped) = (unseen, dropped);
    }
    // Last, because an update may change when a CVE is due.
    queue_due(deps, budget, &mut refreshed).await?;
    Ok(refreshed)
}

/// Queues the due ids; of the new ones as many as the limit of the day allows.
async fn queue_due(deps: &Enrichment, budget: &Budget, refreshed: &mut Refreshed) -> Result<(), Error> {
    let mut done: BTreeSet<VulnerabilityId> = BTreeSet::new();
    while refreshed.due < MAX_DUE && !budget.is_over() {
        let now = budget.now();
        let due = deps.store.due_cves(now, MAX_DUE).await?;
        // The index is eventually consistent, and an id stays on it until the sources were asked.
        let due: Vec<Due> = due.into_iter().filter(|due| done.insert(due.id.clone())).collect();
        let mut room = admit::today(&deps.store, now, due.iter().filter(|due| due.is_new).count()).await?;
        let (mut order, mut later) = (Vec::new(), Vec::new());
        for Due { id, is_new } in due {
            if !is_new {
                order.push(id);
            } else if room > 0 {
                room -= 1;
                order.push(id);
            } else {
                later.push(id);
            }
        }
        deps.queue.send_ids(&order).await?;
        refreshed.due += order.len();
        refreshed.put_off += later.len();
        if later.is_empty() {
            break;
        }
        // Later, so that the next ids are read.
        stream::iter(later)
            .map(|id| async move { deps.store.put_off_cve(&id, admit::tomorrow(now)).await })
            .buffer_unordered(CONCURRENCY)
            .try_for_each(|_| async { Ok(()) })
            .await?;
    }
    Ok(())
}

/// Why a feed was not refreshed.
enum Failed {
    Source(String),
    Internal(Error),
}

impl<E: Into<Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Internal(error.into())
    }
}

/// Replaces a stale feed with a plausible new one, and returns whether it did.
async fn refresh(deps: &Enrichment, name: FeedName, budget: &Budget) -> Result<bool, Failed> {
    let now = budget.now();
    let last = deps.store.feed(name).await?;
    if last.as_ref().is_some_and(|last| now.duration_since(last.fetched_at) < MIN_FETCH_INTERVAL) {
        return Ok(false);
    }
    let bytes = feeds::fetch_feed(&deps.mode, &deps.store, name, budget).await;
    let bytes = bytes.map_err(|error| Failed::Source(chain(&error)))?;
    let last_good = match &last {
        // The feeds in a developer's folder have only a few entries.
        _ if matches!(deps.mode, Mode::Folder(_)) => Some(LastGood { entries: 1, date: Timestamp::MIN }),
        Some(Feed { entries, date, .. }) => {
            Some(LastGood { entries: usize::try_from(*entries).unwrap_or(usize::MAX), date: *date })
        }
        None => None,
    };
    // One name for each day of the week, so that a reader of the last object is not disturbed.
    let object = format!("{name}-{}", now.as_second().div_euclid(24 * 3600).rem_euclid(7));
    let not_plausible = |error: &dyn std::error::Error| Failed::Source(format!("it is not plausible: {error}"));
    let (feed, stored) = match name {
        FeedName::Kev => {
            let catalogue = kev::parse_catalogue(&bytes, last_good).map_err(|error| not_plausible(&error))?;
            let entries = u64::try_from(catalogue.entries.len()).unwrap_or(u64::MAX);
            let date = catalogue.released;
            (Feed { object, date, fetched_at: now, entries, model_version: None, median: None }, bytes)
        }
        FeedName::Epss => {
            let snapshot = epss::parse_csv(&bytes, None).map_err(|error| not_plausible(&error))?;
            snapshot.check(last_good).map_err(|error| not_plausible(&error))?;
            let feed = Feed {
                object,
                date: snapshot.scored_at(),
                fetched_at: now,
                entries: u64::try_from(snapshot.rows()).unwrap_or(u64::MAX),
                model_version: snapshot.model_version().map(str::to_owned),
                median: snapshot.median(),
            };
            (feed, epss::pack(&bytes).map_err(|error| not_plausible(&error))?)
        }
    };
    deps.objects.put_feed(&feed.object, stored).await?;
    deps.store.put_feed(name, &feed).await?;
    tracing::info!(feed = %name, entries = feed.entries, date = %feed.date, "a feed was refreshed");
    Ok(true)
}

/// Updates the known CVEs whose values changed. Returns all known records, if there was time to read them.
async fn push(
    deps: &Enrichment,
    owner: &Owner,
    budget: &Budget,
    refreshed: &mut Refreshed,
) -> Result<Option<KnownRecords>, Error> {
    let feeds = enrich::last_good_feeds(deps).await?;
    let mut changed: BTreeSet<VulnerabilityId> = BTreeSet::new();
    let mut after = None;
    let mut known = KnownRecords::default();
    loop {
        let (page, next) = deps.store.known_cves(after, PAGE).await?;
        for summary in &page {
            known.by_bucket.entry(Bucket::of(&summary.id)).or_default().insert(summary.id.clone());
            if summary.id.kind() != Kind::Cve {
                known.referred.extend(summary.aliases.iter().cloned());
            }
        }
        changed.extend(page.into_iter().filter(|summary| is_news(&feeds, summary)).map(|summary| summary.id));
        after = next;
        if after.is_none() || budget.is_over() {
            break;
        }
    }
    let is_whole = after.is_none();
    let changed: Vec<VulnerabilityId> = changed.into_iter().collect();
    for ids in changed.chunks(PAGE) {
        if budget.is_over() {
            refreshed.missed += ids.len();
            continue;
        }
        let leases = deps.store.lease_records(ids, owner, budget.now(), deps.lease).await?;
        refreshed.pushed += leases.len();
        refreshed.missed += ids.len().saturating_sub(leases.len());
        let write = |lease: Lease| {
            let answers = feeds.answers(&lease.id);
            enrich::write_source_records(deps, lease, answers, budget.now())
        };
        stream::iter(leases).map(write).buffer_unordered(CONCURRENCY).try_collect::<()>().await?;
    }
    Ok(is_whole.then_some(known))
}

/// Returns whether the feeds differ from what is known. Scores are compared to four places, because the fifth place of
/// nearly every one changes each day.
fn is_news(feeds: &Feeds, summary: &VulnerabilitySummary) -> bool {
    if summary.id.kind() != Kind::Cve {
        return false;
    }
    feeds.answers(&summary.id).into_iter().any(|answer| {
        let facts = match &answer.said {
            Said::Record(facts) => Some(facts.as_ref()),
            Said::Absent | Said::Error => None,
        };
        if answer.source == Source::Kev {
            let listed = facts.and_then(|facts| facts.kev.as_ref());
            // NVD repeats the catalogue: its copy does not count.
            let known = summary.kev.as_ref().filter(|known| known.source == Source::Kev);
            let is_same = listed.map(|kev| (kev.date_added, kev.ransomware))
                == known.map(|known| (known.fact.date_added, known.fact.ransomware));
            !is_same || summary.kev_checked.is_none()
        } else {
            let score = facts.and_then(|facts| facts.epss.as_ref());
            let rounded = |number: f64| (number * 1e4).round();
            let short = |score: f64, percentile: Option<f64>, model: &Option<String>| {
                (rounded(score), percentile.map(rounded), model.clone())
            };
            let known = summary.epss.as_ref().map(|known| &known.fact);
            score.map(|epss| short(epss.score, epss.percentile, &epss.model_version))
                != known.map(|known| short(known.score, known.percentile, &known.model_version))
        }
    })
}

/// How long a run may take.
pub const TIME: Duration = Duration::from_secs(240);
