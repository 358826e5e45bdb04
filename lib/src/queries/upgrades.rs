//! Finds the most urgent upgrades of the fleet: the package, its images, and the number of findings that it clears.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use jiff::civil::Date;
use tokio::time::Instant;

use super::fleet_reader::FleetReader;
use crate::domain::asset::{Asset, AssetKey, LineageKey};
use crate::domain::finding::FindingId;
use crate::domain::fleet::{Scope, generation};
use crate::domain::image_name::spellings;
use crate::domain::occurrence::{AssetOccurrences, Bucket, Details, FirstSeen};
use crate::domain::platform::Platform;
use crate::domain::scan::{Scan, ScanId};
use crate::domain::vulnerabilities::Vulnerabilities;
use crate::domain::vulnerability::id::VulnerabilityId;
use crate::priority::{Band, Inputs, Priority, Reported};
use crate::store;

/// Buckets of occurrences that are read at the same time.
const MAX_CONCURRENT_READS: usize = 8;

/// Selects upgrades.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UpgradeQuery<'a> {
    /// Selects images whose names begin with it; empty for all images.
    pub(crate) image_prefix: &'a str,
    /// Selects packages with a fixed version, or those without one.
    pub(crate) fixable: bool,
    pub(crate) limit: usize,
    /// When reading stops, even if it is not complete.
    pub(crate) deadline: Instant,
}

/// The most urgent upgrades.
#[derive(Debug)]
pub(crate) struct Upgrades {
    pub(crate) upgrades: Vec<Upgrade>,
    /// The number of upgrades without the limit.
    pub(crate) total: usize,
    /// Buckets of occurrences that were not read before the deadline.
    pub(crate) unread_buckets: usize,
    /// Occurrences that were not stored because their asset has too many.
    pub(crate) omitted_occurrences: u64,
}

/// The upgrade of a package, or a package without a fixed version.
#[derive(Debug)]
pub(crate) struct Upgrade {
    pub(crate) package: String,
    /// `debian`, `npm`, …
    pub(crate) kind: Option<String>,
    /// The fixed versions exactly as the reports state them.
    pub(crate) fixed_versions: BTreeSet<String>,
    /// The priority of its most urgent finding.
    pub(crate) worst: Priority,
    /// The vulnerability of that finding.
    pub(crate) worst_id: VulnerabilityId,
    /// Its vulnerabilities, each with the urgency of its most urgent finding.
    pub(crate) vulnerabilities: BTreeMap<VulnerabilityId, Urgency>,
    /// The images, by name, platform and current scan: several images may share a name that identifies none.
    pub(crate) images: BTreeMap<(String, Option<Platform>, ScanId), ImageUpgrade>,
    pub(crate) findings_cleared: u64,
}

/// An upgrade in one image.
#[derive(Debug)]
pub(crate) struct ImageUpgrade {
    /// The first finding of the most urgent occurrence in the image.
    pub(crate) finding_id: FindingId,
    /// The fixed versions of each installed version, exactly as the report states them.
    pub(crate) fixes: BTreeMap<String, BTreeSet<String>>,
    /// The place of the most urgent occurrence.
    place: Place,
}

/// The band of a priority, and its score in ten-thousandths, negated: the smaller, the more urgent.
pub(crate) type Urgency = (Band, i64);

/// The place of an occurrence: the smaller, the sooner. The id makes the order the same each time.
type Place = (Urgency, Option<Date>, VulnerabilityId);

/// Upgrades by kind and name of the package.
type UpgradesByPackage = BTreeMap<(Option<String>, String), Upgrade>;

impl FleetReader {
    /// Finds the most urgent upgrades over the current scans of all images that count.
    ///
    /// Each bucket of occurrences is added up before the next one, so only a few buckets are in memory at a time.
    pub(crate) async fn upgrades(&self, query: UpgradeQuery<'_>, now: Timestamp) -> Result<Upgrades, store::Error> {
        let store = &self.store;
        let mut sum = UpgradeSum { reader: self, query, now, upgrades: BTreeMap::new() };
        let (mut unread_buckets, mut omitted_occurrences) = (usize::from(Bucket::COUNT), 0);
        let members = tokio::time::timeout_at(query.deadline, self.members(query.image_prefix, now));
        let Ok(members) = members.await else {
            return Ok(Upgrades { upgrades: Vec::new(), total: 0, unread_buckets, omitted_occurrences });
        };
        let members = &members?;
        let mut buckets = stream::iter(Bucket::all())
            .map(|bucket| async move {
                let (assets, first_seen) =
                    tokio::try_join!(store.all_occurrences(bucket), store.all_first_seen(bucket))?;
                let counted = assets.into_iter().filter_map(|(key, asset)| Some((key, members.get(&key)?, asset)));
                let counted: Vec<_> = counted.collect();
                let present = |(_, _, asset): &(AssetKey, &Scan, AssetOccurrences)| {
                    let present = asset.occurrences.iter().filter(|occurrence| asset.is_present(occurrence));
                    present.map(|occurrence| occurrence.details.problem.vulnerability_id.clone()).collect::<Vec<_>>()
                };
                let ids: BTreeSet<VulnerabilityId> = counted.iter().flat_map(present).collect();
                let known = store.known(&ids.into_iter().collect::<Vec<_>>()).await?;
                Ok::<_, store::Error>((counted, first_seen, known))
            })
            .buffer_unordered(MAX_CONCURRENT_READS);
        // The answer states how many buckets the deadline left out.
        while let Ok(Some(read)) = tokio::time::timeout_at(query.deadline, buckets.next()).await {
            let (assets, first_seen, known) = read?;
            unread_buckets -= 1;
            for (key, scan, asset) in &assets {
                omitted_occurrences += u64::from(asset.omitted);
                sum.add(scan, asset, first_seen.get(&key.lineage()), &known);
            }
        }
        let mut upgrades: Vec<Upgrade> = sum.upgrades.into_values().collect();
        let total = upgrades.len();
        upgrades.sort_by(|a, b| {
            let by_urgency = urgency(&a.worst).cmp(&urgency(&b.worst));
            let by_cleared = || b.findings_cleared.cmp(&a.findings_cleared);
            by_urgency.then_with(by_cleared).then_with(|| (&a.package, &a.kind).cmp(&(&b.package, &b.kind)))
        });
        upgrades.truncate(query.limit);
        Ok(Upgrades { upgrades, total, unread_buckets, omitted_occurrences })
    }

    /// Reads the current scans of the assets that count.
    async fn members(&self, prefix: &str, now: Timestamp) -> Result<BTreeMap<AssetKey, Scan>, store::Error> {
        /// Scans that are read at a time.
        const SCANS_PER_READ: usize = 1000;
        let Self { store, fleet, .. } = self;
        let mut scans = Vec::new();
        let mut after = None;
        loop {
            let page = store.current_scans(None, after, SCANS_PER_READ).await?;
            after = page.scans.last().map(|scan| (scan.last_seen_at.as_millisecond(), scan.scan_id));
            scans.extend(page.scans);
            if !page.more {
                break;
            }
        }
        // Images that do not count are removed first, so that they hide no other image of their repository.
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
        // The prefix may be that of any spelling of a Docker Hub image.
        let is_named = |name: &str| prefix.is_empty() || spellings(name).iter().any(|name| name.starts_with(prefix));
        let is_wanted = |scan: &Scan| is_named(scan.artifact.familiar_name().as_str());
        let counted = scans.into_iter().filter(is_wanted);
        Ok(counted.map(|scan| (Asset::of(scan.scan_id, &scan.artifact).key(), scan)).collect())
    }
}

/// Adds occurrences to upgrades, in any order.
struct UpgradeSum<'a> {
    reader: &'a FleetReader,
    query: UpgradeQuery<'a>,
    now: Timestamp,
    upgrades: UpgradesByPackage,
}

impl UpgradeSum<'_> {
    fn add(&mut self, scan: &Scan, asset: &AssetOccurrences, first_seen: Option<&FirstSeen>, known: &Vulnerabilities) {
        let Self { reader: FleetReader { priorities, .. }, query, now, upgrades } = self;
        let exposure = priorities.exposures.of(asset.image.as_str());
        for occurrence in asset.occurrences.iter().filter(|occurrence| asset.is_present(occurrence)) {
            let finding = asset.current.and_then(|current| occurrence.finding_of(current));
            let Details { problem, installed_version, fixed_version, findings, .. } = &occurrence.details;
            let first = first_seen.and_then(|times| times.get(problem)).copied().unwrap_or(scan.scan_timestamp);
            let first = first.min(scan.scan_timestamp);
            let reported = Reported::occurrence(&occurrence.details, first, scan.last_seen_at);
            if reported.fixed_version != query.fixable {
                continue;
            }
            let id = &problem.vulnerability_id;
            let inputs = Inputs::of(&reported, known.of(id.as_str()), known, exposure.clone());
            let priority = priorities.assess(&inputs, *now);
            if priority.band == Band::Suppressed {
                continue;
            }
            let urgency = urgency(&priority);
            let upgrade = upgrades
                .entry((problem.kind.clone(), problem.pkg_name.clone()))
                .or_insert_with(|| Upgrade::new(problem.pkg_name.clone(), problem.kind.clone(), id, &priority));
            upgrade.fixed_versions.extend(fixed_version.iter().filter(|_| query.fixable).cloned());
            upgrade.findings_cleared += u64::from(*findings);
            let of_id = upgrade.vulnerabilities.entry(id.clone()).or_insert(urgency);
            *of_id = (*of_id).min(urgency);
            let place: Place = (urgency, priority.due, id.clone());
            if let Some((scan_id, finding_id)) = asset.current.zip(finding) {
                let image = (asset.image.to_string(), asset.platform.clone(), scan_id);
                let found = ImageUpgrade { finding_id, fixes: BTreeMap::new(), place: place.clone() };
                let image = upgrade.images.entry(image).or_insert(found);
                if (&place, finding_id) < (&image.place, image.finding_id) {
                    (image.place, image.finding_id) = (place.clone(), finding_id);
                }
                let fixes = image.fixes.entry(installed_version.clone()).or_default();
                fixes.extend(fixed_version.iter().cloned());
            }
            if place < upgrade.place() {
                (upgrade.worst, upgrade.worst_id) = (priority, id.clone());
            }
        }
    }
}

impl Upgrade {
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

    /// Returns the place of its most urgent finding.
    fn place(&self) -> Place {
        (urgency(&self.worst), self.worst.due, self.worst_id.clone())
    }

    /// Returns the vulnerabilities, the most urgent first.
    pub(crate) fn by_urgency(&self) -> Vec<&VulnerabilityId> {
        let mut ids: Vec<_> = self.vulnerabilities.iter().map(|(id, urgency)| (urgency, id)).collect();
        ids.sort();
        ids.into_iter().map(|(_, id)| id).collect()
    }
}

/// Returns the urgency of a priority. Its score has four decimals.
fn urgency(priority: &Priority) -> Urgency {
    #[expect(clippy::cast_possible_truncation, reason = "a score is at most 100")]
    let score = (priority.score * 10_000.0).round() as i64;
    (priority.band, -score)
}
