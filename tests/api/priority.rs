//! Checks priorities on findings, in lists, over the fleet, and in prompts.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use sirius::domain::feed::FeedName;
use sirius::domain::instant::in_millis;
use sirius::domain::prompt_hash::PromptHash;
use sirius::domain::vulnerability::{Exploitation, TechnicalImpact};
use sirius::llm::Question;
use support::app::{Answer, App};
use support::corpus;
use support::known::{LOCAL, RCE, Told, load_feed, occur, occurrence};
use support::report::{report_of, vulnerability, with_findings};
use support::stand_in::{Reply, StandIn};

use crate::present::deployment;

const FINDING: &str = "/api/container/findings/1000000";
const ANALYZE: &str = "/api/llm/analyze/container/1000000";
const PRIORITIES: &str = "/api/container/priorities";

fn why(json: &Value) -> Vec<&str> {
    json["why"].as_array().unwrap().iter().map(|reason| reason.as_str().unwrap()).collect()
}

fn ids(list: &[Value]) -> Vec<u64> {
    list.iter().map(|finding| finding["finding_id"].as_u64().unwrap()).collect()
}

/// The id that [`vulnerability`] gives a number.
fn cve(number: usize) -> String {
    format!("CVE-2026-{:05}", 10_000 + number)
}

/// Everything that sources can say, of one that is exploited.
fn exploited(id: &str) -> Told {
    Told::of(id)
        .published(RCE, &["GHSA-2222-3333-4444"])
        .assessed(Exploitation::Active, true, TechnicalImpact::Total)
        .exploited("2026-11-10")
        .predicted(0.9, 0.995)
}

/// A vulnerability with all facts that sources can have, none of them urgent.
fn harmless(id: &str) -> Told {
    Told::of(id)
        .published(LOCAL, &[])
        .assessed(Exploitation::None, false, TechnicalImpact::Partial)
        .unlisted()
        .predicted(0.0001, 0.02)
}

#[tokio::test]
async fn a_finding_that_no_source_has_spoken_of_has_a_priority_that_says_what_is_missing() {
    let app = App::new().await;
    app.post(&with_findings("app", 5)).await;
    let finding = app.get(FINDING).await.json;
    assert_eq!((&finding["priority"]["band"], &finding["enrichment"]), (&json!("P1"), &Value::Null));
    let why = why(&finding["priority"]);
    for missing in ["KEV unknown", "epss: unknown, fallback 0.01", "exploitation unknown"] {
        assert!(why.iter().any(|reason| reason.starts_with("data_gap") && reason.contains(missing)), "{why:?}");
    }
    // As many findings as before, and none without a priority.
    for finding in app.get("/api/container/scans/app/findings?sort=priority").await.list() {
        assert!(finding["priority"]["score"].as_f64().unwrap() > 0.0, "{finding}");
    }
}

#[tokio::test]
async fn what_the_sources_say_decides_and_stands_beside_the_finding() {
    let app = App::new().await;
    app.post(&with_findings("app", 1)).await;
    exploited(&cve(0)).store(&app.store().await).await;
    let finding = app.get(FINDING).await.json;
    assert_eq!((&finding["priority"]["band"], &finding["severity"]), (&json!("P0"), &json!("MEDIUM")));
    // The day of the scan is the later one: 2026-11-21 and three days.
    assert_eq!(finding["priority"]["due"], "2026-11-24");
    let kev = &finding["enrichment"]["kev"];
    assert_eq!(
        (&kev["listed"], &kev["date_added"], &kev["source"]),
        (&json!(true), &json!("2026-11-10"), &json!("kev"))
    );
    assert!(why(&finding["priority"]).contains(&"KEV since 2026-11-10 (ransomware) (CISA)"));
}

#[tokio::test]
async fn a_catalogue_that_was_loaded_later_speaks_for_what_is_not_in_it() {
    let app = App::new().await;
    app.post(&with_findings("app", 1)).await;
    let store = app.store().await;
    harmless(&cve(0)).store(&store).await;
    let tomorrow = in_millis(Timestamp::now() + jiff::SignedDuration::from_hours(24));
    load_feed(&store, FeedName::Kev, tomorrow, None).await;
    load_feed(&store, FeedName::Epss, tomorrow, Some(0.003)).await;
    let finding = app.get(FINDING).await.json;
    let kev = &finding["enrichment"]["kev"];
    let as_of: Timestamp = kev["as_of"].as_str().unwrap().parse().unwrap();
    assert_eq!((&kev["listed"], as_of), (&json!(false), tomorrow));
}

#[tokio::test]
async fn an_advisory_has_what_is_known_of_the_cve_that_it_is_the_same_as() {
    let app = App::new().await;
    let mut one = vulnerability(0);
    one["VulnerabilityID"] = "GHSA-2222-3333-4444".into();
    app.post(&report_of("app", vec![one])).await;
    let store = app.store().await;
    Told::of("GHSA-2222-3333-4444").published(RCE, &["CVE-2026-0001"]).store(&store).await;
    exploited("CVE-2026-0001").store(&store).await;
    let finding = app.get(FINDING).await;
    assert_eq!(finding.json["priority"]["band"], "P0");
    let calls = ["BatchGetItem", "BatchGetItem", "BatchGetItem"];
    assert_eq!(app.proxy.take_calls(), calls, "the finding, what is known of it, what is known of the alias");
}

#[tokio::test]
async fn a_list_by_priority_has_every_wanted_finding_once_and_the_most_urgent_first() {
    let app = App::new().await;
    // More than one block.
    app.post(&with_findings("app", 310)).await;
    let store = app.store().await;
    // LOW, the last but one in the order of severity.
    exploited(&cve(307)).store(&store).await;
    harmless(&cve(1)).store(&store).await;
    let path = "/api/container/scans/app/findings";
    for (query, first, last) in [
        ("", Some(cve(307)), Some(cve(1))),
        ("severity=LOW&", Some(cve(307)), None),
        ("fixable=false&", Some(cve(307)), Some(cve(1))),
        ("fixable=true&", None, None),
        ("package=lib1&", None, Some(cve(1))),
        ("vulnerability_id=CVE-2026-10307&", Some(cve(307)), Some(cve(307))),
        ("package=none&", None, None),
    ] {
        let by_severity = app.get(&format!("{path}?{query}")).await;
        let whole = app.get(&format!("{path}?{query}sort=priority")).await;
        assert_eq!(whole.status, 200, "{whole:?}");
        let (mut expected, mut found) = (ids(by_severity.list()), ids(whole.list()));
        let order = found.clone();
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected, "{query}");
        assert_eq!(whole.header("x-total-count"), Some(expected.len().to_string().as_str()), "{query}");
        let bands = whole.list().iter().map(|finding| finding["priority"]["band"].as_str().unwrap());
        assert!(bands.is_sorted(), "{query}");
        for (place, wanted) in [(whole.list().first(), first), (whole.list().last(), last)] {
            if let Some(wanted) = wanted {
                assert_eq!(place.unwrap()["vulnerability_id"], wanted, "{query}");
            }
        }
        for limit in [37, 311] {
            let pages = app.get_all(path, &format!("{query}sort=priority&limit={limit}")).await;
            assert_eq!(ids(&pages), order, "{query} by {limit}");
        }
    }
}

#[tokio::test]
async fn a_cursor_of_one_order_is_none_of_the_other() {
    let app = App::new().await;
    app.post(&with_findings("app", 9)).await;
    let path = "/api/container/scans/1/findings";
    let cursor = |answer: &Answer| {
        let next = answer.next().unwrap();
        next.split('&').find_map(|pair| pair.strip_prefix("cursor=")).unwrap().to_owned()
    };
    let by_priority = cursor(&app.get(&format!("{path}?sort=priority&limit=2")).await);
    let by_severity = cursor(&app.get(&format!("{path}?limit=2")).await);
    // The default by its name is the default.
    assert_eq!(app.get(&format!("{path}?sort=severity&limit=2&cursor={by_severity}")).await.status, 200);
    for wrong in [
        format!("{path}?cursor={by_priority}"),
        format!("{path}?sort=priority&cursor={by_severity}"),
        format!("{path}?sort=priority&severity=LOW&cursor={by_priority}"),
    ] {
        assert_eq!(app.get(&wrong).await.json["code"], "invalid_cursor", "{wrong}");
    }
    for wrong in ["sort=", "sort=Priority", "sort=score", "sort=priority&sort=priority"] {
        assert_eq!(app.get(&format!("{path}?{wrong}")).await.json["code"], "invalid_parameter", "{wrong}");
    }
}

/// Two images with an exploited vulnerability in OpenSSL, one of which was mended; and others.
async fn fleet() -> App {
    let app = App::new().await;
    let store = app.store().await;
    exploited("CVE-2026-0001").store(&store).await;
    harmless("CVE-2026-0002").store(&store).await;
    let ssl = |version: &str| occurrence("CVE-2026-0001", "openssl", version, Some("3.0.11-1~deb12u2"));
    occur(
        &store,
        "shop/checkout:1",
        1,
        &[ssl("3.0.9-1"), occurrence("CVE-2026-0002", "zlib1g", "1.2.13", Some("1.3"))],
    )
    .await;
    occur(
        &store,
        "shop/cart:1",
        2,
        &[ssl("3.0.9-1"), occurrence("CVE-2026-0003", "openssl", "3.0.9-1", Some("3.0.12"))],
    )
    .await;
    occur(&store, "shop/mended:1", 3, &[ssl("3.0.9-1")]).await;
    occur(&store, "shop/mended:1", 4, &[occurrence("CVE-2026-0004", "perl", "5.36", None)]).await;
    app
}

#[tokio::test]
async fn one_request_tells_where_in_the_fleet_a_vulnerability_is() {
    let app = fleet().await;
    let found = app.get("/api/container/cves/CVE-2026-0001").await;
    assert_eq!((found.status, found.header("x-total-count"), found.next()), (200, Some("2"), None));
    assert_eq!((&found.json["id"], &found.json["status"]["value"]), (&json!("CVE-2026-0001"), &json!("published")));
    let images = found.json["images"].as_array().unwrap();
    let names: Vec<_> = images.iter().map(|image| image["image_name"].as_str().unwrap()).collect();
    assert_eq!(names, ["shop/cart:1", "shop/checkout:1"]);
    let checkout = &images[1];
    assert_eq!((&checkout["scan_id"], &checkout["priority"]["band"]), (&json!(1), &json!("P0")));
    assert_eq!((&checkout["finding_id"], &checkout["first_seen"]), (&json!(1_000_000), &json!("2026-11-20T01:00:00Z")));
    let package = &checkout["packages"][0];
    let expected = json!({
        "vulnerability_id": "CVE-2026-0001", "pkg_name": "openssl", "class": "os-pkgs", "type": "debian",
        "installed_version": "3.0.9-1", "fixed_version": "3.0.11-1~deb12u2", "severity": "HIGH",
        "status": "affected", "findings": 1, "finding_id": 1_000_000, "present": true,
        "first_seen": "2026-11-20T01:00:00Z", "last_seen": "2026-11-20T01:00:00Z"
    });
    assert_eq!(package, &expected);

    let all = app.get("/api/container/cves/CVE-2026-0001?all=true").await;
    let mended = &all.json["images"][2];
    assert_eq!(
        (&mended["image_name"], &mended["present"], &mended["scan_id"]),
        (&json!("shop/mended:1"), &json!(false), &json!(4))
    );
    assert_eq!(mended["packages"][0]["present"], false);
}

#[tokio::test]
async fn a_vulnerability_is_found_by_its_other_name() {
    let app = fleet().await;
    let by_alias = app.get("/api/container/cves/GHSA-2222-3333-4444").await;
    assert_eq!(by_alias.json, app.get("/api/container/cves/CVE-2026-0001").await.json);
    assert_eq!(app.get("/api/container/cves/cve-2026-0001").await.json, by_alias.json);
    // An image whose report has the other name only.
    let store = app.store().await;
    occur(&store, "shop/other:1", 5, &[occurrence("GHSA-2222-3333-4444", "openssl", "3.0.9", None)]).await;
    let found = app.get("/api/container/cves/CVE-2026-0001").await;
    assert_eq!(found.header("x-total-count"), Some("3"));
}

#[tokio::test]
async fn what_is_known_from_reports_only_is_shown_and_what_nobody_ever_had_is_404() {
    let app = fleet().await;
    // Seen, and no source records yet.
    let pending = app.get("/api/container/cves/CVE-2026-0003").await;
    assert_eq!((pending.status, &pending.json["status"]["value"]), (200, &json!("pending")));
    assert_eq!(pending.json["images"].as_array().unwrap().len(), 1);
    Told::of("CVE-2026-0003").seeded(&vulnerability(3)).store(&app.store().await).await;
    let seeded = app.get("/api/container/cves/CVE-2026-0003").await;
    assert_eq!(seeded.json["title"]["source"], "trivy");
    assert_eq!(app.get("/api/container/cves/CVE-2026-9999").await.json["code"], "not_found");
    for wrong in ["x", "CVE-2026-1", "CVE-2026-0001%0A", "..%2F..", "CVE-2026-0001?all=yes", "CVE-2026-0001?limit=301"]
    {
        assert_eq!(app.get(&format!("/api/container/cves/{wrong}")).await.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn the_images_of_a_vulnerability_come_in_pages() {
    let app = App::new().await;
    // The first report brings the key of the cursors.
    app.post(&with_findings("other", 1)).await;
    let store = app.store().await;
    for number in 1..=7 {
        occur(&store, &format!("app:{number}"), number, &[occurrence("CVE-2026-0001", "x", "1", None)]).await;
    }
    let path = "/api/container/cves/CVE-2026-0001";
    let (mut names, mut next) = (Vec::new(), Some("limit=3".to_owned()));
    while let Some(query) = next {
        let page = app.get(&format!("{path}?{query}")).await;
        assert_eq!((page.status, page.header("x-total-count")), (200, Some("7")));
        names.extend(page.json["images"].as_array().unwrap().iter().map(|image| image["image_name"].to_string()));
        next = page.next();
    }
    assert_eq!((names.len(), names.iter().collect::<BTreeSet<_>>().len()), (7, 7));
    let cursor = app.get(&format!("{path}?limit=3")).await.next().unwrap();
    assert_eq!(app.get(&format!("{path}?all=true&{cursor}")).await.status, 400);
}

#[tokio::test]
async fn the_fleets_top_work_is_what_to_upgrade_where_and_what_that_clears() {
    let app = fleet().await;
    let top = app.get(PRIORITIES).await.json;
    assert_eq!((&top["complete"], &top["total"]), (&json!(true), &json!(2)));
    let work = top["priorities"].as_array().unwrap();
    let ssl = &work[0];
    assert_eq!((&ssl["package"], &ssl["type"], &ssl["band"]), (&json!("openssl"), &json!("debian"), &json!("P0")));
    assert_eq!(ssl["fixed_versions"], json!(["3.0.11-1~deb12u2", "3.0.12"]));
    assert_eq!(ssl["vulnerabilities"], json!(["CVE-2026-0001", "CVE-2026-0003"]));
    assert_eq!(ssl["images"], json!(["shop/cart:1", "shop/checkout:1"]));
    let image = |name: &str, scan_id: u64, upgrade_to: &str| {
        json!({"image_name": name, "platform": null, "scan_id": scan_id, "finding_id": scan_id * 1_000_000,
               "upgrades": [{"installed_version": "3.0.9-1", "upgrade_to": upgrade_to}], "total_upgrades": 1})
    };
    // Of the cart, the one version that clears both.
    let images = [image("shop/cart:1", 2, "3.0.12"), image("shop/checkout:1", 1, "3.0.11-1~deb12u2")];
    assert_eq!(ssl["affected_images"], json!(images));
    assert_eq!((&ssl["findings_cleared"], &ssl["worst_vulnerability"]), (&json!(3), &json!("CVE-2026-0001")));
    assert!(why(ssl).contains(&"KEV since 2026-11-10 (ransomware) (CISA)"));
    assert_eq!(work[1]["package"], "zlib1g");

    let unfixed = app.get(&format!("{PRIORITIES}?fixable=false")).await.json;
    assert_eq!((&unfixed["total"], &unfixed["priorities"][0]["package"]), (&json!(1), &json!("perl")));
    assert_eq!(unfixed["priorities"][0]["fixed_versions"], json!([]));
    let one = app.get(&format!("{PRIORITIES}?limit=1")).await.json;
    assert_eq!((one["priorities"].as_array().unwrap().len(), &one["total"]), (1, &json!(2)));
    let cart = app.get(&format!("{PRIORITIES}?image_prefix=shop/ca")).await.json;
    assert_eq!((&cart["total"], &cart["priorities"][0]["images"]), (&json!(1), &json!(["shop/cart:1"])));
    assert_eq!(app.get(&format!("{PRIORITIES}?image_prefix=cart")).await.json["total"], 0);
    for wrong in ["limit=0", "limit=201", "fixable=1", "cursor=x"] {
        assert_eq!(app.get(&format!("{PRIORITIES}?{wrong}")).await.status, 400, "{wrong}");
    }
    assert_eq!(app.get(PRIORITIES).await.json, top, "the same each time, in whatever order the parts are read");
}

#[tokio::test]
async fn words_in_the_place_of_a_version_are_no_fix_anywhere() {
    let Some(report) = corpus::case("f16-fix-placeholders-count-as-fixes") else { return };
    let (app, enrichment) = deployment().await;
    let posted = app.post_as(&report, "", &[("content-type", "application/json")]).await;
    assert_eq!(posted.status, 201, "{posted:?}");
    app.enrich(&enrichment).await;
    let scan = app.get("/api/container/scans/1").await.json;
    assert_eq!((&scan["total_findings"], &scan["fixable_findings"]), (&json!(4), &json!(0)));
    assert!(app.get("/api/container/scans/1/findings?fixable=true").await.list().is_empty());
    assert_eq!(app.get(PRIORITIES).await.json["total"], 0);
    for finding in app.get("/api/container/scans/1/findings").await.list() {
        let remediation = finding["remediation"].as_str().unwrap();
        assert!(remediation.starts_with("No fixed version of minimist"), "{remediation}");
    }
    let unfixed = app.get(&format!("{PRIORITIES}?fixable=false")).await.json;
    assert_eq!(unfixed["priorities"][0]["fixed_versions"], json!([]));
}

#[tokio::test]
async fn images_of_docker_hub_are_asked_for_by_any_spelling_of_their_prefix() {
    let app = App::with_enrichment().await;
    let store = app.store().await;
    occur(&store, "docker.io/library/web:1", 1, &[occurrence("CVE-2026-0001", "zlib1g", "1", Some("2"))]).await;
    for (prefix, found) in
        [("web", 1), ("docker.io/library/", 1), ("library/web", 1), ("docker.io/web", 1), ("ghcr.io/", 0)]
    {
        let top = app.get(&format!("{PRIORITIES}?image_prefix={prefix}")).await.json;
        assert_eq!(top["total"], found, "{prefix}");
    }
}

#[tokio::test]
async fn work_that_the_time_did_not_suffice_to_look_for_is_told() {
    let app = App { fleet_time: Duration::ZERO, ..fleet().await };
    let top = app.get(PRIORITIES).await;
    assert_eq!((top.status, &top.json["complete"]), (200, &json!(false)));
    assert!(top.json["unread_buckets"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn an_image_that_nobody_outside_reaches_is_less_urgent() {
    let app = fleet().await;
    let inside = App { exposure: "internal=shop/*".to_owned(), ..app };
    let top = inside.get(&format!("{PRIORITIES}?limit=200")).await.json;
    let zlib = top["priorities"].as_array().unwrap().iter().find(|work| work["package"] == "zlib1g").unwrap();
    assert_eq!(zlib["band"], "P4");
    assert!(why(zlib).contains(&"exposed: no, configured internal=shop/*"));
}

/// Each fact of a record that is not none must say whose it is and as of when.
fn assert_sourced(place: &str, fact: &Value) {
    match fact {
        Value::Null => {}
        Value::Array(facts) => facts.iter().for_each(|fact| assert_sourced(place, fact)),
        fact => {
            let as_of = fact["as_of"].as_str().unwrap_or_else(|| panic!("{place}: no as_of in {fact}"));
            as_of.parse::<Timestamp>().unwrap();
            assert!(fact["source"].as_str().is_some_and(|source| !source.is_empty()), "{place}: {fact}");
        }
    }
}

/// Each reason that quotes a source must have the date of the fact.
fn assert_dated(reason: &str) -> bool {
    let states = ["KEV", "automatable", "technical impact", "exploitation", "EPSS"];
    if !states.iter().any(|fact| reason.starts_with(fact)) {
        return false;
    }
    let is_day = |word: &str| word.parse::<jiff::civil::Date>().is_ok();
    let words = || reason.split([' ', ',', ';']);
    assert!(words().any(is_day), "no day: {reason}");
    let sources = ["(CISA)", "CISA-ADP", "nvd@nist.gov", "trivy", "EPSS"];
    assert!(sources.iter().any(|source| reason.contains(source)), "no source: {reason}");
    true
}

fn assert_priority_is_dated(place: &str, priority: &Value) {
    let dated = why(priority).into_iter().filter(|reason| assert_dated(reason)).count();
    assert!(dated >= 2, "{place}: {priority}");
}

#[tokio::test]
async fn no_fact_of_any_answer_is_without_source_and_date() {
    let app = fleet().await;
    let store = app.store().await;
    let scan = app.post(&with_findings("app", 12)).await.json["scan_id"].clone();
    exploited(&cve(0)).store(&store).await;
    harmless(&cve(1)).store(&store).await;
    Told::of(&cve(2)).seeded(&vulnerability(2)).store(&store).await;
    Told::of(&cve(3)).published(LOCAL, &[]).store(&store).await;
    let mut enriched = 0;
    for query in ["", "?sort=priority"] {
        let path = &format!("/api/container/scans/{scan}/findings{query}");
        for finding in app.get(path).await.list() {
            assert_priority_is_dated(path, &finding["priority"]);
            if let Some(facts) = finding["enrichment"].as_object() {
                facts.iter().for_each(|(name, fact)| assert_sourced(name, fact));
                enriched += 1;
            }
        }
    }
    assert_eq!(enriched, 2 * 4);
    let found: Vec<_> = (0..4).map(|number| occurrence(&cve(number), "lib", "1", None)).collect();
    occur(&store, "app:2", 9, &found).await;
    for number in 0..4 {
        let record = app.get(&format!("/api/container/cves/{}", cve(number))).await.json;
        for (name, fact) in record.as_object().unwrap() {
            if !["id", "schema_version", "freshness", "images"].contains(&name.as_str()) {
                assert_sourced(name, fact);
            }
        }
    }
    for image in app.get("/api/container/cves/CVE-2026-0001").await.json["images"].as_array().unwrap() {
        assert_priority_is_dated("images", &image["priority"]);
    }
    for work in app.get(PRIORITIES).await.json["priorities"].as_array().unwrap() {
        assert_priority_is_dated("priorities", work);
    }
}

async fn question(app: &App) -> (PromptHash, Question) {
    let asked = app.get(&format!("{ANALYZE}?wait=0")).await;
    let hash: PromptHash = asked.json["llm_analysis_prompt_hash"].as_str().unwrap().parse().unwrap();
    let question = app.store().await.question(&hash).await.unwrap().unwrap();
    (hash, serde_json::from_str(&question).unwrap())
}

#[tokio::test]
async fn a_model_is_told_the_priority_in_words_that_stay_the_same_for_days() {
    let app = App::with_analysis().await;
    app.post(&with_findings("app", 1)).await;
    let store = app.store().await;
    let told = Told::of(&cve(0)).published(LOCAL, &[]).unlisted().predicted(0.011, 0.83);
    told.assessed(Exploitation::None, false, TechnicalImpact::Partial).store(&store).await;
    let (hash, asked) = question(&app).await;
    let told = &asked.prompt.messages.last().unwrap().content;
    for words in [
        "\"priority\": \"P3: 60 days\"",
        "KEV: not listed",
        "80th to 95th percentile",
        "exposed to untrusted people: yes (assumed)",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert!(!told.contains("0.011"), "{told}");

    // New feeds, the same band: the model is not asked again.
    load_feed(&store, FeedName::Kev, Timestamp::now() + jiff::SignedDuration::from_hours(24), None).await;
    load_feed(&store, FeedName::Epss, Timestamp::now(), Some(0.004)).await;
    assert_eq!(question(&app).await.0, hash);
    // Another fact, another question.
    Told::of(&cve(0)).exploited("2026-11-20").store(&store).await;
    assert_ne!(question(&app).await.0, hash);
}

#[tokio::test]
async fn a_score_that_ignores_the_priority_needs_a_review() {
    let app = App::with_analysis().await;
    app.post(&with_findings("app", 1)).await;
    exploited(&cve(0)).store(&app.store().await).await;
    let (_, asked) = question(&app).await;
    assert!(asked.prompt.messages.last().unwrap().content.contains("\"priority\": \"P0: 3 days + forensic triage\""));
    let reply = Reply::answer(
        "## Summary\nThe length of an input is not checked.\n\n## Recommendations\n- Limit who can reach the service.\n\n## Risk Score\n5.5/10",
    );
    let ollama = StandIn::always(reply).await;
    assert_eq!(app.work(ollama.config()).await, (1, vec![]));
    let done = app.get(ANALYZE).await.json;
    assert_eq!(done["llm_analysis_needs_review"], true);
    let review = done["llm_analysis_review"].to_string();
    assert!(review.contains("far from what the priority P0 goes with, 8 to 10"), "{review}");
}
