//! What the world says of vulnerabilities, fetched once for the whole fleet.
//!
//! ```text
//! {"scan_id"} ──▶ findings ──▶ occurrences, first times ──▶ dossiers told the report's own words
//!                                                        └─▶ {"ids"} for those unknown or stale
//! {"ids"} ──▶ due? ──▶ lease, id by id ──▶ OSV ──▶ NVD, a hundred at once ──▶ CVE Services
//!                                              └─▶ dossier and signals, with KEV and EPSS of the last feeds
//! ```
//!
//! Both can be done again, and by several at once: occurrences are added in any order, and of those who ask
//! about an id one has the lease, while the next finds the answer. What a source does not answer now
//! is due again by itself; nothing here holds up a report or a reader.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde_json::value::to_raw_value;
use tokio::sync::Mutex;

use crate::domain::asset::Asset;
use crate::domain::enrichment::{Dossier, Facts, Source};
use crate::domain::feed::{Feed, FeedName};
use crate::domain::finding::Finding;
use crate::domain::occurrence::{Details, FirstSeen, LONGEST, Problem, Span, earlier};
use crate::domain::scan::{Scan, ScanId};
use crate::domain::signals::Signals;
use crate::domain::text::cut;
use crate::domain::vulnerability_id::{Kind, Resolver, VulnerabilityId};
use crate::enrichment::freshness::Lifetimes;
use crate::enrichment::merge::{Answer, Said, absorb, record, words, words_of};
use crate::enrichment::{epss, kev, plan, trivy};
use crate::objects::{self, Objects};
use crate::queue::{self, Queue};
use crate::sources::fetch::{self, Budget};
use crate::sources::{Mode, cve_services, nvd, osv};
use crate::store::claims::Holder;
use crate::store::enrichments::Lease;
use crate::store::findings::runs;
use crate::store::occurrences::Added;
use crate::store::{self, Selection, Store};

/// OSV and the table are asked about so many ids at once.
const CONCURRENCY: usize = 8;
/// CVE Services about so many.
const CVE_SERVICES: usize = 2;
/// CVEs of one advisory that are fetched with it.
const ALIASES: usize = 8;

/// Another who only writes a report's words is done within milliseconds; one that asks a source takes longer than these.
const PAUSES: [Duration; 6] = [
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
    Duration::from_millis(1600),
];

/// What enrichment works with.
#[derive(Debug)]
pub struct Enrichment {
    /// The table.
    pub store: Store,
    /// The bucket, with the last good feeds.
    pub objects: Objects,
    /// Where orders are queued.
    pub queue: Queue,
    /// Whom to ask.
    pub mode: Mode,
    /// How long answers hold.
    pub lifetimes: Lifetimes,
    /// How long one may be at an id before another may take over: longer than the function can live.
    pub lease: Duration,
    /// The feeds that were read last.
    pub feeds: FeedCache,
}

/// Feeds in memory, for as long as they are the last good ones.
#[derive(Debug, Default)]
pub struct FeedCache(Mutex<Feeds>);

/// The last good feeds, as far as there are any.
#[derive(Debug, Clone, Default)]
pub struct Feeds {
    kev: Option<(Feed, Arc<kev::Catalogue>)>,
    epss: Option<(Feed, Arc<epss::Snapshot>)>,
}

/// Why an order could not be carried out this time. Doing it again is always safe.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The table.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The bucket.
    #[error(transparent)]
    Objects(#[from] objects::Error),
    /// The queue.
    #[error(transparent)]
    Queue(#[from] queue::Error),
    /// A source, in a way that is not the source's own fault.
    #[error(transparent)]
    Fetch(#[from] fetch::Error),
    /// The message is none that Sirius sends.
    #[error("the message is not an order: {0}")]
    Poison(&'static str),
    /// Others are at work on some of a scan's vulnerabilities.
    #[error("others are at work on vulnerabilities of the scan")]
    Busy,
    /// The operating system has no randomness.
    #[error("no name could be made for this attempt")]
    Random(#[from] getrandom::Error),
}

impl Error {
    /// Whether trying again later may help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Objects(error) => error.is_transient(),
            Self::Queue(error) => error.is_transient(),
            Self::Fetch(error) => error.is_transient(),
            Self::Poison(_) => false,
            Self::Busy | Self::Random(_) => true,
        }
    }
}

/// What came of a scan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Catalogued {
    /// Vulnerabilities that it has.
    pub ids: usize,
    /// Those of them that nothing was known of.
    pub unknown: usize,
    /// Those that sources are to be asked about.
    pub queued: usize,
}

/// What came of asking.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Enriched {
    /// Vulnerabilities that were asked about.
    pub asked: usize,
    /// Those whose own source answered, be it that it does not have them.
    pub answered: usize,
    /// Those that another is asking about, or whose answers still hold.
    pub left: usize,
}

/// Writes down where a scan's vulnerabilities are, and has sources asked about those that are unknown
/// or stale.
///
/// # Errors
/// [`Error`]
pub async fn catalogue(
    deps: &Enrichment,
    scan_id: ScanId,
    holder: &Holder,
    now: Timestamp,
) -> Result<Catalogued, Error> {
    let store = &deps.store;
    let Some(scan) = store.scan(scan_id).await? else { return Ok(Catalogued::default()) };
    let read = read_findings(store, &scan, now).await?;
    occur(store, &scan, &read, now).await?;
    let is_whole = tell(deps, read.words, holder, now).await?;
    let ask = |id: &VulnerabilityId| id.resolver() != Resolver::Nobody;
    let order: Vec<VulnerabilityId> = read.unknown.iter().filter(|id| ask(id)).chain(&read.stale).cloned().collect();
    deps.queue.send_ids(&order).await?;
    if !is_whole {
        return Err(Error::Busy);
    }
    Ok(Catalogued { ids: read.ids, unknown: read.unknown.len(), queued: order.len() })
}

/// What a scan's findings say.
struct Read {
    ids: usize,
    occurrences: Vec<Details>,
    /// Ids that nothing is known of.
    unknown: Vec<VulnerabilityId>,
    /// The report's own words on these, and on those of which it says something newer than what is known.
    words: BTreeMap<VulnerabilityId, Option<Facts>>,
    /// Known ids whose answers do not hold any more.
    stale: Vec<VulnerabilityId>,
}

/// Writes down what a scan has, and which scan of its asset is current.
///
/// A current scan that is not written down yet is added with it: messages come in any order.
async fn occur(store: &Store, scan: &Scan, read: &Read, now: Timestamp) -> Result<(), store::Error> {
    let asset = Asset::of(scan.scan_id, &scan.artifact);
    // Before anything is read that it is compared with: a later change has a later version, and a message of its own.
    let current = store.current(&asset).await?;
    let occurrences = store.known_occurrences(&asset).await?;
    let mut known = occurrences.scans();
    known.insert(scan.scan_id);
    let missing = current.scan_id.filter(|current| !known.contains(current));
    known.extend(missing);
    let scans: BTreeMap<ScanId, Scan> =
        store.scans_by_id(known.clone()).await?.into_iter().map(|scan| (scan.scan_id, scan)).collect();
    let newest = missing.and_then(|newest| scans.get(&newest));
    let newest = match newest {
        Some(newest) => Some((newest, read_findings(store, newest, now).await?)),
        None => None,
    };
    let spans: BTreeMap<ScanId, Span> = scans.iter().map(|(id, scan)| (*id, span(scan))).collect();
    let mut added = vec![added(scan, read)];
    added.extend(newest.as_ref().map(|(newest, read)| self::added(newest, read)));
    store.add_occurrences(&asset, occurrences, current, &added, &spans).await?;
    for Added { span, found, .. } in &added {
        let times = found.iter().map(|details| (details.problem.clone(), span.from));
        let mut first = FirstSeen::new();
        earlier(&mut first, times);
        store.add_first_seen(asset.key().lineage(), first).await?;
    }
    // Deleted in between, they would stay for ever where they were not any more.
    let mut is_gone = false;
    for gone in known.iter().filter(|known| !scans.contains_key(known)) {
        forget(store, &asset, *gone, true).await?;
        is_gone = true;
    }
    for Added { scan_id, .. } in &added {
        if store.scan(*scan_id).await?.is_none() {
            forget(store, &asset, *scan_id, false).await?;
            is_gone = true;
        }
    }
    if current.moved && !is_gone {
        store.clear_moved(&asset, current.version).await?;
    }
    Ok(())
}

fn span(scan: &Scan) -> Span {
    Span { from: scan.scan_timestamp, to: scan.last_seen_at }
}

fn added<'a>(scan: &Scan, read: &'a Read) -> Added<'a> {
    Added { scan_id: scan.scan_id, span: span(scan), found: &read.occurrences }
}

async fn read_findings(store: &Store, scan: &Scan, now: Timestamp) -> Result<Read, store::Error> {
    let mut occurrences: BTreeMap<Details, u32> = BTreeMap::new();
    let mut looked_up = BTreeSet::new();
    let (mut unknown, mut words, mut stale, mut nameless) = (Vec::new(), BTreeMap::new(), Vec::new(), 0_usize);
    for run in runs(0..scan.total_findings()) {
        let findings = store.findings(scan.scan_id, run, &Selection::default()).await?;
        let mut new: BTreeMap<VulnerabilityId, &Finding> = BTreeMap::new();
        for finding in &findings {
            let Some(details) = details(finding) else {
                nameless += 1;
                continue;
            };
            let id = &details.problem.vulnerability_id;
            if looked_up.insert(id.clone()) {
                new.insert(id.clone(), finding);
            }
            let count = occurrences.entry(details).or_default();
            *count = count.saturating_add(1);
        }
        let ids: Vec<VulnerabilityId> = new.keys().cloned().collect();
        let signals = store.signals(&ids).await?;
        for (id, finding) in new {
            let said = own_words(finding, scan.scan_timestamp);
            let known = signals.get(&id);
            match known {
                Some(known) if known.is_due(now) => stale.push(id.clone()),
                Some(_) => {}
                None => unknown.push(id.clone()),
            }
            if is_news(known, said.as_ref()) {
                words.insert(id, said);
            }
        }
    }
    if nameless > 0 {
        tracing::info!(scan_id = scan.scan_id.get(), nameless, "findings without an id that can be looked up");
    }
    let counted = |(details, findings)| Details { findings, ..details };
    Ok(Read {
        ids: looked_up.len(),
        occurrences: occurrences.into_iter().map(counted).collect(),
        unknown,
        words,
        stale,
    })
}

/// A finding as the fleet knows it, not counted yet; none if it has no id.
fn details(finding: &Finding) -> Option<Details> {
    let short = |text: String| cut(&text, LONGEST).to_owned();
    let text = |name: &str| finding.text(name).filter(|text| !text.is_empty()).map(short);
    Some(Details {
        problem: Problem::of(finding)?,
        class: finding.class.clone().map(short),
        installed_version: text("InstalledVersion").unwrap_or_default(),
        fixed_version: text("FixedVersion"),
        severity: finding.severity(),
        status: text("Status"),
        rating: finding.rating(),
        findings: 0,
    })
}

fn own_words(finding: &Finding, at: Timestamp) -> Option<Facts> {
    let json = to_raw_value(&finding.vulnerability).ok()?;
    trivy::parse(json.get().as_bytes(), at).ok()
}

/// Removes a deleted scan from the fleet's occurrences, and what its times decided; where it `expired`, the clocks of
/// its problems go on. To do it again is success.
///
/// # Errors
/// Those of the table.
pub async fn forget(store: &Store, asset: &Asset, deleted: ScanId, expired: bool) -> Result<(), store::Error> {
    let current = store.current(asset).await?;
    store.remove_occurrences(asset, deleted, current).await?;
    if !expired {
        store.remake_first_seen(asset.key().lineage()).await?;
    }
    Ok(())
}

/// Writes a report's own words into dossiers, and opens those that are not there yet. No source is asked. Answers
/// false if others were at work on some of them, so that it is to be done again.
async fn tell(
    deps: &Enrichment,
    mut words: BTreeMap<VulnerabilityId, Option<Facts>>,
    holder: &Holder,
    now: Timestamp,
) -> Result<bool, Error> {
    if words.is_empty() {
        return Ok(true);
    }
    let feeds = feeds(deps).await?;
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
                    said: Said::Facts(Box::new(facts)),
                });
                let answers = answer.into_iter().chain(feeds.answers(&lease.id)).collect();
                (lease, answers)
            })
            .collect();
        stream::iter(writes)
            .map(|(lease, answers)| write(deps, lease, answers, now))
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
fn is_news(known: Option<&Signals>, said: Option<&Facts>) -> bool {
    known.is_none_or(|known| said.is_some_and(|said| known.yield_to(&words_of(said))))
}

/// Asks sources about ids that are unknown or stale and that nobody else is asking about.
///
/// # Errors
/// [`Error`]; never because a source fails.
pub async fn ask(
    deps: &Enrichment,
    ids: &BTreeSet<VulnerabilityId>,
    holder: &Holder,
    budget: &Budget,
) -> Result<Enriched, Error> {
    let now = budget.now();
    let mut work = Work { deps, holder, budget, leases: BTreeMap::new(), answers: BTreeMap::new() };
    let asked = work.take(ids, false).await;
    let done = match asked {
        Ok(()) => work.ask_all(now).await,
        Err(error) => Err(error),
    };
    let (asked, answered) = (work.leases.len(), work.answered());
    // What was answered is kept, and no lease stays, whatever went wrong in between.
    let written = work.finish().await;
    done?;
    written?;
    Ok(Enriched { asked, answered, left: ids.len().saturating_sub(asked) })
}

/// Ids at work on.
struct Work<'a> {
    deps: &'a Enrichment,
    holder: &'a Holder,
    budget: &'a Budget,
    leases: BTreeMap<VulnerabilityId, Lease>,
    answers: BTreeMap<VulnerabilityId, Vec<Answer>>,
}

impl Work<'_> {
    /// Takes leases of those ids that are due by their signals, or of all of them.
    async fn take(&mut self, ids: &BTreeSet<VulnerabilityId>, all: bool) -> Result<(), Error> {
        let Self { deps, holder, budget, .. } = *self;
        let now = budget.now();
        let ids: Vec<VulnerabilityId> = ids.iter().filter(|id| !self.leases.contains_key(id)).cloned().collect();
        let signals = if all { BTreeMap::new() } else { deps.store.signals(&ids).await? };
        let is_due = |id: &VulnerabilityId| signals.get(id).is_none_or(|known| known.is_due(now));
        let due: Vec<VulnerabilityId> = ids.into_iter().filter(|id| is_due(id)).collect();
        let leases = deps.store.take_dossiers(&due, holder, now, deps.lease).await?;
        self.leases.extend(leases.into_iter().map(|lease| (lease.id.clone(), lease)));
        Ok(())
    }

    /// The dossier of an id, with what was answered so far.
    fn dossier(&self, id: &VulnerabilityId) -> Option<Dossier> {
        let lease = self.leases.get(id)?;
        let known = lease.dossier.clone().unwrap_or_else(|| Dossier::new(id.clone(), self.budget.now()));
        let answers = self.answers.get(id).cloned().unwrap_or_default();
        Some(absorb(known, answers, &self.deps.lifetimes))
    }

    fn wanting(&self, source: Source, now: Timestamp) -> Vec<VulnerabilityId> {
        let wants = |id: &&VulnerabilityId| {
            self.dossier(id).is_some_and(|dossier| match source {
                Source::CveServices => plan::wants_cve_services(&dossier, now),
                _ => plan::first_source(&dossier, now) == Some(source),
            })
        };
        self.leases.keys().filter(wants).cloned().collect()
    }

    fn answer(&mut self, id: VulnerabilityId, source: Source, said: Said) {
        let at = self.budget.now();
        self.answers.entry(id).or_default().push(Answer { source, at, said });
    }

    fn answered(&self) -> usize {
        let said = |answer: &Answer| answer.said != Said::Error && answer.source != Source::Trivy;
        self.leases.keys().filter(|id| self.answers.get(*id).is_some_and(|all| all.iter().any(said))).count()
    }

    async fn ask_all(&mut self, now: Timestamp) -> Result<(), Error> {
        let Self { deps, budget, .. } = *self;
        let wanted = self.wanting(Source::Osv, now);
        let said = self
            .each(wanted, CONCURRENCY, async |id| osv::SOURCE.ask(&deps.mode, &deps.store, id, budget).await)
            .await?;
        let mut same: BTreeMap<VulnerabilityId, Vec<(VulnerabilityId, Facts)>> = BTreeMap::new();
        for (id, said) in said {
            if let Said::Facts(facts) = &said {
                for cve in facts.aliases.iter().filter(|alias| alias.kind() == Kind::Cve).take(ALIASES) {
                    same.entry(cve.clone()).or_default().push((id.clone(), (**facts).clone()));
                }
            }
            self.answer(id, Source::Osv, said);
        }
        self.link(same).await?;

        let wanted = self.wanting(Source::Nvd, now);
        for (id, said) in nvd::ask(&deps.mode, &deps.store, &wanted, budget).await? {
            self.answer(id, Source::Nvd, said);
        }

        let wanted = self.wanting(Source::CveServices, now);
        let said = self
            .each(wanted, CVE_SERVICES, async |id| cve_services::SOURCE.ask(&deps.mode, &deps.store, id, budget).await)
            .await?;
        for (id, said) in said {
            self.answer(id, Source::CveServices, said);
        }
        Ok(())
    }

    /// Asks about each id, several at once; those that were not asked about are left out.
    async fn each(
        &self,
        ids: Vec<VulnerabilityId>,
        at_once: usize,
        ask: impl AsyncFn(&VulnerabilityId) -> Result<Option<Said>, fetch::Error>,
    ) -> Result<Vec<(VulnerabilityId, Said)>, Error> {
        let ask = &ask;
        let said: Vec<(VulnerabilityId, Option<Said>)> = stream::iter(ids)
            .map(|id| async move {
                let said = ask(&id).await?;
                Ok::<_, Error>((id, said))
            })
            .buffer_unordered(at_once)
            .try_collect()
            .await?;
        Ok(said.into_iter().filter_map(|(id, said)| Some((id, said?))).collect())
    }

    /// Links the CVEs that advisories are about back to them, with what the advisories say; and so has
    /// NVD asked about them, too.
    async fn link(&mut self, same: BTreeMap<VulnerabilityId, Vec<(VulnerabilityId, Facts)>>) -> Result<(), Error> {
        let cves: BTreeSet<VulnerabilityId> = same.keys().cloned().collect();
        self.take(&cves, true).await?;
        for (cve, advisories) in same {
            let Some(lease) = self.leases.get(&cve) else { continue };
            let known = lease.dossier.as_ref().and_then(|dossier| dossier.sources.get(&Source::Osv)?.facts.clone());
            let mut names: BTreeSet<VulnerabilityId> =
                known.map(|facts| facts.aliases).unwrap_or_default().into_iter().collect();
            let mut linked = None;
            for (advisory, facts) in advisories {
                names.insert(advisory);
                names.extend(facts.aliases.iter().cloned());
                linked = Some(facts);
            }
            names.remove(&cve);
            if let Some(facts) = linked {
                let aliases = names.into_iter().take(Facts::LIST).collect();
                // An advisory that was withdrawn does not take the CVE back.
                let facts = Facts { aliases, status: None, ..facts };
                self.answer(cve, Source::Osv, Said::Facts(Box::new(facts)));
            }
        }
        Ok(())
    }

    /// Writes what was answered, and ends the leases.
    async fn finish(self) -> Result<(), Error> {
        let Self { deps, budget, leases, mut answers, .. } = self;
        let feeds = feeds(deps).await?;
        let writes: Vec<(Lease, Vec<Answer>)> = leases
            .into_values()
            .map(|lease| {
                let mut answers = answers.remove(&lease.id).unwrap_or_default();
                answers.extend(feeds.answers(&lease.id));
                (lease, answers)
            })
            .collect();
        stream::iter(writes)
            .map(|(lease, answers)| write(deps, lease, answers, budget.now()))
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await
    }
}

/// Adds answers to a dossier that is leased, writes both forms of it, and ends the lease.
pub(super) async fn write(deps: &Enrichment, lease: Lease, answers: Vec<Answer>, now: Timestamp) -> Result<(), Error> {
    let known = lease.dossier.clone().unwrap_or_else(|| Dossier::new(lease.id.clone(), now));
    let dossier = absorb(known, answers, &deps.lifetimes);
    let signals = Signals::of(&record(&dossier), words(&dossier), plan::next_fetch(&dossier));
    if !deps.store.put_dossier(&lease, &dossier, &signals).await? {
        // Another has taken over, and writes what it finds.
        tracing::info!(id = %lease.id, "the lease was lost");
    }
    Ok(())
}

impl Feeds {
    /// What the last good feeds say of a CVE, as of when they were fetched.
    pub(super) fn answers(&self, id: &VulnerabilityId) -> Vec<Answer> {
        let said = |facts: Option<Facts>| facts.map_or(Said::Absent, |facts| Said::Facts(Box::new(facts)));
        if id.kind() != Kind::Cve {
            return Vec::new();
        }
        let kev = self.kev.as_ref().map(|(feed, catalogue)| Answer {
            source: Source::Kev,
            at: feed.fetched_at,
            said: said(catalogue.facts(id)),
        });
        let epss = self.epss.as_ref().map(|(feed, snapshot)| Answer {
            source: Source::Epss,
            at: feed.fetched_at,
            said: said(snapshot.facts(id)),
        });
        kev.into_iter().chain(epss).collect()
    }
}

/// The last good feeds: from memory if they still are, else from the bucket.
pub(super) async fn feeds(deps: &Enrichment) -> Result<Feeds, Error> {
    let mut cache = deps.feeds.0.lock().await;
    let newest = deps.store.feed(FeedName::Kev).await?;
    if cache.kev.as_ref().map(|(feed, _)| feed) != newest.as_ref() {
        cache.kev = match newest {
            Some(feed) => read_feed(deps, &feed, |bytes| {
                let believed = kev::LastGood { entries: 1, released: Timestamp::MIN };
                kev::parse(bytes, Some(believed)).map_err(|error| error.to_string())
            })
            .await?
            .map(|catalogue| (feed, Arc::new(catalogue))),
            None => None,
        };
    }
    let newest = deps.store.feed(FeedName::Epss).await?;
    if cache.epss.as_ref().map(|(feed, _)| feed) != newest.as_ref() {
        cache.epss = match newest {
            Some(feed) => {
                read_feed(deps, &feed, |bytes| epss::Snapshot::from_bytes(bytes).map_err(|error| error.to_string()))
                    .await?
                    .map(|snapshot| (feed, Arc::new(snapshot)))
            }
            None => None,
        };
    }
    Ok(cache.clone())
}

/// A stored feed. One that is gone or damaged is as if there were none: the next refresh mends it.
async fn read_feed<T>(
    deps: &Enrichment,
    feed: &Feed,
    parse: impl FnOnce(&[u8]) -> Result<T, String>,
) -> Result<Option<T>, Error> {
    let Some(bytes) = deps.objects.feed(&feed.object, fetch::MAX_BYTES).await? else {
        tracing::error!(object = feed.object, "a stored feed is missing");
        return Ok(None);
    };
    Ok(parse(&bytes).inspect_err(|error| tracing::error!(object = feed.object, error, "a stored feed is damaged")).ok())
}
