//! Checks that the facts of a report count for its own findings, in any order of the reports.

use std::path::Path;

use serde_json::{Value, json};
use sirius::pipeline::enrich::Enrichment;
use sirius::sources::Mode;
use support::app::App;
use support::corpus;

/// A deployment whose sources know nothing.
async fn deployment() -> (App, Enrichment) {
    let app = App::with_enrichment().await;
    let without_sources = Mode::Folder(Path::new(env!("CARGO_MANIFEST_DIR")).join("api"));
    let enrichment = app.enrichment(without_sources).await;
    (app, enrichment)
}

/// A report of an image on a day, with one vulnerability that also has the given members.
fn report(image: &str, day: &str, says: &Value) -> Value {
    let mut vulnerability = json!({
        "VulnerabilityID": "CVE-2026-99011", "PkgName": "libone", "InstalledVersion": "1.0", "FixedVersion": "1.1",
        "Status": "fixed",
    });
    vulnerability.as_object_mut().unwrap().extend(says.as_object().unwrap().clone());
    json!({
        "SchemaVersion": 2, "ArtifactName": image, "ArtifactType": "container_image",
        "CreatedAt": format!("{day}T00:00:00Z"),
        "Results": [{"Target": "lock", "Class": "lang-pkgs", "Type": "npm", "Vulnerabilities": [vulnerability]}],
    })
}

async fn priority(app: &App, image: &str) -> Value {
    app.get(&format!("/api/container/scans/{image}/findings")).await.json[0]["priority"].clone()
}

#[tokio::test]
async fn a_finding_is_judged_by_its_own_reports_words_in_whatever_order_reports_come() {
    let low = report(
        "old",
        "2026-01-02",
        &json!({"Title": "old words", "Severity": "LOW",
            "CVSS": {"nvd": {"V3Vector": "CVSS:3.1/AV:P/AC:L/PR:N/UI:R/S:U/C:N/I:N/A:L"}}}),
    );
    let high = report(
        "new",
        "2026-11-02",
        &json!({"Title": "new words", "Severity": "CRITICAL",
            "CVSS": {"redhat": {"V3Vector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}}}),
    );
    for reports in [[&low, &high], [&high, &low]] {
        let (app, enrichment) = deployment().await;
        for report in reports {
            assert_eq!(app.post(report).await.status, 201);
            app.enrich(&enrichment).await;
        }
        let (of_low, of_high) = (priority(&app, "old").await, priority(&app, "new").await);
        assert_eq!((&of_low["band"], &of_high["band"]), (&json!("P3"), &json!("P1")), "{of_low} {of_high}");
        let record = app.get("/api/container/cves/CVE-2026-99011").await.json;
        assert_eq!(record["title"]["value"], "new words", "{record}");
        assert_eq!(record["cvss"][0]["score"], 9.8, "{record}");
        let listed = app.get("/api/container/priorities").await.json;
        assert_eq!(listed["priorities"][0]["band"], "P1", "{listed}");
    }
}

#[tokio::test]
async fn a_name_that_only_one_report_knows_leads_to_the_vulnerability() {
    let without = report("with-a-name", "2026-11-02", &json!({"Severity": "HIGH"}));
    let with = report("with-a-name", "2026-11-01", &json!({"Severity": "HIGH", "VendorIDs": ["GHSA-3333-3ccc-5555"]}));
    for reports in [[&without, &with], [&with, &without]] {
        let (app, enrichment) = deployment().await;
        for report in reports {
            app.post(report).await;
            app.enrich(&enrichment).await;
        }
        let by_name = app.get("/api/container/cves/GHSA-3333-3ccc-5555").await;
        assert_eq!((by_name.status, &by_name.json["id"]), (200, &json!("CVE-2026-99011")), "{by_name:?}");
    }
}

#[tokio::test]
async fn what_the_vendor_denies_is_nobodys_work() {
    let (app, enrichment) = deployment().await;
    app.post(&report("denied", "2026-11-02", &json!({"Severity": "CRITICAL", "Status": "not_affected"}))).await;
    app.enrich(&enrichment).await;
    let priority = priority(&app, "denied").await;
    assert_eq!(
        (&priority["band"], &priority["due"], &priority["why"][0]),
        (&json!("none"), &Value::Null, &json!("suppressed: Trivy status not_affected"))
    );
}

#[tokio::test]
async fn the_cases_in_which_one_report_ruled_another_are_answered_as_they_should_be() {
    for order in [[1, 2], [2, 1]] {
        let (app, enrichment) = deployment().await;
        for part in order {
            let Some(body) = corpus::case(&format!("f01-first-report-decides-priority-{part}")) else { return };
            assert_eq!(app.post_as(&body, "", &[("content-type", "application/json")]).await.status, 201);
            app.enrich(&enrichment).await;
        }
        let listed = app.get("/api/container/priorities").await.json;
        assert_eq!(listed["priorities"][0]["band"], "P1", "f01 {order:?}: {listed}");
        assert_eq!(app.get("/api/container/cves/CVE-2026-99011").await.json["cvss"][0]["score"], 9.8, "f01 {order:?}");
    }
    let (app, enrichment) = deployment().await;
    for name in ["alias-1-first-without", "alias-2-then-with", "f12-not-affected-is-due-in-three-days"] {
        let Some(body) = corpus::case(name) else { return };
        assert_eq!(app.post_as(&body, "", &[("content-type", "application/json")]).await.status, 201, "{name}");
        app.enrich(&enrichment).await;
    }
    assert_eq!(app.get("/api/container/cves/GHSA-3333-3ccc-5555").await.json["id"], "CVE-2026-76011");
    assert_eq!(priority(&app, "registry.example/na:1").await["band"], "none", "f12");
}
