//! Shows the most urgent upgrades of the fleet.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::domain::finding::FindingId;
use crate::domain::platform::Platform;
use crate::domain::remediation::{Stated, smallest_upgrade};
use crate::domain::scan::ScanId;
use crate::domain::vulnerability::id::VulnerabilityId;
use crate::priority::Priority;
use crate::queries::upgrades::{self, ImageUpgrade};

/// The most urgent upgrades, as docs/API.md describes them.
#[derive(Debug, Serialize)]
pub(in crate::http) struct UpgradeList<'a> {
    /// False if the time or the memory was too short to read the whole fleet.
    complete: bool,
    unread_buckets: usize,
    omitted_occurrences: u64,
    total: usize,
    priorities: Vec<UpgradeItem<'a>>,
}

impl<'a> From<&'a upgrades::Upgrades> for UpgradeList<'a> {
    fn from(top: &'a upgrades::Upgrades) -> Self {
        Self {
            complete: top.unread_buckets == 0 && top.omitted_occurrences == 0,
            unread_buckets: top.unread_buckets,
            omitted_occurrences: top.omitted_occurrences,
            total: top.total,
            priorities: top.upgrades.iter().map(UpgradeItem::from).collect(),
        }
    }
}

/// The most versions, vulnerabilities and images of one upgrade in an answer.
const MOST_VERSIONS: usize = 20;
const MOST_VULNERABILITIES: usize = 20;
const MOST_IMAGES: usize = 50;

#[derive(Debug, Serialize)]
struct UpgradeItem<'a> {
    package: &'a str,
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    fixed_versions: Vec<&'a str>,
    total_fixed_versions: usize,
    #[serde(flatten)]
    worst: &'a Priority,
    /// The vulnerability of band, score, due and why.
    worst_vulnerability: &'a VulnerabilityId,
    vulnerabilities: Vec<&'a VulnerabilityId>,
    total_vulnerabilities: usize,
    /// The names of the images, each once.
    images: Vec<&'a str>,
    affected_images: Vec<AffectedImage<'a>>,
    /// The number of images; one on two platforms counts twice.
    total_images: usize,
    findings_cleared: u64,
}

/// An image that needs the upgrade.
#[derive(Debug, Serialize)]
struct AffectedImage<'a> {
    image_name: &'a str,
    platform: Option<&'a str>,
    scan_id: ScanId,
    /// The most urgent finding in the image.
    finding_id: FindingId,
    upgrades: Vec<Upgrade<'a>>,
    total_upgrades: usize,
}

/// An installed version and the version that replaces it.
#[derive(Debug, Serialize)]
struct Upgrade<'a> {
    installed_version: &'a str,
    /// The smallest version that fixes all of its findings; null where the versions cannot be compared.
    upgrade_to: Option<&'a str>,
}

impl<'a> Upgrade<'a> {
    fn new(kind: Option<&'a str>, installed_version: &'a str, fixes: &'a BTreeSet<String>) -> Self {
        let stated =
            |fixed: &'a String| Stated { kind, installed_version, fixed_version: Some(fixed), ..Stated::default() };
        let stated: Vec<Stated<'a>> = fixes.iter().map(stated).collect();
        Self { installed_version, upgrade_to: smallest_upgrade(&stated).ok() }
    }
}

impl<'a> AffectedImage<'a> {
    fn new(
        kind: Option<&'a str>,
        (name, platform, scan_id): &'a (String, Option<Platform>, ScanId),
        image: &'a ImageUpgrade,
    ) -> Self {
        let upgrades = image.fixes.iter().map(|(installed, fixes)| Upgrade::new(kind, installed, fixes));
        Self {
            image_name: name,
            platform: platform.as_ref().map(Platform::as_str),
            scan_id: *scan_id,
            finding_id: image.finding_id,
            upgrades: upgrades.take(MOST_VERSIONS).collect(),
            total_upgrades: image.fixes.len(),
        }
    }
}

impl<'a> From<&'a upgrades::Upgrade> for UpgradeItem<'a> {
    fn from(work: &'a upgrades::Upgrade) -> Self {
        let names: BTreeSet<&str> = work.images.keys().map(|(name, ..)| name.as_str()).collect();
        let kind = work.kind.as_deref();
        let affected = work.images.iter().map(|(key, image)| AffectedImage::new(kind, key, image));
        Self {
            package: &work.package,
            kind,
            fixed_versions: work.fixed_versions.iter().take(MOST_VERSIONS).map(String::as_str).collect(),
            total_fixed_versions: work.fixed_versions.len(),
            worst: &work.worst,
            worst_vulnerability: &work.worst_id,
            vulnerabilities: work.by_urgency().into_iter().take(MOST_VULNERABILITIES).collect(),
            total_vulnerabilities: work.vulnerabilities.len(),
            images: names.into_iter().take(MOST_IMAGES).collect(),
            affected_images: affected.take(MOST_IMAGES).collect(),
            total_images: work.images.len(),
            findings_cleared: work.findings_cleared,
        }
    }
}
