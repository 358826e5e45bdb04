//! Checks the limits of work: long work runs in steps that can be interrupted and repeated, and a failed item affects no
//! other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};
use sirius::domain::occurrence::Bucket;
use sirius::domain::scan::ScanId;
use sirius::domain::upload::{State, Upload};
use sirius::domain::vulnerability::id::VulnerabilityId;
use sirius::events::enrich_cves;
use sirius::pipeline::admit;
use sirius::pipeline::catalogue::{Catalogued, catalogue_scan};
use sirius::pipeline::delete_scan::{self, Deleted, Reason, delete_scan};
use sirius::pipeline::enrich::Enrichment;
use sirius::pipeline::ingest_upload::{Object, UploadOutcome, ingest_upload};
use sirius::pipeline::refresh_feeds::{Refreshed, refresh_feeds};
use sirius::queue::{Order, Rest};
use sirius::sources::Budget;
use sirius::store::claims::Claimed;
use sirius::store::lease::Owner;
use support::app::{Answer, App, at};
use support::known::Told;
use support::proxy::Fault;
use support::report::{report_of, vulnerability, with_findings};
use support::world::{self, World};
use support::{bucket, queue, table};

const ID: &str = "CVE-2026-10007";

fn id(text: &str) -> VulnerabilityId {
    text.parse().unwrap()
}

/// One vulnerability in so many packages.
fn in_packages(image: &str, count: usize) -> Value {
    let one = |number: usize| {
        let mut vulnerability = vulnerability(number);
        vulnerability["VulnerabilityID"] = ID.into();
        vulnerability["PkgName"] = json!(format!("linux-modules-{number}"));
        vulnerability
    };
    report_of(image, (0..count).map(one).collect())
}

/// One message, with no time but for one step.
async fn step(deps: &Enrichment, body: &str) -> Catalogued {
    let Ok(Order::Scan { scan_id, rest }) = serde_json::from_str(body) else { panic!("{body}") };
    let budget = Budget::new(Timestamp::now(), Duration::ZERO);
    catalogue_scan(deps, scan_id, rest, &Owner::random().unwrap(), &budget).await.unwrap()
}

async fn delete(app: &App, scan: u64, second: i64, time: Duration) -> Deleted {
    let id = ScanId::new(scan).unwrap();
    delete_scan(
        &app.store().await,
        Some(&app.objects().await),
        delete_scan::Order { scan_id: id, reason: Reason::Requested },
        at(second),
        time,
    )
    .await
    .unwrap()
}

/// The occurrences of all buckets, by vulnerability.
async fn occurrences(app: &App) -> BTreeMap<String, usize> {
    let (store, mut found) = (app.store().await, BTreeMap::new());
    for bucket in Bucket::all() {
        for (_, asset) in store.all_occurrences(bucket).await.unwrap() {
            for occurrence in &asset.occurrences {
                assert!(asset.is_present(occurrence));
                *found.entry(occurrence.details.problem.vulnerability_id.to_string()).or_default() += 1;
            }
        }
    }
    found
}

#[tokio::test]
async fn a_scan_that_takes_longer_than_a_message_has_time_is_gone_on_with() {
    let (app, world) = (App::with_enrichment().await, World::start().await);
    let deps = app.enrichment(world.mode()).await;
    let mut vulnerabilities: Vec<Value> = (0..1500).map(vulnerability).collect();
    vulnerabilities.extend(in_packages("app", 1000)["Results"][0]["Vulnerabilities"].as_array().unwrap().clone());
    app.post(&report_of("app", vulnerabilities)).await;
    let (mut steps, mut ids) = (0, Vec::new());
    loop {
        let messages = queue::drain(&app.enrichment_queue_url).await;
        if messages.is_empty() {
            break;
        }
        for message in messages {
            if let Ok(Order::Ids { ids: ordered }) = serde_json::from_str(&message) {
                ids.extend(ordered);
                continue;
            }
            steps += 1;
            step(&deps, &message).await;
        }
    }
    // Four steps of sixteen buckets, and three of a thousand findings, the first in the same message as the last bucket.
    assert_eq!(steps, 6);
    ids.sort();
    // The one that is in all parts is ordered in each, since what other messages have ordered is not known.
    assert!(ids.len() <= 1502, "{}", ids.len());
    ids.dedup();
    assert_eq!(ids.len(), 1500);
    let found = occurrences(&app).await;
    assert_eq!((found.len(), found.values().sum::<usize>()), (1500, 2500));
}

#[tokio::test]
async fn a_scan_that_is_never_done_ends_among_the_dead_letters() {
    let (app, world) = (App::with_enrichment().await, World::start().await);
    app.post(&with_findings("app", 3)).await;
    queue::drain(&app.enrichment_queue_url).await;
    let body = json!({"scan_id": 1, "rest": {"bucket": 64, "version": 1, "ordinal": 0, "ordered": 0, "round": 100}});
    let failed = support::app::enrich_batch(&app.enrichment(world.mode()).await, &[body.to_string()]).await;
    assert_eq!((failed, queue::drain(&app.enrichment_queue_url).await.len()), (1, 0));
}

#[tokio::test]
async fn what_is_known_of_a_scan_is_the_same_wherever_its_cataloguing_was_cut_off() {
    for (operation, count) in [("PutItem", 12), ("UpdateItem", 3), ("SendMessageBatch", 1)] {
        for nth in (0..count).step_by(2) {
            let context = format!("{operation} {nth}");
            let (app, world) = (App::with_enrichment().await, World::start().await);
            app.post(&with_findings("app", 6)).await;
            let [message] = queue::drain(&app.enrichment_queue_url).await.try_into().unwrap();
            let deps = app.enrichment(world.mode()).await;
            app.proxy.inject(Some(operation), nth, 1, Fault::Crash);
            tokio::select! {
                _ = support::app::enrich_batch(&deps, std::slice::from_ref(&message)) => panic!("{context}: survived"),
                () = app.proxy.crashed() => {}
            }
            app.proxy.heal();
            let deps = app.enrichment(world.mode()).await;
            // Once the leases of the dead attempt are over.
            let owner = Owner::random().unwrap();
            let budget = Budget::new(Timestamp::now() + Duration::from_secs(400), Duration::from_secs(60));
            let scan_id = ScanId::new(1).unwrap();
            catalogue_scan(&deps, scan_id, None, &owner, &budget).await.unwrap_or_else(|e| panic!("{context}: {e}"));
            assert_eq!(occurrences(&app).await.len(), 6, "{context}");
            let ids: Vec<_> = (0..6).map(|number| id(&format!("CVE-2026-{}", 10_000 + number))).collect();
            assert_eq!(deps.store.summaries(&ids).await.unwrap().len(), 6, "{context}");
            assert_eq!(app.get("/api/container/cves/CVE-2026-10000").await.status, 200, "{context}");
        }
    }
}

#[tokio::test]
async fn one_vulnerability_in_thousands_of_packages_is_merged_shown_and_deleted() {
    let (app, world) = (App::with_enrichment().await, World::start().await);
    let deps = app.enrichment(world.mode()).await;
    app.post(&in_packages("app", 3000)).await;
    let mut again = in_packages("app", 3000);
    again["CreatedAt"] = json!("2026-11-22T10:00:00Z");
    again["Results"][0]["Vulnerabilities"][0]["Severity"] = json!("CRITICAL");
    app.post(&again).await;
    assert_eq!(app.enrich(&deps).await.1, 0);
    assert_eq!(app.get(&format!("/api/container/cves/{ID}")).await.header("x-total-count"), Some("1"));
    for scan in [1, 2] {
        let started = std::time::Instant::now();
        assert_eq!(app.delete(scan).await.status, 204);
        assert!(started.elapsed() < Duration::from_secs(20));
    }
    assert!(occurrences(&app).await.is_empty());
}

#[tokio::test]
async fn a_deletion_without_time_is_finished_by_the_schedule() {
    let (app, world) = (App::with_enrichment().await, World::start().await);
    app.deliver(&in_packages("app", 300), 0).await.unwrap();
    app.enrich(&app.enrichment(world.mode()).await).await;
    assert_eq!(delete(&app, 1, 100, Duration::ZERO).await, Deleted::Underway);
    assert_eq!(app.recover(at(300)).await.deleted, 1);
    assert!(occurrences(&app).await.is_empty());
    assert_eq!(delete(&app, 1, 400, Duration::ZERO).await, Deleted::Gone);
}

#[tokio::test]
async fn a_deletion_that_is_cut_off_after_any_write_takes_the_scan_out_of_the_fleet_in_the_end() {
    for (operation, nth) in [
        ("DeleteItem", 0),
        ("DeleteItem", 2),
        ("PutItem", 0),
        ("PutItem", 2),
        ("UpdateItem", 0),
        ("UpdateItem", 1),
        ("DELETE reports", 0),
    ] {
        let context = format!("{operation} {nth}");
        let (app, world) = (App::with_enrichment().await, World::start().await);
        let deps = app.enrichment(world.mode()).await;
        app.deliver(&with_findings("app", 30), 0).await.unwrap();
        app.enrich(&deps).await;
        app.proxy.inject(Some(operation), nth, 1, Fault::Crash);
        tokio::select! {
            outcome = delete(&app, 1, 100, Duration::from_secs(20)) => panic!("{context}: {outcome:?}"),
            () = app.proxy.crashed() => {}
        }
        app.proxy.heal();
        assert_eq!(app.recover(at(300)).await.deleted, 1, "{context}");
        assert!(occurrences(&app).await.is_empty(), "{context}");
        let store = app.store().await;
        for bucket in Bucket::all() {
            let times = store.all_first_seen(bucket).await.unwrap();
            assert!(times.values().all(BTreeMap::is_empty), "{context}");
        }
        assert_eq!(app.get("/api/container/cves/CVE-2026-10003").await.status, 404, "{context}");
    }
}

#[tokio::test]
async fn a_vulnerability_that_no_stored_scan_has_any_more_is_not_found() {
    let (app, world) = (App::with_enrichment().await, World::start().await);
    let deps = app.enrichment(world.mode()).await;
    app.post(&with_findings("one", 8)).await;
    app.post(&with_findings("other", 4)).await;
    app.enrich(&deps).await;
    assert_eq!(app.delete(1).await.status, 204);
    assert!(deps.store.source_records(&id(ID)).await.unwrap().is_some(), "it is still known");
    assert_eq!(app.get(&format!("/api/container/cves/{ID}")).await.json["code"], "not_found");
    assert_eq!(app.get("/api/container/cves/CVE-2026-10003").await.header("x-total-count"), Some("1"));
    app.post(&with_findings("again", 8)).await;
    app.enrich(&deps).await;
    assert_eq!(app.get(&format!("/api/container/cves/{ID}")).await.status, 200);
}

#[tokio::test]
async fn a_message_that_can_never_be_worked_at_takes_no_other_with_it() {
    let (app, world) = (App::with_enrichment().await, World::start().await);
    let deps = app.enrichment(world.mode()).await;
    app.post(&with_findings("app", 3)).await;
    queue::drain(&app.enrichment_queue_url).await;
    // A source record that cannot be parsed.
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let put = table::client(&table::endpoint()).await.put_item().table_name(&app.table);
    let put = put.item("pk", text("CVE#CVE-2026-20000")).item("sk", text("ENRICHMENT")).item("z", text("not binary"));
    put.send().await.unwrap();
    let bodies = [
        r#"{"ids":["CVE-2026-20001","CVE-2026-20002"]}"#,
        r#"{"ids":["CVE-2026-20000"]}"#,
        "no order",
        r#"{"scan_id":1}"#,
        r#"{"ids":["CVE-2026-20003"]}"#,
    ];
    let mut context = lambda_http::Context::default();
    context.deadline = u64::MAX / 2;
    let event = LambdaEvent::new(queue::event(bodies.map(str::to_owned)), context);
    let response = enrich_cves::handle(&deps, event).await.unwrap();
    let mut failed: Vec<_> = response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect();
    failed.sort();
    assert_eq!(failed, ["message-1", "message-2"]);
    let ids = ["CVE-2026-20001", "CVE-2026-20002", "CVE-2026-20003", "CVE-2026-10001"].map(id);
    assert_eq!(deps.store.summaries(&ids).await.unwrap().len(), 4);
    assert_eq!(occurrences(&app).await.len(), 3);
}

/// Has `refresh-feeds` run at a given time.
async fn refresh(deps: &Enrichment, now: Timestamp) -> Refreshed {
    let budget = Budget::new(now, Duration::from_secs(120));
    refresh_feeds(deps, &Owner::random().unwrap(), &budget).await.unwrap()
}

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

#[tokio::test]
async fn what_is_known_of_a_vulnerability_goes_a_day_after_the_last_image_that_had_it() {
    let (app, world) = (App::with_enrichment().await, World::start().await);
    let deps = app.enrichment(world.mode()).await;
    let now = Timestamp::now();
    app.post(&with_findings("gone", 8)).await;
    app.post(&with_findings("stays", 3)).await;
    app.enrich(&deps).await;
    assert_eq!(refresh(&deps, now).await.unseen, 0);
    assert_eq!(app.delete(1).await.status, 204);
    let first = refresh(&deps, now + hours(1)).await;
    assert_eq!((first.unseen, first.dropped), (5, 0));
    let asked = world.asked("/nvd").len();
    // Their answers have expired, and no source is asked.
    let again = refresh(&deps, now + hours(20)).await;
    assert_eq!((again.unseen, again.dropped), (0, 0));
    let last = refresh(&deps, now + hours(26)).await;
    assert_eq!((last.unseen, last.dropped), (0, 5));
    queue::drain(&app.enrichment_queue_url).await;
    let left = table::items(&app.table).await;
    let records: BTreeSet<&String> = left.iter().filter(|pk| pk.starts_with("CVE#")).collect();
    assert_eq!(records.len(), 3, "{records:?}");
    assert_eq!(world.asked("/nvd").len(), asked);
    assert_eq!(app.get(&format!("/api/container/cves/{ID}")).await.status, 404);
    // And all over again.
    app.post(&with_findings("again", 8)).await;
    app.enrich(&deps).await;
    assert_eq!(world.asked("/nvd").len(), asked + 1);
    assert_eq!(app.get(&format!("/api/container/cves/{ID}")).await.json["status"]["value"], "published");
}

#[tokio::test]
async fn a_scan_that_comes_within_the_day_brings_back_what_is_known() {
    let (app, world) = (App::with_enrichment().await, World::start().await);
    let deps = app.enrichment(world.mode()).await;
    let now = Timestamp::now();
    app.post(&with_findings("gone", 4)).await;
    app.enrich(&deps).await;
    app.delete(1).await;
    assert_eq!(refresh(&deps, now + hours(1)).await.unseen, 4);
    let asked = world.asked("/nvd").len();
    app.post(&with_findings("other", 4)).await;
    app.enrich(&deps).await;
    assert_eq!(world.asked("/nvd").len(), asked, "what is known is known");
    let later = refresh(&deps, now + hours(26)).await;
    assert_eq!((later.unseen, later.dropped), (0, 0));
    assert_eq!(deps.store.due_unseen(now + hours(99), 10).await.unwrap(), []);
    assert_eq!(app.get("/api/container/cves/CVE-2026-10003").await.json["status"]["value"], "published");
}

#[tokio::test]
async fn a_scan_whose_occurrences_were_written_after_the_look_at_them_keeps_its_records() {
    let (app, world) = (App::with_enrichment().await, World::start().await);
    let deps = app.enrichment(world.mode()).await;
    let now = Timestamp::now();
    app.post(&with_findings("app", 4)).await;
    app.enrich(&deps).await;
    // As if each had been put among the unseen ones right after the scan had found it known.
    for number in 0..4 {
        assert!(deps.store.mark_unseen(&id(&format!("CVE-2026-{}", 10_000 + number)), now).await.unwrap());
    }
    let refreshed = refresh(&deps, now + hours(1)).await;
    assert_eq!(refreshed.dropped, 0);
    assert_eq!(deps.store.due_unseen(now + hours(99), 10).await.unwrap(), []);
    assert!(deps.store.source_records(&id("CVE-2026-10002")).await.unwrap().is_some());
}

#[tokio::test]
async fn dropping_is_cut_off_after_any_write_and_finished_by_the_next_run() {
    for (operation, nth) in [("UpdateItem", 3), ("PutItem", 0), ("PutItem", 30), ("TransactWriteItems", 1)] {
        let context = format!("{operation} {nth}");
        let (app, world) = (App::with_enrichment().await, World::start().await);
        let deps = app.enrichment(world.mode()).await;
        let now = Timestamp::now();
        app.post(&with_findings("app", 6)).await;
        app.enrich(&deps).await;
        refresh(&deps, now).await;
        app.delete(1).await;
        let dropping = operation == "TransactWriteItems";
        if dropping {
            refresh(&deps, now + hours(1)).await;
        }
        app.proxy.inject(Some(operation), nth, 1, Fault::Crash);
        tokio::select! {
            refreshed = refresh(&deps, now + hours(if dropping { 26 } else { 2 })) => panic!("{context}: {refreshed:?}"),
            () = app.proxy.crashed() => {}
        }
        app.proxy.heal();
        let deps = app.enrichment(world.mode()).await;
        refresh(&deps, now + hours(27)).await;
        refresh(&deps, now + hours(54)).await;
        let left = table::items(&app.table).await;
        assert!(!left.iter().any(|pk| pk.starts_with("CVE#")), "{context}: {left:?}");
    }
}

#[tokio::test]
async fn a_cve_that_an_advisory_is_about_stays_as_long_as_the_advisory() {
    let world = World::but(|target, _| {
        target
            .ends_with("GHSA-2222-3333-4444")
            .then(|| world::json_reply(&world::osv_record("GHSA-2222-3333-4444", &["CVE-2026-20005"])))
    })
    .await;
    let app = App::with_enrichment().await;
    let deps = app.enrichment(world.mode()).await;
    let mut advisory = vulnerability(1);
    advisory["VulnerabilityID"] = "GHSA-2222-3333-4444".into();
    app.post(&report_of("app", vec![advisory])).await;
    app.enrich(&deps).await;
    let now = Timestamp::now();
    let refreshed = refresh(&deps, now + hours(1)).await;
    assert_eq!(refreshed.unseen, 0);
    assert!(deps.store.source_records(&id("CVE-2026-20005")).await.unwrap().is_some());
    app.delete(1).await;
    for hour in [2, 28, 54, 80] {
        refresh(&deps, now + hours(hour)).await;
    }
    let left = table::items(&app.table).await;
    assert!(!left.iter().any(|pk| pk.starts_with("CVE#")), "{left:?}");
}

#[tokio::test]
async fn nobody_is_asked_about_vulnerabilities_of_future_years() {
    let (app, world) = (App::with_enrichment().await, World::start().await);
    let deps = app.enrichment(world.mode()).await;
    let of_year = |id: &str| {
        let mut vulnerability = vulnerability(1);
        vulnerability["VulnerabilityID"] = id.into();
        vulnerability
    };
    app.post(&report_of(
        "app",
        ["CVE-2999-0001", "CVE-9999-0002", "GO-2999-0003", "CVE-2026-10000"].map(of_year).to_vec(),
    ))
    .await;
    app.enrich(&deps).await;
    refresh(&deps, Timestamp::now() + hours(24 * 40)).await;
    app.enrich(&deps).await;
    let asked: Vec<String> = world.server.seen().iter().map(|seen| world::target(seen).to_owned()).collect();
    assert!(asked.iter().any(|target| target.contains("CVE-2026-10000")), "{asked:?}");
    assert!(!asked.iter().any(|target| target.contains("-2999-") || target.contains("-9999-")), "{asked:?}");
    // The facts of the report are still shown.
    let record = app.get("/api/container/cves/CVE-2999-0001").await.json;
    assert_eq!(record["title"]["source"], "trivy", "{record}");
}

#[tokio::test]
async fn a_scan_and_a_day_order_no_more_than_their_share() {
    let (app, world) = (App::with_enrichment().await, World::start().await);
    let deps = app.enrichment(world.mode()).await;
    let now = Timestamp::now();
    app.post(&with_findings("app", 5)).await;
    app.enrich(&deps).await;
    queue::drain(&app.enrichment_queue_url).await;
    // A scan that has ordered all but one of what it may.
    app.post(&with_findings("other", 12)).await;
    let [message] = queue::drain(&app.enrichment_queue_url).await.try_into().unwrap();
    let Ok(Order::Scan { scan_id, .. }) = serde_json::from_str(&message) else { panic!("{message}") };
    let rest = Rest { ordered: admit::PER_SCAN - 1, ..Rest::default() };
    let budget = Budget::new(now, Duration::from_secs(60));
    let owner = Owner::random().unwrap();
    let catalogued = catalogue_scan(&deps, scan_id, Some(rest), &owner, &budget).await.unwrap();
    assert_eq!((catalogued.queued, catalogued.put_off), (1, 6));
    queue::drain(&app.enrichment_queue_url).await;

    // The day has room for two more.
    let used = deps.store.admit(now, admit::PER_DAY, admit::PER_DAY).await.unwrap();
    assert!(used < admit::PER_DAY);
    assert_eq!(deps.store.admit(now, 1, admit::PER_DAY).await.unwrap(), 0);
    assert_eq!(deps.store.admit(now, 3, admit::PER_DAY + 2).await.unwrap(), 2);
    let refreshed = refresh(&deps, now).await;
    assert_eq!((refreshed.due, refreshed.put_off), (0, 7), "one was ordered, and is new until it was asked about");
    app.enrich(&deps).await;
    let asked = world.asked("/nvd").len();
    // The next day has, and everybody is asked about.
    let tomorrow = refresh(&deps, admit::tomorrow(now)).await;
    assert_eq!((tomorrow.due, tomorrow.put_off), (7, 0));
    app.enrich(&deps).await;
    assert!(world.asked("/nvd").len() > asked);
}

#[tokio::test]
async fn with_a_bucket_the_pages_by_priority_are_those_of_one_order_and_assess_only_what_they_list() {
    let app = App::with_archive().await;
    app.post(&with_findings("app", 300)).await;
    let path = "/api/container/scans/1/findings";
    let of = |page: &Answer| -> Vec<u64> { page.list().iter().map(|it| it["finding_id"].as_u64().unwrap()).collect() };
    let whole = app.get(&format!("{path}?sort=priority")).await;
    let mut page = app.get(&format!("{path}?sort=priority&limit=40")).await;
    let mut listed = of(&page);
    // What is yet to come is now more urgent than all of the first page, and keeps its place.
    let told = Told::of(whole.list()[200]["vulnerability_id"].as_str().unwrap());
    told.exploited("2026-11-20").predicted(0.9, 0.999).store(&app.store().await).await;
    app.proxy.take_calls();
    while let Some(query) = page.next() {
        page = app.get(&format!("{path}?{query}")).await;
        assert_eq!(page.header("x-total-count"), Some("300"));
        let calls = app.proxy.take_calls();
        assert!(calls.iter().all(|call| call != "Query"), "the scan's findings were read again: {calls:?}");
        listed.extend(of(&page));
    }
    assert_eq!(listed, of(&whole));

    let first = app.get(&format!("{path}?sort=priority&limit=40")).await;
    bucket::empty(&app.bucket, "exports/").await;
    let expired = app.get(&format!("{path}?{}", first.next().unwrap())).await;
    assert_eq!((expired.status, &expired.json["code"]), (400, &json!("invalid_cursor")));
}

#[tokio::test]
async fn a_page_by_priority_goes_on_after_the_last_finding_whatever_has_moved_before_it() {
    let app = App::new().await;
    app.post(&with_findings("app", 60)).await;
    let path = "/api/container/scans/1/findings?sort=priority&limit=20";
    let first = app.get(path).await;
    let shown: Vec<u64> = first.list().iter().map(|finding| finding["finding_id"].as_u64().unwrap()).collect();
    // What was to come is now more urgent than all of the first page.
    let whole = app.get("/api/container/scans/1/findings?sort=priority").await;
    let moved = &whole.list()[45];
    let told = Told::of(moved["vulnerability_id"].as_str().unwrap()).exploited("2026-11-20").predicted(0.9, 0.999);
    told.store(&app.store().await).await;
    let mut rest = Vec::new();
    let mut next = first.next();
    while let Some(query) = next {
        let page = app.get(&format!("/api/container/scans/1/findings?{query}")).await;
        rest.extend(page.list().iter().map(|finding| finding["finding_id"].as_u64().unwrap()));
        next = page.next();
    }
    let all: BTreeSet<u64> = shown.iter().chain(&rest).copied().collect();
    assert_eq!((rest.len(), all.len()), (39, 59), "all others once, and the one that moved over the place not at all");
    assert!(!all.contains(&moved["finding_id"].as_u64().unwrap()));
}

/// Interrupts the ingestion of an archived report after its scan is hidden.
async fn take_back(app: &App, scan: u64, second: i64) {
    let store = app.store().await;
    let scan = store.scan(ScanId::new(scan).unwrap()).await.unwrap().unwrap();
    let owner = Owner::random().unwrap();
    store.reopen(&scan, &owner, at(second), Duration::from_secs(60)).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_scan_that_was_taken_back_and_given_up_leaves_nothing() {
    for nameless in [false, true] {
        let (app, world) = (App::with_enrichment().await, World::start().await);
        let deps = app.enrichment(world.mode()).await;
        let mut report = with_findings("app", 30);
        if nameless {
            (report["ArtifactType"], report["ArtifactName"]) = (json!("filesystem"), json!("."));
        }
        app.deliver(&report, 0).await.unwrap();
        app.enrich(&deps).await;
        take_back(&app, 1, 100).await;
        for key in bucket::keys(&app.bucket).await {
            bucket::remove(&app.bucket, &key).await;
        }
        assert_eq!(app.recover(at(2000)).await.abandoned, 1);
        assert!(occurrences(&app).await.is_empty());
        let left = table::items(&app.table).await;
        let kinds = ["SCAN#", "REPORT#", "OCCURRENCES#"];
        assert!(!left.iter().any(|pk| kinds.iter().any(|kind| pk.starts_with(kind))), "{left:?}");
        assert_eq!(left.iter().any(|pk| pk.starts_with("IMAGE#")), !nameless, "the version of the asset: {left:?}");
        for bucket in Bucket::all() {
            let times = deps.store.all_first_seen(bucket).await.unwrap();
            assert!(times.values().all(BTreeMap::is_empty));
        }
        assert_eq!(app.deliver(&report, 3000).await.unwrap().scan.scan_id.get(), 2);
    }
}

#[tokio::test]
async fn giving_a_scan_up_that_was_taken_back_is_cut_off_after_any_write_and_finished() {
    for (operation, nth) in [("BatchWriteItem", 0), ("DeleteItem", 0), ("PutItem", 3), ("TransactWriteItems", 0)] {
        let context = format!("{operation} {nth}");
        let (app, world) = (App::with_enrichment().await, World::start().await);
        app.deliver(&with_findings("app", 30), 0).await.unwrap();
        app.enrich(&app.enrichment(world.mode()).await).await;
        take_back(&app, 1, 100).await;
        for key in bucket::keys(&app.bucket).await {
            bucket::remove(&app.bucket, &key).await;
        }
        app.proxy.inject(Some(operation), nth, 1, Fault::Crash);
        tokio::select! {
            recovered = app.recover(at(2000)) => panic!("{context}: {recovered:?}"),
            () = app.proxy.crashed() => {}
        }
        app.proxy.heal();
        app.recover(at(9000)).await;
        assert!(occurrences(&app).await.is_empty(), "{context}");
        let left = table::items(&app.table).await;
        assert!(!left.iter().any(|pk| pk.starts_with("SCAN#") || pk.starts_with("REPORT#")), "{context}: {left:?}");
    }
}

#[tokio::test]
async fn a_count_that_fences_does_not_begin_at_one_again() {
    let app = App::new().await;
    let (store, owner, now) = (app.store().await, Owner::random().unwrap(), Timestamp::now());
    let lease = Duration::from_secs(330);
    let first = store.lease_records(&[id(ID)], &owner, now, lease).await.unwrap()[0].attempt;
    let second = store.lease_records(&[id(ID)], &owner, now, lease).await.unwrap()[0].attempt;
    assert_eq!(second, first + 1);
    let hash = [7; 32].into();
    let Claimed::Ours(claim) = store.claim(hash, &owner, now, lease).await.unwrap() else { panic!() };
    store.abandon(&claim).await.unwrap();
    let later = now + Duration::from_millis(5);
    let Claimed::Ours(again) = store.claim(hash, &owner, later, lease).await.unwrap() else { panic!() };
    assert!(again.attempt > claim.attempt, "{again:?} {claim:?}");
}

#[tokio::test]
async fn a_late_event_writes_neither_outcome_nor_tag_over_those_of_a_newer_object() {
    let app = App::with_archive().await;
    let put = async |content: &[u8], sequencer: &str| {
        let etag = bucket::put(&app.bucket, "uploads/a.json", content.to_vec()).await;
        let sequencer = Some(sequencer.parse().unwrap());
        Object { id: "a.json".parse().unwrap(), etag, sequencer, size: content.len() as u64 }
    };
    let take = async |object: &Object| {
        let (ingestion, objects, owner) = (app.ingestion().await, app.objects().await, Owner::random().unwrap());
        ingest_upload(&ingestion, &objects, object, &owner, Timestamp::now()).await.unwrap()
    };
    let good = with_findings("app", 3).to_string();
    let old = put(b"no report", "9FF").await;
    let new = put(good.as_bytes(), "0A00").await;
    assert!(matches!(take(&new).await, UploadOutcome::Done { .. }));
    // The same bytes as the newer one, told of by an older event: its number has fewer digits.
    let late = Object { sequencer: old.sequencer.clone(), ..new.clone() };
    assert_eq!(take(&late).await, UploadOutcome::Replaced);
    assert_eq!(take(&old).await, UploadOutcome::Replaced);
    assert_eq!(app.get("/api/container/uploads/a.json").await.json["status"], "done");
    assert_eq!(bucket::tag(&app.bucket, "uploads/a.json").await.as_deref(), Some("done"));
    // And where the newer one is settled while the older one is being read.
    let store = app.store().await;
    let known = store.upload(&new.id, Timestamp::now()).await.unwrap().unwrap();
    let failed = State::Failed { code: "invalid_json".to_owned(), reason: "late".to_owned() };
    let late =
        Upload { sequencer: old.sequencer.clone(), etag: Some(old.etag.clone()), state: failed, ..known.clone() };
    let expires = Timestamp::now() + hours(24);
    assert!(!store.put_upload(&late, expires).await.unwrap());
    assert!(store.put_upload(&known, expires).await.unwrap(), "to do it again is success");
    assert_eq!(bucket::tag(&app.bucket, "uploads/a.json").await.as_deref(), Some("done"));
}
