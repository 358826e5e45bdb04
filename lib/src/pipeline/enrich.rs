//! Asks sources about vulnerabilities, once for the whole fleet.
//!
//! ```text
//! {"scan_id"} ──▶ see `catalogue` ──▶ {"ids"} for unknown and stale ones
//! {"ids"} ──▶ due? ──▶ lease, id by id ──▶ OSV ──▶ NVD, a hundred per call ──▶ CVE Services
//!                                              └─▶ source records and summary, with KEV and EPSS of the last feeds
//! ```
//!
//! Both are idempotent, and several workers may do them at the same time: one worker has the lease of an id, and the
//! others find its answer later. An unanswered id becomes due again. Reports and readers never wait for this.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use tokio::sync::Mutex;

use crate::domain::feed::{Feed, FeedName, LastGood};
use crate::domain::vulnerability::id::{Kind, VulnerabilityId};
use crate::domain::vulnerability::{Source, SourceRecord, SourceRecords, VulnerabilitySummary};
use crate::enrichment::freshness::Lifetimes;
use crate::enrichment::merge::{Answer, Said, absorb, kept_digest, record};
use crate::enrichment::{epss, kev, plan};
use crate::objects::{self, Objects};
use crate::queue::{self, Queue};
use crate::sources::fetch::{self, Budget};
use crate::sources::{Mode, cve_services, nvd, osv};
use crate::store::enrichments::Lease;
use crate::store::lease::Owner;
use crate::store::{self, Store};

/// Ids that OSV is asked about, and source records that are written, at the same time.
pub(super) const CONCURRENCY: usize = 8;
/// CVEs that CVE Services is asked about at the same time.
const CVE_SERVICES_CONCURRENCY: usize = 2;
/// The most CVEs of one advisory that are fetched with it.
const MAX_ALIASES: usize = 8;

/// The dependencies of enrichment.
#[derive(Debug)]
pub struct Enrichment {
    /// The table.
    pub store: Store,
    /// The bucket, with the feeds.
    pub objects: Objects,
    /// The queue of enrichment.
    pub queue: Queue,
    /// The sources.
    pub mode: Mode,
    /// How long answers are fresh.
    pub lifetimes: Lifetimes,
    /// How long an id is leased: longer than the function can live.
    pub lease: Duration,
    /// The feeds in memory.
    pub feeds: FeedCache,
}

/// Keeps the last good feeds in memory.
#[derive(Debug, Default)]
pub struct FeedCache(Mutex<Feeds>);

/// The last good feeds; none of a kind that was never fetched.
#[derive(Debug, Clone, Default)]
pub struct Feeds {
    kev: Option<(Feed, Arc<kev::Catalogue>)>,
    epss: Option<(Feed, Arc<epss::Snapshot>)>,
}

/// Why a message could not be processed. Processing it again is always safe.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the types and messages describe the variants")]
pub enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Objects(#[from] objects::Error),
    #[error(transparent)]
    Queue(#[from] queue::Error),
    #[error(transparent)]
    Fetch(#[from] fetch::Error),
    #[error("the message is not an order: {0}")]
    InvalidMessage(&'static str),
    #[error("other workers have the leases of some of the scan's vulnerabilities")]
    Busy,
    #[error("the scan was continued {0} times and is not done")]
    Endless(u32),
    #[error("the operating system returned no random bytes")]
    Random(#[from] getrandom::Error),
}

impl Error {
    /// Returns whether trying again later may help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Objects(error) => error.is_transient(),
            Self::Queue(_) => true,
            Self::Fetch(error) => error.is_transient(),
            Self::InvalidMessage(_) | Self::Endless(_) => false,
            Self::Busy | Self::Random(_) => true,
        }
    }
}

/// The result of asking sources.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Enriched {
    /// Vulnerabilities that were asked about.
    pub asked: usize,
    /// Those of them that a source answered about, even without a record.
    pub answered: usize,
    /// Those that another worker has leased, or whose answers are fresh.
    pub left: usize,
}

/// Asks sources about the unknown and stale ids that no other worker has leased.
pub async fn ask_sources(
    deps: &Enrichment,
    ids: &BTreeSet<VulnerabilityId>,
    owner: &Owner,
    budget: &Budget,
) -> Result<Enriched, Error> {
    let now = budget.now();
    let mut work = Work { deps, owner, budget, leases: BTreeMap::new(), answers: BTreeMap::new() };
    let leased = work.lease(ids, false).await;
    let done = match leased {
        Ok(()) => work.ask_all(now).await,
        Err(error) => Err(error),
    };
    let (asked, answered) = (work.leases.len(), work.answered());
    // Also after an error, so that the answers are kept and the leases end.
    let written = work.finish().await;
    done?;
    written?;
    Ok(Enriched { asked, answered, left: ids.len().saturating_sub(asked) })
}

/// The ids that this worker has leased, and their answers.
struct Work<'a> {
    deps: &'a Enrichment,
    owner: &'a Owner,
    budget: &'a Budget,
    leases: BTreeMap<VulnerabilityId, Lease>,
    answers: BTreeMap<VulnerabilityId, Vec<Answer>>,
}

impl Work<'_> {
    /// Leases the ids that are due, or `all` of them.
    async fn lease(&mut self, ids: &BTreeSet<VulnerabilityId>, all: bool) -> Result<(), Error> {
        let Self { deps, owner, budget, .. } = *self;
        let now = budget.now();
        let ids: Vec<VulnerabilityId> = ids.iter().filter(|id| !self.leases.contains_key(id)).cloned().collect();
        let summaries = if all { BTreeMap::new() } else { deps.store.summaries(&ids).await? };
        let is_due = |id: &VulnerabilityId| summaries.get(id).is_none_or(|known| known.is_due(now));
        let due: Vec<VulnerabilityId> = ids.into_iter().filter(|id| is_due(id)).collect();
        let leases = deps.store.lease_records(&due, owner, now, deps.lease).await?;
        self.leases.extend(leases.into_iter().map(|lease| (lease.id.clone(), lease)));
        Ok(())
    }

    /// Returns the source records of an id with the answers so far.
    fn source_records(&self, id: &VulnerabilityId) -> Option<SourceRecords> {
        let lease = self.leases.get(id)?;
        let known = lease.records.clone().unwrap_or_else(|| SourceRecords::new(id.clone(), self.budget.now()));
        let answers = self.answers.get(id).cloned().unwrap_or_default();
        Some(absorb(known, answers, &self.deps.lifetimes))
    }

    /// Returns the ids that a source has to be asked about.
    fn wanting(&self, source: Source, now: Timestamp) -> Vec<VulnerabilityId> {
        let wants = |id: &&VulnerabilityId| {
            self.source_records(id).is_some_and(|records| match source {
                Source::CveServices => plan::wants_cve_services(&records, now),
                _ => plan::first_source(&records, now) == Some(source),
            })
        };
        self.leases.keys().filter(wants).cloned().collect()
    }

    fn answer(&mut self, id: VulnerabilityId, source: Source, said: Said) {
        let at = self.budget.now();
        self.answers.entry(id).or_default().push(Answer { source, at, said });
    }

    /// Counts the ids that a source answered about.
    fn answered(&self) -> usize {
        let said = |answer: &Answer| answer.said != Said::Error && answer.source != Source::Trivy;
        self.leases.keys().filter(|id| self.answers.get(*id).is_some_and(|all| all.iter().any(said))).count()
    }

    /// Asks each source in turn.
    async fn ask_all(&mut self, now: Timestamp) -> Result<(), Error> {
        let Self { deps, budget, .. } = *self;
        let wanted = self.wanting(Source::Osv, now);
        let said = self
            .each(wanted, CONCURRENCY, async |id| osv::SOURCE.ask(&deps.mode, &deps.store, id, budget).await)
            .await?;
        let mut same: BTreeMap<VulnerabilityId, Vec<(VulnerabilityId, SourceRecord)>> = BTreeMap::new();
        for (id, said) in said {
            if let Said::Record(facts) = &said {
                for cve in facts.aliases.iter().filter(|alias| alias.kind() == Kind::Cve).take(MAX_ALIASES) {
                    same.entry(cve.clone()).or_default().push((id.clone(), (**facts).clone()));
                }
            }
            self.answer(id, Source::Osv, said);
        }
        self.link(same).await?;

        let wanted = self.wanting(Source::Nvd, now);
        for (id, said) in nvd::ask_nvd(&deps.mode, &deps.store, &wanted, budget).await? {
            self.answer(id, Source::Nvd, said);
        }

        let wanted = self.wanting(Source::CveServices, now);
        let said = self
            .each(wanted, CVE_SERVICES_CONCURRENCY, async |id| {
                cve_services::SOURCE.ask(&deps.mode, &deps.store, id, budget).await
            })
            .await?;
        for (id, said) in said {
            self.answer(id, Source::CveServices, said);
        }
        Ok(())
    }

    /// Asks about each id, several at the same time, and leaves out those that the source was not asked about.
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

    /// Adds the facts of advisories to the CVEs that they refer to, and leases these, so that NVD is asked about them.
    async fn link(
        &mut self,
        same: BTreeMap<VulnerabilityId, Vec<(VulnerabilityId, SourceRecord)>>,
    ) -> Result<(), Error> {
        let cves: BTreeSet<VulnerabilityId> = same.keys().cloned().collect();
        self.lease(&cves, true).await?;
        for (cve, advisories) in same {
            let Some(lease) = self.leases.get(&cve) else { continue };
            let known = lease.records.as_ref().and_then(|records| records.sources.get(&Source::Osv)?.facts.clone());
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
                let aliases = names.into_iter().take(SourceRecord::LIST).collect();
                // The CVE stays valid if the advisory was withdrawn.
                let facts = SourceRecord { aliases, status: None, ..facts };
                self.answer(cve, Source::Osv, Said::Record(Box::new(facts)));
            }
        }
        Ok(())
    }

    /// Writes the answers, and ends the leases.
    async fn finish(self) -> Result<(), Error> {
        let Self { deps, budget, leases, mut answers, .. } = self;
        let feeds = last_good_feeds(deps).await?;
        let writes: Vec<(Lease, Vec<Answer>)> = leases
            .into_values()
            .map(|lease| {
                let mut answers = answers.remove(&lease.id).unwrap_or_default();
                answers.extend(feeds.answers(&lease.id));
                (lease, answers)
            })
            .collect();
        stream::iter(writes)
            .map(|(lease, answers)| write_source_records(deps, lease, answers, budget.now()))
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await
    }
}

/// Adds answers to leased source records, writes them and their summary, and ends the lease.
pub(super) async fn write_source_records(
    deps: &Enrichment,
    lease: Lease,
    answers: Vec<Answer>,
    now: Timestamp,
) -> Result<(), Error> {
    let known = lease.records.clone().unwrap_or_else(|| SourceRecords::new(lease.id.clone(), now));
    let records = absorb(known, answers, &deps.lifetimes);
    let summary = VulnerabilitySummary::of(&record(&records), kept_digest(&records), plan::next_fetch(&records));
    if !deps.store.put_source_records(&lease, &records, &summary).await? {
        // Another worker has the lease, and writes its own answers.
        tracing::info!(id = %lease.id, "the lease was lost");
    }
    Ok(())
}

impl Feeds {
    /// Returns the facts of the feeds about a CVE.
    pub(super) fn answers(&self, id: &VulnerabilityId) -> Vec<Answer> {
        if id.kind() != Kind::Cve {
            return Vec::new();
        }
        let answer = |source, feed: &Feed, facts: Option<SourceRecord>| {
            let said = facts.map_or(Said::Absent, |facts| Said::Record(Box::new(facts)));
            Answer { source, at: feed.fetched_at, said }
        };
        let kev = self.kev.as_ref().map(|(feed, catalogue)| answer(Source::Kev, feed, catalogue.facts(id)));
        let epss = self.epss.as_ref().map(|(feed, snapshot)| answer(Source::Epss, feed, snapshot.facts(id)));
        kev.into_iter().chain(epss).collect()
    }
}

/// Returns the last good feeds, from memory or from the bucket.
pub(super) async fn last_good_feeds(deps: &Enrichment) -> Result<Feeds, Error> {
    let mut cache = deps.feeds.0.lock().await;
    let parse_kev = |bytes: &[u8]| {
        let believed = LastGood { entries: 1, date: Timestamp::MIN };
        kev::parse_catalogue(bytes, Some(believed)).map_err(|error| error.to_string())
    };
    cache.kev = last_good_feed(deps, FeedName::Kev, cache.kev.clone(), parse_kev).await?;
    let parse_epss = |bytes: &[u8]| epss::parse_packed(bytes, fetch::MAX_BYTES).map_err(|error| error.to_string());
    cache.epss = last_good_feed(deps, FeedName::Epss, cache.epss.clone(), parse_epss).await?;
    Ok(cache.clone())
}

/// Reads a feed from the bucket unless the `known` one is current; none if it is missing or damaged. The next refresh
/// replaces it.
async fn last_good_feed<T>(
    deps: &Enrichment,
    name: FeedName,
    known: Option<(Feed, Arc<T>)>,
    parse: impl FnOnce(&[u8]) -> Result<T, String>,
) -> Result<Option<(Feed, Arc<T>)>, Error> {
    let newest = deps.store.feed(name).await?;
    if known.as_ref().map(|(feed, _)| feed) == newest.as_ref() {
        return Ok(known);
    }
    let Some(feed) = newest else { return Ok(None) };
    let object = &feed.object;
    let Some(bytes) = deps.objects.feed(object, fetch::MAX_BYTES).await? else {
        tracing::error!(object, "a stored feed is missing");
        return Ok(None);
    };
    let parsed = parse(&bytes).inspect_err(|error| tracing::error!(object, error, "a stored feed is damaged")).ok();
    Ok(parsed.map(|parsed| (feed, Arc::new(parsed))))
}
