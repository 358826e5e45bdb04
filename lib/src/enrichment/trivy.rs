//! Reads the facts of a report about a vulnerability, the only ones until a source answers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::collect::Collector;
use super::lenient::{Lenient, Object};
use crate::domain::vulnerability::{CvssKind, SourceRecord};

/// The bytes are not a vulnerability object of Trivy.
#[derive(Debug, thiserror::Error)]
#[error("is not a vulnerability of a Trivy report: {0}")]
pub struct Error(#[from] serde_json::Error);

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Vulnerability {
    title: Lenient<String>,
    description: Lenient<String>,
    #[serde(rename = "VendorIDs")]
    vendor_ids: Lenient<Vec<Lenient<String>>>,
    #[serde(rename = "CweIDs")]
    cwe_ids: Lenient<Vec<Lenient<String>>>,
    #[serde(rename = "CVSS")]
    cvss: Lenient<BTreeMap<String, Object<Vendor>>>,
    references: Lenient<Vec<Lenient<String>>>,
    published_date: Lenient<String>,
    last_modified_date: Lenient<String>,
}

/// A vendor's ratings: <https://github.com/aquasecurity/trivy-db/blob/main/pkg/types/types.go>, `CVSS`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Vendor {
    v2_vector: Lenient<String>,
    v3_vector: Lenient<String>,
    v40_vector: Lenient<String>,
    v2_score: Lenient<f64>,
    v3_score: Lenient<f64>,
    v40_score: Lenient<f64>,
}

/// Reads a vulnerability object of a report that was made at `reported_at`.
///
/// # Errors
/// [`Error`]
pub fn parse_vulnerability(bytes: &[u8], reported_at: Timestamp) -> Result<SourceRecord, Error> {
    let vulnerability: Vulnerability = serde_json::from_slice(bytes)?;
    let mut collector = Collector::new(reported_at);
    let published = collector.instant("PublishedDate", vulnerability.published_date.0.as_deref());
    let modified = collector.instant("LastModifiedDate", vulnerability.last_modified_date.0.as_deref());
    collector.facts().published = published;
    collector.facts().modified = modified;
    collector.title(vulnerability.title.0.as_deref().unwrap_or_default());
    collector.description(vulnerability.description.0.as_deref().unwrap_or_default());
    // A distribution's advisory in `VendorIDs` is about many CVEs, so it is no alias; GitHub's is.
    let is_github = |id: &&str| id.get(..5).is_some_and(|begin| begin.eq_ignore_ascii_case("GHSA-"));
    collector.aliases(texts(&vulnerability.vendor_ids).filter(is_github));
    for id in texts(&vulnerability.cwe_ids) {
        collector.cwe(id, "trivy");
    }
    for (name, vendor) in vulnerability.cvss.0.iter().flatten() {
        let Some(vendor) = &vendor.0 else { continue };
        for (vector, score) in [
            (&vendor.v2_vector, &vendor.v2_score),
            (&vendor.v3_vector, &vendor.v3_score),
            (&vendor.v40_vector, &vendor.v40_score),
        ] {
            if let Some(vector) = vector.0.as_deref().filter(|vector| !vector.is_empty()) {
                // A report may name NVD as the assigner; only NVD's own record proves it.
                collector.cvss(vector, score.0, CvssKind::Vendor, name);
            }
        }
    }
    for url in texts(&vulnerability.references) {
        collector.reference(url, []);
    }
    Ok(collector.finish())
}

fn texts(list: &Lenient<Vec<Lenient<String>>>) -> impl Iterator<Item = &str> {
    list.0.iter().flatten().filter_map(|text| text.0.as_deref())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_reports_own_words_are_facts() {
        let object = br#"{"VulnerabilityID": "CVE-2026-0001", "VendorIDs": ["DSA-1-1", "GHSA-2222-3333-4444"],
            "Title": "x: made up", "Description": "Made up.", "CweIDs": ["CWE-20"],
            "References": ["https://a.example/"],
            "CVSS": {"nvd": {"V3Vector": "CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:U/C:H/I:N/A:N", "V3Score": 5.3},
                "ghsa": {"V40Vector": "CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:L/VI:L/VA:N/SC:N/SI:N/SA:N",
                    "V40Score": 6}},
            "PublishedDate": "2026-02-17T19:21:55.31Z"}"#;
        let facts = parse_vulnerability(object, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(facts.title.as_deref(), Some("x: made up"));
        assert_eq!(facts.aliases, ["GHSA-2222-3333-4444".parse().unwrap()]);
        let scores: Vec<_> = facts.cvss.iter().map(|c| (c.assigner.as_str(), c.score, c.stated_score)).collect();
        assert_eq!(scores, [("ghsa", 6.3, Some(6.0)), ("nvd", 5.3, None)]);
        assert_eq!((facts.references.len(), facts.cwes.len(), facts.notes.len()), (1, 1, 0));
    }

    #[test]
    fn an_odd_member_costs_no_other_and_a_list_is_no_object() {
        let vector = "CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:U/C:H/I:N/A:N";
        let object = format!(
            r#"{{"Title": 7, "Description": "Made up.", "References": {{}}, "CweIDs": ["CWE-20", 4],
            "VendorIDs": ["ghsa-2222-3333-4444", null], "PublishedDate": [],
            "CVSS": {{"nvd": ["", "{vector}", null, 9.8, null, null], "ghsa": {{"V3Vector": "{vector}", "V3Score": "x"}}}}}}"#
        );
        let facts = parse_vulnerability(object.as_bytes(), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!((facts.title.as_deref(), facts.description.is_some(), facts.published), (None, true, None));
        assert_eq!((facts.aliases.len(), facts.cwes.len(), facts.references.len()), (1, 1, 0));
        let assigners: Vec<_> = facts.cvss.iter().map(|cvss| cvss.assigner.as_str()).collect();
        assert_eq!(assigners, ["ghsa"]);
        assert!(parse_vulnerability(br#"{"CVSS": []}"#, Timestamp::UNIX_EPOCH).unwrap().cvss.is_empty());
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_there_is_no_panic(bytes: Vec<u8>) {
            let _ = parse_vulnerability(&bytes, Timestamp::UNIX_EPOCH);
        }
    }
}
