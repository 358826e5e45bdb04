//! Reads CVE records of format 5.x: <https://cveproject.github.io/cve-schema/schema/docs/>.
//!
//! Not read: `affected` (Trivy has matched already), `credits`, `timeline`, `impacts`.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::collect::{CISA_ADP, Collector, assigner};
use super::nvd::{CvssData, Link, Text, is_disputed};
use super::ssvc;
use crate::domain::vulnerability::id::{Kind, VulnerabilityId, VulnerabilityIdError};
use crate::domain::vulnerability::{CvssKind, Kev, SourceRecord, Status};

/// The bytes are not a CVE record.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages describe the variants")]
pub enum Error {
    #[error("is not a CVE record: {0}")]
    Syntax(#[from] serde_json::Error),
    #[error("is not a CVE record of format 5")]
    Version,
    #[error("its id {0}")]
    Id(#[from] VulnerabilityIdError),
    #[error("its id is not a CVE's")]
    NotCve,
    #[error("its state is neither PUBLISHED nor REJECTED")]
    State,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    data_version: String,
    cve_metadata: Metadata,
    containers: Containers,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    cve_id: String,
    state: String,
    date_published: Option<String>,
    date_updated: Option<String>,
}

#[derive(Deserialize)]
struct Containers {
    cna: Container,
    adp: Option<Vec<Container>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    provider_metadata: Option<Provider>,
    title: Option<String>,
    descriptions: Option<Vec<Text>>,
    rejected_reasons: Option<Vec<Text>>,
    tags: Option<Vec<String>>,
    problem_types: Option<Vec<ProblemType>>,
    metrics: Option<Vec<Map<String, Value>>>,
    references: Option<Vec<Link>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Provider {
    org_id: String,
    short_name: Option<String>,
}

#[derive(Deserialize)]
struct ProblemType {
    descriptions: Option<Vec<Problem>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Problem {
    cwe_id: Option<String>,
    description: Option<String>,
}

#[derive(Deserialize)]
struct Other {
    r#type: String,
    content: Value,
}

/// Reads a record; `fetched_at` dates the facts of a record without a date.
///
/// # Errors
/// [`Error`]
pub fn parse_record(bytes: &[u8], fetched_at: Timestamp) -> Result<(VulnerabilityId, SourceRecord), Error> {
    let Record { data_version, cve_metadata: metadata, containers } = serde_json::from_slice(bytes)?;
    if !data_version.starts_with("5.") {
        return Err(Error::Version);
    }
    let id: VulnerabilityId = metadata.cve_id.parse()?;
    if id.kind() != Kind::Cve {
        return Err(Error::NotCve);
    }
    let mut collector = Collector::new(fetched_at);
    let published = collector.instant("datePublished", metadata.date_published.as_deref());
    let modified = collector.instant("dateUpdated", metadata.date_updated.as_deref());

    let Containers { cna, adp } = containers;
    let description = english(cna.descriptions.as_deref());
    let status = match metadata.state.to_ascii_uppercase().as_str() {
        "REJECTED" => Status::Rejected,
        "PUBLISHED" if cna.tags.iter().flatten().any(|tag| tag == "disputed") || is_disputed(description) => {
            Status::Disputed
        }
        "PUBLISHED" => Status::Published,
        _ => return Err(Error::State),
    };
    let facts = collector.facts();
    facts.status = Some(status);
    facts.published = published;
    facts.modified = modified;
    facts.as_of = modified.or(published).unwrap_or(fetched_at);
    collector.title(cna.title.as_deref().unwrap_or_default());
    collector.description(english(cna.rejected_reasons.as_deref()));
    collector.description(description);
    read_container(cna, CvssKind::Vendor, &mut collector);
    for adp in adp.into_iter().flatten() {
        read_container(adp, CvssKind::Secondary, &mut collector);
    }
    Ok((id, collector.finish()))
}

/// Reads weaknesses, ratings and pages of the numbering authority or of another provider.
fn read_container(container: Container, kind: CvssKind, collector: &mut Collector) {
    let Provider { org_id, short_name } = container.provider_metadata.unwrap_or_default();
    let is_cisa = org_id == CISA_ADP;
    let name = short_name.filter(|name| !name.is_empty() && !is_cisa).unwrap_or(org_id);
    let assigner = assigner(&name);
    for problem in container.problem_types.into_iter().flatten().flat_map(|problem| problem.descriptions).flatten() {
        let id = problem.cwe_id.filter(|id| !id.is_empty());
        if let Some(id) = id.or_else(|| cwe_in_text(&problem.description?)) {
            collector.cwe(&id, &assigner);
        }
    }
    for page in container.references.into_iter().flatten() {
        collector.reference(&page.url, page.tags.iter().flatten().map(String::as_str));
    }
    for (name, value) in container.metrics.iter().flatten().flatten() {
        if name.starts_with("cvssV") {
            match CvssData::deserialize(value) {
                Ok(CvssData { vector_string, base_score }) => {
                    collector.cvss(&vector_string, base_score, kind, &assigner);
                }
                Err(_) => collector.note("cvss: a rating cannot be read"),
            }
        } else if name == "other" {
            // It may also have a vendor's severity, sometimes without a type.
            let Ok(Other { r#type, content }) = Other::deserialize(value) else { continue };
            if r#type.eq_ignore_ascii_case("ssvc") {
                read_ssvc(&content, &assigner, is_cisa, collector);
            } else if r#type.eq_ignore_ascii_case("kev") {
                read_kev(&content, collector);
            }
        }
    }
}

/// Reads an assessment; CISA's own replaces all others.
fn read_ssvc(content: &Value, assigner: &str, is_cisa: bool, collector: &mut Collector) {
    let options = content.get("options").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let timestamp = content.get("timestamp").and_then(Value::as_str);
    let ssvc = ssvc::decision_points(options, timestamp, assigner, &mut collector.facts().notes);
    let known = &mut collector.facts().ssvc;
    if let Some(ssvc) = ssvc
        && (is_cisa || known.is_none())
    {
        *known = Some(ssvc);
    }
}

/// Reads the day on which CISA listed it, the only fact of the catalogue in a record.
fn read_kev(content: &Value, collector: &mut Collector) {
    match content.get("dateAdded").and_then(Value::as_str).map(str::parse::<Date>) {
        Some(Ok(date_added)) => {
            collector.facts().kev = Some(Kev {
                date_added,
                due_date: None,
                ransomware: None,
                required_action: None,
                forensic_triage: None,
                name: None,
            });
        }
        Some(Err(_)) | None => collector.note("kev: dateAdded is not a date"),
    }
}

/// Finds the text in English: `en` before `en-US` and the like.
fn english(texts: Option<&[Text]>) -> &str {
    let texts = texts.unwrap_or_default();
    let plain = texts.iter().find(|text| text.lang.eq_ignore_ascii_case("en"));
    let any = || texts.iter().find(|text| text.lang.get(..3).is_some_and(|lang| lang.eq_ignore_ascii_case("en-")));
    plain.or_else(any).map_or("", |text| &text.value)
}

/// Finds `CWE-79` in `CWE-79: Cross-site Scripting`, the form of records without the field `cweId`.
fn cwe_in_text(text: &str) -> Option<String> {
    let digits = text.strip_prefix("CWE-")?;
    let length = digits.bytes().take_while(u8::is_ascii_digit).count();
    text.get(..4 + length).filter(|_| length > 0).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::vulnerability::{Exploitation, TechnicalImpact};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    const RECORD: &str = r#"{
        "dataType": "CVE_RECORD", "dataVersion": "5.2",
        "cveMetadata": {"cveId": "CVE-2026-0001", "state": "PUBLISHED", "assignerShortName": "acme",
            "datePublished": "2026-01-02T03:04:05", "dateUpdated": "2026-02-02T03:04:05.6Z"},
        "containers": {
            "cna": {
                "providerMetadata": {"orgId": "0-0", "shortName": "acme"}, "title": "Made up", "tags": ["disputed"],
                "descriptions": [{"lang": "de", "value": "Erfunden"}, {"lang": "en-US", "value": "Made up here"}],
                "problemTypes": [{"descriptions": [{"lang": "en", "description": "CWE-20 Improper Input"}]},
                                 {"descriptions": [{"lang": "en", "description": "n/a"}]}],
                "metrics": [{"format": "CVSS", "scenarios": [], "cvssV3_1": {"version": "3.1", "baseScore": 9,
                    "vectorString": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}},
                    {"other": {"content": {"text": "important"}}}],
                "references": [{"url": "https://acme.example/1", "tags": ["vendor-advisory"]}]
            },
            "adp": [{
                "providerMetadata": {"orgId": "134c704f-9b21-4f2e-91b3-4a467353bcc0", "shortName": "CISA-ADP"},
                "problemTypes": [{"descriptions": [{"cweId": "CWE-787"}]}],
                "metrics": [
                    {"other": {"type": "ssvc", "content": {"timestamp": "2026-02-03T00:00:00.1Z", "options": [
                        {"Exploitation": "PoC"}, {"Automatable": "No"}, {"Technical Impact": "Total"}]}}},
                    {"other": {"type": "KEV", "content": {"dateAdded": "2026-02-04", "reference": "x"}}}]
            }]
        }
    }"#;

    #[test]
    fn a_record_is_read_with_what_cisa_added() {
        let (id, facts) = parse_record(RECORD.as_bytes(), NOW).unwrap();
        assert_eq!(id.as_str(), "CVE-2026-0001");
        assert_eq!(facts.as_of.to_string(), "2026-02-02T03:04:05.6Z");
        assert_eq!(facts.status, Some(Status::Disputed));
        assert_eq!(facts.description.as_deref(), Some("Made up here"));
        let cwes: Vec<_> = facts.cwes.iter().map(|cwe| (cwe.id.as_str(), cwe.assigner.as_str())).collect();
        assert_eq!(cwes, [("CWE-20", "acme"), ("CWE-787", "CISA-ADP")]);
        assert_eq!((facts.cvss[0].score, facts.cvss[0].stated_score), (9.8, Some(9.0)));
        let ssvc = facts.ssvc.unwrap();
        assert_eq!(
            (ssvc.exploitation, ssvc.automatable, ssvc.technical_impact),
            (Some(Exploitation::Poc), Some(false), Some(TechnicalImpact::Total))
        );
        assert_eq!(facts.kev.unwrap().date_added.to_string(), "2026-02-04");
        assert_eq!(facts.notes, [""; 0]);
    }

    #[test]
    fn a_rejected_record_says_why() {
        let record = br#"{"dataVersion": "5.1", "cveMetadata": {"cveId": "CVE-2026-0002", "state": "REJECTED"},
            "containers": {"cna": {"rejectedReasons": [{"lang": "en", "value": "Not used."}]}}}"#;
        let (_, facts) = parse_record(record, NOW).unwrap();
        assert_eq!(facts.status, Some(Status::Rejected));
        assert_eq!(facts.description.as_deref(), Some("Not used."));
        assert_eq!(facts.as_of, NOW);
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for (from, to) in [
            ("\"5.2\"", "\"4.0\""),
            ("PUBLISHED", "RESERVED"),
            ("CVE-2026-0001", "GHSA-2222-3333-4444"),
            ("\"containers\"", "\"container\""),
        ] {
            assert!(parse_record(RECORD.replace(from, to).as_bytes(), NOW).is_err(), "{to}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_there_is_no_panic(bytes: Vec<u8>, cut in 0..RECORD.len()) {
            let _ = parse_record(&bytes, NOW);
            prop_assert!(parse_record(&RECORD.as_bytes()[..cut], NOW).is_err());
        }
    }
}
