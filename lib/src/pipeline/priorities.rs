//! The fleet's top work: which package to upgrade first, in which images, and what that clears.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use tokio::time::Instant;

use super::judge::Judge;
use crate::domain::priority::{Band, Priority};
use crate::domain::sighting::{Bucket, ImageSightings};
use crate::domain::vulnerability_id::VulnerabilityId;
use crate::enrichment::prioritize::{self, Reported};
use crate::store::{self, Store};

/// Buckets that are read at the same time.
const CONCURRENCY: usize = 8;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    /// Packages with a fixed version, or those without.
    pub fixable: bool,
    /// How many at most.
    pub limit: usize,
    /// When to stop reading at the latest.
    pub deadline: Instant,
}

/// The top of the list.
#[derive(Debug)]
pub struct Top {
    /// The first is to be done first.
    pub work: Vec<Work>,
    /// How many there are in all.
    pub total: usize,
    /// Parts of the fleet's sightings that there was no time to read.
    pub unread_buckets: usize,
    /// Sightings that had no room in their image's item.
    pub omitted_sightings: u64,
}

/// An upgrade, or, without a fixed version, a package to deal with otherwise.
#[derive(Debug)]
pub struct Work {
    /// The package.
    pub package: String,
    /// `debian`, `npm`, …
    pub kind: Option<String>,
    /// Exactly as the reports have them.
    pub fixed_versions: BTreeSet<String>,
    /// The most urgent of its findings.
    pub worst: Priority,
    /// Which vulnerability that is.
    pub worst_id: VulnerabilityId,
    /// The vulnerabilities, and the most urgent priority of each: band, and score in ten-thousandths, negated.
    pub vulnerabilities: BTreeMap<VulnerabilityId, (Band, i64)>,
    /// The images.
    pub images: BTreeSet<String>,
    /// How many findings the upgrade clears.
    pub findings_cleared: u64,
}

/// The same kind of package of the same name: what one upgrade is about.
type Groups = BTreeMap<(Option<String>, String), Work>;

/// What is most urgent over all images, of their newest scans.
///
/// All vulnerabilities of a bucket are read, judged and added up before the next: no more than a few buckets
/// are ever in memory.
///
/// # Errors
/// Those of the table.
pub async fn top(store: &Store, judge: &Judge, order: Order, now: Timestamp) -> Result<Top, store::Error> {
    let mut groups = Groups::new();
    let (mut unread_buckets, mut omitted_sightings) = (usize::from(Bucket::COUNT), 0);
    let mut buckets = stream::iter(Bucket::all())
        .map(|bucket| async move {
            let images = store.all_sightings(bucket).await?;
            let there = |image: &ImageSightings| {
                let there = image.sightings.iter().filter(|sighting| image.is_there(sighting));
                there.map(|sighting| sighting.vulnerability_id.clone()).collect::<Vec<_>>()
            };
            let ids: BTreeSet<VulnerabilityId> = images.iter().flat_map(there).collect();
            let known = store.known(&ids.into_iter().collect::<Vec<_>>()).await?;
            Ok::<_, store::Error>((images, known))
        })
        .buffer_unordered(CONCURRENCY);
    // What the time does not suffice for is told, never left out in silence.
    while let Ok(Some(read)) = tokio::time::timeout_at(order.deadline, buckets.next()).await {
        let (images, known) = read?;
        unread_buckets -= 1;
        for image in &images {
            omitted_sightings += u64::from(image.omitted);
            let exposure = judge.exposures.of(image.image.as_str());
            for sighting in image.sightings.iter().filter(|sighting| image.is_there(sighting)) {
                let reported = Reported::sighting(sighting);
                if reported.fixed_version != order.fixable {
                    continue;
                }
                let id = &sighting.vulnerability_id;
                let facts = prioritize::facts(&reported, known.of(id.as_str()), &known, exposure.clone());
                let priority = judge.assess(&facts, now);
                if priority.band == Band::Suppressed {
                    continue;
                }
                let rank = rank(&priority);
                let work = groups
                    .entry((sighting.kind.clone(), sighting.pkg_name.clone()))
                    .or_insert_with(|| Work::new(sighting.pkg_name.clone(), sighting.kind.clone(), id, &priority));
                work.fixed_versions.extend(sighting.fixed_version.iter().filter(|_| order.fixable).cloned());
                work.images.insert(image.image.to_string());
                work.findings_cleared += u64::from(sighting.findings);
                let of_id = work.vulnerabilities.entry(id.clone()).or_insert(rank);
                *of_id = (*of_id).min(rank);
                // Buckets come in any order; ids make a draw the same each time, and a day earlier is sooner.
                let key = |rank, due, id: &VulnerabilityId| (rank, due, id.clone());
                let found = key(rank, priority.due, id);
                if found < key(self::rank(&work.worst), work.worst.due, &work.worst_id) {
                    (work.worst, work.worst_id) = (priority, id.clone());
                }
            }
        }
    }
    let mut work: Vec<Work> = groups.into_values().collect();
    let total = work.len();
    work.sort_by(|a, b| {
        let urgency = rank(&a.worst).cmp(&rank(&b.worst));
        let cleared = || b.findings_cleared.cmp(&a.findings_cleared);
        urgency.then_with(cleared).then_with(|| (&a.package, &a.kind).cmp(&(&b.package, &b.kind)))
    });
    work.truncate(order.limit);
    Ok(Top { work, total, unread_buckets, omitted_sightings })
}

impl Work {
    fn new(package: String, kind: Option<String>, id: &VulnerabilityId, worst: &Priority) -> Self {
        Self {
            package,
            kind,
            fixed_versions: BTreeSet::new(),
            worst: worst.clone(),
            worst_id: id.clone(),
            vulnerabilities: BTreeMap::new(),
            images: BTreeSet::new(),
            findings_cleared: 0,
        }
    }

    /// The vulnerabilities, the most urgent first.
    #[must_use]
    pub fn by_urgency(&self) -> Vec<&VulnerabilityId> {
        let mut ids: Vec<_> = self.vulnerabilities.iter().map(|(id, rank)| (rank, id)).collect();
        ids.sort();
        ids.into_iter().map(|(_, id)| id).collect()
    }
}

/// The place of a priority: smaller is sooner. Its score has four decimals.
fn rank(priority: &Priority) -> (Band, i64) {
    // 0 to 100: the cast cannot truncate.
    #[expect(clippy::cast_possible_truncation, reason = "at most a million")]
    let score = (priority.score * 10_000.0).round() as i64;
    (priority.band, -score)
}
