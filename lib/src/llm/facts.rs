//! The facts of one vulnerability in one package version: the only input of a prompt.
//!
//! They have no scan id, image name, target path, layer or time: the same vulnerability in the same package version has
//! the same prompt for all images.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::text::cap;
use crate::domain::finding::Finding;
use crate::domain::remediation::fixes;
use crate::domain::subject::Subject;
use crate::domain::vulnerability::{CvssVersion, Epss, Exploitation, KevListing, KevStatus};
use crate::priority::brief::{Brief, brief};
use crate::priority::{Inputs, Thresholds};

/// The facts of one finding, as the report gives them. Every text is untrusted.
///
/// Empty texts and lists are missing in the report. The prompt sorts the lists.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// `CVE-2023-38545`, `GHSA-…`, …
    pub vulnerability_id: String,
    /// Package name as the report spells it.
    pub package: String,
    /// Ecosystem: the report's `Type` (`debian`, `npm`, `jar`, …).
    pub package_type: String,
    /// The report's `Class` (`os-pkgs`, `lang-pkgs`, …).
    pub class: String,
    /// Package URL; qualifiers and sub-path are left out of the prompt (they name the machine).
    pub purl: Option<String>,
    /// Version found in the image.
    pub installed_version: String,
    /// Fixed version, possibly a comma-separated list; `None` or blank = the report has no fix.
    pub fixed_version: Option<String>,
    /// `CRITICAL`, `HIGH`, `MEDIUM`, `LOW` or `UNKNOWN`.
    pub severity: String,
    /// `affected`, `fixed`, `will_not_fix`, …
    pub status: String,
    /// Short title.
    pub title: String,
    /// Description, third-party Markdown.
    pub description: String,
    /// CVSS scores by source.
    pub cvss: Vec<ReportedCvss>,
    /// CWE ids.
    pub cwe_ids: Vec<String>,
    /// Reference URLs.
    pub references: Vec<String>,
    /// The main URL of the report.
    pub primary_url: Option<String>,
    /// RFC 3339; the prompt shows the day.
    pub published_date: Option<String>,
    /// RFC 3339. Evidence only, never in the prompt: each change would ask the model again for all images.
    pub last_modified_date: Option<String>,
    /// The facts of public sources; `None` until they are known.
    pub enrichment: Option<EnrichmentFacts>,
}

impl Facts {
    /// Returns the subject of the facts.
    #[must_use]
    pub fn subject(&self) -> Subject {
        Subject::of(&self.vulnerability_id, &self.package_type, &self.package, &self.installed_version)
    }

    /// Returns the fixed versions, each exactly as the report spells it; empty = no fix.
    #[must_use]
    pub fn fixed_versions(&self) -> Vec<&str> {
        fixes(self.fixed_version.as_deref().unwrap_or_default()).into_iter().map(|fix| fix.version).collect()
    }
}

/// A CVSS rating as a report states it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportedCvss {
    /// `nvd`, `redhat`, `ghsa`, …
    pub source: String,
    /// The version that the vector states, else that of the report's field.
    pub version: CvssVersion,
    /// The vector; empty if the source gives a score only.
    pub vector: String,
    /// Base score 0.0 to 10.0; `None` if the source gives a vector only.
    pub score: Option<f64>,
}

/// Facts of public sources, and the rule's priority. Their texts are as untrusted as a report's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EnrichmentFacts {
    /// The priority, which the model explains and its score is compared with.
    pub priority: Option<Brief>,
    /// The state of exploitation, from SSVC; none if it was not assessed.
    #[serde(deserialize_with = "exploitation")]
    pub exploitation: Option<Exploitation>,
    /// FIRST's prediction. The prompt shows only the band of the percentile, because the figures change daily.
    pub epss: Option<Epss>,
    /// The entry in CISA's catalogue.
    pub kev: Option<KevListing>,
    /// Other ids of the same vulnerability.
    pub aliases: Vec<String>,
}

/// Reads SSVC's value; earlier versions wrote an empty text for none.
fn exploitation<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Exploitation>, D::Error> {
    let value = Option::<Value>::deserialize(deserializer)?.filter(|value| value != "");
    value.map(Exploitation::deserialize).transpose().map_err(serde::de::Error::custom)
}

/// Describes the band of an EPSS percentile. The upper two bands begin at the thresholds of the rule ([`Thresholds`]).
pub(super) fn percentile_band(epss: &Epss) -> &'static str {
    match epss.percentile {
        Some(p) if p >= 0.99 => "99th percentile of all CVEs or above",
        Some(p) if p >= 0.95 => "95th to 99th percentile of all CVEs",
        Some(p) if p >= 0.80 => "80th to 95th percentile of all CVEs",
        Some(_) => "below the 80th percentile of all CVEs",
        None => "percentile unknown",
    }
}

impl EnrichmentFacts {
    /// Collects the inputs and the result of the rule, and the ids by which sources know the vulnerability.
    #[must_use]
    pub fn of(inputs: &Inputs, thresholds: &Thresholds, aliases: Vec<String>) -> Self {
        let kev = match inputs.kev {
            KevStatus::Listed(listing) => Some(listing),
            KevStatus::NotListed { .. } | KevStatus::Unknown => None,
        };
        Self {
            priority: Some(brief(inputs, thresholds)),
            exploitation: inputs.ssvc.as_ref().and_then(|ssvc| ssvc.fact.exploitation),
            epss: inputs.epss.clone(),
            kev,
            aliases,
        }
    }
}

/// The longest text that is kept, in bytes: the longest known description has 7,109.
const MAX_TEXT_BYTES: usize = 16 << 10;
/// The longest reference or vector that is kept, in bytes.
const MAX_ITEM_BYTES: usize = 500;
/// The most references that are kept: the most known are 283.
const MAX_ITEMS: usize = 300;
/// The most sources of CVSS scores that are kept: five are known.
const MAX_CVSS_SOURCES: usize = 20;

/// Reads the facts of a stored finding. Texts are cut, since the facts are stored with each question.
impl From<&Finding> for Facts {
    fn from(finding: &Finding) -> Self {
        let text = |name| cap(&finding.text(name).unwrap_or_default(), MAX_TEXT_BYTES);
        let some =
            |name| finding.text(name).filter(|text| !text.trim().is_empty()).map(|text| cap(&text, MAX_TEXT_BYTES));
        let list = |name| {
            let value = finding.value(name).unwrap_or_default();
            let items = value.as_array().into_iter().flatten().filter_map(Value::as_str);
            items.take(MAX_ITEMS).map(|item| cap(item.trim(), MAX_ITEM_BYTES)).collect()
        };
        let purl =
            finding.value("PkgIdentifier").and_then(|identifier| Some(identifier.get("PURL")?.as_str()?.to_owned()));
        let cvss = finding.value("CVSS").unwrap_or_default();
        Self {
            vulnerability_id: finding.vulnerability_id.clone().unwrap_or_default(),
            package: finding.pkg_name.clone().unwrap_or_default(),
            package_type: finding.kind.clone().unwrap_or_default(),
            class: finding.class.clone().unwrap_or_default(),
            purl,
            installed_version: text("InstalledVersion"),
            fixed_version: some("FixedVersion"),
            severity: finding.severity().as_str().to_owned(),
            status: text("Status"),
            title: text("Title"),
            description: text("Description"),
            cvss: cvss
                .as_object()
                .into_iter()
                .flatten()
                .take(MAX_CVSS_SOURCES)
                .flat_map(|(source, scores)| ReportedCvss::of(source, scores))
                .collect(),
            cwe_ids: list("CweIDs"),
            references: list("References"),
            primary_url: some("PrimaryURL"),
            published_date: some("PublishedDate"),
            last_modified_date: some("LastModifiedDate"),
            enrichment: None,
        }
    }
}

impl ReportedCvss {
    /// Reads the scores of one source in a report: `{"V3Score": 7.5, "V3Vector": "CVSS:3.1/…", …}`.
    fn of(source: &str, scores: &Value) -> impl Iterator<Item = Self> {
        let generations = [
            (CvssVersion::V2, "V2Score", "V2Vector"),
            (CvssVersion::V31, "V3Score", "V3Vector"),
            (CvssVersion::V4, "V40Score", "V40Vector"),
        ];
        generations.into_iter().filter_map(move |(version, score, vector)| {
            let score = scores.get(score).and_then(Value::as_f64);
            let vector = scores.get(vector).and_then(Value::as_str).unwrap_or_default();
            if score.is_none() && vector.is_empty() {
                return None;
            }
            Some(Self {
                source: cap(source, MAX_ITEM_BYTES),
                version: CvssVersion::stated_by(vector).unwrap_or(version),
                vector: cap(vector, MAX_ITEM_BYTES),
                score,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(list: &str) -> Vec<String> {
        let facts = Facts { fixed_version: Some(list.to_owned()), ..Facts::default() };
        facts.fixed_versions().into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn a_list_of_fixed_versions_is_split_and_spelled_as_given() {
        assert_eq!(fixed("2.15.0, 2.3.1"), ["2.15.0", "2.3.1"]);
        assert_eq!(fixed("~> 5.2.4.3, >= 6.0.3.1"), ["5.2.4.3", "6.0.3.1"]);
        assert_eq!(fixed(">=1.2.3 <2.0.0 || 3.0.0"), ["1.2.3", "3.0.0"]);
        assert_eq!(fixed("7.88.1-10+deb12u4"), ["7.88.1-10+deb12u4"]);
        assert_eq!(fixed("1:2.3~rc1-4"), ["1:2.3~rc1-4"]);
    }

    #[test]
    fn a_blank_or_wordy_fixed_version_is_no_fix() {
        assert!(fixed("").is_empty());
        assert!(fixed("  ").is_empty());
        assert!(fixed("none").is_empty());
    }
}
