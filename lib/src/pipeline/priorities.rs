//! The fleet's top work: which package to upgrade first, in which images, and what that clears.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use jiff::civil::Date;
use tokio::time::Instant;

use super::judge::Judge;
use crate::domain::asset::{Asset, AssetKey, LineageKey};
use crate::domain::finding::FindingId;
use crate::domain::fleet::{Fleet, Scope, generation};
use crate::domain::image_name::spellings;
use crate::domain::occurrence::{AssetOccurrences, Bucket, Details};
use crate::domain::platform::Platform;
use crate::domain::scan::{Scan, ScanId};
use crate::domain::vulnerability::id::VulnerabilityId;
use crate::priority::{Band, Inputs, Priority, Reported};
use crate::store::{self, Store};

/// Buckets that are read at the same time.
const CONCURRENCY: usize = 8;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// Only images whose names begin so; all where it is empty.
    pub image_prefix: &'a str,
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
    /// Parts of the fleet's occurrences that there was no time to read.
    pub unread_buckets: usize,
    /// Occurrences that had no room in their asset's item.
    pub omitted_occurrences: u64,
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
    /// The images, by name, platform and current scan: of names that say nothing there are many.
    pub images: BTreeMap<(String, Option<Platform>, ScanId), InImage>,
    /// How many findings the upgrade clears.
    pub findings_cleared: u64,
}

/// What is to be done in one image.
#[derive(Debug)]
pub struct InImage {
    /// The first finding of the most urgent one there.
    pub finding_id: FindingId,
    /// Of each version of the package that is there, the fixed versions of its findings, exactly as the report has them.
    pub fixes: BTreeMap<String, BTreeSet<String>>,
    /// The place of the most urgent one.
    place: Place,
}

/// The place of an occurrence: smaller is sooner, a day earlier is sooner, and ids make a draw the same each time.
type Place = ((Band, i64), Option<Date>, VulnerabilityId);

/// The current scans of the assets that count.
async fn members(
    store: &Store,
    fleet: &Fleet,
    prefix: &str,
    now: Timestamp,
) -> Result<BTreeMap<AssetKey, Scan>, store::Error> {
    /// Scans that are read at a time.
    const CHUNK: usize = 1000;
    let mut scans = Vec::new();
    let mut after = None;
    loop {
        let page = store.current_scans(None, after, CHUNK).await?;
        after = page.scans.last().map(|scan| (scan.last_seen_at.as_millisecond(), scan.scan_id));
        scans.extend(page.scans);
        if !page.more {
            break;
        }
    }
    // What has left the fleet by its age hides no other.
    scans.retain(|scan| fleet.counts(scan, now));
    if fleet.scope == Scope::NewestPerRepository {
        let mut newest: BTreeMap<LineageKey, (String, Scan)> = BTreeMap::new();
        for scan in scans.drain(..) {
            let (lineage, place) = generation(&scan);
            if newest.get(&lineage).is_none_or(|(known, _)| *known < place) {
                newest.insert(lineage, (place, scan));
            }
        }
        scans.extend(newest.into_values().map(|(_, scan)| scan));
    }
    // Of an image of Docker Hub any spelling may be meant.
    let is_named = |name: &str| prefix.is_empty() || spellings(name).iter().any(|name| name.starts_with(prefix));
    let is_wanted = |scan: &Scan| is_named(scan.artifact.familiar_name().as_str());
    let counted = scans.into_iter().filter(is_wanted);
    Ok(counted.map(|scan| (Asset::of(scan.scan_id, &scan.artifact).key(), scan)).collect())
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
pub async fn top(
    store: &Store,
    judge: &Judge,
    fleet: &Fleet,
    order: Order<'_>,
    now: Timestamp,
) -> Result<Top, store::Error> {
    let mut groups = Groups::new();
    let (mut unread_buckets, mut omitted_occurrences) = (usize::from(Bucket::COUNT), 0);
    let members = tokio::time::timeout_at(order.deadline, members(store, fleet, order.image_prefix, now));
    let Ok(members) = members.await else {
        return Ok(Top { work: Vec::new(), total: 0, unread_buckets, omitted_occurrences });
    };
    let members = &members?;
    let mut buckets = stream::iter(Bucket::all())
        .map(|bucket| async move {
            let (assets, first_seen) = tokio::try_join!(store.all_occurrences(bucket), store.all_first_seen(bucket))?;
            let counted = assets.into_iter().filter_map(|(key, asset)| Some((key, members.get(&key)?, asset)));
            let counted: Vec<_> = counted.collect();
            let there = |(_, _, asset): &(AssetKey, &Scan, AssetOccurrences)| {
                let there = asset.occurrences.iter().filter(|occurrence| asset.is_present(occurrence));
                there.map(|occurrence| occurrence.details.problem.vulnerability_id.clone()).collect::<Vec<_>>()
            };
            let ids: BTreeSet<VulnerabilityId> = counted.iter().flat_map(there).collect();
            let known = store.known(&ids.into_iter().collect::<Vec<_>>()).await?;
            Ok::<_, store::Error>((counted, first_seen, known))
        })
        .buffer_unordered(CONCURRENCY);
    // What the time does not suffice for is counted, never left out in silence.
    while let Ok(Some(read)) = tokio::time::timeout_at(order.deadline, buckets.next()).await {
        let (assets, first_seen, known) = read?;
        unread_buckets -= 1;
        for (key, scan, asset) in &assets {
            omitted_occurrences += u64::from(asset.omitted);
            let exposure = judge.exposures.of(asset.image.as_str());
            let times = first_seen.get(&key.lineage());
            for occurrence in asset.occurrences.iter().filter(|occurrence| asset.is_present(occurrence)) {
                let finding = asset.current.and_then(|current| occurrence.finding_of(current));
                let Details { problem, installed_version, fixed_version, findings, .. } = &occurrence.details;
                let first = times.and_then(|times| times.get(problem)).copied().unwrap_or(scan.scan_timestamp);
                let first = first.min(scan.scan_timestamp);
                let reported = Reported::occurrence(&occurrence.details, first, scan.last_seen_at);
                if reported.fixed_version != order.fixable {
                    continue;
                }
                let id = &problem.vulnerability_id;
                let facts = Inputs::of(&reported, known.of(id.as_str()), &known, exposure.clone());
                let priority = judge.assess(&facts, now);
                if priority.band == Band::Suppressed {
                    continue;
                }
                let rank = rank(&priority);
                let work = groups
                    .entry((problem.kind.clone(), problem.pkg_name.clone()))
                    .or_insert_with(|| Work::new(problem.pkg_name.clone(), problem.kind.clone(), id, &priority));
                work.fixed_versions.extend(fixed_version.iter().filter(|_| order.fixable).cloned());
                work.findings_cleared += u64::from(*findings);
                let of_id = work.vulnerabilities.entry(id.clone()).or_insert(rank);
                *of_id = (*of_id).min(rank);
                // Buckets come in any order.
                let place: Place = (rank, priority.due, id.clone());
                if let Some((scan_id, finding_id)) = asset.current.zip(finding) {
                    let image = (asset.image.to_string(), asset.platform.clone(), scan_id);
                    let found = InImage { finding_id, fixes: BTreeMap::new(), place: place.clone() };
                    let image = work.images.entry(image).or_insert(found);
                    if (&place, finding_id) < (&image.place, image.finding_id) {
                        (image.place, image.finding_id) = (place.clone(), finding_id);
                    }
                    let fixes = image.fixes.entry(installed_version.clone()).or_default();
                    fixes.extend(fixed_version.iter().cloned());
                }
                if place < (self::rank(&work.worst), work.worst.due, work.worst_id.clone()) {
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
    Ok(Top { work, total, unread_buckets, omitted_occurrences })
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
            images: BTreeMap::new(),
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
