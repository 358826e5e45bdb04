//! Finds the images that have a vulnerability.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;

use super::fleet_reader::FleetReader;
use crate::domain::asset::{Asset, AssetKey, LineageKey};
use crate::domain::finding::FindingId;
use crate::domain::fleet::Scope;
use crate::domain::image_name::ImageName;
use crate::domain::occurrence::{AssetOccurrences, Bucket, Details, FirstSeen, Span};
use crate::domain::platform::Platform;
use crate::domain::scan::{Scan, ScanId};
use crate::domain::vulnerabilities::Vulnerabilities;
use crate::domain::vulnerability::id::VulnerabilityId;
use crate::domain::vulnerability::{CveRichment, SourceRecords};
use crate::enrichment::merge;
use crate::priority::{Inputs, Priority, Reported};
use crate::store;

/// The most names of a vulnerability under which images are searched; most have one or two.
const MAX_NAMES: usize = 8;
/// Names, and repositories, that are read at the same time.
const MAX_CONCURRENT_READS: usize = 4;

/// A vulnerability, and the images that have it.
#[derive(Debug)]
pub(crate) struct AffectedImages {
    pub(crate) record: CveRichment,
    /// The images, the most urgent first.
    pub(crate) images: Vec<Image>,
}

/// An image that has a vulnerability, or had it.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) image: ImageName,
    /// None if its reports state no platform.
    pub(crate) platform: Option<Platform>,
    pub(crate) scan_id: Option<ScanId>,
    /// Whether it counts in the fleet and its current scan has the vulnerability.
    pub(crate) present: bool,
    pub(crate) retired: bool,
    /// The packages that have the vulnerability, and on request those that had it.
    pub(crate) packages: Vec<Package>,
    /// When any of these vulnerabilities was first seen in the image's repository on this platform.
    pub(crate) first_seen: Timestamp,
    /// When any of them was last seen in the image.
    pub(crate) last_seen: Timestamp,
    /// The first finding of its most urgent package.
    pub(crate) finding_id: FindingId,
    /// The priority of its most urgent package.
    pub(crate) priority: Priority,
}

/// A package that has a vulnerability, or had it.
#[derive(Debug)]
pub(crate) struct Package {
    /// The details in the newest scan that has it.
    pub(crate) details: Details,
    /// The first finding of it in that scan.
    pub(crate) finding_id: FindingId,
    /// Whether the current scan has it.
    pub(crate) present: bool,
    /// When it was first seen in the repository, and last seen in the image.
    pub(crate) span: Span,
}

/// The current scans and the newest images, which decide whether an occurrence counts.
struct Membership {
    /// The stored current scans of the images.
    scans: BTreeMap<ScanId, Scan>,
    /// The image that counts of each repository, where only the newest one does.
    newest: BTreeMap<LineageKey, AssetKey>,
    first_seen: BTreeMap<LineageKey, FirstSeen>,
}

impl FleetReader {
    /// Finds the images that have a vulnerability, by its id or an alias; none if no stored scan has it. `all` includes images
    /// and packages that had it in the past.
    pub(crate) async fn affected_images(
        &self,
        asked: &VulnerabilityId,
        all: bool,
        now: Timestamp,
    ) -> Result<Option<AffectedImages>, store::Error> {
        let store = &self.store;
        let records = match store.source_records(asked).await? {
            Some(records) => Some(records),
            None => match store.stands_for(asked).await? {
                Some(id) => store.source_records(&id).await?,
                None => None,
            },
        };
        let records = records.unwrap_or_else(|| SourceRecords::new(asked.clone(), now));
        let record = merge::record(&records);
        let names: BTreeSet<&VulnerabilityId> =
            [asked, &record.id].into_iter().chain(record.aliases.iter().map(|alias| &alias.fact.id)).collect();
        let mut names: Vec<VulnerabilityId> = names.into_iter().cloned().collect();
        // The limit must not cut off the name that was asked for.
        names.sort_by_key(|name| (name != asked, *name != record.id));
        names.truncate(MAX_NAMES);

        let found: Vec<Vec<_>> = stream::iter(names.clone())
            .map(|name| async move { store.occurrences_of(&name).await })
            .buffered(MAX_CONCURRENT_READS)
            .try_collect()
            .await?;
        // A record can outlive the last scan that had the vulnerability.
        if found.iter().all(Vec::is_empty) {
            return Ok(None);
        }
        let known = store.known(&names).await?;
        // An image may have the vulnerability under two names.
        let mut by_asset: BTreeMap<AssetKey, Vec<AssetOccurrences>> = BTreeMap::new();
        for (key, occurrences) in found.into_iter().flatten() {
            by_asset.entry(key).or_default().push(occurrences);
        }
        let membership = self.membership(&names, &by_asset, now).await?;
        let view = ImageView { reader: self, membership: &membership, known: &known, all, now };
        let mut images: Vec<Image> =
            by_asset.iter().filter_map(|(key, occurrences)| view.image(key, occurrences)).collect();
        images.sort_by(|a, b| {
            let urgency = (!a.present, a.priority.band).cmp(&(!b.present, b.priority.band));
            let name = |it: &Image| (it.image.clone(), it.platform.clone(), it.scan_id);
            urgency.then(b.priority.score.total_cmp(&a.priority.score)).then_with(|| name(a).cmp(&name(b)))
        });
        Ok(Some(AffectedImages { record, images }))
    }

    async fn membership(
        &self,
        names: &[VulnerabilityId],
        by_asset: &BTreeMap<AssetKey, Vec<AssetOccurrences>>,
        now: Timestamp,
    ) -> Result<Membership, store::Error> {
        let Self { store, fleet, .. } = self;
        let current = by_asset.values().flatten().filter_map(|occurrences| occurrences.current).collect();
        let scans = store.scans_by_id(current).await?.into_iter().map(|scan| (scan.scan_id, scan)).collect();
        let lineages: BTreeSet<LineageKey> = by_asset.keys().map(AssetKey::lineage).collect();
        let buckets: BTreeSet<Bucket> = names.iter().map(Bucket::of).collect();
        let mut wanted = Vec::new();
        for lineage in &lineages {
            wanted.extend(buckets.iter().map(|bucket| (*bucket, *lineage)));
        }
        let first_seen = store.first_seen(wanted).await?;
        let mut newest = BTreeMap::new();
        if fleet.scope == Scope::NewestPerRepository {
            let found: Vec<Option<Scan>> = stream::iter(lineages)
                .map(|lineage| store.newest_of_repository(lineage, |scan| fleet.counts(scan, now)))
                .buffered(MAX_CONCURRENT_READS)
                .try_collect()
                .await?;
            let keys = found.iter().flatten().map(|scan| Asset::of(scan.scan_id, &scan.artifact).key());
            newest = keys.map(|key| (key.lineage(), key)).collect();
        }
        Ok(Membership { scans, newest, first_seen })
    }
}

/// Builds images from their occurrences.
struct ImageView<'a> {
    reader: &'a FleetReader,
    membership: &'a Membership,
    known: &'a Vulnerabilities,
    all: bool,
    now: Timestamp,
}

impl ImageView<'_> {
    /// Builds an image; none if no package of it is to be shown.
    fn image(&self, key: &AssetKey, occurrences: &[AssetOccurrences]) -> Option<Image> {
        let Self { reader: FleetReader { priorities, fleet, .. }, membership, known, all, now } = *self;
        let first = occurrences.first()?;
        let scan = first.current.and_then(|current| membership.scans.get(&current));
        let is_newest = membership.newest.get(&key.lineage()).is_none_or(|newest| newest == key);
        let counts = is_newest && scan.is_some_and(|scan| fleet.counts(scan, now));
        let times = membership.first_seen.get(&key.lineage());
        let mut packages = Vec::new();
        for seen in occurrences.iter().flat_map(AssetOccurrences::seen_all) {
            let present = counts && seen.present;
            let first = times.and_then(|times| times.get(&seen.details.problem)).copied();
            let last = scan.filter(|_| seen.present).map_or(seen.span.to, |scan| scan.last_seen_at);
            let span = Span { from: first.map_or(seen.span.from, |first| first.min(seen.span.from)), to: last };
            if all || present {
                packages.push(Package { details: seen.details.clone(), finding_id: seen.finding_id, present, span });
            }
        }
        packages.sort_by(|a, b| (!a.present, &a.details).cmp(&(!b.present, &b.details)));
        let exposure = priorities.exposures.of(first.image.as_str());
        let assessed = packages.iter().map(|package| {
            let id = package.details.problem.vulnerability_id.as_str();
            let reported = Reported::occurrence(&package.details, package.span.from, package.span.to);
            let inputs = Inputs::of(&reported, known.of(id), known, exposure.clone());
            (priorities.assess(&inputs, now), package.finding_id)
        });
        let (priority, finding_id) =
            assessed.min_by(|(a, _), (b, _)| a.band.cmp(&b.band).then(b.score.total_cmp(&a.score)))?;
        Some(Image {
            image: first.image.clone(),
            platform: first.platform.clone(),
            scan_id: scan.map(|scan| scan.scan_id),
            present: packages.iter().any(|package| package.present),
            retired: scan.is_some_and(|scan| scan.retired),
            first_seen: packages.iter().map(|package| package.span.from).min()?,
            last_seen: packages.iter().map(|package| package.span.to).max()?,
            packages,
            finding_id,
            priority,
        })
    }
}
