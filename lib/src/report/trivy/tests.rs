mod refusals;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::domain::severity::Severity;
use crate::domain::tests::shared;

fn canonical(report: &Value) -> Canonical {
    Canonical::read(report.to_string().as_bytes(), &Limits::default()).unwrap()
}

fn read_report(canonical: &Canonical) -> Result<Report<'_>, Error> {
    Report::read(canonical, &Declared::default(), &Limits::default())
}

fn named_as(name: &str) -> Declared {
    Declared { image_name: Some(name.parse().unwrap()), ..Declared::default() }
}

fn hash(report: &Value) -> ReportHash {
    read_report(&canonical(report)).unwrap().hash
}

fn report(results: Value) -> Value {
    json!({"SchemaVersion": 2, "ArtifactName": "app:1", "ArtifactType": "container_image", "Results": results})
}

/// A report with everything that Trivy writes about two findings.
fn full() -> Value {
    json!({
        "SchemaVersion": 2, "Trivy": {"Version": "0.69.1", "Server": {"UpdatedAt": "2026"}}, "ReportID": "019a", "CreatedAt": "2026-11-21T10:00:00Z",
        "ArtifactID": "sha256:3", "ArtifactName": "app:1", "ArtifactType": "container_image",
        "Metadata": {
            "Size": 7, "OS": {"Family": "debian", "Name": "12.5", "EOSL": true}, "ImageID": "sha256:1",
            "RepoTags": ["app:1"], "RepoDigests": ["app@sha256:2"], "Unknown": [1, {"a": null}],
            "Layers": [{"Digest": "sha256:4"}]
        },
        "Results": [
            {"Target": "app:1 (debian 12.5)", "Class": "os-pkgs", "Type": "debian", "Packages": [{"Name": "zlib1g"}],
             "Vulnerabilities": [
                {"VulnerabilityID": "CVE-2026-2", "PkgName": "zlib1g", "InstalledVersion": "1.2", "Severity": "LOW",
                 "References": null, "CVSS": {"nvd": {"V3Score": 7.5}}, "Layer": {}},
                {"VulnerabilityID": "CVE-2026-1", "PkgName": "openssl", "InstalledVersion": "3.0", "FixedVersion": "3.1, 3.2",
                 "Severity": "CRITICAL", "VendorSeverity": {"nvd": 4}, "Layer": {"DiffID": "sha256:5", "Digest": "sha256:4"}}
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
    let report = read_report(&canonical).unwrap();
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
    report.findings[1].write_rest(&mut rest);
    let rest = String::from_utf8(rest).unwrap();
    assert_eq!(
        rest,
        r#"{"CVSS":{"nvd":{"V3Score":7.5}},"InstalledVersion":"1.2","Layer":{},"References":null,"Severity":"LOW"}"#
    );
}

#[test]
fn what_a_report_does_not_say_is_not_needed() {
    let bare = json!({"SchemaVersion": 2, "ArtifactName": "x"});
    assert_eq!(read_report(&canonical(&bare)).unwrap().findings.len(), 0);
    let empty_objects = report(json!([{"Target": "t", "Vulnerabilities": [{}]}]));
    let canonical = canonical(&empty_objects);
    let report = read_report(&canonical).unwrap();
    let finding = &report.findings[0];
    assert_eq!((finding.severity, &finding.vulnerability_id, &finding.pkg_name), (Severity::Unknown, &None, &None));
}

#[test]
fn a_finding_keeps_its_members_whatever_stands_around_its_names() {
    for (members, rest) in [
        (r#"{}"#, "{}"),
        (r#"{"PkgName":"p"}"#, "{}"),
        (r#"{"VulnerabilityID":"v","PkgName":"p"}"#, "{}"),
        (r#"{"A":1,"PkgName":"p","Q":[2],"VulnerabilityID":"v","Z":{"a":3}}"#, r#"{"A":1,"Q":[2],"Z":{"a":3}}"#),
        (r#"{"PkgName":null,"Z":"z"}"#, r#"{"Z":"z"}"#),
        (r#"{"A":1,"VulnerabilityID":"v"}"#, r#"{"A":1}"#),
        (
            r#"{"A":1,"B":2,"Severity":"LOW","VulnerabilityID":"v","W":"é","X":""}"#,
            r#"{"A":1,"B":2,"Severity":"LOW","W":"é","X":""}"#,
        ),
        (r#"{"\"":"q","\u0001":1,"PkgName":"p","a\\b":2}"#, r#"{"\u0001":1,"\"":"q","a\\b":2}"#),
    ] {
        for place in ["Vulnerabilities", "ExperimentalModifiedFindings"] {
            let entry = match place {
                "Vulnerabilities" => members.to_owned(),
                _ => format!(r#"{{"Type":"vulnerability","Finding":{members}}}"#),
            };
            let json =
                format!(r#"{{"SchemaVersion":2,"ArtifactName":"a","Results":[{{"Target":"t","{place}":[{entry}]}}]}}"#);
            let canonical = Canonical::read(json.as_bytes(), &Limits::default()).unwrap();
            let report = read_report(&canonical).unwrap();
            let finding = report.findings.first().unwrap_or_else(|| &report.suppressed[0].finding);
            let mut out = Vec::new();
            finding.write_rest(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), rest, "{members}");
        }
    }
}

#[test]
fn a_version_spelled_as_a_float_is_the_same_version() {
    assert!(read_report(&canonical(&json!({"SchemaVersion": 2.0, "ArtifactName": "x"}))).is_ok());
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
        assert_eq!(read_report(&canonical(&report)).unwrap().artifact.image_name.as_str(), name);
    }
}

#[test]
fn a_given_name_is_taken_and_makes_another_report_only_if_it_is_another_name() {
    let report = canonical(&full());
    let named = |name: &str| Report::read(&report, &named_as(name), &Limits::default()).unwrap();
    assert_eq!(named("mine").artifact.image_name.as_str(), "mine");
    assert_ne!(named("mine").hash, read_report(&report).unwrap().hash);
    assert_eq!(named("app:1").hash, read_report(&report).unwrap().hash);
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
    let report = read_report(&canonical).unwrap();
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

/// Reads a case of the shared data; none where those are absent.
fn case(name: &str) -> Option<Canonical> {
    let json = std::fs::read(shared("cases")?.join(name)).unwrap();
    Some(Canonical::read(&json, &Limits::default()).unwrap())
}

fn codes(report: &Report<'_>) -> Vec<WarningCode> {
    report.warnings.iter().map(|warning| warning.code).collect()
}

#[test]
fn the_cases_of_names_are_named_by_what_was_scanned() {
    for (file, name, nameless) in [
        ("f04-names-that-name-nothing-1.json", "https://git.example/team/shop.git", false),
        ("f04-names-that-name-nothing-2.json", "https://git.example/team/blog.git", false),
        ("tar-name-1.json", "reg.example/os/alpine:1", false),
        ("tar-name-2.json", "reg.example/os/wolfi:1", false),
        ("fs-dot-project1.json", ".", true),
        ("fs-dot-project2.json", ".", true),
        ("multi-arch-amd64.json", "127.0.0.1:5058/trivy76/two:1", false),
    ] {
        let Some(canonical) = case(file) else { return };
        let report = read_report(&canonical).unwrap();
        assert_eq!((report.artifact.image_name.as_str(), report.artifact.nameless), (name, nameless), "{file}");
        assert_eq!(codes(&report).contains(&WarningCode::NoImageName), nameless, "{file}");
        let path = Report::read(&canonical, &named_as("./shop"), &Limits::default()).unwrap();
        assert!(path.artifact.nameless && codes(&path).contains(&WarningCode::NoImageName), "{file}");
        let given = Report::read(&canonical, &named_as("shop"), &Limits::default()).unwrap();
        assert!(!given.artifact.nameless && !codes(&given).contains(&WarningCode::NoImageName), "{file}");
        assert_ne!(given.hash, report.hash, "{file}: a given name says more than a path");
    }
}

#[test]
fn the_facts_of_an_image_are_read() {
    let Some(canonical) = case("multi-arch-arm64.json") else { return };
    let artifact = read_report(&canonical).unwrap().artifact;
    assert_eq!(artifact.platform.unwrap().as_str(), "linux/arm64");
    assert_eq!(artifact.image_ref.as_deref(), Some("127.0.0.1:5058/trivy76/two:1"));
    assert_eq!(artifact.repo_tags, ["127.0.0.1:5058/trivy76/two:1"]);
    assert_eq!(artifact.image_created_at, Some("2024-01-02T03:04:05Z".parse().unwrap()));
    assert!(artifact.artifact_id.unwrap().starts_with("sha256:cdb1b73f"));
    assert!(artifact.image_digest.unwrap().starts_with("sha256:a473dffe"));
}

#[test]
fn an_unknown_system_is_none_and_a_digest_is_that_of_the_repository() {
    let mut full = full();
    full["Metadata"]["OS"] = json!({"Family": "none", "Name": ""});
    full["Metadata"]["RepoDigests"] = json!(["mirror.example/app@sha256:9", "docker.io/library/app@sha256:2"]);
    let of = |report: &Value, declared: &Declared| {
        Report::read(&canonical(report), declared, &Limits::default()).unwrap().artifact
    };
    let artifact = of(&full, &Declared::default());
    assert_eq!((artifact.os_family, artifact.os_name), (None, None));
    assert_eq!(artifact.image_digest.as_deref(), Some("sha256:2"));
    assert_eq!(
        of(&full, &named_as("mirror.example/app")).image_digest.as_deref(),
        Some("sha256:2"),
        "what was scanned"
    );
    full["ArtifactName"] = json!("app.tar");
    full["Metadata"]["RepoTags"] = json!([]);
    assert_eq!(of(&full, &named_as("mirror.example/app:2")).image_digest.as_deref(), Some("sha256:9"));
    full["Metadata"]["Reference"] = json!("app:1");
    assert_eq!(of(&full, &named_as("mirror.example/app:2")).image_digest.as_deref(), Some("sha256:2"));
}

#[test]
fn tags_are_kept_up_to_fifty() {
    let mut full = full();
    full["Metadata"]["RepoTags"] = json!(["", "app:1"].into_iter().chain(["x"; 60]).collect::<Vec<_>>());
    let tags = read_report(&canonical(&full)).unwrap().artifact.repo_tags;
    assert_eq!((tags.len(), tags[0].as_str()), (49, "app:1"));
    full["Metadata"]["RepoTags"] = json!(["app:1", "x".repeat(513)]);
    let error = read_report(&canonical(&full)).unwrap_err();
    assert!(matches!(&error, Error::Field { path, .. } if path == "Metadata.RepoTags[1]"), "{error}");
}

#[test]
fn a_time_before_trivy_is_none_and_said() {
    for (time, is_one) in [
        ("0001-01-01T00:00:00Z", false),
        ("2018-12-31T23:59:59.999999999Z", false),
        ("2019-01-01T00:00:00Z", true),
        ("2126-01-01T00:00:00Z", true),
    ] {
        let mut full = full();
        full["CreatedAt"] = json!(time);
        let canonical = canonical(&full);
        let report = read_report(&canonical).unwrap();
        assert_eq!(report.created_at, is_one.then(|| time.parse().unwrap()));
        assert_eq!(codes(&report).contains(&WarningCode::CreatedAt), !is_one, "{time}");
    }
}

#[test]
fn a_report_is_of_vulnerabilities_if_it_shows_that_they_were_looked_for() {
    let v = json!([{}]);
    for (results, is_one) in [
        (json!([{"Target": "t", "Class": "os-pkgs"}]), true),
        (json!([{"Target": "t", "Class": "lang-pkgs"}]), true),
        (json!([{"Target": "t"}]), true),
        (json!([{"Target": "t", "Class": "custom", "Vulnerabilities": v}]), true),
        (json!([{"Target": "t", "Class": "custom", "Vulnerabilities": []}]), false),
        (json!([{"Target": "t", "Class": "secret"}, {"Target": "t", "Class": "config"}]), false),
        (json!([{"Target": "t", "Secrets": [{}]}]), false),
        (json!([{"Target": "t", "Secrets": [{}], "Vulnerabilities": v}]), true),
        (json!([]), false),
        (Value::Null, false),
    ] {
        let canonical = canonical(&report(results.clone()));
        let with = |scanners: Option<&str>| {
            let scanners = scanners.map(|scanners| scanners.parse().unwrap());
            let declared = Declared { scanners, ..Declared::default() };
            let report = Report::read(&canonical, &declared, &Limits::default()).unwrap();
            assert_eq!(codes(&report).contains(&WarningCode::NotAVulnerabilityScan), !report.is_vulnerability_scan);
            report.is_vulnerability_scan
        };
        assert_eq!(with(None), is_one, "{results}");
        assert_eq!((with(Some("secret,vuln")), with(Some("secret"))), (is_one, false), "{results}");
    }
}

#[test]
fn a_fix_has_a_digit() {
    for (fixed, fixable) in [("1.2", true), ("v2", true), ("N/A", false), ("none", false), ("-", false), ("", false)] {
        let canonical = canonical(&report(json!([{"Target": "t", "Vulnerabilities": [{"FixedVersion": fixed}]}])));
        assert_eq!(read_report(&canonical).unwrap().findings[0].fixable, fixable, "{fixed}");
    }
}

#[test]
fn findings_of_other_kinds_are_counted() {
    let results = json!([
        {"Target": "a", "Class": "secret", "Secrets": [{"RuleID": "x"}, 7]},
        {"Target": "b", "Class": "config", "Misconfigurations": [{"Status": "FAIL"}, {"Status": "PASS"}, {"ID": 1}, {"Status": "EXCEPTION"}]},
        {"Target": "c", "Class": "license", "Licenses": [{}], "Secrets": null, "Misconfigurations": []}
    ]);
    let reported = canonical(&report(results));
    let report = read_report(&reported).unwrap();
    assert_eq!(report.other_findings, OtherFindings { secrets: 2, misconfigurations: 2, licenses: 1 });
    let message = &report.warnings.iter().find(|warning| warning.code == WarningCode::OtherFindings).unwrap().message;
    assert!(message.contains("2 secrets, 2 failed misconfiguration checks and 1 licence:"), "{message}");
    assert!(report.scanned.is_empty());
}

/// A finding that is suppressed.
fn suppressed(finding: Value, more: Value) -> Value {
    let mut entry = json!({"Type": "vulnerability", "Status": "ignored", "Statement": "", "Source": ".trivyignore"});
    entry["Finding"] = finding;
    entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    entry
}

#[test]
fn suppressed_findings_are_read_whole_and_in_order() {
    let low = json!({"VulnerabilityID": "CVE-2026-2", "PkgName": "p", "Severity": "LOW", "Layer": {"Digest": "d"}});
    let high = json!({"VulnerabilityID": "CVE-2026-1", "PkgName": "p", "Severity": "HIGH"});
    let results = json!([
        {"Target": "app", "Class": "lang-pkgs", "Type": "npm", "ExperimentalModifiedFindings": [
            suppressed(low.clone(), json!({"Statement": "é".repeat(1500)})),
            suppressed(low.clone(), json!({})),
            suppressed(low.clone(), json!({})),
            suppressed(high, json!({"Status": "not_affected", "Source": null})),
            {"Type": "misconfiguration", "Finding": ["of any form"]},
            {"Finding": 7}
        ]},
        {"Target": "os", "Class": "os-pkgs", "Vulnerabilities": [low], "ExperimentalModifiedFindings": null}
    ]);
    let reported = canonical(&report(results));
    let report = read_report(&reported).unwrap();
    assert_eq!((report.reported_findings, report.findings.len()), (1, 1));
    assert_eq!(report.class_counts, ClassCounts { os_pkgs: 1, ..ClassCounts::default() });
    let why: Vec<_> = report
        .suppressed
        .iter()
        .map(|s| {
            (
                s.finding.severity,
                s.status.as_deref().unwrap(),
                s.source.as_deref(),
                s.statement.as_ref().map(|s| s.len()),
            )
        })
        .collect();
    assert_eq!(
        why,
        [
            (Severity::High, "not_affected", None, None),
            (Severity::Low, "ignored", Some(".trivyignore"), None),
            (Severity::Low, "ignored", Some(".trivyignore"), Some(2048)),
        ]
    );
    assert_eq!(report.suppressed_counts(), SeverityCounts { high: 1, low: 2, ..SeverityCounts::default() });
    assert_eq!(report.suppressed_class_counts, ClassCounts { lang_pkgs: 3, ..ClassCounts::default() });
    assert_eq!(report.scanned[report.suppressed[0].finding.scanned].target, "app");
    assert_eq!(report.scanned[report.findings[0].scanned].target, "os");
    let mut rest = Vec::new();
    report.suppressed[1].finding.write_rest(&mut rest);
    assert_eq!(String::from_utf8(rest).unwrap(), r#"{"Layer":{"Digest":"d"},"Severity":"LOW"}"#);
    assert_eq!(codes(&report), [WarningCode::SuppressedFindings]);
}

#[test]
fn suppressed_findings_count_towards_the_limit() {
    let entry = suppressed(json!({"VulnerabilityID": "CVE-2026-1"}), json!({}));
    let report = report(
        json!([{"Target": "t", "ExperimentalModifiedFindings": vec![entry; 3], "Vulnerabilities": vec![json!({}); 3]}]),
    );
    let canonical = canonical(&report);
    let read_with_limit =
        |max_findings| Report::read(&canonical, &Declared::default(), &Limits { max_findings, ..Limits::default() });
    assert!(read_with_limit(6).is_ok());
    assert!(matches!(read_with_limit(5), Err(Error::TooManyFindings { limit: 5 })));
    assert!(matches!(read_with_limit(2), Err(Error::TooManyFindings { limit: 2 })));
}

#[test]
fn the_suppressed_findings_of_both_orders_are_the_same() {
    let (Some(one), Some(other)) = (case("suppressed-order-0.json"), case("suppressed-order-1.json")) else { return };
    let (one, other) = (read_report(&one).unwrap(), read_report(&other).unwrap());
    assert_eq!(one.hash, other.hash);
    let ids = |report: &Report<'_>| -> Vec<String> {
        report.suppressed.iter().map(|s| s.finding.vulnerability_id.as_deref().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&one), ids(&other));
    assert!(one.suppressed.len() > 2 && one.suppressed.iter().all(|s| s.status.as_deref() == Some("ignored")));
}

#[test]
fn whatever_an_image_says_of_itself_is_no_reason_to_refuse_it() {
    let mut full = full();
    full["Metadata"]["ImageConfig"] = json!({"os": ["linux"], "architecture": 7, "variant": {}, "created": "long ago"});
    let artifact = read_report(&canonical(&full)).unwrap().artifact;
    assert_eq!((artifact.platform, artifact.image_created_at), (None, None));
}

#[test]
fn every_report_of_the_corpus_is_taken() {
    let Some(corpus) = shared("corpus") else { return };
    let manifest = std::fs::read_to_string(corpus.join("MANIFEST.tsv")).unwrap();
    let mut lines = manifest.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let column = |name: &str| header.iter().position(|title| *title == name).unwrap();
    let (file, kind, vulnerabilities) = (column("file"), column("kind"), column("n_vulns"));
    for line in lines.filter(|line| matches!(line[kind], "v2" | "v1-array")) {
        let json = std::fs::read(corpus.join(line[file])).unwrap();
        let canonical = Canonical::read(&json, &Limits::default()).unwrap();
        let report = read_report(&canonical).unwrap_or_else(|error| panic!("{}: {error}", line[file]));
        assert_eq!(report.reported_findings.to_string(), line[vulnerabilities], "{}", line[file]);
    }
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
        let volatile = ["/CreatedAt", "/ReportID", "/Trivy/Server/UpdatedAt", "/Metadata/Layers/0/Digest"]
            .contains(&path.as_str())
            || path.ends_with("/Layer/Digest");
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
            let report = read_report(&canonical).unwrap();
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
            let _ = read_report(&canonical);
        }
    }
}
