//! Catalogues a scan: stores its occurrences, and queues the vulnerabilities that sources have to be asked about.
//!
//! ```text
//! {"scan_id"} ──▶ findings ──▶ occurrences, first times: a few buckets at a time
//!             ──▶ findings ──▶ facts of the report added to source records, a thousand findings at a time
//!                          └─▶ {"ids"} for unknown and stale ones, as many as are admitted
//! ```
//!
//! If the time is over after a step, a message states the remaining work, and its worker continues there. Every step is
//! idempotent, and several workers may do it at the same time: occurrences are added in any order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde_json::value::to_raw_value;

use super::admit;
use super::enrich::{self, CONCURRENCY, Enrichment, Error};
use super::forget::forget_everywhere;
use crate::domain::asset::Asset;
use crate::domain::finding::{Finding, Ordinal};
use crate::domain::occurrence::{Bucket, Details, FirstSeen, MAX_SHOWN_BYTES, Problem, Span, keep_earliest};
use crate::domain::scan::{Scan, ScanId};
use crate::domain::text::cut;
use crate::domain::vulnerability::id::{Resolver, VulnerabilityId};
use crate::domain::vulnerability::{Source, SourceRecord, VulnerabilitySummary};
use crate::enrichment::merge::{Answer, Said, report_digest};
use crate::enrichment::{plan, trivy};
use crate::queue::{Order, Rest};
use crate::sources::fetch::Budget;
use crate::store::enrichments::Lease;
use crate::store::findings::runs;
use crate::store::lease::Owner;
use crate::store::occurrences::{Added, Following};
use crate::store::{self, Selection, Store};

/// The most messages for one scan; the largest scan needs a few.
const MAX_ROUNDS: u32 = 100;
/// Findings that are processed between two checks of the time.
const FINDINGS_PER_STEP: u32 = 1_000;
/// The most findings that are kept in memory instead of being read twice.
const MAX_FINDINGS_IN_MEMORY: u32 = 2_000;
/// Runs of findings that are read at the same time.
const READ_AHEAD: usize = 4;

/// The pauses in milliseconds between tries to lease source records: a worker that stores a report has its lease for
/// milliseconds, a worker that asks sources for longer than all of these.
const LEASE_PAUSES_MS: [u64; 6] = [50, 100, 200, 400, 800, 1600];

/// The work that one message caused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Catalogued {
    /// Vulnerabilities that were processed.
    pub ids: usize,
    /// Those of them without a record.
    pub unknown: usize,
    /// Those that were queued for the sources.
    pub queued: usize,
    /// Those that exceed the limits per scan and per day: the schedule queues them.
    pub put_off: usize,
    /// The time was over: another message continues.
    pub goes_on: bool,
}

/// Catalogues a scan within the time budget; the first step is always done.
pub async fn catalogue_scan(
    deps: &Enrichment,
    scan_id: ScanId,
    rest: Option<Rest>,
    owner: &Owner,
    budget: &Budget,
) -> Result<Catalogued, Error> {
    let store = &deps.store;
    let Some(scan) = store.scan(scan_id).await? else { return Ok(Catalogued::default()) };
    let is_new = rest.is_none();
    let mut rest = rest.map_or_else(Rest::default, |rest| Rest { round: rest.round.saturating_add(1), ..rest });
    if rest.round > MAX_ROUNDS {
        return Err(Error::Endless(rest.round));
    }
    let catalogue = Catalogue { deps, scan: &scan, owner, budget };
    let mut kept = None;
    if rest.bucket < Bucket::COUNT {
        let read = read_findings(store, &scan).await?;
        match catalogue.store_occurrences(&read, &mut rest, is_new).await? {
            Progress::Complete => kept = read.findings,
            Progress::ScanDeleted => return Ok(Catalogued::default()),
            Progress::Partial => {
                deps.queue.send_rest(scan_id, rest).await?;
                return Ok(Catalogued { goes_on: true, ..Catalogued::default() });
            }
        }
    }
    catalogue.store_report_facts(kept, &mut rest).await
}

/// A scan that is being catalogued.
struct Catalogue<'a> {
    deps: &'a Enrichment,
    scan: &'a Scan,
    owner: &'a Owner,
    budget: &'a Budget,
}

/// The findings of a scan.
struct Read {
    /// Its occurrences, each with its first finding.
    occurrences: BTreeMap<Bucket, Vec<(Details, Ordinal)>>,
    /// The findings themselves, if they are few.
    findings: Option<Vec<Finding>>,
}

/// Reads the findings of a scan, and counts its occurrences.
async fn read_findings(store: &Store, scan: &Scan) -> Result<Read, store::Error> {
    let total = scan.total_findings();
    let mut counted: BTreeMap<Details, (u32, Ordinal)> = BTreeMap::new();
    let mut nameless = 0_usize;
    let mut kept = (total <= MAX_FINDINGS_IN_MEMORY).then(Vec::new);
    let wanted = Selection::default();
    let read = stream::iter(runs(0..total)).map(|run| store.findings(scan.scan_id, run, &wanted));
    let mut read = read.buffered(READ_AHEAD);
    while let Some(findings) = read.try_next().await? {
        for finding in &findings {
            match details(finding) {
                Some(details) => {
                    let (count, first) = counted.entry(details).or_insert((0, finding.ordinal));
                    (*count, *first) = (count.saturating_add(1), finding.ordinal.min(*first));
                }
                None => nameless += 1,
            }
        }
        if let Some(kept) = &mut kept {
            kept.extend(findings);
        }
    }
    if nameless > 0 {
        tracing::info!(scan_id = scan.scan_id.get(), nameless, "findings without an id that can be looked up");
    }
    let mut occurrences: BTreeMap<Bucket, Vec<(Details, Ordinal)>> = BTreeMap::new();
    for (details, (findings, first)) in counted {
        let bucket = Bucket::of(&details.problem.vulnerability_id);
        occurrences.entry(bucket).or_default().push((Details { findings, ..details }, first));
    }
    Ok(Read { occurrences, findings: kept })
}

/// Returns the occurrence of a finding, not counted yet; none if it has no id.
fn details(finding: &Finding) -> Option<Details> {
    let short = |text: String| cut(&text, MAX_SHOWN_BYTES).to_owned();
    let text = |name: &str| finding.text(name).filter(|text| !text.is_empty()).map(short);
    Some(Details {
        problem: Problem::of(finding)?,
        class: finding.class.clone().map(short),
        installed_version: text("InstalledVersion").unwrap_or_default(),
        fixed_version: finding.text("FixedVersion").filter(|text| !text.is_empty()).map(whole_versions),
        severity: finding.severity(),
        status: text("Status"),
        rating: finding.rating(),
        findings: 0,
    })
}

/// Cuts a list of versions between two versions.
fn whole_versions(list: String) -> String {
    match cut(&list, MAX_SHOWN_BYTES) {
        kept if kept.len() == list.len() => list,
        kept => kept.rsplit_once(',').map_or(kept, |(whole, _)| whole).to_owned(),
    }
}

/// The progress of storing the occurrences of an asset.
enum Progress {
    /// In all buckets.
    Complete,
    /// In a part of the buckets.
    Partial,
    /// Not at all: the scan was deleted in the meantime.
    ScanDeleted,
}

impl Catalogue<'_> {
    /// Stores the occurrences of a scan, and which scan of its asset is current, from the first bucket that is left.
    ///
    /// A current scan whose occurrences are missing is added too, because messages come in any order.
    async fn store_occurrences(&self, read: &Read, rest: &mut Rest, is_new: bool) -> Result<Progress, store::Error> {
        let Self { deps: Enrichment { store, .. }, scan, budget, .. } = *self;
        let asset = Asset::of(scan.scan_id, &scan.artifact);
        // Before the other reads: a later change of the asset has a later version, and its own message.
        let current = store.current(&asset).await?;
        if is_new {
            rest.version = current.version;
        }
        let mut occurrences = store.known_occurrences(&asset, Bucket::all()).await?;
        let mut known = occurrences.scans().clone();
        known.insert(scan.scan_id);
        let missing = current.scan_id.filter(|current| !known.contains(current));
        known.extend(missing);
        let scans: BTreeMap<ScanId, Scan> =
            store.scans_by_id(known.clone()).await?.into_iter().map(|scan| (scan.scan_id, scan)).collect();
        let newest = match missing.and_then(|newest| scans.get(&newest)) {
            Some(newest) => Some((newest, read_findings(store, newest).await?)),
            None => None,
        };
        let spans: BTreeMap<ScanId, Span> = scans.iter().map(|(id, scan)| (*id, span(scan))).collect();
        // Scans that were deleted in the meantime have to be removed.
        let gone: BTreeSet<ScanId> = known.into_iter().filter(|known| !scans.contains_key(known)).collect();
        // The first-seen times of an expired scan stay. Those of any other deleted scan are removed, including what an
        // interrupted worker wrote after the deletion.
        let mut is_undone = false;
        for gone in &gone {
            is_undone |= !store.deletion(*gone).await?.is_some_and(|deletion| deletion.expired);
        }
        let mut added = vec![added(scan, read)];
        added.extend(newest.as_ref().map(|(newest, read)| self::added(newest, read)));
        let mut is_complete = true;
        for (step, next) in Bucket::steps(rest.bucket) {
            let following = Following { current, added: &added, gone: &gone, spans: &spans };
            store.follow(&asset, &mut occurrences, &step, following).await?;
            let mut first = FirstSeen::new();
            for Added { span, found, .. } in &added {
                let found = step.iter().filter_map(|bucket| found.get(bucket)).flatten();
                keep_earliest(&mut first, found.map(|(details, _)| (details.problem.clone(), span.from)));
            }
            store.add_first_seen(asset.key().lineage(), first).await?;
            if is_undone {
                store.remake_first_seen(asset.key().lineage(), &step).await?;
            }
            rest.bucket = next;
            if next < Bucket::COUNT && budget.is_over() {
                is_complete = false;
                break;
            }
        }
        let mut is_deleted = false;
        for Added { scan_id, .. } in &added {
            if store.scan(*scan_id).await?.is_none() {
                forget_everywhere(store, &asset, *scan_id).await?;
                is_deleted |= *scan_id == scan.scan_id;
                is_complete &= *scan_id == scan.scan_id;
            }
        }
        if is_deleted {
            return Ok(Progress::ScanDeleted);
        }
        if !is_complete {
            return Ok(Progress::Partial);
        }
        if current.moved {
            store.clear_moved(&asset, rest.version).await?;
        }
        Ok(Progress::Complete)
    }

    /// Stores the facts of the report about each vulnerability, and queues those that sources have to be asked about,
    /// from the first finding that is left.
    async fn store_report_facts(&self, kept: Option<Vec<Finding>>, rest: &mut Rest) -> Result<Catalogued, Error> {
        let Self { deps, scan, owner, budget } = *self;
        let total = scan.total_findings();
        let mut kept = kept.map(Vec::into_iter);
        let (mut done, mut is_whole) = (Catalogued::default(), true);
        let mut looked_up = BTreeSet::new();
        let mut order: Vec<VulnerabilityId> = Vec::new();
        while rest.ordinal < total {
            let end = rest.ordinal.saturating_add(FINDINGS_PER_STEP).min(total);
            let findings: Vec<Finding> = match &mut kept {
                Some(kept) => kept.by_ref().take(FINDINGS_PER_STEP as usize).collect(),
                None => findings_at(&deps.store, scan, rest.ordinal..end).await?,
            };
            let now = budget.now();
            let news = news(&deps.store, scan, &findings, &mut looked_up, now).await?;
            is_whole &= store_facts(deps, news.facts, owner, now).await?;
            done.unknown += news.unknown;
            let room = admit::PER_SCAN.saturating_sub(rest.ordered) as usize;
            let taken = admit::today(&deps.store, now, news.order.len().min(room)).await?;
            done.put_off += news.order.len().saturating_sub(taken);
            rest.ordered = rest.ordered.saturating_add(u32::try_from(taken).unwrap_or(u32::MAX));
            done.queued += taken;
            order.extend(news.order.into_iter().take(taken));
            rest.ordinal = end;
            let is_over = end < total && budget.is_over();
            // Only full messages, except for the last one.
            let whole =
                if end < total && !is_over { order.len() / Order::MAX_IDS * Order::MAX_IDS } else { order.len() };
            deps.queue.send_ids(&order.drain(..whole).collect::<Vec<_>>()).await?;
            if is_over {
                done.goes_on = true;
                break;
            }
        }
        done.ids = looked_up.len();
        if !is_whole {
            // The message is delivered again, and skips what is stored and queued.
            return Err(Error::Busy);
        }
        if done.goes_on {
            deps.queue.send_rest(scan.scan_id, *rest).await?;
        }
        Ok(done)
    }
}

/// Returns the time from which to which a scan's content was seen.
fn span(scan: &Scan) -> Span {
    Span { from: scan.scan_timestamp, to: scan.last_seen_at }
}

fn added<'a>(scan: &Scan, read: &'a Read) -> Added<'a> {
    Added { scan_id: scan.scan_id, span: span(scan), found: &read.occurrences }
}

/// The vulnerabilities of some findings that need work.
#[derive(Default)]
struct News {
    /// Vulnerabilities that sources have to be asked about.
    order: Vec<VulnerabilityId>,
    /// The number of vulnerabilities without a record.
    unknown: usize,
    /// The facts of the report that are missing in the records.
    facts: BTreeMap<VulnerabilityId, Option<SourceRecord>>,
}

/// Reads a range of findings.
async fn findings_at(store: &Store, scan: &Scan, ordinals: std::ops::Range<u32>) -> Result<Vec<Finding>, store::Error> {
    let wanted = Selection::default();
    let read = stream::iter(runs(ordinals)).map(|run| store.findings(scan.scan_id, run, &wanted));
    read.buffered(READ_AHEAD).try_concat().await
}

/// Compares the vulnerabilities of findings with their records.
async fn news(
    store: &Store,
    scan: &Scan,
    findings: &[Finding],
    looked_up: &mut BTreeSet<VulnerabilityId>,
    now: Timestamp,
) -> Result<News, store::Error> {
    let mut new: BTreeMap<VulnerabilityId, &Finding> = BTreeMap::new();
    for finding in findings {
        if let Some(problem) = Problem::of(finding)
            && looked_up.insert(problem.vulnerability_id.clone())
        {
            new.insert(problem.vulnerability_id, finding);
        }
    }
    let ids: Vec<VulnerabilityId> = new.keys().cloned().collect();
    let mut summaries = store.listed_summaries(&ids).await?;
    let unseen: Vec<(VulnerabilityId, Timestamp)> =
        summaries.iter().filter(|(_, it)| it.unseen).map(|(id, it)| (id.clone(), it.summary.next_fetch)).collect();
    let dropped: Vec<Option<VulnerabilityId>> = stream::iter(unseen)
        .map(|(id, due)| async move {
            let is_back = store.bring_back(&id, due).await?;
            Ok::<_, store::Error>((!is_back).then_some(id))
        })
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await?;
    for id in dropped.iter().flatten() {
        summaries.remove(id);
    }
    let mut news = News::default();
    for (id, finding) in new {
        let facts = report_facts(finding, scan.scan_timestamp);
        let known = summaries.get(&id).map(|listed| &listed.summary);
        match known {
            Some(known) if known.is_due(now) => news.order.push(id.clone()),
            Some(_) => {}
            None => {
                news.unknown += 1;
                if id.resolver() != Resolver::NoSource && plan::askable_from(&id) <= now {
                    news.order.push(id.clone());
                }
            }
        }
        if is_news(known, facts.as_ref()) {
            news.facts.insert(id, facts);
        }
    }
    Ok(news)
}

/// Reads the facts of a report about a vulnerability; none if they cannot be read.
fn report_facts(finding: &Finding, at: Timestamp) -> Option<SourceRecord> {
    let json = to_raw_value(&finding.vulnerability).ok()?;
    trivy::parse_vulnerability(json.get().as_bytes(), at).ok()
}

/// Adds the facts of a report to source records, and creates missing ones, without asking a source. Returns false if
/// other workers held the leases of some, so that the step has to be repeated.
async fn store_facts(
    deps: &Enrichment,
    mut facts: BTreeMap<VulnerabilityId, Option<SourceRecord>>,
    owner: &Owner,
    now: Timestamp,
) -> Result<bool, Error> {
    if facts.is_empty() {
        return Ok(true);
    }
    let feeds = enrich::last_good_feeds(deps).await?;
    for pause in LEASE_PAUSES_MS {
        let ids: Vec<VulnerabilityId> = facts.keys().cloned().collect();
        let leases = deps.store.lease_records(&ids, owner, now, deps.lease).await?;
        let writes: Vec<(Lease, Vec<Answer>)> = leases
            .into_iter()
            .map(|lease| {
                let answer = |facts: SourceRecord| Answer {
                    source: Source::Trivy,
                    at: facts.as_of,
                    said: Said::Record(Box::new(facts)),
                };
                let answer = facts.remove(&lease.id).flatten().map(answer);
                let answers = answer.into_iter().chain(feeds.answers(&lease.id)).collect();
                (lease, answers)
            })
            .collect();
        stream::iter(writes)
            .map(|(lease, answers)| enrich::write_source_records(deps, lease, answers, now))
            .buffer_unordered(CONCURRENCY)
            .try_collect::<()>()
            .await?;
        if !facts.is_empty() {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let ids: Vec<VulnerabilityId> = facts.keys().cloned().collect();
            let known = deps.store.summaries(&ids).await?;
            facts.retain(|id, facts| is_news(known.get(id), facts.as_ref()));
        }
        if facts.is_empty() {
            break;
        }
    }
    Ok(facts.is_empty())
}

/// Returns whether the facts of a report create or change a record.
fn is_news(known: Option<&VulnerabilitySummary>, facts: Option<&SourceRecord>) -> bool {
    known.is_none_or(|known| facts.is_some_and(|facts| known.is_changed_by(&report_digest(facts))))
}
