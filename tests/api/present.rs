//! Checks the current scan of an image for every order in which reports arrive, are repeated or deleted.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sirius::domain::fleet::{Fleet, Scope};
use sirius::pipeline::delete_scan::{self, Reason, delete_scan};
use sirius::pipeline::enrich::Enrichment;
use support::app::App;
use support::report::{report_of, vulnerability};
use support::world::World;
use support::{corpus, table};

/// A report of an image with these vulnerabilities, made at a time.
pub(super) fn report(image: &str, image_id: &str, at: &str, numbers: &[usize]) -> Value {
    let mut report = report_of(image, numbers.iter().map(|number| vulnerability(*number)).collect());
    report["CreatedAt"] = at.into();
    report["Metadata"]["ImageID"] = image_id.into();
    report
}

/// The same for a platform.
pub(super) fn on(platform: &str, mut report: Value) -> Value {
    let (os, architecture) = platform.split_once('/').unwrap();
    report["Metadata"]["ImageConfig"] = json!({"os": os, "architecture": architecture});
    report
}

pub(super) async fn deployment() -> (App, Enrichment) {
    let app = App::with_enrichment().await;
    let enrichment = app.enrichment(World::start().await.mode()).await;
    (app, enrichment)
}

/// The images of `GET /cves/{id}` that have a vulnerability, each with its platform.
async fn with_cve(app: &App, number: usize) -> Vec<String> {
    let answer = app.get(&format!("/api/container/cves/CVE-2026-{:05}", 10_000 + number)).await;
    let images = answer.json["images"].as_array().cloned().unwrap_or_default();
    let shown = |image: &Value| {
        let name = image["image_name"].as_str().unwrap();
        image["platform"].as_str().map_or_else(|| name.to_owned(), |platform| format!("{name} {platform}"))
    };
    images.iter().filter(|image| image["present"] == true).map(shown).collect()
}

fn codes(answer: &Value) -> Vec<&str> {
    answer["warnings"].as_array().unwrap().iter().map(|warning| warning["code"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_state_that_returns_is_current_again() {
    let (app, enrichment) = deployment().await;
    let old = report("shop:1", "sha256:a", "2026-11-20T10:00:00Z", &[1]);
    assert_eq!(app.post(&old).await.json["current"], true);
    let new = report("shop:1", "sha256:a", "2026-11-22T10:00:00Z", &[1, 2]);
    assert_eq!(app.post(&new).await.json["current"], true);
    app.enrich(&enrichment).await;
    assert_eq!(with_cve(&app, 2).await, ["shop:1"]);

    let mut again = old.clone();
    again["CreatedAt"] = "2026-11-23T10:00:00Z".into();
    let answer = app.post(&again).await;
    assert_eq!((answer.status, &answer.json["duplicate"], &answer.json["current"]), (200, &json!(true), &json!(true)));
    assert_eq!(answer.header("location"), Some("/api/container/scans/1"));
    let scan = app.get("/api/container/scans/shop:1").await.json;
    assert_eq!((&scan["scan_id"], &scan["current"]), (&json!(1), &json!(true)));
    assert_eq!(scan["scan_timestamp"], "2026-11-20T10:00:00Z");
    assert_eq!(scan["last_seen_at"], "2026-11-23T10:00:00Z");
    assert_eq!(app.get("/api/container/scans/shop:1/findings").await.list().len(), 1);
    app.enrich(&enrichment).await;
    assert!(with_cve(&app, 2).await.is_empty());
    assert_eq!(with_cve(&app, 1).await, ["shop:1"]);
    let all = app.get("/api/container/cves/CVE-2026-10002?all=true").await.json;
    assert_eq!(
        (&all["images"][0]["present"], &all["images"][0]["last_seen"]),
        (&json!(false), &json!("2026-11-22T10:00:00Z"))
    );

    // A byte-equal delivery changes nothing.
    let repeated = app.post(&new).await;
    assert_eq!((&repeated.json["current"], codes(&repeated.json)), (&json!(false), vec!["not_current"]));
    assert_eq!(app.get("/api/container/scans/shop:1").await.json["scan_id"], 1);
}

#[tokio::test]
async fn an_older_report_goes_into_the_history_and_only_its_first_day_counts() {
    let (app, enrichment) = deployment().await;
    app.post(&report("order:1", "sha256:a", "2026-11-20T10:00:00Z", &[1, 2])).await;
    let back_filled = app.post(&report("order:1", "sha256:b", "2026-01-05T10:00:00Z", &[1, 3])).await;
    assert_eq!((back_filled.status, &back_filled.json["current"]), (201, &json!(false)));
    assert_eq!(codes(&back_filled.json), ["not_current"]);
    app.enrich(&enrichment).await;
    assert_eq!(app.get("/api/container/scans/order:1").await.json["scan_id"], 1);
    assert!(with_cve(&app, 3).await.is_empty());
    let cve = app.get("/api/container/cves/CVE-2026-10001").await.json;
    assert_eq!(cve["images"][0]["first_seen"], "2026-01-05T10:00:00Z");
    assert_eq!(cve["images"][0]["last_seen"], "2026-11-20T10:00:00Z");
    // The three ways to ask have one due day.
    let due = &cve["images"][0]["priority"]["due"];
    let findings = app.get("/api/container/scans/order:1/findings?vulnerability_id=CVE-2026-10001").await.json;
    assert_eq!(&findings[0]["priority"]["due"], due);
    let top = app.get("/api/container/priorities?fixable=false&limit=200").await.json;
    let work = top["priorities"].as_array().unwrap().iter().find(|work| work["package"] == "lib1").unwrap();
    let affected = &work["affected_images"][0];
    assert_eq!((&work["due"], &affected["scan_id"]), (due, &json!(1)));
    // And each of them leads to the finding.
    let finding_id = &findings[0]["finding_id"];
    assert_eq!((&affected["finding_id"], &cve["images"][0]["finding_id"]), (finding_id, finding_id));
}

#[tokio::test]
async fn two_platforms_of_one_tag_live_beside_each_other() {
    let (app, enrichment) = deployment().await;
    app.post(&on("linux/amd64", report("two:1", "sha256:a", "2026-11-20T10:00:00Z", &[2]))).await;
    app.post(&on("linux/arm64", report("two:1", "sha256:b", "2026-11-20T10:01:00Z", &[4]))).await;
    app.enrich(&enrichment).await;
    assert_eq!(with_cve(&app, 2).await, ["two:1 linux/amd64"]);
    assert_eq!(with_cve(&app, 4).await, ["two:1 linux/arm64"]);
    let current = app.get("/api/container/scans?current=true").await;
    let platforms: Vec<_> = current.list().iter().map(|scan| scan["platform"].as_str().unwrap()).collect();
    assert_eq!(platforms, ["linux/arm64", "linux/amd64"]);
    let scan_of = async |platform: &str| app.get(&format!("/api/container/scans/two:1?platform={platform}")).await;
    assert_eq!(scan_of("linux/amd64").await.json["scan_id"], 1);
    assert_eq!(scan_of("linux/arm64").await.json["scan_id"], 2);
    assert_eq!(scan_of("linux/s390x").await.status, 404);
    assert_eq!(scan_of("linux").await.status, 400);
    let findings = app.get("/api/container/scans/two:1/findings?platform=linux/amd64").await.json;
    assert_eq!(findings[0]["vulnerability_id"], "CVE-2026-10002");
    let top = app.get("/api/container/priorities?limit=200").await.json;
    let affected: BTreeSet<&str> = top["priorities"]
        .as_array()
        .unwrap()
        .iter()
        .map(|work| work["affected_images"][0]["platform"].as_str().unwrap())
        .collect();
    assert_eq!(affected, ["linux/amd64", "linux/arm64"].into());
}

#[tokio::test]
async fn a_rescan_that_found_the_same_is_seen_later_for_two_writes() {
    let app = App::with_enrichment().await;
    let first = report("rescan:1", "sha256:a", "2026-11-20T10:00:00Z", &[1, 2]);
    app.post(&first).await;
    let mut later = first.clone();
    later["CreatedAt"] = "2026-11-27T10:00:00Z".into();
    later["ReportID"] = "other".into();
    let writes = |calls: Vec<String>| {
        let is_write = |call: &String| !call.starts_with("Get") && !call.starts_with("BatchGet") && call != "Query";
        calls.into_iter().filter(is_write).collect::<Vec<_>>()
    };
    app.proxy.take_calls();
    app.post(&later).await;
    assert_eq!(writes(app.proxy.take_calls()), ["UpdateItem", "UpdateItem"], "the claim, and the scan");
    app.post(&later).await;
    assert_eq!(writes(app.proxy.take_calls()), ["UpdateItem"], "the claim");
    let scan = app.get("/api/container/scans/1").await.json;
    assert_eq!(scan["last_seen_at"], "2026-11-27T10:00:00Z");
    assert_eq!(scan["scan_timestamp"], "2026-11-20T10:00:00Z");

    app.post(&report("rescan:1", "sha256:a", "2026-11-28T10:00:00Z", &[1, 2, 3])).await;
    let mut back = first.clone();
    back["CreatedAt"] = "2026-11-29T10:00:00Z".into();
    app.proxy.take_calls();
    app.post(&back).await;
    // The claim; the asset, the scan that was current and the one that is, in one transaction; one message.
    assert_eq!(writes(app.proxy.take_calls()), ["UpdateItem", "TransactWriteItems", "SendMessage"]);
}

#[tokio::test]
async fn images_that_were_not_scanned_for_long_are_found_page_by_page() {
    let app = App::new().await;
    for (number, day) in [(1, 3), (2, 9), (3, 5), (4, 12)] {
        let at = format!("2026-11-{day:02}T10:00:00Z");
        app.post(&report(&format!("app:{number}"), "sha256:a", &at, &[1])).await;
    }
    let names = |scans: &[Value]| -> Vec<String> {
        scans.iter().map(|scan| scan["image_name"].as_str().unwrap().to_owned()).collect()
    };
    let path = "/api/container/scans";
    let all = app.get_all(path, "current=true&limit=3").await;
    assert_eq!(names(&all), ["app:4", "app:2", "app:3", "app:1"]);
    let old = app.get_all(path, "current=true&seen_before=2026-11-09&limit=1").await;
    assert_eq!(names(&old), ["app:3", "app:1"]);
    let exact = app.get(&format!("{path}?current=true&seen_before=2026-11-09T10:00:00.001Z")).await;
    assert_eq!(names(exact.list()), ["app:2", "app:3", "app:1"]);
    for wrong in
        ["seen_before=2026-11-09", "current=true&seen_before=soon", "current=true&image_name=app:1", "current=1"]
    {
        assert_eq!(app.get(&format!("{path}?{wrong}")).await.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn a_report_that_did_not_look_for_vulnerabilities_clears_nothing() {
    let (app, enrichment) = deployment().await;
    app.post(&report("split:1", "sha256:a", "2026-11-20T10:00:00Z", &[1])).await;
    let mut secrets = report("split:1", "sha256:a", "2026-11-20T10:01:00Z", &[]);
    secrets["Results"] = json!([{"Target": "/key.pem", "Class": "secret", "Secrets": [{"RuleID": "private-key", "Severity": "CRITICAL"}]}]);
    let answer = app.post(&secrets).await.json;
    assert_eq!((&answer["current"], &answer["other_findings"]["secrets"]), (&json!(false), &json!(1)));
    assert_eq!(codes(&answer), ["not_a_vulnerability_scan", "other_findings"]);
    assert!(answer["message"].as_str().unwrap().contains("1 secret"), "{answer}");

    // Trivy 0.76 lists packages there too: it cannot be distinguished from a clean scan, unless the sender declares the scanners.
    let clean = report("split:1", "sha256:a", "2026-11-20T10:02:00Z", &[]);
    let headers = [("content-type", "application/json")];
    let declared = app.post_as(clean.to_string().as_bytes(), "scanners=secret", &headers).await.json;
    assert_eq!((&declared["current"], codes(&declared)), (&json!(false), vec!["not_a_vulnerability_scan"]));
    let doubted = app.post(&clean).await.json;
    assert_eq!((&doubted["current"], codes(&doubted)), (&json!(false), vec!["suspect"]));
    let id = doubted["scan_id"].as_u64().unwrap();
    let scan = app.get(&format!("/api/container/scans/{id}")).await.json;
    assert_eq!((&scan["suspect"], &scan["is_vulnerability_scan"]), (&json!(true), &json!(true)));
    app.enrich(&enrichment).await;
    assert_eq!(with_cve(&app, 1).await, ["split:1"]);

    let confirmed = app.confirm(id).await;
    assert_eq!(
        (confirmed.status, &confirmed.json["current"], &confirmed.json["suspect"]),
        (200, &json!(true), &json!(false))
    );
    app.enrich(&enrichment).await;
    assert!(with_cve(&app, 1).await.is_empty());
    assert_eq!(app.confirm(id).await.json["current"], true, "to do it again is success");
    assert_eq!((app.confirm(99).await.status, app.confirm("split:1").await.status), (404, 400));
}

#[tokio::test]
async fn a_sender_cannot_say_that_was_looked_for_which_the_report_does_not_show() {
    let app = App::new().await;
    app.post(&report("said:1", "sha256:a", "2026-11-20T10:00:00Z", &[1])).await;
    let mut secrets = report("said:1", "sha256:b", "2026-11-20T11:00:00Z", &[]);
    secrets["Results"] = json!([{"Target": "/key.pem", "Class": "secret", "Secrets": [{"RuleID": "private-key"}]}]);
    let headers = [("content-type", "application/json")];
    let answer = app.post_as(secrets.to_string().as_bytes(), "scanners=vuln,secret", &headers).await.json;
    assert_eq!((&answer["current"], codes(&answer)[0]), (&json!(false), "not_a_vulnerability_scan"));
    assert_eq!(app.get("/api/container/scans/said:1").await.json["scan_id"], 1);
}

#[tokio::test]
async fn what_is_seen_again_does_not_ask_anew_whether_it_may_replace_what_was_doubted_beside_it() {
    let app = App::new().await;
    let full = |at: &str| report("turn:1", "sha256:a", at, &[1]);
    app.post(&full("2026-11-20T10:00:00Z")).await;
    let empty = app.post(&report("turn:1", "sha256:a", "2026-11-20T10:05:00Z", &[])).await.json;
    assert_eq!(codes(&empty), ["suspect"]);
    app.proxy.take_calls();
    let again = app.post(&full("2026-11-20T10:10:00Z")).await.json;
    assert_eq!((&again["current"], &again["duplicate"]), (&json!(true), &json!(true)));
    let writes = |calls: &[String]| {
        calls.iter().filter(|call| ["UpdateItem", "TransactWriteItems"].contains(&call.as_str())).count()
    };
    assert_eq!(writes(&app.proxy.take_calls()), 2);
    assert_eq!(app.get("/api/container/scans/2").await.json["suspect"], true);
}

#[tokio::test]
async fn a_confirmation_is_for_what_was_doubted_and_not_for_ever() {
    let app = App::new().await;
    let (full, empty) =
        (|at: &str| report("sure:1", "sha256:a", at, &[1]), |at: &str| report("sure:1", "sha256:a", at, &[]));
    app.post(&full("2026-11-20T10:00:00Z")).await;
    assert_eq!(app.confirm(1).await.json["confirmed"], false, "there is nothing to confirm");
    app.post(&empty("2026-11-20T11:00:00Z")).await;
    assert_eq!(app.confirm(2).await.json["current"], true);
    assert_eq!(app.post(&empty("2026-11-20T12:00:00Z")).await.json["current"], true);
    assert_eq!(app.post(&full("2026-11-20T13:00:00Z")).await.json["current"], true);
    let doubted = app.post(&empty("2026-11-20T14:00:00Z")).await.json;
    assert_eq!((&doubted["current"], codes(&doubted)), (&json!(false), vec!["suspect"]));
}

#[tokio::test]
async fn severities_that_the_sender_says_were_not_looked_for_are_not_gone() {
    let app = App::new().await;
    app.post(&report("part:1", "sha256:a", "2026-11-20T10:00:00Z", &[1, 2])).await;
    let part = report("part:1", "sha256:a", "2026-11-20T11:00:00Z", &[1]);
    let headers = [("content-type", "application/json")];
    let answer = app.post_as(part.to_string().as_bytes(), "severities=CRITICAL,HIGH", &headers).await.json;
    assert_eq!((&answer["current"], codes(&answer)), (&json!(false), vec!["suspect"]));
    assert_eq!(app.get("/api/container/scans/part:1").await.json["scan_id"], 1);
    let wrong = app.post_as(part.to_string().as_bytes(), "severities=SEVERE", &headers).await;
    assert_eq!(wrong.status, 400);
}

#[tokio::test]
async fn another_image_is_not_suspect_for_having_less() {
    let app = App::new().await;
    app.post(&report("new:1", "sha256:a", "2026-11-20T10:00:00Z", &[1, 2])).await;
    let answer = app.post(&report("new:1", "sha256:b", "2026-11-21T10:00:00Z", &[])).await.json;
    assert_eq!((&answer["current"], codes(&answer)), (&json!(true), vec![]));
}

#[tokio::test]
async fn scans_whose_name_says_nothing_do_not_hide_each_other() {
    let (app, enrichment) = deployment().await;
    let project = |at: &str, number| {
        let mut report = report(".", "", at, &[number]);
        report["ArtifactType"] = "filesystem".into();
        report["Metadata"] = json!({});
        report
    };
    let first = app.post(&project("2026-11-20T10:00:00Z", 1)).await.json;
    assert_eq!((&first["current"], codes(&first)), (&json!(true), vec!["no_image_name"]));
    assert!(first["warnings"][0]["message"].as_str().unwrap().contains("image_name"));
    app.post(&project("2026-11-20T11:00:00Z", 2)).await;
    app.enrich(&enrichment).await;
    assert_eq!((with_cve(&app, 1).await, with_cve(&app, 2).await), (vec![".".to_owned()], vec![".".to_owned()]));
    assert_eq!(app.delete(1).await.status, 204);
    app.enrich(&enrichment).await;
    assert_eq!((with_cve(&app, 1).await, with_cve(&app, 2).await), (vec![], vec![".".to_owned()]));

    let mut other = project("2026-11-20T12:00:00Z", 2);
    other["Results"][0]["Target"] = "other".into();
    app.post(&other).await;
    app.enrich(&enrichment).await;
    let top = app.get("/api/container/priorities?limit=200").await.json;
    let work = &top["priorities"][0];
    let scans: Vec<_> = work["affected_images"].as_array().into_iter().flatten().map(|it| &it["scan_id"]).collect();
    assert_eq!(work["total_images"], 2, "{top}");
    assert_eq!(scans, [2, 3], "{top}");

    let strict = App { require_image_name: true, ..App::new().await };
    assert_eq!(strict.post(&project("2026-11-20T10:00:00Z", 1)).await.status, 422);
    let headers = [("content-type", "application/json")];
    let body = project("2026-11-20T10:00:00Z", 1).to_string();
    assert_eq!(strict.post_as(body.as_bytes(), "image_name=shop", &headers).await.status, 201);
}

#[tokio::test]
async fn the_names_of_docker_hub_are_one_image() {
    let app = App::new().await;
    app.post(&report("docker.io/library/alpine:3.20", "sha256:a", "2026-11-20T10:00:00Z", &[1])).await;
    app.post(&report("alpine:3.20", "sha256:b", "2026-11-21T10:00:00Z", &[2])).await;
    for name in ["alpine:3.20", "library/alpine:3.20", "docker.io/library/alpine:3.20"] {
        assert_eq!(app.get(&format!("/api/container/scans/{name}")).await.json["scan_id"], 2, "{name}");
        assert_eq!(app.get(&format!("/api/container/scans?image_name={name}")).await.list().len(), 2, "{name}");
    }
    let scan = app.get("/api/container/scans/1").await.json;
    assert_eq!((&scan["image_name"], &scan["repository"]), (&json!("docker.io/library/alpine:3.20"), &json!("alpine")));
    assert_eq!((&scan["tag"], &scan["current"]), (&json!("3.20"), &json!(false)));
}

#[tokio::test]
async fn a_new_tag_does_not_restart_the_clock_and_the_fleet_may_be_the_newest_tags() {
    let (app, enrichment) = deployment().await;
    app.post(&report("r.example/shop:101", "sha256:a", "2026-11-01T10:00:00Z", &[1, 2])).await;
    app.post(&report("r.example/shop:102", "sha256:b", "2026-11-20T10:00:00Z", &[1])).await;
    app.enrich(&enrichment).await;
    let cve = app.get("/api/container/cves/CVE-2026-10001").await.json;
    let first: Vec<_> = cve["images"].as_array().unwrap().iter().map(|image| image["first_seen"].clone()).collect();
    assert_eq!(first, ["2026-11-01T10:00:00Z", "2026-11-01T10:00:00Z"]);
    let finding = app.get("/api/container/scans/2/findings").await.json;
    assert_eq!(finding[0]["priority"]["due"], cve["images"][0]["priority"]["due"]);

    // As if the first tag had never been, if it is deleted; not if it only got too old.
    let newest = App { fleet: Fleet { scope: Scope::NewestPerRepository, max_age: None }, ..app };
    assert_eq!(with_cve(&newest, 1).await, ["r.example/shop:102"]);
    assert!(with_cve(&newest, 2).await.is_empty());
    let top = newest.get("/api/container/priorities?fixable=false&limit=200").await.json;
    assert_eq!(top["priorities"][0]["images"], json!(["r.example/shop:102"]));
    let (store, objects) = (newest.store().await, newest.objects().await);
    let (id, time) = ("1".parse().unwrap(), Duration::from_secs(20));
    delete_scan(
        &store,
        Some(&objects),
        delete_scan::Order { scan_id: id, reason: Reason::Expired },
        Timestamp::now(),
        time,
    )
    .await
    .unwrap();
    let cve = newest.get("/api/container/cves/CVE-2026-10001").await.json;
    assert_eq!(cve["images"][0]["first_seen"], "2026-11-01T10:00:00Z");
    newest.post(&report("r.example/shop:103", "sha256:c", "2026-11-25T10:00:00Z", &[1])).await;
    newest.enrich(&enrichment).await;
    assert_eq!(newest.delete(2).await.status, 204);
    let cve = newest.get("/api/container/cves/CVE-2026-10001").await.json;
    assert_eq!(cve["images"][0]["first_seen"], "2026-11-25T10:00:00Z");
}

#[tokio::test]
async fn a_tag_that_was_not_seen_for_long_hides_no_other_and_a_rescan_makes_none_newer() {
    let (app, enrichment) = deployment().await;
    let today = Timestamp::now();
    let days_ago = |days: i64| (today - SignedDuration::from_hours(24 * days)).to_string();
    app.post(&report("r.example/roll:101", "sha256:a", &days_ago(60), &[1])).await;
    app.post(&report("r.example/roll:102", "sha256:b", &days_ago(50), &[1])).await;
    app.post(&report("r.example/roll:101", "sha256:a", &days_ago(1), &[1, 2])).await;
    app.enrich(&enrichment).await;
    let newest = Fleet { scope: Scope::NewestPerRepository, max_age: None };
    let app = App { fleet: newest, ..app };
    assert_eq!(with_cve(&app, 1).await, ["r.example/roll:102"], "101 is the older one, whatever it has now");
    let app = App { fleet: Fleet { max_age: Some(Duration::from_secs(30 * 24 * 3600)), ..newest }, ..app };
    assert_eq!(with_cve(&app, 1).await, ["r.example/roll:101"]);
    let top = app.get("/api/container/priorities?limit=200").await.json;
    assert_eq!(top["priorities"][0]["images"], json!(["r.example/roll:101"]));
}

#[tokio::test]
async fn all_ways_to_ask_agree_on_who_reaches_an_image_however_its_name_was_spelled() {
    let (app, enrichment) = deployment().await;
    app.post(&report("docker.io/library/web:1", "sha256:a", "2026-11-20T10:00:00Z", &[2])).await;
    app.enrich(&enrichment).await;
    let app = App { exposure: "internal=docker.io/library/*".to_owned(), ..app };
    let finding = app.get("/api/container/findings/1000000").await.json["priority"].clone();
    let why = finding["why"].as_array().unwrap();
    assert!(why.contains(&json!("exposed: no, configured internal=docker.io/library/*")), "{why:?}");
    let cve = app.get("/api/container/cves/CVE-2026-10002").await.json;
    let top = app.get("/api/container/priorities?limit=200").await.json;
    for other in [&cve["images"][0]["priority"], &top["priorities"][0]] {
        assert_eq!((&other["band"], &other["due"]), (&finding["band"], &finding["due"]));
    }
}

#[tokio::test]
async fn a_retired_image_and_one_that_was_not_seen_for_long_leave_the_fleet() {
    let (app, enrichment) = deployment().await;
    let today = Timestamp::now();
    let days_ago = |days: i64| (today - SignedDuration::from_hours(24 * days)).to_string();
    app.post(&on("linux/amd64", report("old:1", "sha256:a", &days_ago(40), &[2]))).await;
    app.post(&on("linux/arm64", report("old:1", "sha256:b", &days_ago(40), &[2]))).await;
    app.post(&report("new:1", "sha256:c", &days_ago(1), &[2])).await;
    app.enrich(&enrichment).await;
    assert_eq!(with_cve(&app, 2).await.len(), 3);
    let retired = app.retire("retire", &json!({"image_name": "old:1", "platform": "linux/arm64"})).await;
    assert_eq!((retired.status, &retired.json["platforms"]), (200, &json!(["linux/arm64"])));
    assert_eq!(with_cve(&app, 2).await, ["new:1", "old:1 linux/amd64"]);
    let in_fleet = async |app: &App| {
        let top = app.get("/api/container/priorities?limit=200").await.json;
        top["priorities"][0]["total_images"].as_u64().unwrap_or_default()
    };
    assert_eq!(in_fleet(&app).await, 2);
    assert_eq!(app.get("/api/container/scans?current=true").await.list().len(), 2);
    let scan = app.get("/api/container/scans/2").await.json;
    assert_eq!((&scan["retired"], &scan["current"]), (&json!(true), &json!(true)));
    // A scan does not bring it back.
    let scanned = app.post(&on("linux/arm64", report("old:1", "sha256:d", &days_ago(0), &[2]))).await.json;
    assert_eq!((&scanned["current"], codes(&scanned)), (&json!(true), vec!["retired"]));
    app.enrich(&enrichment).await;
    assert_eq!(in_fleet(&app).await, 2);
    let back = app.retire("unretire", &json!({"image_name": "old:1"})).await;
    assert_eq!((back.status, &back.json["platforms"]), (200, &json!(["linux/amd64", "linux/arm64"])));
    assert_eq!(in_fleet(&app).await, 3);

    let month = App { fleet: Fleet { scope: Scope::Tags, max_age: Some(Duration::from_secs(30 * 24 * 3600)) }, ..app };
    assert_eq!(in_fleet(&month).await, 2);
    assert_eq!(with_cve(&month, 2).await, ["new:1", "old:1 linux/arm64"]);
    month.post(&on("linux/amd64", report("old:1", "sha256:a", &days_ago(0), &[2]))).await;
    assert_eq!(in_fleet(&month).await, 3, "it comes back when it is scanned");
    for (wrong, status) in [
        (json!({"image_name": "none:1"}), 404),
        (json!({"image_name": "old:1", "platform": "linux/s390x"}), 404),
        (json!({"image_name": "old:1", "platform": "x"}), 400),
        (json!({"platform": "linux/amd64"}), 400),
        (json!(["old:1"]), 400),
        (json!({"image_name": "old:1", "forever": true}), 400),
    ] {
        assert_eq!(month.retire("retire", &wrong).await.status, status, "{wrong}");
    }
}

#[tokio::test]
async fn what_trivy_has_suppressed_is_stored_and_never_open() {
    let (app, enrichment) = deployment().await;
    let mut with = report("vex:1", "sha256:a", "2026-11-20T10:00:00Z", &[1]);
    with["Results"][0]["ExperimentalModifiedFindings"] = json!([
        {"Type": "vulnerability", "Status": "not_affected", "Source": "vex.json", "Statement": "vulnerable_code_not_present", "Finding": vulnerability(2)},
        {"Type": "secret", "Status": "ignored", "Source": ".trivyignore", "Finding": {}}
    ]);
    let answer = app.post(&with).await.json;
    assert_eq!((&answer["suppressed_findings"], &answer["newly_ingested_count"]), (&json!(1), &json!(1)));
    assert_eq!(codes(&answer), ["suppressed_findings"]);
    app.enrich(&enrichment).await;
    assert!(with_cve(&app, 2).await.is_empty());
    let findings = async |query: &str| app.get(&format!("/api/container/scans/vex:1/findings{query}")).await;
    assert_eq!(findings("").await.list().len(), 1);
    let only = findings("?suppressed=only").await;
    assert_eq!((only.list().len(), only.header("x-total-count")), (1, Some("1")));
    let expected = json!({"status": "not_affected", "source": "vex.json", "statement": "vulnerable_code_not_present"});
    let suppressed = &only.list()[0];
    assert_eq!((&suppressed["suppressed"], &suppressed["priority"]["band"]), (&expected, &json!("none")));
    assert_eq!(suppressed["finding_id"], 1_000_001);
    assert_eq!(app.get("/api/container/findings/1000001").await.json["suppressed"], expected);
    assert_eq!(app.get("/api/container/findings/1000002").await.status, 404);
    let both = app.get_all("/api/container/scans/vex:1/findings", "suppressed=include&limit=1").await;
    assert_eq!(both.iter().map(|it| it["finding_id"].as_u64().unwrap()).collect::<Vec<_>>(), [1_000_000, 1_000_001]);
    let by_priority = findings("?suppressed=include&sort=priority").await;
    let suppressed: Vec<bool> = by_priority.list().iter().map(|it| !it["suppressed"].is_null()).collect();
    assert_eq!(suppressed, [false, true]);
    assert_eq!(findings("?suppressed=only&severity=CRITICAL").await.list().len(), 0);
    assert_eq!(findings("?suppressed=yes").await.status, 400);
    assert_eq!(app.delete(1).await.status, 204);
    assert!(table::items(&app.table).await.iter().all(|pk| !pk.starts_with("SCAN#")), "nothing is left");
}

/// Posts a shared case, if the corpus is there.
async fn post_case(app: &App, name: &str) -> Option<Value> {
    let body = corpus::case(name)?;
    let answer = app.post_as(&body, "", &[("content-type", "application/json")]).await;
    assert!([200, 201].contains(&answer.status), "{name}: {answer:?}");
    Some(answer.json)
}

#[tokio::test]
async fn both_spellings_of_a_scan_are_one_scan() {
    let app = App::new().await;
    for (one, other) in [
        ("suppressed-order-0", "suppressed-order-1"),
        ("licence-order-059-0", "licence-order-059-1"),
        ("server-db-day1", "server-db-day2"),
        ("layer-digest-cold-cache", "layer-digest-warm-cache"),
    ] {
        let Some(first) = post_case(&app, one).await else { return };
        let second = post_case(&app, other).await.unwrap();
        assert_eq!((&second["scan_id"], &second["duplicate"]), (&first["scan_id"], &json!(true)), "{other}");
    }
    let (first, second) =
        (post_case(&app, "rhsa-flip-0").await.unwrap(), post_case(&app, "rhsa-flip-1").await.unwrap());
    assert_ne!(first["scan_id"], second["scan_id"]);
}

#[tokio::test]
async fn the_cases_that_were_answered_wrongly_are_answered_as_they_should_be() {
    let (app, enrichment) = deployment().await;
    let by_name = async |name: &str| app.get(&format!("/api/container/scans/{name}")).await.json;

    for part in 1..=3 {
        if post_case(&app, &format!("f02-state-returns-is-ignored-{part}")).await.is_none() {
            return;
        }
    }
    assert_eq!(by_name("registry.example/back:1").await["total_findings"], 1, "f02");

    post_case(&app, "f03-older-report-becomes-newest-1").await;
    let january = post_case(&app, "f03-older-report-becomes-newest-2").await.unwrap();
    assert_eq!(january["current"], false, "f03");
    assert_eq!(by_name("registry.example/order:1").await["last_seen_at"], "2026-11-20T10:00:00Z", "f03");

    for part in ["f04-names-that-name-nothing-1", "f04-names-that-name-nothing-2", "fs-dot-project1", "fs-dot-project2"]
    {
        let answer = post_case(&app, part).await.unwrap();
        assert!(codes(&answer).contains(&"no_image_name") || answer["current"] == true, "{part}: {answer}");
        assert_eq!(answer["current"], true, "{part}");
    }

    post_case(&app, "f05-secrets-only-report-clears-the-vulnerabilities-1").await;
    let secrets = post_case(&app, "f05-secrets-only-report-clears-the-vulnerabilities-2").await.unwrap();
    assert_eq!((&secrets["current"], &secrets["other_findings"]["secrets"]), (&json!(false), &json!(1)), "f05");
    assert!(by_name("registry.example/split:1").await["total_findings"].as_u64().unwrap() > 0, "f05");

    for (one, other) in [
        ("f06-platforms-overwrite-each-other-1", "f06-platforms-overwrite-each-other-2"),
        ("multi-arch-amd64", "multi-arch-arm64"),
    ] {
        let (one, other) = (post_case(&app, one).await.unwrap(), post_case(&app, other).await.unwrap());
        for scan in [one, other] {
            let scan = app.get(&format!("/api/container/scans/{}", scan["scan_id"])).await.json;
            assert_eq!(scan["current"], true, "{scan}");
            assert!(scan["platform"].is_string(), "{scan}");
        }
    }

    post_case(&app, "f07-every-tag-counts-for-ever-1").await;
    post_case(&app, "f07-every-tag-counts-for-ever-2").await;
    assert_eq!(by_name("registry.example/rollup:build-101").await["repository"], "registry.example/rollup", "f07");

    post_case(&app, "f08-rescan-leaves-no-trace-1").await;
    post_case(&app, "f08-rescan-leaves-no-trace-2").await;
    assert_eq!(by_name("registry.example/rescan:1").await["last_seen_at"], "2026-11-27T10:00:00Z", "f08");

    let other = post_case(&app, "f09-no-findings-although-there-are").await.unwrap();
    assert_eq!(other["other_findings"], json!({"secrets": 1, "misconfigurations": 1, "licenses": 0}), "f09");
    let message = other["message"].as_str().unwrap();
    assert!(message.contains("1 misconfiguration and 1 secret"), "f09: {message}");

    let zero = post_case(&app, "f14-zero-time").await.unwrap();
    assert!(codes(&zero).contains(&"created_at"), "f14: {zero}");

    for (part, name) in [("tar-name-1", "reg.example/os/alpine:1"), ("tar-name-2", "reg.example/os/wolfi:1")] {
        let answer = post_case(&app, part).await.unwrap();
        assert_eq!(by_name(name).await["scan_id"], answer["scan_id"], "{part}");
    }

    let full = post_case(&app, "full-before-secret-only").await.unwrap();
    let secret_only = post_case(&app, "after-secret-only").await.unwrap();
    assert_eq!(secret_only["current"], false, "{secret_only}");
    assert!(codes(&secret_only).contains(&"suspect"), "{secret_only}");
    assert_eq!(by_name("reg.example/os/debian:1").await["scan_id"], full["scan_id"]);

    app.enrich(&enrichment).await;
    let fleet = App { fleet: Fleet { scope: Scope::NewestPerRepository, max_age: None }, ..app };
    let top = fleet.get("/api/container/priorities?limit=200").await.json.to_string();
    assert!(!top.contains("build-101") && top.contains("build-102"), "f07");
}
