//! What the report itself says about a vulnerability: all there is until a source has answered, and
//! ever after for ids that no source knows.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::collect::Collector;
use super::lenient::null_is_default;
use crate::domain::enrichment::{CvssKind, Facts};

/// The bytes are not a vulnerability object of Trivy.
#[derive(Debug, thiserror::Error)]
#[error("is not a vulnerability of a Trivy report: {0}")]
pub struct Error(#[from] serde_json::Error);

impl Error {
    /// False: the same report reads the same tomorrow.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        false
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Vulnerability {
    #[serde(default, deserialize_with = "null_is_default")]
    title: String,
    #[serde(default, deserialize_with = "null_is_default")]
    description: String,
    #[serde(rename = "VendorIDs", default, deserialize_with = "null_is_default")]
    vendor_ids: Vec<String>,
    #[serde(rename = "CweIDs", default, deserialize_with = "null_is_default")]
    cwe_ids: Vec<String>,
    #[serde(rename = "CVSS", default, deserialize_with = "null_is_default")]
    cvss: BTreeMap<String, Vendor>,
    #[serde(default, deserialize_with = "null_is_default")]
    references: Vec<String>,
    published_date: Option<String>,
    last_modified_date: Option<String>,
}

/// A vendor's ratings: <https://github.com/aquasecurity/trivy-db/blob/main/pkg/types/types.go>, `CVSS`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Vendor {
    v2_vector: Option<String>,
    v3_vector: Option<String>,
    v40_vector: Option<String>,
    v2_score: Option<f64>,
    v3_score: Option<f64>,
    v40_score: Option<f64>,
}

/// Reads a vulnerability object of a report that was made at `reported_at`.
///
/// # Errors
/// [`Error`]
pub fn parse(bytes: &[u8], reported_at: Timestamp) -> Result<Facts, Error> {
    let vulnerability: Vulnerability = serde_json::from_slice(bytes)?;
    let mut collector = Collector::new(reported_at);
    let published = collector.instant("PublishedDate", vulnerability.published_date.as_deref());
    let modified = collector.instant("LastModifiedDate", vulnerability.last_modified_date.as_deref());
    collector.facts().published = published;
    collector.facts().modified = modified;
    collector.title(&vulnerability.title);
    collector.description(&vulnerability.description);
    // A distribution's advisory in `VendorIDs` is about many CVEs, so it is no alias; GitHub's is.
    collector.aliases(vulnerability.vendor_ids.iter().map(String::as_str).filter(|id| id.starts_with("GHSA-")));
    for id in &vulnerability.cwe_ids {
        collector.cwe(id, "trivy");
    }
    for (name, vendor) in &vulnerability.cvss {
        for (vector, score) in [
            (&vendor.v2_vector, vendor.v2_score),
            (&vendor.v3_vector, vendor.v3_score),
            (&vendor.v40_vector, vendor.v40_score),
        ] {
            if let Some(vector) = vector.as_deref().filter(|vector| !vector.is_empty()) {
                // A report may say that NVD rated; NVD's own record is the proof.
                collector.cvss(vector, score, CvssKind::Vendor, name);
            }
        }
    }
    for url in &vulnerability.references {
        collector.reference(url, []);
    }
    Ok(collector.finish())
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
        let facts = parse(object, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(facts.title.as_deref(), Some("x: made up"));
        assert_eq!(facts.aliases, ["GHSA-2222-3333-4444".parse().unwrap()]);
        let scores: Vec<_> = facts.cvss.iter().map(|c| (c.assigner.as_str(), c.score, c.stated_score)).collect();
        assert_eq!(scores, [("ghsa", 6.3, Some(6.0)), ("nvd", 5.3, None)]);
        assert_eq!((facts.references.len(), facts.cwes.len(), facts.notes.len()), (1, 1, 0));
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_there_is_no_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes, Timestamp::UNIX_EPOCH);
        }
    }
}
