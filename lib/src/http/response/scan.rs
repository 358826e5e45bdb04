//! Shows scans.

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::image_name::ImageName;
use crate::domain::instant;
use crate::domain::platform::Platform;
use crate::domain::scan::{OtherFindings, Scan, ScanId};
use crate::domain::severity::SeverityCounts;
use crate::queries::analysis_counts::AnalysisCounts;

/// A scan, as docs/API.md describes it.
#[derive(Debug, Serialize)]
pub(in crate::http) struct ContainerScan<'a> {
    scan_id: ScanId,
    image_name: &'a str,
    platform: Option<&'a str>,
    repository: Option<&'a str>,
    tag: Option<&'a str>,
    image_ref: Option<&'a str>,
    repo_tags: &'a [String],
    image_digest: Option<&'a str>,
    image_id: Option<&'a str>,
    artifact_id: Option<&'a str>,
    artifact_type: Option<&'a str>,
    #[serde(serialize_with = "instant::option::serialize")]
    image_created_at: Option<Timestamp>,
    os_family: Option<&'a str>,
    os_name: Option<&'a str>,
    os_end_of_life: bool,
    report_hash: String,
    #[serde(serialize_with = "instant::serialize")]
    scan_timestamp: Timestamp,
    #[serde(serialize_with = "instant::serialize")]
    last_seen_at: Timestamp,
    #[serde(serialize_with = "instant::serialize")]
    ingested_at: Timestamp,
    trivy_version: Option<&'a str>,
    current: bool,
    suspect: bool,
    confirmed: bool,
    retired: bool,
    is_vulnerability_scan: bool,
    scanners: Option<String>,
    scanned_severities: Option<String>,
    total_findings: u32,
    fixable_findings: u32,
    severity_counts: &'a SeverityCounts,
    suppressed_findings: u32,
    other_findings: &'a OtherFindings,
    #[serde(skip_serializing_if = "Option::is_none")]
    analysis_counts: Option<AnalysisCounts>,
}

impl ContainerScan<'_> {
    /// Adds how many findings are analysed.
    pub(in crate::http) fn with_analyses(self, analysis_counts: Option<AnalysisCounts>) -> Self {
        Self { analysis_counts, ..self }
    }
}

impl<'a> From<&'a Scan> for ContainerScan<'a> {
    fn from(scan: &'a Scan) -> Self {
        let artifact = &scan.artifact;
        let named = (!artifact.nameless).then_some(&artifact.image_name);
        Self {
            scan_id: scan.scan_id,
            image_name: artifact.image_name.as_str(),
            platform: artifact.platform.as_ref().map(Platform::as_str),
            repository: named.map(ImageName::repository),
            tag: named.and_then(ImageName::tag),
            image_ref: artifact.image_ref.as_deref(),
            repo_tags: &artifact.repo_tags,
            image_digest: artifact.image_digest.as_deref(),
            image_id: artifact.image_id.as_deref(),
            artifact_id: artifact.artifact_id.as_deref(),
            artifact_type: artifact.artifact_type.as_deref(),
            image_created_at: artifact.image_created_at,
            os_family: artifact.os_family.as_deref(),
            os_name: artifact.os_name.as_deref(),
            os_end_of_life: artifact.os_end_of_life,
            report_hash: scan.report_hash.to_string(),
            scan_timestamp: scan.scan_timestamp,
            last_seen_at: scan.last_seen_at,
            ingested_at: scan.ingested_at,
            trivy_version: artifact.trivy_version.as_deref(),
            current: scan.current,
            suspect: scan.suspect,
            confirmed: scan.confirmed_until.is_some(),
            retired: scan.retired,
            is_vulnerability_scan: scan.is_vulnerability_scan,
            scanners: scan.scanners.as_ref().map(ToString::to_string),
            scanned_severities: scan.scanned_severities.as_ref().map(ToString::to_string),
            total_findings: scan.total_findings(),
            fixable_findings: scan.fixable_counts.total(),
            severity_counts: &scan.severity_counts,
            suppressed_findings: scan.suppressed_counts.total(),
            other_findings: &scan.other_findings,
            analysis_counts: None,
        }
    }
}
