//! Where in the fleet a vulnerability is.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;

use super::judge::Judge;
use crate::domain::enrichment::{CveRichment, Dossier};
use crate::domain::image_name::ImageName;
use crate::domain::priority::Priority;
use crate::domain::scan::ScanId;
use crate::domain::sighting::Sighting;
use crate::domain::vulnerability_id::VulnerabilityId;
use crate::enrichment::merge;
use crate::enrichment::prioritize::{self, Reported};
use crate::store::{self, Store};

/// Other names under which images are looked for besides the own one. Most vulnerabilities have one or two.
const MAX_NAMES: usize = 8;
/// Names that are looked for at the same time.
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
    /// Its newest scan that is known here.
    pub scan_id: Option<ScanId>,
    /// Whether its newest scan has the vulnerability.
    pub present: bool,
    /// The packages with it; only those that are there, unless all were wanted.
    pub packages: Vec<Package>,
    /// The time of the oldest scan that has it.
    pub first_seen: Timestamp,
    /// The time of the newest scan that has it.
    pub last_seen: Timestamp,
    /// The most urgent of its packages.
    pub priority: Priority,
}

/// A package that has a vulnerability, or had it.
#[derive(Debug)]
pub struct Package {
    /// What scans say of it.
    pub sighting: Sighting,
    /// Whether the newest scan has it.
    pub present: bool,
}

/// A vulnerability by its id or another name of it; none if no image ever had it. With `all`, images and
/// packages that no longer have it are there, too.
///
/// # Errors
/// Those of the table.
pub async fn locate(
    store: &Store,
    judge: &Judge,
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
    let is_known = dossier.is_some();
    let dossier = dossier.unwrap_or_else(|| Dossier::new(asked.clone(), now));
    let record = merge::record(&dossier);
    let names: BTreeSet<&VulnerabilityId> =
        [asked, &record.id].into_iter().chain(record.aliases.iter().map(|alias| &alias.fact.id)).collect();
    let mut names: Vec<VulnerabilityId> = names.into_iter().cloned().collect();
    // What was asked for must be among those that are looked for.
    names.sort_by_key(|name| (name != asked, *name != record.id));
    names.truncate(MAX_NAMES);

    let found: Vec<Vec<_>> = stream::iter(names.clone())
        .map(|name| async move { store.sightings_of(&name).await })
        .buffered(CONCURRENCY)
        .try_collect()
        .await?;
    if !is_known && found.iter().all(Vec::is_empty) {
        return Ok(None);
    }
    let known = store.known(&names).await?;

    // An image may have it under two names.
    let mut by_image: BTreeMap<ImageName, (Option<ScanId>, Vec<Package>)> = BTreeMap::new();
    for (image, sightings) in found.into_iter().flatten() {
        let (scan_id, packages) = by_image.entry(image).or_default();
        *scan_id = (*scan_id).max(sightings.scan_id);
        let package =
            |sighting: &Sighting| Package { present: sightings.is_there(sighting), sighting: sighting.clone() };
        packages.extend(sightings.sightings.iter().map(package).filter(|package| all || package.present));
    }
    let mut images = Vec::new();
    for (image, (scan_id, mut packages)) in by_image {
        packages.sort_by(|a, b| {
            let key = |it: &Package| (!it.present, it.sighting.pkg_name.clone(), it.sighting.installed_version.clone());
            key(a).cmp(&key(b))
        });
        let exposure = judge.exposures.of(image.as_str());
        let worst = packages.iter().map(|package| {
            let id = package.sighting.vulnerability_id.as_str();
            let facts =
                prioritize::facts(&Reported::sighting(&package.sighting), known.of(id), &known, exposure.clone());
            judge.assess(&facts, now)
        });
        let worst = worst.min_by(|a, b| a.band.cmp(&b.band).then(b.score.total_cmp(&a.score)));
        let seen = packages.iter().map(|package| (package.sighting.first_seen, package.sighting.last_seen));
        let seen = seen.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        let (Some(priority), Some((first_seen, last_seen))) = (worst, seen) else { continue };
        let present = packages.iter().any(|package| package.present);
        images.push(Image { image, scan_id, present, packages, first_seen, last_seen, priority });
    }
    images.sort_by(|a, b| {
        let urgency = (!a.present, a.priority.band).cmp(&(!b.present, b.priority.band));
        urgency.then(b.priority.score.total_cmp(&a.priority.score)).then_with(|| a.image.cmp(&b.image))
    });
    Ok(Some(Located { record, images }))
}
