//! Shows findings.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use serde_json::value::RawValue;

use super::analysis::LlmAnalysis;
use crate::domain::finding::{FindingId, Members, Suppression};
use crate::domain::remediation::remediation;
use crate::domain::scan::ScanId;
use crate::domain::severity::Severity;
use crate::domain::vulnerability::{Epss, KevListing, Source, Sourced, Ssvc, Status, Value, VulnerabilitySummary};
use crate::priority::Priority;
use crate::queries::finding_view::FindingView;

/// A finding, as docs/API.md describes it.
#[derive(Debug, Serialize)]
pub(in crate::http) struct ContainerFinding {
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
    /// The version to upgrade to, or the reason why no version is known. Computed: a model never writes it.
    remediation: String,
    status: Option<Box<RawValue>>,
    /// The reason why Trivy suppresses it; null for an open finding.
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
    /// The members of the report's vulnerability object that have no field above, under Trivy's names.
    cve_data: Members,
}

impl From<FindingView> for ContainerFinding {
    fn from(view: FindingView) -> Self {
        let FindingView { finding, priority, summary, catalogue, analysis, previous_answer } = view;
        let (finding_id, severity) = (finding.id(), finding.severity());
        let remediation = remediation(&finding);
        let mut rest = finding.vulnerability;
        // A text that is not one of Trivy's severities stays in `cve_data`.
        if rest.get("Severity").is_some_and(|text| text.get().trim_matches('"') == severity.as_str()) {
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
            enrichment: summary.map(|summary| Enrichment::of(summary, catalogue)),
            analysis: LlmAnalysis::from(analysis, previous_answer),
            cve_data: rest,
        }
    }
}

/// The main facts of the public sources, each with its source and date.
#[derive(Debug, Serialize)]
struct Enrichment {
    status: Sourced<Value<Status>>,
    /// None if the catalogue has not been read yet, which does not mean "not listed".
    kev: Option<Sourced<InKev>>,
    epss: Option<Sourced<Epss>>,
    ssvc: Option<Sourced<Ssvc>>,
}

/// Whether CISA's catalogue lists the vulnerability.
#[derive(Debug, Serialize)]
struct InKev {
    listed: bool,
    date_added: Option<Date>,
    ransomware: Option<bool>,
}

impl Enrichment {
    fn of(summary: VulnerabilitySummary, catalogue: Option<Timestamp>) -> Self {
        let status = summary.sourced_status();
        let VulnerabilitySummary { kev, epss, ssvc, .. } = summary;
        let kev = match (kev, catalogue) {
            (Some(Sourced { fact: KevListing { date_added, ransomware }, source, as_of }), _) => {
                Some(Sourced { fact: InKev { listed: true, date_added: Some(date_added), ransomware }, source, as_of })
            }
            (None, Some(as_of)) => Some(Sourced {
                fact: InKev { listed: false, date_added: None, ransomware: None },
                source: Source::Kev,
                as_of,
            }),
            (None, None) => None,
        };
        Self { status, kev, epss, ssvc }
    }
}

/// Moves a member out if its JSON begins like its field's type. Any other value stays in `cve_data`.
fn take_if(members: &mut Members, name: &str, begins: char) -> Option<Box<RawValue>> {
    members.get(name).is_some_and(|json| json.get().starts_with(begins)).then(|| members.remove(name)).flatten()
}

fn take_text(members: &mut Members, name: &str) -> Option<Box<RawValue>> {
    take_if(members, name, '"')
}

/// Returns whether a JSON string is only white space.
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
        let priority =
            Priority { band: crate::priority::Band::P4, score: 0.5, due: None, why: vec!["because".to_owned()] };
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
            summary: None,
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
