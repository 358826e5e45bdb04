//! One finding with all its facts in an export.

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::Value;

use super::link::link;
use crate::domain::asset::{Asset, LineageKey};
use crate::domain::finding::{Finding, FindingId, Suppression};
use crate::domain::image_name::ImageName;
use crate::domain::platform::Platform;
use crate::domain::remediation::remediation;
use crate::domain::scan::{Scan, ScanId};
use crate::domain::severity::Severity;
use crate::domain::tracking_key::TrackingKey;
use crate::domain::vulnerability::VulnerabilitySummary;
use crate::domain::vulnerability::{CvssVersion, Epss};
use crate::priority::Priority;

/// The image of a scan, and its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The scan.
    pub scan_id: ScanId,
    /// The name, as its report has it.
    pub name: String,
    /// The name without tag and digest; the whole name if it does not identify an image.
    pub repository: String,
    /// The tag, if the name has one.
    pub tag: Option<String>,
    /// `sha256:…` of the image.
    pub digest: Option<String>,
    /// The platform.
    pub platform: Option<String>,
    /// The time of the scan.
    pub scanned_at: Timestamp,
    /// The repository on its platform.
    pub lineage: LineageKey,
}

impl Image {
    /// Describes the image of a scan.
    #[must_use]
    pub fn of(scan: &Scan) -> Self {
        let artifact = &scan.artifact;
        let named = (!artifact.nameless).then_some(&artifact.image_name);
        Self {
            scan_id: scan.scan_id,
            name: artifact.image_name.as_str().to_owned(),
            repository: named.map_or(artifact.image_name.as_str(), ImageName::repository).to_owned(),
            tag: named.and_then(ImageName::tag).map(str::to_owned),
            digest: artifact.image_digest.clone(),
            platform: artifact.platform.as_ref().map(Platform::as_str).map(str::to_owned),
            scanned_at: scan.scan_timestamp,
            lineage: Asset::of(scan.scan_id, artifact).key().lineage(),
        }
    }
}

/// A rating of a vulnerability.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// `nvd`, `redhat`, `ghsa`, …
    pub source: String,
    /// The version of CVSS.
    pub version: CvssVersion,
    /// The vector.
    pub vector: String,
    /// The score, 0 to 10.
    pub score: f64,
}

impl Score {
    /// The most ratings of a row.
    const MOST: usize = 12;
}

/// The facts of CISA's catalogue about a vulnerability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listing {
    /// Whether it is listed.
    pub listed: bool,
    /// The day it was added.
    pub date_added: Option<Date>,
    /// Whether ransomware is known to use it.
    pub ransomware: Option<bool>,
}

/// A finding with what was joined to it.
#[derive(Debug, Clone, Copy)]
pub struct Found<'f> {
    /// The finding.
    pub finding: &'f Finding,
    /// Its tracking key.
    pub tracking_key: TrackingKey,
    /// The priority.
    pub priority: &'f Priority,
    /// The facts of public sources.
    pub vulnerability: Option<&'f VulnerabilitySummary>,
    /// The time of the newest of CISA's catalogues that covers it.
    pub catalogue: Option<Timestamp>,
    /// The summary of its analysis, if that is complete and needs no review.
    pub summary: Option<&'f str>,
}

/// One finding, ready for every format. Texts are those of the report, so not to be trusted.
#[derive(Debug, Clone, PartialEq)]
pub struct Row<'i> {
    /// The image that it was found in.
    pub image: &'i Image,
    /// The number of the finding.
    pub finding_id: FindingId,
    /// The name of the problem over all scans.
    pub tracking_key: TrackingKey,
    /// `CVE-…`, `GHSA-…`, …; a hand-edited report may lack it.
    pub vulnerability_id: Option<String>,
    /// Its other names.
    pub aliases: Vec<String>,
    /// The package; empty if the report lacks it.
    pub package: String,
    /// The package URL, as the report has it.
    pub purl: Option<String>,
    /// The package's own file.
    pub path: Option<String>,
    /// The scanned part of the artifact.
    pub target: String,
    /// `os-pkgs`, `lang-pkgs`, …
    pub class: Option<String>,
    /// `debian`, `npm`, …
    pub kind: Option<String>,
    /// The version that is there.
    pub installed: Option<String>,
    /// The versions in which it is fixed.
    pub fixed: Option<String>,
    /// The remediation.
    pub remediation: String,
    /// Trivy's severity.
    pub severity: Severity,
    /// Trivy's `Status`.
    pub status: Option<String>,
    /// A headline.
    pub title: Option<String>,
    /// A page of text at most.
    pub description: Option<String>,
    /// The page that Trivy names first.
    pub primary_url: Option<String>,
    /// Pages about it.
    pub references: Vec<String>,
    /// `CWE-79`, …
    pub cwes: Vec<String>,
    /// Ratings: those of the report first, then those of public sources.
    pub scores: Vec<Score>,
    /// The time of its publication.
    pub published: Option<Timestamp>,
    /// The last change of its record.
    pub modified: Option<Timestamp>,
    /// The chance of an exploit.
    pub epss: Option<Epss>,
    /// Whether CISA lists it; none if nothing is known.
    pub kev: Option<Listing>,
    /// The priority.
    pub priority: Priority,
    /// The suppression by Trivy; none for an open finding.
    pub suppressed: Option<Suppression>,
    /// The summary by a model.
    pub summary: Option<String>,
}

impl<'i> Row<'i> {
    /// Builds the row of a finding of the image.
    #[must_use]
    pub fn of(image: &'i Image, found: &Found<'_>) -> Self {
        let Found { finding, tracking_key, priority, vulnerability, catalogue, summary } = *found;
        let text = |name| finding.text(name).filter(|text| !text.trim().is_empty());
        let time = |name| text(name).and_then(|time| time.parse().ok());
        let own = finding.vulnerability_id.clone();
        let aliases = vulnerability.map(|vulnerability| {
            let of_reports = vulnerability.reported.iter().flat_map(|words| &words.aliases);
            let mut aliases: Vec<String> = Vec::new();
            for alias in vulnerability.aliases.iter().chain(of_reports).map(ToString::to_string) {
                if own.as_ref() != Some(&alias) && !aliases.contains(&alias) {
                    aliases.push(alias);
                }
            }
            aliases
        });
        Self {
            image,
            finding_id: finding.id(),
            tracking_key,
            aliases: aliases.unwrap_or_default(),
            vulnerability_id: own.filter(|id| !id.trim().is_empty()),
            package: finding.pkg_name.clone().unwrap_or_default(),
            purl: finding.value("PkgIdentifier").and_then(|it| it.get("PURL")?.as_str().map(str::to_owned)),
            path: text("PkgPath"),
            target: finding.target.clone(),
            class: finding.class.clone(),
            kind: finding.kind.clone(),
            installed: text("InstalledVersion"),
            fixed: text("FixedVersion"),
            remediation: remediation(finding),
            severity: finding.severity(),
            status: text("Status"),
            title: text("Title"),
            description: text("Description"),
            primary_url: text("PrimaryURL"),
            references: texts(finding.value("References")),
            cwes: texts(finding.value("CweIDs")),
            scores: scores(finding.value("CVSS"), vulnerability),
            published: time("PublishedDate"),
            modified: time("LastModifiedDate"),
            epss: vulnerability.and_then(|vulnerability| vulnerability.epss.as_ref()).map(|epss| epss.fact.clone()),
            kev: vulnerability.and_then(|vulnerability| kev(vulnerability, catalogue)),
            priority: priority.clone(),
            suppressed: finding.suppressed.clone(),
            summary: summary.map(str::to_owned),
        }
    }

    /// Returns the id, or `UNIDENTIFIED`, as some formats need one.
    #[must_use]
    pub fn id(&self) -> &str {
        self.vulnerability_id.as_deref().unwrap_or("UNIDENTIFIED")
    }

    /// Joins package and version into a text that no program takes for a number.
    #[must_use]
    pub fn package_at_version(&self) -> String {
        format!("{}@{}", self.package, self.installed.as_deref().unwrap_or_default())
    }

    /// Finds the highest rating of CVSS 3 and 4; without one, of CVSS 2.
    #[must_use]
    pub fn highest(&self) -> Option<&Score> {
        let rank = |score: &Score| (score.version != CvssVersion::V2, score.score);
        let best = |one: &Score, other: &Score| {
            let ((one_new, one), (other_new, other)) = (rank(one), rank(other));
            one_new.cmp(&other_new).then(one.total_cmp(&other))
        };
        // Of equal ones the first.
        self.scores.iter().rev().max_by(|one, other| best(one, other))
    }

    /// Lists the pages about it that are addresses of the web, each once.
    #[must_use]
    pub fn pages(&self, most: usize) -> Vec<String> {
        let mut pages: Vec<String> = Vec::new();
        for page in self.primary_url.iter().chain(&self.references).filter_map(|page| link(page)) {
            if pages.len() < most && !pages.contains(&page) {
                pages.push(page);
            }
        }
        pages
    }

    /// Finds the package's file or the lock file; none for packages of the distribution.
    #[must_use]
    pub fn place(&self) -> Option<&str> {
        if self.class.as_deref() == Some("os-pkgs") {
            return None;
        }
        self.path.as_deref().or(Some(&self.target)).filter(|place| !place.is_empty())
    }
}

fn kev(vulnerability: &VulnerabilitySummary, catalogue: Option<Timestamp>) -> Option<Listing> {
    match (&vulnerability.kev, catalogue) {
        (Some(entry), _) => {
            Some(Listing { listed: true, date_added: Some(entry.fact.date_added), ransomware: entry.fact.ransomware })
        }
        (None, Some(_)) => Some(Listing { listed: false, date_added: None, ransomware: None }),
        (None, None) => None,
    }
}

/// The most entries of a list of a report.
const MOST_TEXTS: usize = 100;

fn texts(value: Option<Value>) -> Vec<String> {
    let Some(Value::Array(values)) = value else { return Vec::new() };
    let texts = values.into_iter().filter_map(|value| match value {
        Value::String(text) if !text.trim().is_empty() => Some(text),
        _ => None,
    });
    texts.take(MOST_TEXTS).collect()
}

fn scores(cvss: Option<Value>, vulnerability: Option<&VulnerabilitySummary>) -> Vec<Score> {
    let mut scores: Vec<Score> = Vec::new();
    let mut add = |score: Score| {
        let is_usable = (0.0..=10.0).contains(&score.score)
            && !score.vector.is_empty()
            && score.vector.len() <= VulnerabilitySummary::VECTOR_BYTES;
        let is_known = scores.iter().any(|known| known.vector == score.vector);
        if is_usable && !is_known && scores.len() < Score::MOST {
            scores.push(score);
        }
    };
    for (source, rated) in cvss.iter().filter_map(Value::as_object).flatten() {
        for (vector, score, version) in [
            ("V3Vector", "V3Score", CvssVersion::V31),
            ("V40Vector", "V40Score", CvssVersion::V4),
            ("V2Vector", "V2Score", CvssVersion::V2),
        ] {
            let (Some(vector), Some(score)) =
                (rated.get(vector).and_then(Value::as_str), rated.get(score).and_then(Value::as_f64))
            else {
                continue;
            };
            let version = if vector.starts_with("CVSS:3.0/") { CvssVersion::V30 } else { version };
            add(Score { source: source.clone(), version, vector: vector.to_owned(), score });
        }
    }
    for rating in vulnerability.iter().flat_map(|vulnerability| &vulnerability.cvss) {
        let (source, vector) = (rating.fact.assigner.clone(), rating.fact.vector.clone());
        add(Score { source, version: rating.fact.version, vector, score: rating.fact.score });
    }
    scores
}
