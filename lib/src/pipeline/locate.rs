//! Where in the fleet a vulnerability is.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;

use super::judge::Judge;
use crate::domain::asset::{Asset, AssetKey, LineageKey};
use crate::domain::finding::FindingId;
use crate::domain::fleet::{Fleet, Scope};
use crate::domain::image_name::ImageName;
use crate::domain::occurrence::{AssetOccurrences, Bucket, Details, FirstSeen, Span};
use crate::domain::platform::Platform;
use crate::domain::scan::{Scan, ScanId};
use crate::domain::vulnerabilities::Vulnerabilities;
use crate::domain::vulnerability::id::VulnerabilityId;
use crate::domain::vulnerability::{CveRichment, SourceRecords};
use crate::enrichment::merge;
use crate::priority::{Inputs, Priority, Reported};
use crate::store::{self, Store};

/// Other names under which images are looked for besides the own one. Most vulnerabilities have one or two.
const MAX_NAMES: usize = 8;
/// Names, and repositories, that are looked for at the same time.
const CONCURRENCY: usize = 4;

/// A vulnerability, and the images that have it.
#[derive(Debug)]
pub struct Located {
    /// What is known of it.
    pub record: CveRichment,
    /// The images, the most urgent first.
    pub images: Vec<Image>,
}

/// An image that has a vulnerability, or had it.
#[derive(Debug)]
pub struct Image {
    /// Its name.
    pub image: ImageName,
    /// What it runs on.
    pub platform: Option<Platform>,
    /// Its current scan.
    pub scan_id: Option<ScanId>,
    /// Whether it counts, and its current scan has the vulnerability.
    pub present: bool,
    /// It is retired.
    pub retired: bool,
    /// The packages with it; only those that are there, unless all were wanted.
    pub packages: Vec<Package>,
    /// When the first of these problems was first seen in the image's repository on this platform.
    pub first_seen: Timestamp,
    /// When the last of them was last seen in the image.
    pub last_seen: Timestamp,
    /// The first finding of the most urgent of its packages.
    pub finding_id: FindingId,
    /// The most urgent of its packages.
    pub priority: Priority,
}

/// A package that has a vulnerability, or had it.
#[derive(Debug)]
pub struct Package {
    /// What the newest scan that has it states.
    pub details: Details,
    /// That scan's first finding of it.
    pub finding_id: FindingId,
    /// Whether the current scan has it.
    pub present: bool,
    /// When it was seen: first in the repository, last in the image.
    pub span: Span,
}

/// What is needed to know which occurrences count.
struct Members {
    /// The scans that occurrences call current, as far as they are still there.
    scans: BTreeMap<ScanId, Scan>,
    /// Where only the newest image of a repository counts: that one.
    newest: BTreeMap<LineageKey, AssetKey>,
    first_seen: BTreeMap<LineageKey, FirstSeen>,
}

/// A vulnerability by its id or another name of it; none if no stored scan has it. With `all`, images and
/// packages that no longer have it are there, too.
///
/// # Errors
/// Those of the table.
pub async fn locate(
    store: &Store,
    judge: &Judge,
    fleet: &Fleet,
    asked: &VulnerabilityId,
    all: bool,
    now: Timestamp,
) -> Result<Option<Located>, store::Error> {
    let dossier = match store.dossier(asked).await? {
        Some(dossier) => Some(dossier),
        None => match store.stands_for(asked).await? {
            Some(id) => store.dossier(&id).await?,
            None => None,
        },
    };
    let dossier = dossier.unwrap_or_else(|| SourceRecords::new(asked.clone(), now));
    let record = merge::record(&dossier);
    let names: BTreeSet<&VulnerabilityId> =
        [asked, &record.id].into_iter().chain(record.aliases.iter().map(|alias| &alias.fact.id)).collect();
    let mut names: Vec<VulnerabilityId> = names.into_iter().cloned().collect();
    // What was asked for must be among those that are looked for.
    names.sort_by_key(|name| (name != asked, *name != record.id));
    names.truncate(MAX_NAMES);

    let found: Vec<Vec<_>> = stream::iter(names.clone())
        .map(|name| async move { store.occurrences_of(&name).await })
        .buffered(CONCURRENCY)
        .try_collect()
        .await?;
    // What is known of it outlives the last scan that had it.
    if found.iter().all(Vec::is_empty) {
        return Ok(None);
    }
    let known = store.known(&names).await?;
    // An image may have it under two names.
    let mut by_asset: BTreeMap<AssetKey, Vec<AssetOccurrences>> = BTreeMap::new();
    for (key, occurrences) in found.into_iter().flatten() {
        by_asset.entry(key).or_default().push(occurrences);
    }
    let members = members(store, fleet, &names, &by_asset, now).await?;
    let shown = by_asset
        .iter()
        .filter_map(|(key, occurrences)| image(key, occurrences, &members, (judge, fleet, &known), all, now));
    let mut images: Vec<Image> = shown.collect();
    images.sort_by(|a, b| {
        let urgency = (!a.present, a.priority.band).cmp(&(!b.present, b.priority.band));
        let name = |it: &Image| (it.image.clone(), it.platform.clone(), it.scan_id);
        urgency.then(b.priority.score.total_cmp(&a.priority.score)).then_with(|| name(a).cmp(&name(b)))
    });
    Ok(Some(Located { record, images }))
}

async fn members(
    store: &Store,
    fleet: &Fleet,
    names: &[VulnerabilityId],
    by_asset: &BTreeMap<AssetKey, Vec<AssetOccurrences>>,
    now: Timestamp,
) -> Result<Members, store::Error> {
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
            .buffered(CONCURRENCY)
            .try_collect()
            .await?;
        let keys = found.iter().flatten().map(|scan| Asset::of(scan.scan_id, &scan.artifact).key());
        newest = keys.map(|key| (key.lineage(), key)).collect();
    }
    Ok(Members { scans, newest, first_seen })
}

/// An asset as it is shown; none if it is not to be shown.
fn image(
    key: &AssetKey,
    occurrences: &[AssetOccurrences],
    members: &Members,
    (judge, fleet, known): (&Judge, &Fleet, &Vulnerabilities),
    all: bool,
    now: Timestamp,
) -> Option<Image> {
    let first = occurrences.first()?;
    let scan = first.current.and_then(|current| members.scans.get(&current));
    let is_newest = members.newest.get(&key.lineage()).is_none_or(|newest| newest == key);
    let counts = is_newest && scan.is_some_and(|scan| fleet.counts(scan, now));
    let times = members.first_seen.get(&key.lineage());
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
    let exposure = judge.exposures.of(first.image.as_str());
    let worst = packages.iter().map(|package| {
        let id = package.details.problem.vulnerability_id.as_str();
        let reported = Reported::occurrence(&package.details, package.span.from, package.span.to);
        let facts = Inputs::of(&reported, known.of(id), known, exposure.clone());
        (judge.assess(&facts, now), package.finding_id)
    });
    let (priority, finding_id) =
        worst.min_by(|(a, _), (b, _)| a.band.cmp(&b.band).then(b.score.total_cmp(&a.score)))?;
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
