//! Scans and findings as JSON, under the field names that the API promises.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::domain::analysis::{self, Analysis, Answered, Failure, Removed};
use crate::domain::enrichment::{CveRichment, Epss, Source, Sourced, Ssvc, Status, Value};
use crate::domain::finding::{FindingId, Members, Suppression};
use crate::domain::image_name::ImageName;
use crate::domain::instant;
use crate::domain::occurrence::Details;
use crate::domain::platform::Platform;
use crate::domain::priority::Priority;
use crate::domain::prompt_hash::PromptHash;
use crate::domain::remediation::{Stated, remediation, smallest_upgrade};
use crate::domain::scan::{OtherFindings, Scan, ScanId};
use crate::domain::severity::{Severity, SeverityCounts};
use crate::domain::signals::{Listed, Signals};
use crate::domain::vulnerability_id::VulnerabilityId;
use crate::queries::affected_images;
use crate::queries::analysis_counts::AnalysisCounts;
use crate::queries::finding_view::FindingView;
use crate::queries::upgrades::{self, ImageUpgrade};
use crate::store::answers::LatestAnswer;

/// `ContainerScan`: docs/API.md.
#[derive(Debug, Serialize)]
pub(super) struct ContainerScan<'a> {
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
    /// The same scan, with how many of its findings are analysed.
    pub(super) fn with_analyses(self, analysis_counts: Option<AnalysisCounts>) -> Self {
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

/// `ContainerFinding`: docs/API.md.
#[derive(Debug, Serialize)]
pub(super) struct ContainerFinding {
    finding_id: FindingId,
    scan_id: ScanId,
    vulnerability_id: Option<String>,
    severity: Severity,
    title: Option<Box<RawValue>>,
    pkg_name: Option<String>,
    pkg_path: Option<Box<RawValue>>,
    purl: Option<Box<RawValue>>,
    installed_version: Option<Box<RawValue>>,
    fixed_version: Option<Box<RawValue>>,
    /// Which version to upgrade to, or why there is none: computed, never a model's.
    remediation: String,
    status: Option<Box<RawValue>>,
    /// Why Trivy shows it no more; null for an open finding.
    suppressed: Option<Suppression>,
    target: String,
    class: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    primary_url: Option<Box<RawValue>>,
    cvss: Option<Box<RawValue>>,
    published_date: Option<Box<RawValue>>,
    last_modified_date: Option<Box<RawValue>>,
    priority: Priority,
    enrichment: Option<Enrichment>,
    #[serde(flatten)]
    analysis: LlmAnalysis,
    /// All of the report's vulnerability object that has no field above, under Trivy's names.
    cve_data: Members,
}

impl From<FindingView> for ContainerFinding {
    fn from(view: FindingView) -> Self {
        let FindingView { finding, priority, signals, catalogue, analysis, previous_answer } = view;
        let (finding_id, severity) = (finding.id(), finding.severity());
        let remediation = remediation(&finding);
        let mut rest = finding.vulnerability;
        // A word that is not one of Trivy's severities is kept where it was.
        if rest.get("Severity").is_some_and(|said| said.get().trim_matches('"') == severity.as_str()) {
            rest.remove("Severity");
        }
        Self {
            finding_id,
            scan_id: finding.scan_id,
            vulnerability_id: finding.vulnerability_id,
            severity,
            title: take_text(&mut rest, "Title"),
            pkg_name: finding.pkg_name,
            pkg_path: take_text(&mut rest, "PkgPath"),
            purl: take_purl(&mut rest),
            installed_version: take_text(&mut rest, "InstalledVersion"),
            fixed_version: take_text(&mut rest, "FixedVersion").filter(|version| !is_blank(version)),
            remediation,
            status: take_text(&mut rest, "Status"),
            suppressed: finding.suppressed,
            target: finding.target,
            class: finding.class,
            kind: finding.kind,
            primary_url: take_text(&mut rest, "PrimaryURL"),
            cvss: take_if(&mut rest, "CVSS", '{'),
            published_date: take_text(&mut rest, "PublishedDate"),
            last_modified_date: take_text(&mut rest, "LastModifiedDate"),
            priority,
            enrichment: signals.map(|signals| Enrichment::of(signals, catalogue)),
            analysis: LlmAnalysis::from(analysis, previous_answer),
            cve_data: rest,
        }
    }
}

/// What the public sources say, in short, each fact with who says so and as of when.
#[derive(Debug, Serialize)]
struct Enrichment {
    status: Sourced<Value<Status>>,
    /// None if nobody has looked yet, which is not the same as "not listed".
    kev: Option<Sourced<InKev>>,
    epss: Option<Sourced<Epss>>,
    ssvc: Option<Sourced<Ssvc>>,
}

/// Whether CISA's catalogue has it.
#[derive(Debug, Serialize)]
struct InKev {
    listed: bool,
    date_added: Option<Date>,
    ransomware: Option<bool>,
}

impl Enrichment {
    fn of(signals: Signals, catalogue: Option<Timestamp>) -> Self {
        let Signals { status, status_source, status_as_of, kev, epss, ssvc, .. } = signals;
        let kev = match (kev, catalogue) {
            (Some(Listed { date_added, ransomware, source, as_of }), _) => {
                Some(Sourced { fact: InKev { listed: true, date_added: Some(date_added), ransomware }, source, as_of })
            }
            (None, Some(as_of)) => Some(Sourced {
                fact: InKev { listed: false, date_added: None, ransomware: None },
                source: Source::Kev,
                as_of,
            }),
            (None, None) => None,
        };
        let status = Sourced { fact: Value { value: status }, source: status_source, as_of: status_as_of };
        Self { status, kev, epss, ssvc }
    }
}

/// `CVERichment` with the images that have it: docs/API.md.
#[derive(Debug, Serialize)]
pub(super) struct LocatedCve<'a> {
    #[serde(flatten)]
    record: &'a CveRichment,
    images: Vec<ImageWithCve<'a>>,
}

impl<'a> LocatedCve<'a> {
    pub(super) fn new(record: &'a CveRichment, images: &'a [affected_images::Image]) -> Self {
        Self { record, images: images.iter().map(ImageWithCve::from).collect() }
    }
}

/// The most packages of an image that are shown: a kernel has some dozens.
const MOST_PACKAGES: usize = 50;

#[derive(Debug, Serialize)]
struct ImageWithCve<'a> {
    image_name: &'a str,
    platform: Option<&'a str>,
    scan_id: Option<ScanId>,
    present: bool,
    retired: bool,
    packages: Vec<PackageWithCve<'a>>,
    total_packages: usize,
    #[serde(serialize_with = "instant::serialize")]
    first_seen: Timestamp,
    #[serde(serialize_with = "instant::serialize")]
    last_seen: Timestamp,
    /// Of the most urgent package, as the priority is.
    finding_id: FindingId,
    priority: &'a Priority,
}

impl<'a> From<&'a affected_images::Image> for ImageWithCve<'a> {
    fn from(image: &'a affected_images::Image) -> Self {
        Self {
            image_name: image.image.as_str(),
            platform: image.platform.as_ref().map(Platform::as_str),
            scan_id: image.scan_id,
            present: image.present,
            retired: image.retired,
            packages: image.packages.iter().take(MOST_PACKAGES).map(PackageWithCve::from).collect(),
            total_packages: image.packages.len(),
            first_seen: image.first_seen,
            last_seen: image.last_seen,
            finding_id: image.finding_id,
            priority: &image.priority,
        }
    }
}

#[derive(Debug, Serialize)]
struct PackageWithCve<'a> {
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

impl<'a> From<&'a affected_images::Package> for PackageWithCve<'a> {
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

/// The fleet's top work: docs/API.md.
#[derive(Debug, Serialize)]
pub(super) struct TopWork<'a> {
    /// False if the time or the room did not suffice to look at everything.
    complete: bool,
    unread_buckets: usize,
    omitted_occurrences: u64,
    total: usize,
    priorities: Vec<WorkItem<'a>>,
}

impl<'a> From<&'a upgrades::Upgrades> for TopWork<'a> {
    fn from(top: &'a upgrades::Upgrades) -> Self {
        Self {
            complete: top.unread_buckets == 0 && top.omitted_occurrences == 0,
            unread_buckets: top.unread_buckets,
            omitted_occurrences: top.omitted_occurrences,
            total: top.total,
            priorities: top.upgrades.iter().map(WorkItem::from).collect(),
        }
    }
}

/// What is shown of the versions, vulnerabilities and images of one upgrade.
const MOST_VERSIONS: usize = 20;
const MOST_VULNERABILITIES: usize = 20;
const MOST_IMAGES: usize = 50;

#[derive(Debug, Serialize)]
struct WorkItem<'a> {
    package: &'a str,
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    fixed_versions: Vec<&'a str>,
    total_fixed_versions: usize,
    #[serde(flatten)]
    worst: &'a Priority,
    /// Which vulnerability band, score, due and why are of.
    worst_vulnerability: &'a VulnerabilityId,
    vulnerabilities: Vec<&'a VulnerabilityId>,
    total_vulnerabilities: usize,
    /// The names, each once.
    images: Vec<&'a str>,
    affected_images: Vec<AffectedImage<'a>>,
    /// Names on their platforms.
    total_images: usize,
    findings_cleared: u64,
}

/// An image that one upgrade is for.
#[derive(Debug, Serialize)]
struct AffectedImage<'a> {
    image_name: &'a str,
    platform: Option<&'a str>,
    scan_id: ScanId,
    /// Of the most urgent finding there.
    finding_id: FindingId,
    upgrades: Vec<Upgrade<'a>>,
    total_upgrades: usize,
}

/// What a version of the package that is there is to be replaced with.
#[derive(Debug, Serialize)]
struct Upgrade<'a> {
    installed_version: &'a str,
    /// The smallest fixed version that clears all of its findings; null where the versions cannot be compared.
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

impl<'a> From<&'a upgrades::Upgrade> for WorkItem<'a> {
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

/// What a model said of a finding; all `null` if nobody has asked.
#[derive(Debug, Default, Serialize)]
pub(super) struct LlmAnalysis {
    llm_analysis_status: Option<analysis::Status>,
    llm_analysis_summary: Option<String>,
    llm_analysis_recommendations: Option<String>,
    llm_analysis_risk_score: Option<f64>,
    #[serde(serialize_with = "instant::option::serialize")]
    llm_analysis_timestamp: Option<Timestamp>,
    llm_analysis_prompt_hash: Option<String>,
    /// A person should look at it before anyone acts on it.
    llm_analysis_needs_review: Option<bool>,
    llm_analysis_review: Vec<String>,
    llm_analysis_model: Option<String>,
    /// The answer is to an earlier prompt: what the report or the sources say has changed since.
    llm_analysis_stale: Option<bool>,
    /// Why there is no (new) answer, and when to ask again.
    llm_analysis_failure: Option<Failure>,
}

impl LlmAnalysis {
    /// The analysis of the present prompt; without an answer of its own, with the `former` one of its subject.
    pub(super) fn from(analysis: Option<(PromptHash, Analysis)>, former: Option<LatestAnswer>) -> Self {
        let Some((hash, Analysis { status, answer, failure })) = analysis else {
            return former.map_or_else(Self::default, |former| Self {
                llm_analysis_status: Some(analysis::Status::Completed),
                llm_analysis_prompt_hash: Some(former.prompt_hash.to_string()),
                ..Self::answered(former.answer, true)
            });
        };
        // An answer is kept for its subject a moment before it completes the analysis: then it is not a former one.
        let shown = match (answer, former.filter(|former| former.prompt_hash != hash)) {
            (Some(answer), _) => Self::answered(answer, false),
            (None, Some(former)) => Self::answered(former.answer, true),
            (None, None) => Self::default(),
        };
        Self {
            llm_analysis_status: Some(status),
            llm_analysis_prompt_hash: Some(hash.to_string()),
            llm_analysis_failure: failure,
            ..shown
        }
    }

    fn answered(answer: Answered, stale: bool) -> Self {
        Self {
            llm_analysis_summary: Some(answer.summary),
            llm_analysis_recommendations: Some(answer.recommendations),
            llm_analysis_risk_score: Some(answer.risk_score),
            llm_analysis_timestamp: Some(answer.timestamp),
            llm_analysis_needs_review: Some(answer.needs_review),
            llm_analysis_review: answer.review,
            llm_analysis_model: Some(answer.model),
            llm_analysis_stale: Some(stale),
            ..Self::default()
        }
    }
}

/// What was removed from an answer: shown where one analysis is asked for, so that a reviewer sees it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Removals {
    llm_analysis_removed: Vec<Removed>,
}

impl From<&Analysis> for Removals {
    fn from(analysis: &Analysis) -> Self {
        Self { llm_analysis_removed: analysis.answer.as_ref().map(|a| a.removed.clone()).unwrap_or_default() }
    }
}

/// Moves a member out, if its JSON begins as that of its field's type does; else it stays as it came.
fn take_if(members: &mut Members, name: &str, begins: char) -> Option<Box<RawValue>> {
    members.get(name).is_some_and(|json| json.get().starts_with(begins)).then(|| members.remove(name)).flatten()
}

fn take_text(members: &mut Members, name: &str) -> Option<Box<RawValue>> {
    take_if(members, name, '"')
}

/// A string of nothing but white space.
fn is_blank(json: &RawValue) -> bool {
    serde_json::from_str::<String>(json.get()).is_ok_and(|text| text.trim().is_empty())
}

fn take_purl(members: &mut Members) -> Option<Box<RawValue>> {
    const NAME: &str = "PkgIdentifier";
    let mut identifier: Members = serde_json::from_str(members.get(NAME)?.get()).ok()?;
    let purl = take_text(&mut identifier, "PURL");
    if identifier.is_empty() {
        members.remove(NAME);
    } else if purl.is_some() {
        members.insert(NAME.to_owned(), serde_json::value::to_raw_value(&identifier).ok()?);
    }
    purl
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::finding::{Finding, Ordinal};

    fn shown(vulnerability: Value) -> Value {
        let vulnerability = serde_json::from_value(vulnerability).unwrap();
        let priority = Priority {
            band: crate::domain::priority::Band::P4,
            score: 0.5,
            due: None,
            why: vec!["because".to_owned()],
        };
        let finding = Finding {
            scan_id: ScanId::new(3).unwrap(),
            ordinal: Ordinal::new(14).unwrap(),
            vulnerability_id: Some("CVE-2026-1".to_owned()),
            pkg_name: Some("zlib1g".to_owned()),
            target: "app (debian 12)".to_owned(),
            class: Some("os-pkgs".to_owned()),
            kind: Some("debian".to_owned()),
            suppressed: None,
            vulnerability,
        };
        serde_json::to_value(ContainerFinding::from(FindingView {
            finding,
            priority,
            signals: None,
            catalogue: None,
            analysis: None,
            previous_answer: None,
        }))
        .unwrap()
    }

    #[test]
    fn every_member_of_the_report_is_shown_exactly_once() {
        let shown = shown(json!({
            "Severity": "HIGH", "Title": "t", "PkgPath": "p", "InstalledVersion": "1", "FixedVersion": "2",
            "Status": "fixed", "PrimaryURL": "https://example.org", "CVSS": {"nvd": {"V3Score": 7.5}},
            "PublishedDate": "2026-01-01T00:00:00Z", "LastModifiedDate": "2026-01-02T00:00:00Z",
            "PkgIdentifier": {"PURL": "pkg:deb/debian/zlib1g@1", "UID": "u"}, "Description": "d", "New": [1]
        }));
        assert_eq!(
            shown,
            json!({
                "finding_id": 3_000_014, "scan_id": 3, "vulnerability_id": "CVE-2026-1", "severity": "HIGH",
                "title": "t", "pkg_name": "zlib1g", "pkg_path": "p", "purl": "pkg:deb/debian/zlib1g@1",
                "installed_version": "1", "fixed_version": "2", "remediation": "Upgrade zlib1g 1 to 2", "status": "fixed",
                "suppressed": null, "target": "app (debian 12)",
                "class": "os-pkgs", "type": "debian", "primary_url": "https://example.org",
                "cvss": {"nvd": {"V3Score": 7.5}}, "published_date": "2026-01-01T00:00:00Z",
                "last_modified_date": "2026-01-02T00:00:00Z",
                "priority": {"band": "P4", "score": 0.5, "due": null, "why": ["because"]}, "enrichment": null,
                "llm_analysis_status": null, "llm_analysis_summary": null, "llm_analysis_recommendations": null,
                "llm_analysis_risk_score": null, "llm_analysis_timestamp": null, "llm_analysis_prompt_hash": null,
                "llm_analysis_needs_review": null, "llm_analysis_review": [], "llm_analysis_model": null,
                "llm_analysis_stale": null,
                "llm_analysis_failure": null,
                "cve_data": {"PkgIdentifier": {"UID": "u"}, "Description": "d", "New": [1]}
            })
        );
    }

    #[test]
    fn a_member_of_an_unexpected_type_stays_in_cve_data() {
        let shown = shown(json!({"Severity": "negligible", "Title": 5, "CVSS": null, "PkgIdentifier": {}}));
        assert_eq!(shown["severity"], "UNKNOWN");
        assert_eq!(shown["cve_data"], json!({"Severity": "negligible", "Title": 5, "CVSS": null}));
        assert_eq!((&shown["title"], &shown["purl"]), (&Value::Null, &Value::Null));
    }
}
