//! The floor of Sirius's CPU: the least that a typed reader of these reports needs.
//!
//! That is one pass of `serde_json` into structs of owned values, and one SHA-256 over the same bytes.
//! The structs name every member of a vulnerability that Trivy writes, all of which a stored finding
//! keeps, and what a scan keeps of the rest. What they do not name is skipped unread: packages, image
//! configuration, layers, secrets, misconfigurations.
//!
//! So the floor does less than Sirius, and the ratio includes the difference: the hash is of
//! the received bytes, not of a canonical text (sorted keys, one spelling of numbers, packages
//! and configuration included); members it does not know are lost; duplicate keys inside skipped
//! values are not noticed; nothing is ordered, de-duplicated, compressed or made into items.
//!
//! It reads with `from_slice`, which checks each string's UTF-8 by itself, as most programs do; checking
//! all bytes first and then using `from_str` is faster. `serde_json` is built with
//! `float_roundtrip` for both sides, since cargo builds it once.
#![expect(dead_code, reason = "the fields are kept, which is their cost, and not looked at")]

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Number, Value};
use sha2::{Digest, Sha256};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Report {
    schema_version: Option<Number>,
    created_at: Option<Value>,
    artifact_name: Option<String>,
    artifact_type: Option<String>,
    metadata: Option<Metadata>,
    trivy: Option<Trivy>,
    results: Option<Vec<ResultEntry>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    #[serde(rename = "OS")]
    os: Option<Os>,
    #[serde(rename = "ImageID")]
    image_id: Option<String>,
    repo_tags: Option<Vec<String>>,
    repo_digests: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Os {
    family: Option<String>,
    name: Option<String>,
    #[serde(rename = "EOSL")]
    eosl: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Trivy {
    version: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ResultEntry {
    target: String,
    class: Option<String>,
    r#type: Option<String>,
    vulnerabilities: Option<Vec<Vulnerability>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Vulnerability {
    #[serde(rename = "VulnerabilityID")]
    vulnerability_id: Option<String>,
    #[serde(rename = "VendorIDs")]
    vendor_ids: Option<Vec<String>>,
    #[serde(rename = "PkgID")]
    pkg_id: Option<String>,
    pkg_name: Option<String>,
    pkg_path: Option<String>,
    pkg_identifier: Option<PkgIdentifier>,
    r#ref: Option<String>,
    installed_version: Option<String>,
    fixed_version: Option<String>,
    status: Option<String>,
    layer: Option<Layer>,
    severity_source: Option<String>,
    #[serde(rename = "PrimaryURL")]
    primary_url: Option<String>,
    data_source: Option<DataSource>,
    fingerprint: Option<String>,
    title: Option<String>,
    description: Option<String>,
    severity: Option<String>,
    #[serde(rename = "CweIDs")]
    cwe_ids: Option<Vec<String>>,
    vendor_severity: Option<HashMap<String, f64>>,
    #[serde(rename = "CVSS")]
    cvss: Option<HashMap<String, Cvss>>,
    references: Option<Vec<String>>,
    published_date: Option<String>,
    last_modified_date: Option<String>,
    custom: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PkgIdentifier {
    #[serde(rename = "PURL")]
    purl: Option<String>,
    #[serde(rename = "UID")]
    uid: Option<String>,
    #[serde(rename = "BOMRef")]
    bom_ref: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Layer {
    size: Option<Number>,
    digest: Option<String>,
    #[serde(rename = "DiffID")]
    diff_id: Option<String>,
    created_by: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DataSource {
    #[serde(rename = "ID")]
    id: Option<String>,
    name: Option<String>,
    #[serde(rename = "URL")]
    url: Option<String>,
    #[serde(rename = "BaseID")]
    base_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Cvss {
    v2_vector: Option<String>,
    v3_vector: Option<String>,
    v40_vector: Option<String>,
    v2_score: Option<f64>,
    v3_score: Option<f64>,
    v40_score: Option<f64>,
}

/// Parses and hashes a report; returns the number of its vulnerabilities.
pub(crate) fn read(bytes: &[u8]) -> usize {
    std::hint::black_box(Sha256::digest(bytes));
    let json = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let report = match json.trim_ascii_start().first() {
        Some(b'[') => Report {
            schema_version: None,
            created_at: None,
            artifact_name: None,
            artifact_type: None,
            metadata: None,
            trivy: None,
            results: Some(serde_json::from_slice(json).unwrap()),
        },
        _ => serde_json::from_slice(json).unwrap(),
    };
    let report = std::hint::black_box(report);
    report.results.iter().flatten().filter_map(|result| result.vulnerabilities.as_ref()).map(Vec::len).sum()
}
