//! Ids in any letter case, and filters as people write them.

use std::path::Path;

use serde_json::{Value, json};
use sirius::sources::Mode;
use support::app::App;
use support::corpus;
use support::report::with_findings;

/// An image with a CVE in small letters and an advisory in capitals.
fn misspelled() -> Value {
    let of = |id: &str, package: &str| {
        json!({"VulnerabilityID": id, "PkgName": package, "InstalledVersion": "1.2.5", "FixedVersion": "1.2.6",
            "Status": "fixed", "Severity": "CRITICAL"})
    };
    json!({
        "SchemaVersion": 2, "ArtifactName": "registry.example/case:1", "ArtifactType": "container_image",
        "CreatedAt": "2026-11-20T10:00:00Z",
        "Results": [{"Target": "Node.js", "Class": "lang-pkgs", "Type": "node-pkg", "Vulnerabilities": [
            of("cve-2021-44906", "minimist"), of("GHSA-XVCH-5GV4-984H", "minimist-two"),
            of("cVe-2022-24999", "qs"),
        ]}],
    })
}

#[tokio::test]
async fn a_vulnerability_is_found_in_any_letter_case_however_its_report_spells_it() {
    let case = corpus::case("f17-ids-in-another-case").map(|body| serde_json::from_slice(&body).unwrap());
    for report in [Some(misspelled()), case].into_iter().flatten() {
        let app = App::with_enrichment().await;
        let nothing_known = Mode::Folder(Path::new(env!("CARGO_MANIFEST_DIR")).join("api"));
        let enrichment = app.enrichment(nothing_known).await;
        assert_eq!(app.post(&report).await.status, 201);
        app.enrich(&enrichment).await;
        let odd = app
            .get("/api/container/scans/1/findings?package=qs")
            .await
            .list()
            .first()
            .map(|_| ("CVE-2022-24999", "qs"));
        let known = [("CVE-2021-44906", "minimist"), ("GHSA-xvch-5gv4-984h", "minimist-two")];
        for (id, package) in known.into_iter().chain(odd) {
            for spelled in [id.to_owned(), id.to_ascii_lowercase(), id.to_ascii_uppercase()] {
                let of_scan = format!("/api/container/scans/1/findings?vulnerability_id={spelled}");
                for query in ["", "&sort=priority"] {
                    let found = app.get(&format!("{of_scan}{query}")).await;
                    assert_eq!(found.list().len(), 1, "{spelled}: {found:?}");
                    assert_eq!(found.json[0]["pkg_name"], package, "{spelled}");
                }
                let record = app.get(&format!("/api/container/cves/{spelled}")).await;
                assert_eq!((record.status, &record.json["id"]), (200, &json!(id)), "{spelled}: {record:?}");
            }
        }
    }
}

#[tokio::test]
async fn severities_are_repeated_or_joined_by_commas() {
    let app = App::new().await;
    app.post(&with_findings("severe", 10)).await;
    let of = async |query: &str| app.get(&format!("/api/container/scans/1/findings?{query}")).await;
    let repeated = of("severity=CRITICAL&severity=HIGH").await;
    assert_eq!(repeated.list().len(), 4);
    for query in ["severity=CRITICAL,HIGH", "severity=high,critical", "severity=CRITICAL%2CHIGH"] {
        let joined = of(query).await;
        assert_eq!((&joined.json, joined.header("x-total-count")), (&repeated.json, Some("4")), "{query}");
    }
    for query in ["severity=CRITICAL,", "severity=CRITICAL;HIGH"] {
        let refused = of(query).await;
        assert_eq!((refused.status, &refused.json["code"]), (400, &json!("invalid_parameter")), "{query}");
    }
}

#[tokio::test]
async fn an_empty_filter_is_refused_by_name_and_does_not_read_as_all_or_nothing() {
    let app = App::new().await;
    app.post(&with_findings("app", 3)).await;
    for (path, name) in [
        ("/api/container/scans/1/findings?severity=", "severity"),
        ("/api/container/scans/1/findings?package=", "package"),
        ("/api/container/scans/1/findings?vulnerability_id=%20", "vulnerability_id"),
        ("/api/container/scans?image_name=", "image_name"),
        ("/api/container/scans/app?platform=", "platform"),
        ("/api/container/priorities?fixable=", "fixable"),
    ] {
        let refused = app.get(path).await;
        assert_eq!((refused.status, &refused.json["code"]), (400, &json!("invalid_parameter")), "{path}");
        assert!(refused.json["detail"].as_str().unwrap().starts_with(&format!("{name}: ")), "{path}: {refused:?}");
    }
}
