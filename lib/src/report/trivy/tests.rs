use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::severity::Severity;

fn canonical(report: &Value) -> Canonical {
    Canonical::read(report.to_string().as_bytes(), &Limits::default()).unwrap()
}

fn read(canonical: &Canonical) -> Result<Report<'_>, Error> {
    Report::read(canonical, &Declared::default(), &Limits::default())
}

fn named_as(name: &str) -> Declared {
    Declared { image_name: Some(name.parse().unwrap()), ..Declared::default() }
}

fn hash(report: &Value) -> ReportHash {
    read(&canonical(report)).unwrap().hash
}

fn report(results: Value) -> Value {
    json!({"SchemaVersion": 2, "ArtifactName": "app:1", "ArtifactType": "container_image", "Results": results})
}

/// A report with everything that Trivy writes about two findings.
fn full() -> Value {
    json!({
        "SchemaVersion": 2, "Trivy": {"Version": "0.69.1"}, "ReportID": "019a", "CreatedAt": "2026-11-21T10:00:00Z",
        "ArtifactID": "sha256:3", "ArtifactName": "app:1", "ArtifactType": "container_image",
        "Metadata": {
            "Size": 7, "OS": {"Family": "debian", "Name": "12.5", "EOSL": true}, "ImageID": "sha256:1",
            "RepoTags": ["app:1"], "RepoDigests": ["app@sha256:2"], "Unknown": [1, {"a": null}]
        },
        "Results": [
            {"Target": "app:1 (debian 12.5)", "Class": "os-pkgs", "Type": "debian", "Packages": [{"Name": "zlib1g"}],
             "Vulnerabilities": [
                {"VulnerabilityID": "CVE-2026-2", "PkgName": "zlib1g", "InstalledVersion": "1.2", "Severity": "LOW",
                 "References": null, "CVSS": {"nvd": {"V3Score": 7.5}}, "Layer": {}},
                {"VulnerabilityID": "CVE-2026-1", "PkgName": "openssl", "InstalledVersion": "3.0", "FixedVersion": "3.1, 3.2",
                 "Severity": "CRITICAL", "VendorSeverity": {"nvd": 4}}
             ]},
            {"Target": "app/package-lock.json", "Class": "lang-pkgs", "Type": "npm", "Vulnerabilities": null},
            {"Target": "secret.env", "Class": "secret", "Secrets": [{"RuleID": "x"}]}
        ]
    })
}

#[test]
fn the_facts_of_a_report_are_read() {
    let full = full();
    let canonical = canonical(&full);
    let report = read(&canonical).unwrap();
    let artifact = &report.artifact;
    assert_eq!(artifact.image_name.as_str(), "app:1");
    assert_eq!((artifact.image_digest.as_deref(), artifact.image_id.as_deref()), (Some("sha256:2"), Some("sha256:1")));
    assert_eq!((artifact.os_family.as_deref(), artifact.os_name.as_deref()), (Some("debian"), Some("12.5")));
    assert!(artifact.os_end_of_life);
    assert_eq!(artifact.trivy_version.as_deref(), Some("0.69.1"));
    assert_eq!(report.created_at, Some("2026-11-21T10:00:00Z".parse().unwrap()));
    let ids: Vec<_> =
        report.findings.iter().map(|f| (f.severity, f.vulnerability_id.as_deref().unwrap(), f.fixable)).collect();
    assert_eq!(ids, [(Severity::Critical, "CVE-2026-1", true), (Severity::Low, "CVE-2026-2", false)]);
    assert_eq!(report.scanned.len(), 1, "only results with findings are kept");
    let mut rest = Vec::new();
    report.findings[1].write_rest(&mut rest).unwrap();
    let rest = String::from_utf8(rest).unwrap();
    assert_eq!(
        rest,
        r#"{"CVSS":{"nvd":{"V3Score":7.5}},"InstalledVersion":"1.2","Layer":{},"References":null,"Severity":"LOW"}"#
    );
}

#[test]
fn what_a_report_does_not_say_is_not_needed() {
    let bare = json!({"SchemaVersion": 2, "ArtifactName": "x"});
    assert_eq!(read(&canonical(&bare)).unwrap().findings.len(), 0);
    let empty_objects = report(json!([{"Target": "t", "Vulnerabilities": [{}]}]));
    let canonical = canonical(&empty_objects);
    let report = read(&canonical).unwrap();
    let finding = &report.findings[0];
    assert_eq!((finding.severity, &finding.vulnerability_id, &finding.pkg_name), (Severity::Unknown, &None, &None));
}

#[test]
fn a_version_spelled_as_a_float_is_the_same_version() {
    assert!(read(&canonical(&json!({"SchemaVersion": 2.0, "ArtifactName": "x"}))).is_ok());
}

#[test]
fn the_name_comes_from_the_first_place_that_has_one() {
    let results =
        json!([{"Target": "lib.jar", "Class": "lang-pkgs"}, {"Target": "img:2 (alpine 3.1)", "Class": "os-pkgs"}]);
    for (report, name) in [
        (json!({"SchemaVersion": 2, "ArtifactName": "a", "ArtifactType": "vm", "Metadata": {"RepoTags": ["b"]}}), "a"),
        (json!({"SchemaVersion": 2, "ArtifactName": " ", "ArtifactType": "vm", "Metadata": {"RepoTags": ["b"]}}), "b"),
        (json!({"SchemaVersion": 2, "ArtifactType": "vm", "Results": results}), "img:2"),
        (results.clone(), "img:2"),
        (json!([{"Target": "lib (copy).jar"}, {"Target": "Gemfile.lock"}]), "lib (copy).jar"),
        (json!([{"Target": "x (y)", "Class": "lang-pkgs"}]), "x (y)"),
        (json!([{"Target": "a (b) (debian 9)"}]), "a (b)"),
    ] {
        assert_eq!(read(&canonical(&report)).unwrap().artifact.image_name.as_str(), name);
    }
}

#[test]
fn a_given_name_is_taken_and_makes_another_report_only_if_it_is_another_name() {
    let report = canonical(&full());
    let named = |name: &str| Report::read(&report, &named_as(name), &Limits::default()).unwrap();
    assert_eq!(named("mine").artifact.image_name.as_str(), "mine");
    assert_ne!(named("mine").hash, read(&report).unwrap().hash);
    assert_eq!(named("app:1").hash, read(&report).unwrap().hash);
}

#[test]
fn a_target_that_is_there_twice_keeps_its_classes_apart() {
    let vulnerability = json!({"VulnerabilityID": "CVE-1", "PkgName": "p"});
    let report = report(json!([
        {"Target": "t", "Class": "lang-pkgs", "Vulnerabilities": [vulnerability]},
        {"Target": "t", "Class": "custom", "Vulnerabilities": [vulnerability]},
        {"Target": "t", "Class": "lang-pkgs", "Vulnerabilities": [vulnerability, {"VulnerabilityID": "CVE-1", "PkgName": "p", "FixedVersion": "2"}]}
    ]));
    let canonical = canonical(&report);
    let report = read(&canonical).unwrap();
    assert_eq!((report.reported_findings, report.findings.len(), report.scanned.len()), (4, 3, 2));
}

#[test]
fn a_report_over_the_limit_is_refused_while_it_is_read() {
    let report = report(json!([{"Target": "t", "Vulnerabilities": vec![json!({}); 6]}]));
    let canonical = canonical(&report);
    let limits = |max_findings| Limits { max_findings, ..Limits::default() };
    assert!(Report::read(&canonical, &Declared::default(), &limits(6)).is_ok());
    assert!(matches!(
        Report::read(&canonical, &Declared::default(), &limits(5)),
        Err(Error::TooManyFindings { limit: 5 })
    ));
}

#[test]
fn endless_texts_are_refused_by_their_path() {
    let long = "x".repeat(9000);
    for (report, path) in [
        (json!({"SchemaVersion": 2, "ArtifactName": "a", "Metadata": {"ImageID": long}}), "Metadata.ImageID"),
        (json!({"SchemaVersion": 2, "ArtifactName": "a", "Trivy": {"Version": long}}), "Trivy.Version"),
        (report(json!([{"Target": long, "Vulnerabilities": [{}]}])), "Results[0]"),
    ] {
        let error = read(&canonical(&report)).unwrap_err();
        assert!(matches!(&error, Error::Field { path: found, .. } if found == path), "{error}");
    }
    assert!(matches!(
        read(&canonical(&json!({"SchemaVersion": 2, "ArtifactName": long}))),
        Err(Error::ImageName { .. })
    ));
}

/// Paths to all leaves of a value.
fn leaves(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            members.iter().for_each(|(key, member)| leaves(member, &format!("{path}/{key}"), found));
        }
        Value::Array(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(at, item)| leaves(item, &format!("{path}/{at}"), found));
        }
        _ => found.push(path.to_owned()),
    }
}

#[test]
fn every_fact_but_the_volatile_ones_changes_the_hash() {
    let full = full();
    let before = canonical(&full).hash(&Declared::default());
    let mut paths = Vec::new();
    leaves(&full, "", &mut paths);
    assert!(paths.len() > 30);
    for path in paths {
        let mut changed = full.clone();
        *changed.pointer_mut(&path).unwrap() = json!("another value");
        let after = canonical(&changed).hash(&Declared::default());
        let volatile = path == "/CreatedAt" || path == "/ReportID";
        assert_eq!(after == before, volatile, "{path}");
    }
}

proptest! {
    #[test]
    fn any_other_set_of_findings_is_another_report(a in prop::collection::vec(0u8..4, 0..5), b in prop::collection::vec(0u8..4, 0..5)) {
        let with = |ids: &[u8]| {
            let vulnerabilities: Vec<Value> = ids.iter().map(|id| json!({"VulnerabilityID": format!("CVE-{id}")})).collect();
            hash(&report(json!([{"Target": "t", "Vulnerabilities": vulnerabilities}])))
        };
        prop_assert_eq!(a == b, with(&a) == with(&b));
    }

    #[test]
    fn the_order_is_the_same_however_the_report_lists_its_findings(order in Just((0..40usize).collect::<Vec<_>>()).prop_shuffle()) {
        let severities = ["LOW", "CRITICAL", "UNKNOWN", "HIGH"];
        let vulnerability = |n: usize| json!({
            "VulnerabilityID": format!("CVE-{}", n % 7), "PkgName": format!("p{}", n % 3), "Severity": severities[n % 4],
            "InstalledVersion": format!("{n}")
        });
        let of = |order: &[usize]| {
            let vulnerabilities: Vec<Value> = order.iter().map(|&n| vulnerability(n)).collect();
            let canonical = canonical(&report(json!([{"Target": "t", "Vulnerabilities": vulnerabilities}])));
            let report = read(&canonical).unwrap();
            report.findings.iter().map(|f| f.installed_version.as_deref().unwrap().to_owned()).collect::<Vec<_>>()
        };
        prop_assert_eq!(of(&order), of(&(0..40).collect::<Vec<_>>()));
    }

    #[test]
    fn a_damaged_report_never_panics(at in any::<prop::sample::Index>(), byte: u8, cut in any::<prop::sample::Index>()) {
        let mut bytes = full().to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(bytes.len() - cut.index(bytes.len()) / 50);
        if let Ok(canonical) = Canonical::read(&bytes, &Limits::default()) {
            let _ = read(&canonical);
        }
    }
}
