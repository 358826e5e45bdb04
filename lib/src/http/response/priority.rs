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
    /// False if there was too little time or memory to read the whole fleet.
    complete: bool,
    unread_buckets: usize,
    omitted_occurrences: u64,
    total: usize,
    priorities: Vec<UpgradeItem<'a>>,
}

impl<'a> From<&'a upgrades::Upgrades> for UpgradeList<'a> {
    fn from(found: &'a upgrades::Upgrades) -> Self {
        Self {
            complete: found.unread_buckets == 0 && found.omitted_occurrences == 0,
            unread_buckets: found.unread_buckets,
            omitted_occurrences: found.omitted_occurrences,
            total: found.total,
            priorities: found.upgrades.iter().map(UpgradeItem::from).collect(),
        }
    }
}

/// The limits of one upgrade in an answer.
const MAX_VERSIONS: usize = 20;
const MAX_VULNERABILITIES: usize = 20;
const MAX_IMAGES: usize = 50;

#[derive(Debug, Serialize)]
struct UpgradeItem<'a> {
    package: &'a str,
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    fixed_versions: Vec<&'a str>,
    total_fixed_versions: usize,
    #[serde(flatten)]
    worst: &'a Priority,
    /// The vulnerability that `worst` is about.
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
            upgrades: upgrades.take(MAX_VERSIONS).collect(),
            total_upgrades: image.fixes.len(),
        }
    }
}

impl<'a> From<&'a upgrades::Upgrade> for UpgradeItem<'a> {
    fn from(upgrade: &'a upgrades::Upgrade) -> Self {
        let names: BTreeSet<&str> = upgrade.images.keys().map(|(name, ..)| name.as_str()).collect();
        let kind = upgrade.kind.as_deref();
        let affected = upgrade.images.iter().map(|(key, image)| AffectedImage::new(kind, key, image));
        Self {
            package: &upgrade.package,
            kind,
            fixed_versions: upgrade.fixed_versions.iter().take(MAX_VERSIONS).map(String::as_str).collect(),
            total_fixed_versions: upgrade.fixed_versions.len(),
            worst: &upgrade.worst,
            worst_vulnerability: &upgrade.worst_id,
            vulnerabilities: upgrade.by_urgency().into_iter().take(MAX_VULNERABILITIES).collect(),
            total_vulnerabilities: upgrade.vulnerabilities.len(),
            images: names.into_iter().take(MAX_IMAGES).collect(),
            affected_images: affected.take(MAX_IMAGES).collect(),
            total_images: upgrade.images.len(),
            findings_cleared: upgrade.findings_cleared,
        }
    }
}
