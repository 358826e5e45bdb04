//! Reads OSV records (<https://ossf.github.io/osv-schema/>) and the answers of `GET /v1/vulns/{id}`
//! (<https://google.github.io/osv.dev/get-v1-vulns/>).
//!
//! Of `affected` only the ratings are read, as Trivy has matched already; `related` and `credits` are not read.

use serde::Deserialize;
use serde_json::Value;

use super::collect::Collector;
use crate::domain::upstream_time;
use crate::domain::vulnerability::id::{VulnerabilityId, VulnerabilityIdError};
use crate::domain::vulnerability::{CvssKind, SourceRecord, Status};

/// The bytes are not what OSV answers.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages describe the variants")]
pub enum Error {
    #[error("is not JSON of OSV: {0}")]
    Syntax(#[from] serde_json::Error),
    #[error("its id {0}")]
    Id(#[from] VulnerabilityIdError),
    #[error("its modified is not a time")]
    Modified,
    #[error("is an error of OSV, but not its \"not found\"")]
    OtherError,
}

#[derive(Deserialize)]
struct Record {
    id: String,
    modified: String,
    published: Option<String>,
    withdrawn: Option<String>,
    summary: Option<String>,
    details: Option<String>,
    aliases: Option<Vec<String>>,
    upstream: Option<Vec<String>>,
    severity: Option<Vec<Severity>>,
    affected: Option<Vec<Affected>>,
    references: Option<Vec<Link>>,
    database_specific: Option<Value>,
}

#[derive(Deserialize)]
struct Severity {
    r#type: String,
    score: String,
}

#[derive(Deserialize)]
struct Affected {
    severity: Option<Vec<Severity>>,
}

#[derive(Deserialize)]
struct Link {
    #[serde(default)]
    r#type: String,
    url: String,
}

/// Reads a record.
///
/// # Errors
/// [`Error`]
pub fn parse_record(bytes: &[u8]) -> Result<(VulnerabilityId, SourceRecord), Error> {
    let record: Record = serde_json::from_slice(bytes)?;
    let id: VulnerabilityId = record.id.parse()?;
    let modified = upstream_time::instant(&record.modified).ok_or(Error::Modified)?;
    let mut collector = Collector::new(modified);
    let published = collector.instant("published", record.published.as_deref());

    let facts = collector.facts();
    facts.modified = Some(modified);
    facts.published = published;
    facts.status = Some(if record.withdrawn.is_some() { Status::Rejected } else { Status::Published });
    let summary = record.summary.unwrap_or_default();
    collector.title(&summary);
    collector.description(&summary);
    collector.description(&record.details.unwrap_or_default());
    // A copy of a CVE under the CVE's own id may list itself as an alias.
    collector.aliases(record.aliases.iter().flatten().map(String::as_str).filter(|alias| *alias != id.as_str()));
    collector.upstream(record.upstream.iter().flatten().map(String::as_str));
    let of_packages = record.affected.into_iter().flatten().flat_map(|affected| affected.severity);
    for Severity { r#type, score } in record.severity.into_iter().chain(of_packages).flatten() {
        // The type `Ubuntu` has a severity and no vector; Trivy has it as the vendor's severity.
        if r#type.starts_with("CVSS_") {
            collector.cvss(&score, None, CvssKind::Vendor, id.database());
        }
    }
    let specific = record.database_specific.unwrap_or_default();
    let weaknesses = ["cwe_ids", "cwes", "cwe"].map(|name| specific.get(name));
    for weakness in weaknesses.into_iter().flatten().filter_map(Value::as_array).flatten() {
        let number = weakness.as_str().or_else(|| weakness.get("cweId").and_then(Value::as_str));
        if let Some(number) = number {
            collector.cwe(number, id.database());
        }
    }
    for Link { r#type, url } in record.references.iter().flatten() {
        collector.reference(url, (!r#type.is_empty()).then_some(r#type.as_str()));
    }
    Ok((id, collector.finish()))
}

#[derive(Deserialize)]
struct Status404 {
    code: u32,
    message: String,
}

/// `google.rpc.Code.NOT_FOUND`: <https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto>.
const NOT_FOUND: u32 = 5;

/// Reads the aliases in the body of a 404; none if OSV does not know the id:
/// `Vulnerability not found, but the following aliases were: GHSA-… PYSEC-…`
/// (<https://github.com/google/osv.dev/blob/master/gcp/api/server.py>).
///
/// # Errors
/// [`Error::OtherError`] for any other 404, such as that of a wrong path or a proxy.
pub fn parse_not_found(bytes: &[u8]) -> Result<Vec<VulnerabilityId>, Error> {
    let body: Status404 = serde_json::from_slice(bytes)?;
    if body.code != NOT_FOUND || !body.message.contains("not found") {
        return Err(Error::OtherError);
    }
    let Some((_, names)) = body.message.split_once("aliases were:") else { return Ok(Vec::new()) };
    let names = names.split(|c: char| c.is_whitespace() || c == ',').map(|name| name.trim_end_matches('.'));
    let mut aliases: Vec<VulnerabilityId> =
        names.filter_map(|name| name.parse().ok()).take(SourceRecord::LIST).collect();
    aliases.sort();
    aliases.dedup();
    // An id with unreadable aliases is known, so it must not count as absent.
    if aliases.is_empty() { Err(Error::OtherError) } else { Ok(aliases) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ids(ids: &[&str]) -> Vec<VulnerabilityId> {
        ids.iter().map(|id| id.parse().unwrap()).collect()
    }

    #[test]
    fn an_advisory_is_read() {
        let record = br#"{
            "schema_version": "1.7.4", "id": "GHSA-2222-3333-4444", "modified": "2026-05-01T10:00:00.5Z",
            "published": "2026-04-01T10:00:00Z", "aliases": ["CVE-2026-1234"], "upstream": null, "related": [7],
            "summary": "Made-up\u202e flaw", "details": "It is\r\nmade up.",
            "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"},
                         {"type": "CVSS_V4", "score": "CVSS:4.0/AV:N"}, {"type": "Ubuntu", "score": "low"}],
            "affected": [{"package": {"ecosystem": "Unheard Of", "name": "x"}, "severity": [
                {"type": "CVSS_V2", "score": "AV:N/AC:L/Au:N/C:P/I:P/A:P"}]}],
            "references": [{"type": "WEB", "url": "https://a.example/x"}, {"type": "FIX", "url": "https://b.example/"}],
            "database_specific": {"cwe_ids": ["CWE-79"], "severity": "MODERATE"}
        }"#;
        let (id, facts) = parse_record(record).unwrap();
        assert_eq!(id.as_str(), "GHSA-2222-3333-4444");
        assert_eq!(facts.as_of.to_string(), "2026-05-01T10:00:00.5Z");
        assert_eq!(facts.status, Some(Status::Published));
        assert_eq!(facts.aliases, ids(&["CVE-2026-1234"]));
        assert_eq!(facts.title.as_deref(), Some("Made-up flaw"));
        assert_eq!(facts.description.as_deref(), Some("It is\nmade up."));
        assert_eq!(facts.cvss.iter().map(|cvss| cvss.score).collect::<Vec<_>>(), [9.8, 7.5]);
        assert_eq!(facts.cvss[0].assigner, "GHSA");
        assert_eq!(facts.cwes[0].id, "CWE-79");
        assert_eq!(facts.references[0].url, "https://b.example/");
        assert_eq!(facts.notes.len(), 1);
        assert!(facts.notes[0].starts_with("cvss: \"CVSS:4.0/AV:N\" is not a CVSS vector"), "{:?}", facts.notes);
    }

    #[test]
    fn a_withdrawn_advisory_is_rejected() {
        let record = br#"{"id": "GO-2026-1", "modified": "2026-05-01T10:00:00Z", "withdrawn": "2026-05-01T10:00:00Z"}"#;
        let (_, facts) = parse_record(record).unwrap();
        assert_eq!((facts.status, facts.description), (Some(Status::Rejected), None));
    }

    #[test]
    fn a_404_that_names_aliases_is_followed() {
        let body = br#"{"code": 5, "message":
            "Vulnerability not found, but the following aliases were: GHSA-2222-3333-4444 PYSEC-2026-7"}"#;
        assert_eq!(parse_not_found(body).unwrap(), ids(&["GHSA-2222-3333-4444", "PYSEC-2026-7"]));
    }

    #[test]
    fn only_osvs_own_404_means_that_there_is_none() {
        for body in [r#"{"code":5,"message":"Vulnerability not found"}"#, r#"{"code":5,"message":"Bug not found."}"#] {
            assert_eq!(parse_not_found(body.as_bytes()).unwrap(), []);
        }
        for body in [
            "<html>404</html>",
            "{}",
            r#"{"code":3,"message":"Invalid ID"}"#,
            r#"{"code":5,"message":"The current request is not defined by this API."}"#,
            r#"{"code":5,"message":"Vulnerability not found, but the following aliases were: ???"}"#,
        ] {
            let error = parse_not_found(body.as_bytes()).unwrap_err();
            assert!(matches!(error, Error::Syntax(_) | Error::OtherError), "{body}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_there_is_no_panic(bytes: Vec<u8>, text in "\\PC{0,60}") {
            let _ = (parse_record(&bytes), parse_not_found(&bytes));
            let text = Value::from(text);
            let body = format!(
                r#"{{"id":"GO-1","modified":"2026-01-01T00:00:00Z","summary":{text},"aliases":[{text}],
                    "severity":[{{"type":"CVSS_V3","score":{text}}}],"references":[{{"url":{text}}}],
                    "database_specific":{{"cwe_ids":[{text}]}}}}"#
            );
            prop_assert!(parse_record(body.as_bytes()).is_ok());
            let _ = parse_not_found(format!(r#"{{"code":5,"message":{text}}}"#).as_bytes());
        }
    }
}
