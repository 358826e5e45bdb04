//! What the world says of vulnerabilities, fetched once for the whole fleet.
//!
//! ```text
//! {"scan_id"} ──▶ see `catalogue` ──▶ {"ids"} for those unknown or stale
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
use tokio::sync::Mutex;

use crate::domain::feed::{Feed, FeedName};
use crate::domain::vulnerability::id::{Kind, VulnerabilityId};
use crate::domain::vulnerability::{Source, SourceRecord, SourceRecords, VulnerabilitySummary};
use crate::enrichment::freshness::Lifetimes;
use crate::enrichment::merge::{Answer, Said, absorb, kept_digest, record};
use crate::enrichment::{epss, kev, plan};
use crate::objects::{self, Objects};
use crate::queue::{self, Queue};
use crate::sources::fetch::{self, Budget};
use crate::sources::{Mode, cve_services, nvd, osv};
use crate::store::claims::Holder;
use crate::store::enrichments::Lease;
use crate::store::{self, Store};

/// OSV and the table are asked about so many ids at once.
pub(super) const CONCURRENCY: usize = 8;
/// CVE Services about so many.
const CVE_SERVICES: usize = 2;
/// CVEs of one advisory that are fetched with it.
const ALIASES: usize = 8;

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
    /// A scan was gone on with more often than the largest one needs.
    #[error("the scan was gone on with {0} times and is not done")]
    Endless(u32),
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
            Self::Poison(_) | Self::Endless(_) => false,
            Self::Busy | Self::Random(_) => true,
        }
    }
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
    fn dossier(&self, id: &VulnerabilityId) -> Option<SourceRecords> {
        let lease = self.leases.get(id)?;
        let known = lease.dossier.clone().unwrap_or_else(|| SourceRecords::new(id.clone(), self.budget.now()));
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
        let mut same: BTreeMap<VulnerabilityId, Vec<(VulnerabilityId, SourceRecord)>> = BTreeMap::new();
        for (id, said) in said {
            if let Said::Record(facts) = &said {
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
    async fn link(
        &mut self,
        same: BTreeMap<VulnerabilityId, Vec<(VulnerabilityId, SourceRecord)>>,
    ) -> Result<(), Error> {
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
                let aliases = names.into_iter().take(SourceRecord::LIST).collect();
                // An advisory that was withdrawn does not take the CVE back.
                let facts = SourceRecord { aliases, status: None, ..facts };
                self.answer(cve, Source::Osv, Said::Record(Box::new(facts)));
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
    let known = lease.dossier.clone().unwrap_or_else(|| SourceRecords::new(lease.id.clone(), now));
    let dossier = absorb(known, answers, &deps.lifetimes);
    let signals = VulnerabilitySummary::of(&record(&dossier), kept_digest(&dossier), plan::next_fetch(&dossier));
    if !deps.store.put_dossier(&lease, &dossier, &signals).await? {
        // Another has taken over, and writes what it finds.
        tracing::info!(id = %lease.id, "the lease was lost");
    }
    Ok(())
}

impl Feeds {
    /// What the last good feeds say of a CVE, as of when they were fetched.
    pub(super) fn answers(&self, id: &VulnerabilityId) -> Vec<Answer> {
        let said = |facts: Option<SourceRecord>| facts.map_or(Said::Absent, |facts| Said::Record(Box::new(facts)));
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
