//! Reads answers of NVD's API 2.0: <https://nvd.nist.gov/developers/vulnerabilities>.
//!
//! Not read: `configurations` (Trivy has matched already; they can have 100 kB) and `affected`.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::collect::{Collector, assigner};
use super::plain_text::{line, paragraphs};
use super::ssvc;
use crate::domain::upstream_time;
use crate::domain::vulnerability::id::{Kind, VulnerabilityId, VulnerabilityIdError};
use crate::domain::vulnerability::{CvssKind, Kev, NvdStatus, SourceRecord, Status};

/// An answer of the API.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The number of CVEs that match the query, over all pages. 0 with status 200 means "no such CVE".
    pub total_results: u64,
    /// The readable CVEs.
    pub cves: BTreeMap<VulnerabilityId, SourceRecord>,
    /// Unreadable entries, whose CVEs are not absent.
    pub unreadable: Vec<Unreadable>,
}

/// An entry that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Its CVE, if the id can be read.
    pub id: Option<VulnerabilityId>,
    /// The error.
    pub reason: String,
}

/// The bytes are not an answer of NVD.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages describe the variants")]
pub enum Error {
    #[error("is not JSON of NVD's API 2.0")]
    Syntax(#[from] serde_json::Error),
    #[error("is not NVD_CVE 2.0, but {format} {version}")]
    Format { format: String, version: String },
}

/// The bytes are not a CVE of NVD.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages describe the variants")]
pub enum CveError {
    #[error("is not a CVE of NVD's API 2.0: {0}")]
    Syntax(#[from] serde_json::Error),
    #[error("its id {0}")]
    Id(#[from] VulnerabilityIdError),
    #[error("its id is not a CVE's")]
    NotCve,
    #[error("its lastModified is not a time")]
    LastModified,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    total_results: u64,
    format: String,
    version: String,
    #[serde(borrow)]
    vulnerabilities: Vec<Entry<'a>>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    cve: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cve {
    id: String,
    published: Option<String>,
    last_modified: String,
    vuln_status: Option<String>,
    cve_tags: Option<Vec<CveTag>>,
    descriptions: Option<Vec<Text>>,
    metrics: Option<BTreeMap<String, Value>>,
    weaknesses: Option<Vec<Weakness>>,
    references: Option<Vec<Link>>,
    cisa_exploit_add: Option<String>,
    cisa_action_due: Option<String>,
    cisa_required_action: Option<String>,
    cisa_vulnerability_name: Option<String>,
}

#[derive(Deserialize)]
struct CveTag {
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
pub(super) struct Text {
    pub(super) lang: String,
    pub(super) value: String,
}

#[derive(Deserialize)]
struct Weakness {
    #[serde(default)]
    source: String,
    description: Option<Vec<Text>>,
}

#[derive(Deserialize)]
pub(super) struct Link {
    pub(super) url: String,
    pub(super) tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CvssMetric {
    #[serde(default)]
    source: String,
    r#type: Option<String>,
    cvss_data: CvssData,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CvssData {
    pub(super) vector_string: String,
    pub(super) base_score: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SsvcMetric {
    #[serde(default)]
    source: String,
    ssvc_data: SsvcData,
}

#[derive(Deserialize)]
struct SsvcData {
    timestamp: Option<String>,
    options: Option<Vec<Value>>,
}

/// Reads an answer of the API; an unreadable entry does not affect the others.
///
/// # Errors
/// [`Error`]
pub fn parse_page(bytes: &[u8]) -> Result<Page, Error> {
    let envelope: Envelope<'_> = serde_json::from_slice(bytes)?;
    if envelope.format != "NVD_CVE" || !envelope.version.starts_with("2.") {
        let short = |text: &str| text.chars().take(20).collect();
        return Err(Error::Format { format: short(&envelope.format), version: short(&envelope.version) });
    }
    let mut page = Page { total_results: envelope.total_results, cves: BTreeMap::new(), unreadable: Vec::new() };
    for Entry { cve } in envelope.vulnerabilities {
        match parse_cve(cve.get().as_bytes()) {
            Ok((id, facts)) => {
                // Of a repeated CVE the newer record counts.
                if page.cves.get(&id).is_none_or(|known| known.as_of <= facts.as_of) {
                    page.cves.insert(id, facts);
                }
            }
            Err(error) => page.unreadable.push(Unreadable { id: entry_id(cve.get()), reason: error.to_string() }),
        }
    }
    Ok(page)
}

/// Reads one `cve` object: part of an answer of NVD, or a whole file of a mirror.
///
/// # Errors
/// [`CveError`]
pub fn parse_cve(bytes: &[u8]) -> Result<(VulnerabilityId, SourceRecord), CveError> {
    let cve: Cve = serde_json::from_slice(bytes)?;
    let id: VulnerabilityId = cve.id.parse()?;
    if id.kind() != Kind::Cve {
        return Err(CveError::NotCve);
    }
    let modified = upstream_time::instant(&cve.last_modified).ok_or(CveError::LastModified)?;
    let mut collector = Collector::new(modified);
    let published = collector.instant("published", cve.published.as_deref());
    let english = cve.descriptions.iter().flatten().find(|text| text.lang == "en");
    let english = english.map_or("", |text| &text.value);
    let status = status(&cve, english);
    let kev = kev(&cve, &mut collector);

    let facts = collector.facts();
    facts.status = Some(status);
    facts.nvd_status = cve.vuln_status.as_deref().map(nvd_status);
    facts.published = published;
    facts.modified = Some(modified);
    facts.kev = kev;
    collector.description(english);
    for weakness in cve.weaknesses.iter().flatten() {
        for text in weakness.description.iter().flatten() {
            collector.cwe(&text.value, &weakness.source);
        }
    }
    for page in cve.references.iter().flatten() {
        collector.reference(&page.url, page.tags.iter().flatten().map(String::as_str));
    }
    for (name, values) in cve.metrics.iter().flatten() {
        metrics(name, values, &mut collector);
    }
    Ok((id, collector.finish()))
}

/// Reads the ratings under one name: `cvssMetricV31`, `ssvcV203`, …
fn metrics(name: &str, values: &Value, collector: &mut Collector) {
    let values = values.as_array().map(Vec::as_slice).unwrap_or_default();
    for value in values {
        if name.starts_with("cvssMetric") {
            match CvssMetric::deserialize(value) {
                Ok(CvssMetric { source, r#type, cvss_data }) => {
                    let primary = r#type.is_some_and(|kind| kind.eq_ignore_ascii_case("primary"));
                    let kind = if primary { CvssKind::Primary } else { CvssKind::Secondary };
                    collector.cvss(&cvss_data.vector_string, cvss_data.base_score, kind, &source);
                }
                Err(_) => collector.note("cvss: a rating cannot be read"),
            }
        } else if name.starts_with("ssvc") {
            match SsvcMetric::deserialize(value) {
                Ok(SsvcMetric { source, ssvc_data: SsvcData { timestamp, options } }) => {
                    let options = options.unwrap_or_default();
                    let notes = &mut collector.facts().notes;
                    let ssvc = ssvc::decision_points(&options, timestamp.as_deref(), &assigner(&source), notes);
                    let newest = &mut collector.facts().ssvc;
                    if ssvc.as_ref().map(|ssvc| ssvc.assessed_at) > newest.as_ref().map(|known| known.assessed_at) {
                        *newest = ssvc;
                    }
                }
                Err(_) => collector.note("ssvc: an assessment cannot be read"),
            }
        }
    }
}

/// Reads NVD's copy of an entry in CISA's catalogue, which does not mention ransomware.
fn kev(cve: &Cve, collector: &mut Collector) -> Option<Kev> {
    let added = cve.cisa_exploit_add.as_deref()?;
    let Ok(date_added) = added.parse::<Date>() else {
        collector.note("kev: cisaExploitAdd is not a date");
        return None;
    };
    Some(Kev {
        date_added,
        due_date: cve.cisa_action_due.as_deref().and_then(|date| date.parse().ok()),
        ransomware: None,
        required_action: cve.cisa_required_action.as_deref().and_then(paragraphs).map(|(text, _)| text),
        forensic_triage: None,
        name: cve.cisa_vulnerability_name.as_deref().and_then(line),
    })
}

fn status(cve: &Cve, description: &str) -> Status {
    let tagged = |word: &str| cve.cve_tags.iter().flatten().flat_map(|tag| &tag.tags).flatten().any(|tag| tag == word);
    if cve.vuln_status.as_deref().map(nvd_status) == Some(NvdStatus::Rejected) {
        Status::Rejected
    } else if tagged("disputed") || is_disputed(description) {
        Status::Disputed
    } else {
        Status::Published
    }
}

/// Recognises the mark of a disputed CVE in descriptions older than the tag.
pub(super) fn is_disputed(description: &str) -> bool {
    description.trim_start().starts_with("** DISPUTED **")
}

fn nvd_status(word: &str) -> NvdStatus {
    let letters: String = word.chars().filter(char::is_ascii_alphabetic).take(30).collect();
    match letters.to_ascii_lowercase().as_str() {
        "received" => NvdStatus::Received,
        "awaitinganalysis" => NvdStatus::AwaitingAnalysis,
        "undergoinganalysis" => NvdStatus::UndergoingAnalysis,
        "analyzed" => NvdStatus::Analyzed,
        "modified" => NvdStatus::Modified,
        // NVD's website shows the second name.
        "deferred" | "notscheduled" => NvdStatus::Deferred,
        "rejected" => NvdStatus::Rejected,
        _ => NvdStatus::Other,
    }
}

/// Reads only the id of an entry that is otherwise unreadable.
fn entry_id(entry: &str) -> Option<VulnerabilityId> {
    #[derive(Deserialize)]
    struct OnlyId {
        id: String,
    }
    serde_json::from_str::<OnlyId>(entry).ok()?.id.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::vulnerability::{CvssVersion, Exploitation};

    const CVE: &str = r#"{
        "id": "CVE-2026-0001", "sourceIdentifier": "a@acme.example", "published": "2026-01-02T03:04:05.678",
        "lastModified": "2026-06-17T04:12:05.460", "vulnStatus": "Undergoing Analysis",
        "cveTags": [{"sourceIdentifier": "a@acme.example", "tags": ["disputed"]}],
        "descriptions": [{"lang": "es", "value": "Inventado"}, {"lang": "en", "value": "Made up"}],
        "metrics": {
            "cvssMetricV31": [{"source": "nvd@nist.gov", "type": "Primary", "cvssData": {"version": "3.1",
                "vectorString": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", "baseScore": 10.0}}],
            "cvssMetricV40": [{"source": "a@acme.example", "type": "Secondary", "cvssData": {
                "vectorString": "CVSS:4.0/AV:N/AC:L/AT:N/PR:L/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H", "baseScore": 5.1}}],
            "cvssMetricV2": [{"source": "nvd@nist.gov", "type": "Primary", "cvssData": {"vectorString": "AV:N"}}, 7],
            "ssvcV203": [{"source": "134c704f-9b21-4f2e-91b3-4a467353bcc0", "ssvcData": {
                "timestamp": "2026-02-04T14:25:34.416117Z",
                "options": [{"exploitation": "active"}, {"automatable": "yes"}, {"technicalImpact": "total"}]}}],
            "somethingNew": {"x": 1}
        },
        "cisaExploitAdd": "2026-03-01", "cisaActionDue": "2026-03-15", "cisaRequiredAction": "Mend it.",
        "cisaVulnerabilityName": "Acme Hole",
        "weaknesses": [{"source": "nvd@nist.gov", "type": "Primary",
            "description": [{"lang": "en", "value": "CWE-79"}, {"lang": "en", "value": "NVD-CWE-noinfo"}]}],
        "configurations": [7],
        "references": [{"url": "https://acme.example/1", "source": "a", "tags": ["Patch"]},
            {"url": "https://acme.example/1", "source": "b", "tags": ["Patch", "Exploit"]}]
    }"#;

    fn page(entries: &str, total: u32) -> String {
        format!(
            r#"{{"resultsPerPage": 2000, "startIndex": 0, "totalResults": {total}, "format": "NVD_CVE",
                "version": "2.0", "timestamp": "2026-11-22T00:00:00.000", "vulnerabilities": [{entries}]}}"#
        )
    }

    #[test]
    fn a_cve_is_read() {
        let page = parse_page(page(&format!(r#"{{"cve": {CVE}}}"#), 1).as_bytes()).unwrap();
        assert_eq!((page.total_results, page.unreadable.len()), (1, 0));
        let facts = &page.cves[&"CVE-2026-0001".parse().unwrap()];
        assert_eq!(facts.as_of.to_string(), "2026-06-17T04:12:05.46Z");
        assert_eq!((facts.status, facts.nvd_status), (Some(Status::Disputed), Some(NvdStatus::UndergoingAnalysis)));
        assert_eq!(facts.description.as_deref(), Some("Made up"));
        let ratings: Vec<_> = facts.cvss.iter().map(|c| (c.version, c.score, c.stated_score)).collect();
        assert_eq!(ratings, [(CvssVersion::V31, 10.0, None), (CvssVersion::V4, 9.4, Some(5.1))]);
        let ssvc = facts.ssvc.as_ref().unwrap();
        assert_eq!((ssvc.exploitation, ssvc.assigner.as_str()), (Some(Exploitation::Active), "CISA-ADP"));
        assert_eq!(facts.kev.as_ref().unwrap().due_date, Some("2026-03-15".parse().unwrap()));
        assert_eq!((facts.cwes.len(), facts.references.len()), (1, 1));
        assert_eq!(facts.references[0].tags, ["Patch", "Exploit"]);
        assert_eq!(facts.notes.len(), 2, "{:?}", facts.notes);
    }

    #[test]
    fn a_rejected_cve_is_rejected_even_if_it_was_disputed() {
        let (_, facts) = parse_cve(CVE.replace("Undergoing Analysis", "Rejected").as_bytes()).unwrap();
        assert_eq!(facts.status, Some(Status::Rejected));
    }

    #[test]
    fn an_entry_that_cannot_be_read_costs_only_itself_and_is_not_absent() {
        let odd = r#"{"cve": {"id": "CVE-2026-0002", "lastModified": "yesterday"}}"#;
        let page = parse_page(page(&format!(r#"{odd}, {{"cve": 7}}, {{"cve": {CVE}}}"#), 3).as_bytes()).unwrap();
        assert_eq!(page.cves.len(), 1);
        let ids: Vec<_> = page.unreadable.iter().map(|entry| entry.id.as_ref().map(VulnerabilityId::as_str)).collect();
        assert_eq!(ids, [Some("CVE-2026-0002"), None]);
    }

    #[test]
    fn no_result_is_an_answer_and_a_foreign_page_is_none() {
        assert_eq!(parse_page(page("", 0).as_bytes()).unwrap().total_results, 0);
        for body in ["", "Invalid apiKey", "<html>503</html>", "{}", &page("", 0).replace("NVD_CVE", "CPE")] {
            assert!(parse_page(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn of_a_cve_that_stands_twice_on_a_page_the_newer_counts() {
        let newer = CVE.replace("2026-06-17", "2026-07-17").replace("Made up", "Newer");
        for entries in [[CVE, &newer], [&newer, CVE]] {
            let entries = entries.map(|cve| format!(r#"{{"cve": {cve}}}"#)).join(",");
            let page = parse_page(page(&entries, 2).as_bytes()).unwrap();
            assert_eq!(page.cves.values().next().unwrap().description.as_deref(), Some("Newer"));
        }
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_there_is_no_panic(bytes: Vec<u8>, cut in 0..CVE.len(), text in "\\PC{0,30}") {
            let _ = (parse_page(&bytes), parse_cve(&bytes));
            prop_assert!(parse_cve(&CVE.as_bytes()[..cut]).is_err());
            let text = Value::from(text).to_string();
            for field in ["Made up", "CWE-79", "2026-03-01", "Undergoing Analysis", "AV:N", "active"] {
                let field = format!("\"{field}\"");
                prop_assert!(parse_cve(CVE.replace(&field, &text).as_bytes()).is_ok());
            }
        }
    }
}
