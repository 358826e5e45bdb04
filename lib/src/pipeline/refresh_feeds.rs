//! KEV and EPSS, fetched as a whole; and a look at which vulnerabilities are due.
//!
//! ```text
//! fetch ──▶ sane? ──▶ bucket ──▶ the last good one ──▶ each known CVE whose value changed
//!             └ no: the last good one stays
//! known, and no image has it ──▶ dropped, see `drop_records`
//! ```

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};

use super::admit;
use super::drop_records::{self, KnownRecords, Tally};
use super::enrich::{self, Enrichment, Error, Feeds};
use crate::domain::feed::{Feed, FeedName};
use crate::domain::occurrence::Bucket;
use crate::domain::vulnerability::id::{Kind, VulnerabilityId};
use crate::domain::vulnerability::{Source, VulnerabilitySummary};
use crate::enrichment::merge::Said;
use crate::enrichment::{epss, kev};
use crate::sources::fetch::Budget;
use crate::sources::{Mode, feeds};
use crate::store::claims::Holder;
use crate::store::enrichments::Due;
use crate::telemetry::chain;

/// A feed that was fetched so shortly ago is not fetched again: the schedule may fire twice.
const FETCHED_LATELY: SignedDuration = SignedDuration::from_hours(5);
/// Known CVEs that are looked through at once.
const PAGE: usize = 500;
/// Ids that one run orders to be asked about; the next run goes on.
const DUE: usize = 5000;
/// CVEs that are written at once.
const CONCURRENCY: usize = 8;

/// What a run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refreshed {
    /// Feeds that were replaced.
    pub replaced: usize,
    /// Feeds that could not be had, or not be believed.
    pub failed: usize,
    /// CVEs whose value has changed.
    pub pushed: usize,
    /// CVEs that somebody else was at: the next run pushes to them.
    pub missed: usize,
    /// Ids that sources are to be asked about.
    pub due: usize,
    /// Ids that no source was asked about yet and for which the day has no room left: the next day has.
    pub put_off: usize,
    /// Records of vulnerabilities that no image has any more: no source is asked about them.
    pub unseen: usize,
    /// Records among these that were dropped.
    pub dropped: usize,
}

/// Refreshes the feeds that are not fresh, pushes what changed, and orders what is due.
///
/// # Errors
/// Those of the table, the bucket and the queue; never because a source fails.
pub async fn run(deps: &Enrichment, holder: &Holder, budget: &Budget) -> Result<Refreshed, Error> {
    let mut refreshed = Refreshed::default();
    for name in FeedName::ALL {
        match refresh(deps, name, budget).await {
            Ok(true) => refreshed.replaced += 1,
            Ok(false) => {}
            Err(Failed::Source(reason)) => {
                refreshed.failed += 1;
                tracing::error!(feed = %name, reason, "a feed was not refreshed; the last good one stays");
            }
            Err(Failed::Ours(error)) => return Err(error),
        }
    }
    let pushing = Budget::new(budget.now(), budget.left() / 2);
    if let Some(known) = push(deps, holder, &pushing, &mut refreshed).await? {
        let dropping = Budget::new(budget.now(), budget.left() / 2);
        let Tally { unseen, dropped, .. } = drop_records::run(&deps.store, &known, &dropping).await?;
        (refreshed.unseen, refreshed.dropped) = (unseen, dropped);
    }
    // Last: what was just pushed to is not due because of that.
    order_due(deps, budget, &mut refreshed).await?;
    Ok(refreshed)
}

/// Orders what is due; of what no source was asked about yet, as much as the day has room for.
async fn order_due(deps: &Enrichment, budget: &Budget, refreshed: &mut Refreshed) -> Result<(), Error> {
    let mut done: BTreeSet<VulnerabilityId> = BTreeSet::new();
    while refreshed.due < DUE && !budget.is_over() {
        let now = budget.now();
        let due = deps.store.due_cves(now, DUE).await?;
        // The list follows after a moment, and what was ordered stays on it until it was asked about.
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
        // They must not keep what is due behind them from its turn.
        stream::iter(later)
            .map(|id| async move { deps.store.put_off_cve(&id, admit::tomorrow(now)).await })
            .buffer_unordered(CONCURRENCY)
            .try_for_each(|_| async { Ok(()) })
            .await?;
    }
    Ok(())
}

enum Failed {
    Source(String),
    Ours(Error),
}

impl<E: Into<Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Ours(error.into())
    }
}

/// Replaces a feed, if a new one can be had and believed; answers whether.
async fn refresh(deps: &Enrichment, name: FeedName, budget: &Budget) -> Result<bool, Failed> {
    let now = budget.now();
    let last = deps.store.feed(name).await?;
    if last.as_ref().is_some_and(|last| now.duration_since(last.fetched_at) < FETCHED_LATELY) {
        return Ok(false);
    }
    let bytes = match feeds::get(&deps.mode, &deps.store, name, budget).await {
        Ok(bytes) => bytes,
        Err(error) => return Err(Failed::Source(chain(&error))),
    };
    // A folder's feeds are a developer's own, with a handful of entries.
    let is_trusted = matches!(deps.mode, Mode::Folder(_));
    let believed = |entries: u64, date: Timestamp| (usize::try_from(entries).unwrap_or(usize::MAX), date);
    let last_good = match &last {
        _ if is_trusted => Some((1, Timestamp::MIN)),
        Some(last) => Some(believed(last.entries, last.date)),
        None => None,
    };
    // Seven names, over and over: nothing has to be cleaned up, and who reads the last one still can.
    let object = format!("{name}-{}", now.as_second().div_euclid(24 * 3600).rem_euclid(7));
    let not_sane = |error: &dyn std::error::Error| Failed::Source(format!("it is not believed: {error}"));
    let (feed, stored) = match name {
        FeedName::Kev => {
            let last_good = last_good.map(|(entries, released)| kev::LastGood { entries, released });
            let catalogue = kev::parse(&bytes, last_good).map_err(|error| not_sane(&error))?;
            let entries = u64::try_from(catalogue.entries.len()).unwrap_or(u64::MAX);
            let date = catalogue.released;
            (Feed { object, date, fetched_at: now, entries, model_version: None, median: None }, bytes)
        }
        FeedName::Epss => {
            let last_good = last_good.map(|(rows, scored_at)| epss::LastGood { rows, scored_at });
            let snapshot = epss::parse_csv(&bytes, None).map_err(|error| not_sane(&error))?;
            snapshot.check(last_good).map_err(|error| not_sane(&error))?;
            let feed = Feed {
                object,
                date: snapshot.scored_at(),
                fetched_at: now,
                entries: u64::try_from(snapshot.len()).unwrap_or(u64::MAX),
                model_version: snapshot.model_version().map(str::to_owned),
                median: snapshot.median(),
            };
            (feed, snapshot.to_bytes())
        }
    };
    deps.objects.put_feed(&feed.object, stored).await?;
    deps.store.put_feed(name, &feed).await?;
    tracing::info!(feed = %name, entries = feed.entries, date = %feed.date, "a feed was refreshed");
    Ok(true)
}

/// Writes what the feeds say to those known CVEs for which it is something new. Answers what is known, if there was
/// time to look at all of it.
async fn push(
    deps: &Enrichment,
    holder: &Holder,
    budget: &Budget,
    refreshed: &mut Refreshed,
) -> Result<Option<KnownRecords>, Error> {
    let feeds = enrich::feeds(deps).await?;
    let mut changed: BTreeSet<VulnerabilityId> = BTreeSet::new();
    let mut after = None;
    let mut known = KnownRecords::default();
    loop {
        let (page, next) = deps.store.known_cves(after, PAGE).await?;
        for signals in &page {
            known.by_bucket.entry(Bucket::of(&signals.id)).or_default().insert(signals.id.clone());
            if signals.id.kind() != Kind::Cve {
                known.referred.extend(signals.aliases.iter().cloned());
            }
        }
        changed.extend(page.into_iter().filter(|signals| is_news(&feeds, signals)).map(|signals| signals.id));
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
        let leases = deps.store.take_dossiers(ids, holder, budget.now(), deps.lease).await?;
        refreshed.pushed += leases.len();
        refreshed.missed += ids.len().saturating_sub(leases.len());
        let feeds = &feeds;
        stream::iter(leases)
            .map(|lease| {
                let answers = feeds.answers(&lease.id);
                enrich::write(deps, lease, answers, budget.now())
            })
            .buffer_unordered(CONCURRENCY)
            .try_collect::<()>()
            .await?;
    }
    Ok(is_whole.then_some(known))
}

/// Whether the feeds say something else than what is known. Scores to four places: FIRST moves the fifth
/// of nearly every one each day, which nobody's work depends on.
fn is_news(feeds: &Feeds, signals: &VulnerabilitySummary) -> bool {
    if signals.id.kind() != Kind::Cve {
        return false;
    }
    feeds.answers(&signals.id).into_iter().any(|answer| {
        let facts = match &answer.said {
            Said::Record(facts) => Some(facts.as_ref()),
            Said::Absent | Said::Error => None,
        };
        if answer.source == Source::Kev {
            let listed = facts.and_then(|facts| facts.kev.as_ref());
            // What NVD alone says of it is not the catalogue's word.
            let known = signals.kev.as_ref().filter(|known| known.source == Source::Kev);
            let is_same = listed.map(|kev| (kev.date_added, kev.ransomware))
                == known.map(|known| (known.fact.date_added, known.fact.ransomware));
            !is_same || signals.kev_checked.is_none()
        } else {
            let score = facts.and_then(|facts| facts.epss.as_ref());
            let rounded = |number: f64| (number * 1e4).round();
            let short = |score: f64, percentile: Option<f64>, model: &Option<String>| {
                (rounded(score), percentile.map(rounded), model.clone())
            };
            score.map(|epss| short(epss.score, epss.percentile, &epss.model_version))
                != signals
                    .epss
                    .as_ref()
                    .map(|known| short(known.fact.score, known.fact.percentile, &known.fact.model_version))
        }
    })
}

/// How long a run may take, of the time that its function has.
pub const TIME: Duration = Duration::from_secs(240);
