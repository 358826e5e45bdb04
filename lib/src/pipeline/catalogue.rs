//! Writing down where a new scan's vulnerabilities are, and which of them sources are to be asked about.
//!
//! ```text
//! {"scan_id"} ──▶ findings ──▶ occurrences, first times: a few buckets at a time
//!             ──▶ findings ──▶ dossiers told the report's own words, a thousand findings at a time
//!                          └─▶ {"ids"} for those unknown or stale, as many as are admitted
//! ```
//!
//! Between two steps it is looked whether there is time for more; if not, a message says what is left and the next
//! one goes on there. Every step can be done again, and by several at once: occurrences are added in any order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde_json::value::to_raw_value;

use super::admit;
use super::enrich::{self, CONCURRENCY, Enrichment, Error};
use super::forget;
use crate::domain::asset::Asset;
use crate::domain::finding::{Finding, Ordinal};
use crate::domain::occurrence::{Bucket, Details, FirstSeen, LONGEST, Problem, Span, earlier};
use crate::domain::scan::{Scan, ScanId};
use crate::domain::text::cut;
use crate::domain::vulnerability::id::{Resolver, VulnerabilityId};
use crate::domain::vulnerability::{Source, SourceRecord, VulnerabilitySummary};
use crate::enrichment::merge::{Answer, Said, report_digest};
use crate::enrichment::{plan, trivy};
use crate::queue::{Order, Rest};
use crate::sources::fetch::Budget;
use crate::store::claims::Holder;
use crate::store::enrichments::Lease;
use crate::store::findings::runs;
use crate::store::occurrences::{Added, Following};
use crate::store::{self, Selection, Store};

/// Messages that may go on with one scan: the largest needs a few.
const MOST_ROUNDS: u32 = 100;
/// Findings whose vulnerabilities are looked at before it is looked whether there is time for more.
const CHUNK: u32 = 1_000;
/// The findings of a scan with no more are kept in memory instead of being read twice.
const KEPT: u32 = 2_000;
/// Runs of findings that are read at once.
const READ_AHEAD: usize = 4;

/// Another who only writes a report's words is done within milliseconds; one that asks a source takes longer than these.
const PAUSES: [Duration; 6] = [
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
    Duration::from_millis(1600),
];

/// What came of a scan, by one message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Catalogued {
    /// Vulnerabilities that were looked at.
    pub ids: usize,
    /// Those of them that nothing was known of.
    pub unknown: usize,
    /// Those that sources are to be asked about.
    pub queued: usize,
    /// Those that sources should be asked about, had the scan, or the day, not had its share: the schedule has them asked.
    pub put_off: usize,
    /// The time did not suffice: another message goes on.
    pub goes_on: bool,
}

/// Writes down where a scan's vulnerabilities are, and has sources asked about those that are unknown
/// or stale, for as long as there is time; the first step is done in any case.
///
/// # Errors
/// [`Error`]
pub async fn run(
    deps: &Enrichment,
    scan_id: ScanId,
    rest: Option<Rest>,
    holder: &Holder,
    budget: &Budget,
) -> Result<Catalogued, Error> {
    let store = &deps.store;
    let Some(scan) = store.scan(scan_id).await? else { return Ok(Catalogued::default()) };
    let is_new = rest.is_none();
    let mut rest = rest.map_or_else(Rest::default, |rest| Rest { round: rest.round.saturating_add(1), ..rest });
    if rest.round > MOST_ROUNDS {
        return Err(Error::Endless(rest.round));
    }
    let mut kept = None;
    if rest.bucket < Bucket::COUNT {
        let read = read_findings(store, &scan).await?;
        match occur(store, &scan, &read, &mut rest, is_new, budget).await? {
            Occurred::Everywhere => kept = read.findings,
            Occurred::Gone => return Ok(Catalogued::default()),
            Occurred::InPart => {
                deps.queue.send_rest(scan_id, rest).await?;
                return Ok(Catalogued { goes_on: true, ..Catalogued::default() });
            }
        }
    }
    tell_all(deps, &scan, kept, &mut rest, holder, budget).await
}

/// What a scan has.
struct Read {
    /// Each with its first finding.
    occurrences: BTreeMap<Bucket, Vec<(Details, Ordinal)>>,
    /// Its findings, if they are few.
    findings: Option<Vec<Finding>>,
}

async fn read_findings(store: &Store, scan: &Scan) -> Result<Read, store::Error> {
    let total = scan.total_findings();
    let mut counted: BTreeMap<Details, (u32, Ordinal)> = BTreeMap::new();
    let mut nameless = 0_usize;
    let mut kept = (total <= KEPT).then(Vec::new);
    let wanted = Selection::default();
    let mut read =
        stream::iter(runs(0..total)).map(|run| store.findings(scan.scan_id, run, &wanted)).buffered(READ_AHEAD);
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

/// A finding as the fleet knows it, not counted yet; none if it has no id.
fn details(finding: &Finding) -> Option<Details> {
    let short = |text: String| cut(&text, LONGEST).to_owned();
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

/// A list of versions that is not too long: without the ones that do not fit, and none cut in two.
fn whole_versions(list: String) -> String {
    match cut(&list, LONGEST) {
        kept if kept.len() == list.len() => list,
        kept => kept.rsplit_once(',').map_or(kept, |(whole, _)| whole).to_owned(),
    }
}

/// How far the occurrences of an asset follow.
enum Occurred {
    /// In all buckets.
    Everywhere,
    /// In those before the one that is left.
    InPart,
    /// The scan was deleted meanwhile.
    Gone,
}

/// Writes down what a scan has, and which scan of its asset is current, from the bucket on that is left.
///
/// A current scan that is not written down yet is added with it: messages come in any order.
async fn occur(
    store: &Store,
    scan: &Scan,
    read: &Read,
    rest: &mut Rest,
    is_new: bool,
    budget: &Budget,
) -> Result<Occurred, store::Error> {
    let asset = Asset::of(scan.scan_id, &scan.artifact);
    // Before anything is read that it is compared with: a later change has a later version, and a message of its own.
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
    // Deleted in between, they would stay for ever where they were not any more.
    let gone: BTreeSet<ScanId> = known.into_iter().filter(|known| !scans.contains_key(known)).collect();
    // Where one of them only got too old, the clocks go on. What a worker wrote of a scan after its deletion had ended,
    // before it was cut off, is to be as if it had never been.
    let mut is_undone = false;
    for gone in &gone {
        is_undone |= !store.deletion(*gone).await?.is_some_and(|deletion| deletion.expired);
    }
    let mut added = vec![added(scan, read)];
    added.extend(newest.as_ref().map(|(newest, read)| self::added(newest, read)));
    let mut is_everywhere = true;
    for (step, next) in Bucket::steps(rest.bucket) {
        let following = Following { current, added: &added, gone: &gone, spans: &spans };
        store.follow(&asset, &mut occurrences, &step, following).await?;
        let mut first = FirstSeen::new();
        for Added { span, found, .. } in &added {
            let found = step.iter().filter_map(|bucket| found.get(bucket)).flatten();
            earlier(&mut first, found.map(|(details, _)| (details.problem.clone(), span.from)));
        }
        store.add_first_seen(asset.key().lineage(), first).await?;
        if is_undone {
            store.remake_first_seen(asset.key().lineage(), &step).await?;
        }
        rest.bucket = next;
        if next < Bucket::COUNT && budget.is_over() {
            is_everywhere = false;
            break;
        }
    }
    let mut is_gone = false;
    for Added { scan_id, .. } in &added {
        if store.scan(*scan_id).await?.is_none() {
            forget::everywhere(store, &asset, *scan_id, false).await?;
            is_gone |= *scan_id == scan.scan_id;
            is_everywhere &= *scan_id == scan.scan_id;
        }
    }
    if is_gone {
        return Ok(Occurred::Gone);
    }
    if !is_everywhere {
        return Ok(Occurred::InPart);
    }
    if current.moved {
        store.clear_moved(&asset, rest.version).await?;
    }
    Ok(Occurred::Everywhere)
}

fn span(scan: &Scan) -> Span {
    Span { from: scan.scan_timestamp, to: scan.last_seen_at }
}

fn added<'a>(scan: &Scan, read: &'a Read) -> Added<'a> {
    Added { scan_id: scan.scan_id, span: span(scan), found: &read.occurrences }
}

/// The vulnerabilities of some findings.
#[derive(Default)]
struct News {
    /// Ids that sources are to be asked about.
    order: Vec<VulnerabilityId>,
    /// How many of all ids nothing is known of.
    unknown: usize,
    /// The report's own words on these, and on those of which it says something newer than what is known.
    words: BTreeMap<VulnerabilityId, Option<SourceRecord>>,
}

/// Writes a report's own words down, and has sources asked, from the finding on that is left.
async fn tell_all(
    deps: &Enrichment,
    scan: &Scan,
    kept: Option<Vec<Finding>>,
    rest: &mut Rest,
    holder: &Holder,
    budget: &Budget,
) -> Result<Catalogued, Error> {
    let total = scan.total_findings();
    let mut kept = kept.map(Vec::into_iter);
    let (mut done, mut is_whole) = (Catalogued::default(), true);
    let mut looked_up = BTreeSet::new();
    let mut order: Vec<VulnerabilityId> = Vec::new();
    while rest.ordinal < total {
        let end = rest.ordinal.saturating_add(CHUNK).min(total);
        let findings: Vec<Finding> = match &mut kept {
            Some(kept) => kept.by_ref().take(CHUNK as usize).collect(),
            None => some_findings(&deps.store, scan, rest.ordinal..end).await?,
        };
        let now = budget.now();
        let news = news(&deps.store, scan, &findings, &mut looked_up, now).await?;
        is_whole &= tell(deps, news.words, holder, now).await?;
        done.unknown += news.unknown;
        let room = admit::PER_SCAN.saturating_sub(rest.ordered) as usize;
        let taken = admit::today(&deps.store, now, news.order.len().min(room)).await?;
        done.put_off += news.order.len().saturating_sub(taken);
        rest.ordered = rest.ordered.saturating_add(u32::try_from(taken).unwrap_or(u32::MAX));
        done.queued += taken;
        order.extend(news.order.into_iter().take(taken));
        rest.ordinal = end;
        let is_over = end < total && budget.is_over();
        // Whole orders, so that few are small.
        let whole = if end < total && !is_over { order.len() / Order::IDS * Order::IDS } else { order.len() };
        deps.queue.send_ids(&order.drain(..whole).collect::<Vec<_>>()).await?;
        if is_over {
            done.goes_on = true;
            break;
        }
    }
    done.ids = looked_up.len();
    if !is_whole {
        // Nothing is told or asked twice by who comes again.
        return Err(Error::Busy);
    }
    if done.goes_on {
        deps.queue.send_rest(scan.scan_id, *rest).await?;
    }
    Ok(done)
}

async fn some_findings(
    store: &Store,
    scan: &Scan,
    ordinals: std::ops::Range<u32>,
) -> Result<Vec<Finding>, store::Error> {
    let wanted = Selection::default();
    let read: Vec<Vec<Finding>> = stream::iter(runs(ordinals))
        .map(|run| store.findings(scan.scan_id, run, &wanted))
        .buffered(READ_AHEAD)
        .try_collect()
        .await?;
    Ok(read.into_iter().flatten().collect())
}

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
    let mut signals = store.listed_signals(&ids).await?;
    let unseen: Vec<(VulnerabilityId, Timestamp)> =
        signals.iter().filter(|(_, it)| it.unseen).map(|(id, it)| (id.clone(), it.signals.next_fetch)).collect();
    let dropped: Vec<Option<VulnerabilityId>> = stream::iter(unseen)
        .map(|(id, due)| async move {
            let is_back = store.bring_back(&id, due).await?;
            Ok::<_, store::Error>((!is_back).then_some(id))
        })
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await?;
    for id in dropped.iter().flatten() {
        signals.remove(id);
    }
    let mut news = News::default();
    for (id, finding) in new {
        let said = own_words(finding, scan.scan_timestamp);
        let known = signals.get(&id).map(|listed| &listed.signals);
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
        if is_news(known, said.as_ref()) {
            news.words.insert(id, said);
        }
    }
    Ok(news)
}

fn own_words(finding: &Finding, at: Timestamp) -> Option<SourceRecord> {
    let json = to_raw_value(&finding.vulnerability).ok()?;
    trivy::parse(json.get().as_bytes(), at).ok()
}

/// Writes a report's own words into dossiers, and opens those that are not there yet. No source is asked. Answers
/// false if others were at work on some of them, so that it is to be done again.
async fn tell(
    deps: &Enrichment,
    mut words: BTreeMap<VulnerabilityId, Option<SourceRecord>>,
    holder: &Holder,
    now: Timestamp,
) -> Result<bool, Error> {
    if words.is_empty() {
        return Ok(true);
    }
    let feeds = enrich::feeds(deps).await?;
    for pause in PAUSES {
        let ids: Vec<VulnerabilityId> = words.keys().cloned().collect();
        let leases = deps.store.take_dossiers(&ids, holder, now, deps.lease).await?;
        let writes: Vec<(Lease, Vec<Answer>)> = leases
            .into_iter()
            .map(|lease| {
                let said = words.remove(&lease.id).flatten();
                let answer = said.map(|facts| Answer {
                    source: Source::Trivy,
                    at: facts.as_of,
                    said: Said::Record(Box::new(facts)),
                });
                let answers = answer.into_iter().chain(feeds.answers(&lease.id)).collect();
                (lease, answers)
            })
            .collect();
        stream::iter(writes)
            .map(|(lease, answers)| enrich::write(deps, lease, answers, now))
            .buffer_unordered(CONCURRENCY)
            .try_collect::<()>()
            .await?;
        if !words.is_empty() {
            tokio::time::sleep(pause).await;
            let ids: Vec<VulnerabilityId> = words.keys().cloned().collect();
            let known = deps.store.signals(&ids).await?;
            words.retain(|id, said| is_news(known.get(id), said.as_ref()));
        }
        if words.is_empty() {
            break;
        }
    }
    Ok(words.is_empty())
}

/// Whether what a report says of a vulnerability is to be written down: it opens the dossier, or changes what is kept.
fn is_news(known: Option<&VulnerabilitySummary>, said: Option<&SourceRecord>) -> bool {
    known.is_none_or(|known| said.is_some_and(|said| known.is_changed_by(&report_digest(said))))
}
