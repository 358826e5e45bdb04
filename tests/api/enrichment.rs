//! Enriches vulnerabilities once for the whole fleet, through failures of the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sirius::domain::feed::FeedName;
use sirius::domain::vulnerability::id::VulnerabilityId;
use sirius::domain::vulnerability::{CveRichment, Outcome, Source, Status};
use sirius::enrichment::merge;
use sirius::pipeline::enrich::{Enriched, Enrichment, ask_sources};
use sirius::pipeline::refresh_feeds::{Refreshed, refresh_feeds};
use sirius::sources::rate_limit::SourceState;
use sirius::sources::{Budget, Mode};
use sirius::store::lease::Owner;
use support::app::{App, enrich_batch};
use support::proxy::Fault;
use support::queue;
use support::report::{report_of, vulnerability, with_findings};
use support::stand_in::Reply;
use support::world::{self, World, asked_of_nvd};

fn id(text: &str) -> VulnerabilityId {
    text.parse().unwrap()
}

fn ids(numbers: std::ops::Range<usize>) -> BTreeSet<VulnerabilityId> {
    numbers.map(|number| id(&format!("CVE-2026-{}", 10_000 + number))).collect()
}

async fn source_state(deps: &Enrichment) -> SourceState {
    deps.store.source_state("nvd").await.unwrap().0
}

async fn ask_at(deps: &Enrichment, ids: &BTreeSet<VulnerabilityId>, now: Timestamp) -> Enriched {
    let budget = Budget::new(now, Duration::from_secs(60));
    ask_sources(deps, ids, &Owner::random().unwrap(), &budget).await.unwrap()
}

async fn ask(deps: &Enrichment, ids: &BTreeSet<VulnerabilityId>) -> Enriched {
    ask_at(deps, ids, Timestamp::now()).await
}

async fn record(deps: &Enrichment, text: &str) -> CveRichment {
    merge::record(
        &deps.store.source_records(&id(text)).await.unwrap().unwrap_or_else(|| panic!("no records of {text}")),
    )
}

async fn refresh(deps: &Enrichment, now: Timestamp) -> Refreshed {
    let budget = Budget::new(now, Duration::from_secs(60));
    refresh_feeds(deps, &Owner::random().unwrap(), &budget).await.unwrap()
}

/// A vulnerability of another database.
fn advisory(text: &str) -> Value {
    let mut vulnerability = vulnerability(1);
    vulnerability["VulnerabilityID"] = text.into();
    vulnerability
}

#[tokio::test]
async fn five_hundred_new_ids_cost_five_calls() {
    let (app, world) = (App::with_enrichment().await, World::start().await);
    let deps = app.enrichment(world.mode()).await;
    let mut vulnerabilities: Vec<Value> = (0..500).map(vulnerability).collect();
    vulnerabilities.extend(["GHSA-2222-3333-4444", "GO-2026-0001", "TEMP-0517018-A83CE6"].map(advisory));
    assert_eq!(app.post(&report_of("first", vulnerabilities.clone())).await.status, 201);
    assert_eq!(app.enrich(&deps).await, (7, 0), "one message about the scan, six about ids");

    let nvd = world.asked("/nvd");
    assert_eq!((nvd.len(), world.asked("/osv").len(), world.asked("/cve").len()), (5, 2, 0), "{nvd:?}");
    assert_eq!(nvd.iter().map(|target| asked_of_nvd(target).len()).sum::<usize>(), 500);
}

#[tokio::test]
async fn a_second_image_with_the_same_vulnerabilities_asks_nobody() {
    let (app, world) = (App::with_enrichment().await, World::start().await);
    app.post(&with_findings("first", 120)).await;
    app.enrich(&app.enrichment(world.mode()).await).await;
    let before = world.server.seen().len();
    app.post(&with_findings("second", 120)).await;
    // A new function instance: it knows nothing but the table.
    let (messages, failed) = app.enrich(&app.enrichment(world.mode()).await).await;
    assert_eq!((messages, failed, world.server.seen().len() - before), (1, 0, 0));
}

#[tokio::test]
async fn fifty_concurrent_ingestions_of_the_same_vulnerabilities_fetch_none_twice() {
    let (app, world) = (App::with_enrichment().await, World::start().await);
    let reports: Vec<Value> = (0..50).map(|image| with_findings(&format!("image-{image}"), 60)).collect();
    let ingested = join_all(reports.iter().map(|report| app.deliver(report, 0))).await;
    assert!(ingested.iter().all(Result::is_ok));
    let mut messages = queue::drain(&app.enrichment_queue_url).await;
    assert_eq!(messages.len(), 50);
    // Ten function instances at once, and then again with what these have queued.
    while !messages.is_empty() {
        let mut instances = Vec::new();
        for _ in 0..10 {
            instances.push(app.enrichment(world.mode()).await);
        }
        let batches: Vec<&[String]> = messages.chunks(5).collect();
        let works = batches.iter().enumerate().map(|(at, batch)| enrich_batch(&instances[at % 10], batch));
        assert_eq!(join_all(works).await.into_iter().sum::<usize>(), 0);
        messages = queue::drain(&app.enrichment_queue_url).await;
    }
    let mut fetched = BTreeMap::new();
    for target in world.asked("/nvd") {
        for id in asked_of_nvd(&target) {
            *fetched.entry(id.to_owned()).or_insert(0) += 1;
        }
    }
    assert_eq!(fetched.len(), 60);
    assert!(fetched.values().all(|times| *times == 1), "{fetched:?}");
    let images = app.store().await.occurrences_of(&id("CVE-2026-10007")).await.unwrap();
    assert_eq!(images.len(), 50);
}

#[tokio::test]
async fn every_fact_has_its_source_and_date_and_images_are_found() {
    let (app, world) = (App::with_enrichment().await, World::start().await);
    let deps = app.enrichment(world.mode()).await;
    assert_eq!(refresh(&deps, Timestamp::now()).await.replaced, 2);
    app.post(&with_findings("shop/a:1", 3)).await;
    app.enrich(&deps).await;
    let record = record(&deps, "CVE-2026-10000").await;
    assert_eq!((record.status.fact.value, record.status.source), (Status::Published, Source::Nvd));
    assert!(record.kev.as_ref().is_some_and(|kev| kev.source == Source::Kev && kev.fact.ransomware == Some(true)));
    assert!(record.epss.as_ref().is_some_and(|epss| epss.source == Source::Epss && epss.fact.score == 0.5));
    assert!(record.ssvc.as_ref().is_some_and(|ssvc| ssvc.source == Source::Nvd));
    let json = serde_json::to_value(&record).unwrap();
    for (name, fact) in json.as_object().unwrap() {
        if ["id", "schema_version", "freshness"].contains(&name.as_str()) || fact.is_null() {
            continue;
        }
        let facts = fact.as_array().cloned().unwrap_or_else(|| vec![fact.clone()]);
        for fact in facts {
            assert!(fact["source"].is_string() && fact["as_of"].is_string(), "{name}: {fact}");
        }
    }
    let summaries = deps.store.summaries(&[id("CVE-2026-10000"), id("CVE-2026-99999")]).await.unwrap();
    assert_eq!(summaries.len(), 1);
    let summary = &summaries[&id("CVE-2026-10000")];
    assert!(summary.kev.is_some() && summary.epss.is_some() && summary.exploit_refs == 1, "{summary:?}");
    assert!(summary.next_fetch > Timestamp::now());

    let seen = deps.store.occurrences_of(&id("CVE-2026-10000")).await.unwrap();
    let [(_, asset)] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!(asset.image.as_str(), "shop/a:1");
    let occurrence = &asset.occurrences[0];
    assert!(asset.is_present(occurrence));
    let details = &occurrence.details;
    assert_eq!((details.problem.pkg_name.as_str(), details.fixed_version.as_deref()), ("lib0", Some("1.1-3")));
}

#[tokio::test]
async fn a_dead_source_holds_up_neither_ingesting_nor_reading() {
    let world = World::but(|_, _| Some(Reply::status("503 Service Unavailable", "", "down"))).await;
    let app = App::with_enrichment().await;
    let deps = app.enrichment(world.mode()).await;
    assert_eq!(app.post(&with_findings("app", 150)).await.status, 201);
    let (_, failed) = app.enrich(&deps).await;
    assert_eq!(failed, 0, "what a source does not answer comes back by itself, not as a message");
    assert_eq!(app.get("/api/container/scans/app/findings").await.status, 200);
    let calls = world.asked("/nvd").len();
    assert!(calls <= 10, "{calls} calls to a source that is down");
    assert!(source_state(&deps).await.open_until.is_some(), "the circuit is open");
    let record = record(&deps, "CVE-2026-10003").await;
    assert_eq!((record.status.fact.value, record.freshness[&Source::Nvd].outcome), (Status::Partial, Outcome::Error));
    assert_eq!(record.title.unwrap().source, Source::Trivy);

    // Half an hour later it is back.
    let back = World::start().await;
    let deps = app.enrichment(back.mode()).await;
    let later = Timestamp::now() + SignedDuration::from_mins(40);
    assert_eq!(ask_at(&deps, &ids(0..150), later).await, Enriched { asked: 150, answered: 150, left: 0 });
    assert_eq!(back.asked("/nvd").len(), 2);
    assert_eq!(source_state(&deps).await.failures, 0);
}

#[tokio::test]
async fn a_lost_message_is_sent_again_by_recovery() {
    let (app, world) = (App::with_enrichment().await, World::start().await);
    // Analyses are queued by recovery, too.
    let app = App { queue_url: queue::fresh().await, ..app };
    app.proxy.inject(Some("SendMessage"), 0, 4, Fault::LostRequest);
    assert_eq!(app.post(&with_findings("app", 5)).await.status, 201);
    let deps = app.enrichment(world.mode()).await;
    assert_eq!(app.enrich(&deps).await, (0, 0));
    let recovered = app.recover(Timestamp::now() + SignedDuration::from_mins(3)).await;
    assert_eq!(recovered.scans, 1);
    assert_eq!(app.enrich(&deps).await, (2, 0));
    assert_eq!(world.asked("/nvd").len(), 1);
    // And only once.
    assert_eq!(app.recover(Timestamp::now() + SignedDuration::from_mins(9)).await.scans, 0);
}

#[tokio::test]
async fn an_id_that_nvd_chokes_on_is_found_and_left_alone() {
    const POISON: &str = "CVE-2026-10042";
    let world = World::but(|target, _| {
        asked_of_nvd(target).contains(&POISON).then(|| Reply::status("404 Not Found", "message: Invalid cveId\r\n", ""))
    })
    .await;
    let app = App::with_enrichment().await;
    let deps = app.enrichment(world.mode()).await;
    let asked = ask(&deps, &ids(0..100)).await;
    assert_eq!((asked.asked, asked.answered), (100, 100), "CVE Services knows the one that NVD does not answer about");
    let calls = world.asked("/nvd").len();
    assert!(calls <= 15, "{calls} calls to find one of a hundred");
    let record = record(&deps, POISON).await;
    // 404 is never "no such CVE".
    assert_eq!((record.status.source, record.freshness[&Source::Nvd].outcome), (Source::CveServices, Outcome::Error));
    let before = world.asked("/nvd").len();
    assert_eq!(ask(&deps, &ids(0..100)).await.asked, 0);
    assert_eq!(world.asked("/nvd").len(), before);
}

#[tokio::test]
async fn a_mirror_of_nvd_that_knows_no_batches_is_asked_one_by_one() {
    let refuses = |target: &str| target.contains("cveIds=").then(|| Reply::status("404 Not Found", "", ""));
    let world = World::but(move |target, _| refuses(target)).await;
    let app = App::with_enrichment().await;
    let deps = app.enrichment(world.mode()).await;
    assert_eq!(ask(&deps, &ids(0..20)).await.answered, 20);
    let calls = world.asked("/nvd");
    assert_eq!(calls.iter().filter(|target| target.contains("cveIds=")).count(), 3, "{calls:?}");
    assert_eq!(calls.len(), 23);
}

#[tokio::test]
async fn a_key_that_nvd_refuses_is_dropped_and_the_work_goes_on() {
    let app = App::with_enrichment().await;
    let world = World::but(|target, number| {
        (target.starts_with("/nvd") && number == 0)
            .then(|| Reply::status("404 Not Found", "message: Invalid apiKey.\r\n", ""))
    })
    .await;
    let deps = app.enrichment(world.mode_with_key(Some("not-a-key"))).await;
    assert_eq!(ask(&deps, &ids(0..3)).await.answered, 3);
    assert_eq!(ask(&deps, &ids(3..6)).await.answered, 3);
    let with_key: Vec<bool> =
        world.server.seen().iter().map(|seen| seen.head.to_ascii_lowercase().contains("apikey:")).collect();
    assert_eq!(with_key, [true, false, false]);
}

#[tokio::test]
async fn what_passes_is_tried_again_and_patience_is_given() {
    for (reply, name) in [
        (Reply::status("403 Forbidden", "", ""), "403"),
        (Reply::status("429 Too Many Requests", "retry-after: 1\r\n", ""), "429"),
        (Reply::status("503 Service Unavailable", "", ""), "503"),
        (
            Reply { pieces: vec![b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n{\"resu".to_vec()], hang: false },
            "cut",
        ),
        (Reply { pieces: vec![Vec::new()], hang: false }, "closed"),
    ] {
        let world =
            World::but(move |target, number| (target.starts_with("/nvd") && number == 0).then(|| reply.clone())).await;
        let app = App::with_enrichment().await;
        let deps = app.enrichment(world.mode()).await;
        let started = std::time::Instant::now();
        assert_eq!(ask(&deps, &ids(0..2)).await.answered, 2, "{name}");
        assert_eq!(world.asked("/nvd").len(), 2, "{name}");
        assert!(name != "429" || started.elapsed() >= Duration::from_secs(1), "its patience was not given");
        assert_eq!(source_state(&deps).await.failures, 0, "{name}");
    }
}

#[tokio::test]
async fn a_source_that_hangs_takes_no_more_time_than_there_is() {
    let world = World::but(|_, _| Some(Reply { pieces: Vec::new(), hang: true })).await;
    let app = App::with_enrichment().await;
    let deps = app.enrichment(world.mode()).await;
    let budget = Budget::new(Timestamp::now(), Duration::from_secs(1));
    let started = std::time::Instant::now();
    let owner = Owner::random().unwrap();
    let enriched = ask_sources(&deps, &ids(0..3), &owner, &budget).await.unwrap();
    assert_eq!((enriched.asked, enriched.answered), (3, 0));
    assert!(started.elapsed() < Duration::from_secs(20));
    // No lease stays: the next one may ask at once.
    let (one, other) = ([id("CVE-2026-10001")], Owner::random().unwrap());
    let leases = deps.store.lease_records(&one, &other, Timestamp::now(), app.lease).await.unwrap();
    assert_eq!(leases.len(), 1);
}

#[tokio::test]
async fn an_answer_without_a_cve_is_remembered_as_such() {
    let world = World::but(|target, _| {
        if target.starts_with("/nvd") {
            return Some(world::json_reply(&world::nvd_page(Vec::new())));
        }
        target.starts_with("/cve").then(|| Reply::status("404 Not Found", "", "{\"error\":\"CVE_RECORD_DNE\"}"))
    })
    .await;
    let app = App::with_enrichment().await;
    let deps = app.enrichment(world.mode()).await;
    ask(&deps, &ids(0..2)).await;
    let record = record(&deps, "CVE-2026-10001").await;
    assert_eq!((record.status.fact.value, record.freshness[&Source::Nvd].outcome), (Status::NotFound, Outcome::Absent));
    let calls = world.server.seen().len();
    assert_eq!(ask(&deps, &ids(0..2)).await.asked, 0);
    assert_eq!(world.server.seen().len(), calls);
    // Six hours later it may be there.
    ask_at(&deps, &ids(0..2), Timestamp::now() + SignedDuration::from_hours(8)).await;
    assert!(world.server.seen().len() > calls);
}

#[tokio::test]
async fn an_answer_about_other_cves_is_nobodys() {
    let world = World::but(|target, _| {
        target.starts_with("/nvd").then(|| world::json_reply(&world::nvd_page(vec![world::nvd_cve("CVE-1999-0001")])))
    })
    .await;
    let app = App::with_enrichment().await;
    let deps = app.enrichment(world.mode()).await;
    ask(&deps, &ids(0..40)).await;
    assert!(world.asked("/nvd").len() <= 12);
    let record = record(&deps, "CVE-2026-10001").await;
    assert_eq!(record.freshness[&Source::Nvd].outcome, Outcome::Error);
    assert!(deps.store.source_records(&id("CVE-1999-0001")).await.unwrap().is_none());
}

#[tokio::test]
async fn an_advisory_and_its_cve_lead_to_each_other() {
    let world = World::but(|target, _| {
        target
            .ends_with("GHSA-2222-3333-4444")
            .then(|| world::json_reply(&world::osv_record("GHSA-2222-3333-4444", &["CVE-2026-10005", "GO-2026-1"])))
    })
    .await;
    let app = App::with_enrichment().await;
    let deps = app.enrichment(world.mode()).await;
    ask(&deps, &BTreeSet::from([id("GHSA-2222-3333-4444")])).await;
    let aliases = |record: CveRichment| -> Vec<String> {
        record.aliases.into_iter().map(|alias| alias.fact.id.to_string()).collect()
    };
    assert_eq!(aliases(record(&deps, "GHSA-2222-3333-4444").await), ["CVE-2026-10005", "GO-2026-1"]);
    let cve = record(&deps, "CVE-2026-10005").await;
    assert_eq!(cve.status.source, Source::Nvd);
    assert_eq!(aliases(cve), ["GHSA-2222-3333-4444", "GO-2026-1"]);
    assert_eq!(world.asked("/nvd"), ["/nvd?cveId=CVE-2026-10005"]);
}

#[tokio::test]
async fn an_id_that_osv_knows_by_other_names_only_is_not_unknown() {
    let world = World::but(|target, _| {
        let body =
            r#"{"code":5,"message":"Vulnerability not found, but the following aliases were: GHSA-2222-3333-4444"}"#;
        target.ends_with("PYSEC-2026-1").then(|| Reply::status("404 Not Found", "", body))
    })
    .await;
    let app = App::with_enrichment().await;
    let deps = app.enrichment(world.mode()).await;
    ask(&deps, &BTreeSet::from([id("PYSEC-2026-1")])).await;
    let record = record(&deps, "PYSEC-2026-1").await;
    assert_eq!(record.freshness[&Source::Osv].outcome, Outcome::Ok);
    assert_eq!(record.aliases[0].fact.id, id("GHSA-2222-3333-4444"));
}

#[tokio::test]
async fn what_a_feed_changes_is_pushed_and_an_insane_one_changes_nothing() {
    let app = App::with_enrichment().await;
    let world = World::start().await;
    let deps = app.enrichment(world.mode()).await;
    app.post(&with_findings("app", 3)).await;
    app.enrich(&deps).await;
    let now = Timestamp::now();
    let first = refresh(&deps, now).await;
    assert_eq!((first.replaced, first.failed, first.pushed), (2, 0, 3), "{first:?}");
    let listed = async |deps: &Enrichment, text: &str| {
        let summary = deps.store.summaries(&[id(text)]).await.unwrap().remove(&id(text)).unwrap();
        (summary.kev.is_some(), summary.epss.map(|epss| epss.fact.score), summary.kev_checked.is_some())
    };
    assert_eq!(listed(&deps, "CVE-2026-10000").await, (true, Some(0.5), true));
    assert_eq!(listed(&deps, "CVE-2026-10001").await, (false, Some(0.5), true));
    // The schedule fires twice: nothing is fetched, nothing is pushed.
    assert_eq!(refresh(&deps, now).await.pushed, 0);
    assert_eq!(world.server.seen().len(), 3);

    // A truncated, older or unrelated document: the last good ones stay.
    let later = now + SignedDuration::from_hours(30);
    let kev = deps.store.feed(FeedName::Kev).await.unwrap();
    for fault in ["short", "old", "page"] {
        let bad = World::but(move |target, _| {
            let is_kev = target.starts_with("/kev");
            Some(match (fault, is_kev) {
                ("short", true) => world::json_reply(&world::kev_catalogue("2026-11-21", 100)),
                ("short", false) => world::bytes_reply(world::epss_csv("2026-11-21", 1000, 0.1).as_bytes()),
                ("old", true) => world::json_reply(&world::kev_catalogue("2026-11-01", 1200)),
                ("old", false) => world::bytes_reply(world::epss_csv("2026-11-01", 200_500, 0.1).as_bytes()),
                _ => Reply::status("200 OK", "content-type: text/html\r\n", "<html>Are you a robot?</html>"),
            })
        })
        .await;
        let deps = app.enrichment(bad.mode()).await;
        let refreshed = refresh(&deps, later).await;
        assert_eq!((refreshed.replaced, refreshed.failed, refreshed.pushed), (0, 2, 0), "{fault}");
        assert_eq!(deps.store.feed(FeedName::Kev).await.unwrap(), kev);
        assert_eq!(listed(&deps, "CVE-2026-10000").await, (true, Some(0.5), true));
    }

    // New ones: removed entries are deleted, scores change.
    let new = World::but(|target, _| {
        if target.starts_with("/kev") {
            let mut catalogue = world::kev_catalogue("2026-11-22", 1200);
            catalogue["vulnerabilities"][0]["cveID"] = "CVE-2026-10001".into();
            return Some(world::json_reply(&catalogue));
        }
        Some(world::bytes_reply(&support::app::gzip(world::epss_csv("2026-11-22", 200_500, 0.25).as_bytes())))
    })
    .await;
    let deps = app.enrichment(new.mode()).await;
    assert_eq!(refresh(&deps, later).await.pushed, 3);
    assert_eq!(listed(&deps, "CVE-2026-10000").await, (false, Some(0.25), true));
    assert_eq!(listed(&deps, "CVE-2026-10001").await, (true, Some(0.25), true));
}

#[tokio::test]
async fn a_feed_that_moved_is_followed_only_where_it_may_go() {
    for (location, expected) in [("/epss.csv.gz?day", 1), ("https://evil.example/epss.csv.gz", 0)] {
        let world = World::but(move |target, _| {
            (target == "/epss.csv.gz").then(|| Reply::status("302 Found", &format!("location: {location}\r\n"), ""))
        })
        .await;
        let app = App::with_enrichment().await;
        let deps = app.enrichment(world.mode()).await;
        let refreshed = refresh(&deps, Timestamp::now()).await;
        assert_eq!((refreshed.replaced, refreshed.failed), (1 + expected, 1 - expected), "{location}");
    }
}

#[tokio::test]
async fn the_catalogues_mirror_is_asked_where_the_catalogue_is_not_to_be_had() {
    let world =
        World::but(|target, _| (target == "/kev.json").then(|| Reply::status("403 Forbidden", "", "robot"))).await;
    let app = App::with_enrichment().await;
    let refreshed = refresh(&app.enrichment(world.mode()).await, Timestamp::now()).await;
    assert_eq!((refreshed.replaced, refreshed.failed, world.asked("/kev-mirror").len()), (2, 0, 1));
}

#[tokio::test]
async fn what_is_due_is_queued_by_the_schedule() {
    let (app, world) = (App::with_enrichment().await, World::start().await);
    let deps = app.enrichment(world.mode()).await;
    app.post(&with_findings("app", 150)).await;
    app.enrich(&deps).await;
    assert_eq!(refresh(&deps, Timestamp::now()).await.due, 0);
    let later = Timestamp::now() + SignedDuration::from_hours(24 * 9);
    assert_eq!(refresh(&deps, later).await.due, 150);
    assert_eq!(queue::drain(&app.enrichment_queue_url).await.len(), 2);
}

#[tokio::test]
async fn a_deleted_scan_leaves_no_occurrences_and_the_one_before_it_counts_again() {
    let (app, world) = (App::with_enrichment().await, World::start().await);
    let deps = app.enrichment(world.mode()).await;
    app.post(&with_findings("app", 3)).await;
    let newer = app.post(&with_findings("app", 5)).await;
    app.enrich(&deps).await;
    let there = async |text: &str| {
        let images = deps.store.occurrences_of(&id(text)).await.unwrap();
        images.iter().any(|(_, asset)| asset.occurrences.iter().any(|occurrence| asset.is_present(occurrence)))
    };
    assert!(there("CVE-2026-10001").await && there("CVE-2026-10004").await);
    assert_eq!(app.delete(newer.json["scan_id"].as_u64().unwrap()).await.status, 204);
    assert!(there("CVE-2026-10001").await);
    assert!(deps.store.occurrences_of(&id("CVE-2026-10004")).await.unwrap().is_empty());
    assert_eq!(app.delete(1).await.status, 204);
    assert!(deps.store.occurrences_of(&id("CVE-2026-10001")).await.unwrap().is_empty());
    // A message that comes late finds nothing to do.
    assert_eq!(enrich_batch(&deps, &[json!({"scan_id": 1}).to_string()]).await, 0);
    assert!(deps.store.occurrences_of(&id("CVE-2026-10001")).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_mirror_in_the_bucket_and_a_folder_answer_without_the_world() {
    let app = App::with_enrichment().await;
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../local/sample/enrichment");
    let deps = app.enrichment(Mode::Folder(folder)).await;
    let sample = ["CVE-2023-38545", "CVE-2023-44487", "GHSA-xvch-5gv4-984h"];
    ask(&deps, &sample.into_iter().map(id).collect()).await;
    assert_eq!(record(&deps, "CVE-2023-38545").await.status.source, Source::Nvd);
    assert_eq!(record(&deps, "GHSA-xvch-5gv4-984h").await.status.source, Source::Osv);
    let refreshed = refresh(&deps, Timestamp::now()).await;
    assert_eq!((refreshed.replaced, refreshed.failed), (2, 0));
    assert!(record(&deps, "CVE-2023-44487").await.kev.is_some());

    let app = App::with_enrichment().await;
    let deps = app.enrichment(Mode::Mirror(app.objects().await)).await;
    let bucket = support::bucket::client(&support::table::endpoint()).await;
    let body = world::nvd_cve("CVE-2026-10000").to_string().into_bytes();
    let put = bucket.put_object().bucket(&app.bucket).key("mirror/v1/nvd/CVE-2026-10000.json");
    put.body(body.into()).send().await.unwrap();
    ask(&deps, &ids(0..2)).await;
    assert_eq!(record(&deps, "CVE-2026-10000").await.status.source, Source::Nvd);
    // That a mirror lacks it does not mean that there is no such CVE.
    assert_eq!(record(&deps, "CVE-2026-10001").await.status.fact.value, Status::Pending);
}

#[tokio::test]
async fn recorded_answers_of_the_real_sources_become_records() {
    let Some(recorded) = world::recorded() else { return };
    let mut cves: BTreeMap<String, Value> = BTreeMap::new();
    for file in std::fs::read_dir(recorded.join("nvd-api-2.0/single")).unwrap() {
        let page: Value = serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap();
        for entry in page["vulnerabilities"].as_array().unwrap() {
            cves.insert(entry["cve"]["id"].as_str().unwrap().to_owned(), entry["cve"].clone());
        }
    }
    let kev = std::fs::read(recorded.join("kev/known_exploited_vulnerabilities.json")).unwrap();
    let asked: BTreeSet<VulnerabilityId> = cves.keys().map(|text| id(text)).collect();
    let count = asked.len();
    let world = World::but(move |target, _| {
        if target.starts_with("/kev") {
            return Some(world::bytes_reply(&kev));
        }
        let asked = asked_of_nvd(target);
        (!asked.is_empty()).then(|| {
            let found = asked.iter().filter_map(|id| cves.get(*id).cloned()).collect();
            world::json_reply(&world::nvd_page(found))
        })
    })
    .await;
    let app = App::with_enrichment().await;
    let deps = app.enrichment(world.mode()).await;
    let enriched = ask(&deps, &asked).await;
    assert_eq!((enriched.asked, enriched.answered), (count, count));
    assert_eq!(world.asked("/nvd").len(), count.div_ceil(100));
    let log4shell = record(&deps, "CVE-2021-44228").await;
    assert!(log4shell.cvss.iter().any(|cvss| cvss.fact.score == 10.0));
    assert!(log4shell.ssvc.is_some() && log4shell.kev.is_some());
    assert_eq!(refresh(&deps, Timestamp::now()).await.failed, 0);
    let summaries = deps.store.summaries(&[id("CVE-2021-44228")]).await.unwrap();
    assert_eq!(summaries[&id("CVE-2021-44228")].kev.as_ref().unwrap().source, Source::Kev);
}
