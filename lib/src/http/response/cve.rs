//! Shows a vulnerability with the images that have it.

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::finding::FindingId;
use crate::domain::instant;
use crate::domain::occurrence::Details;
use crate::domain::platform::Platform;
use crate::domain::scan::ScanId;
use crate::domain::severity::Severity;
use crate::domain::vulnerability::CveRichment;
use crate::domain::vulnerability::id::VulnerabilityId;
use crate::priority::Priority;
use crate::queries::affected_images;

/// A vulnerability with its images, as docs/API.md describes it.
#[derive(Debug, Serialize)]
pub(in crate::http) struct AffectedImages<'a> {
    #[serde(flatten)]
    record: &'a CveRichment,
    images: Vec<AffectedImage<'a>>,
}

impl<'a> AffectedImages<'a> {
    pub(in crate::http) fn new(record: &'a CveRichment, images: &'a [affected_images::Image]) -> Self {
        Self { record, images: images.iter().map(AffectedImage::from).collect() }
    }
}

/// The most packages of an image in an answer.
const MAX_PACKAGES: usize = 50;

#[derive(Debug, Serialize)]
struct AffectedImage<'a> {
    image_name: &'a str,
    platform: Option<&'a str>,
    scan_id: Option<ScanId>,
    present: bool,
    retired: bool,
    packages: Vec<AffectedPackage<'a>>,
    total_packages: usize,
    #[serde(serialize_with = "instant::serialize")]
    first_seen: Timestamp,
    #[serde(serialize_with = "instant::serialize")]
    last_seen: Timestamp,
    /// The finding of the most urgent package; the priority is also of that package.
    finding_id: FindingId,
    priority: &'a Priority,
}

impl<'a> From<&'a affected_images::Image> for AffectedImage<'a> {
    fn from(image: &'a affected_images::Image) -> Self {
        Self {
            image_name: image.image.as_str(),
            platform: image.platform.as_ref().map(Platform::as_str),
            scan_id: image.scan_id,
            present: image.present,
            retired: image.retired,
            packages: image.packages.iter().take(MAX_PACKAGES).map(AffectedPackage::from).collect(),
            total_packages: image.packages.len(),
            first_seen: image.first_seen,
            last_seen: image.last_seen,
            finding_id: image.finding_id,
            priority: &image.priority,
        }
    }
}

#[derive(Debug, Serialize)]
struct AffectedPackage<'a> {
    vulnerability_id: &'a VulnerabilityId,
    pkg_name: &'a str,
    class: Option<&'a str>,
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    installed_version: &'a str,
    fixed_version: Option<&'a str>,
    severity: Severity,
    status: Option<&'a str>,
    findings: u32,
    finding_id: FindingId,
    present: bool,
    #[serde(serialize_with = "instant::serialize")]
    first_seen: Timestamp,
    #[serde(serialize_with = "instant::serialize")]
    last_seen: Timestamp,
}

impl<'a> From<&'a affected_images::Package> for AffectedPackage<'a> {
    fn from(package: &'a affected_images::Package) -> Self {
        let Details { problem, class, installed_version, fixed_version, severity, status, findings, .. } =
            &package.details;
        Self {
            vulnerability_id: &problem.vulnerability_id,
            pkg_name: &problem.pkg_name,
            class: class.as_deref(),
            kind: problem.kind.as_deref(),
            installed_version,
            fixed_version: fixed_version.as_deref(),
            severity: *severity,
            status: status.as_deref(),
            findings: *findings,
            finding_id: package.finding_id,
            present: package.present,
            first_seen: package.span.from,
            last_seen: package.span.to,
        }
    }
}
