//! Checks that every file in `events/` is a request that works with `cargo lambda invoke`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use lambda_runtime::LambdaEvent;
use sirius::domain::prompt_hash::PromptHash;
use sirius::events::reingest::{self, Tally};
use sirius::events::{enrich_cves, ingest_upload, recover, refresh_feeds, run_analysis};
use support::app::App;
use support::bucket;
use support::known::{RCE, Told, occur, occurrence};
use support::report::with_findings;
use support::stand_in::{Reply, StandIn};
use support::world::World;

/// Functions that are not called by HTTP.
const EVENT_FUNCTIONS: [&str; 6] =
    ["enrich-cves", "ingest-upload", "recover", "refresh-feeds", "reingest", "run-analysis"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn each_function_has_events() {
    assert_eq!(names(&root().join("functions")), names(&root().join("events")));
}

/// The status that a case's name ends in: `new-201.json`.
fn expected_status(case: &str) -> u16 {
    let stem = case.strip_suffix(".json").unwrap();
    stem.rsplit('-').next().unwrap().parse().unwrap_or_else(|_| panic!("{case} does not end in a status"))
}

#[tokio::test]
async fn each_http_event_gives_the_status_in_its_name() {
    for function in names(&root().join("events")) {
        if EVENT_FUNCTIONS.contains(&function.as_str()) {
            continue;
        }
        for case in names(&root().join("events").join(&function)) {
            let event = std::fs::read_to_string(root().join("events").join(&function).join(&case)).unwrap();
            let request = lambda_http::request::from_str(&event).unwrap();
            let app = App { archive: true, bucket: bucket::fresh().await, ..App::with_analysis().await };
            // The reading events ask for scan 1 with 3 findings.
            if function != "ingest-scan" {
                app.post(&with_findings("ghcr.io/org/app:1.0", 3)).await;
            }
            // Where enrichment would have put them.
            if function == "get-cve" {
                let store = app.store().await;
                Told::of("CVE-2026-10000").published(RCE, &["GHSA-2222-3333-4444"]).store(&store).await;
                let seen = occurrence("CVE-2026-10000", "lib0", "1.0-2", Some("1.1-3"));
                occur(&store, "ghcr.io/org/app:1.0", 1, &[seen]).await;
            }
            let answer = app.invoke(&function, request).await;
            assert_eq!(answer.status, expected_status(&case), "{function}/{case}: {:?}", answer.json);
        }
    }
}

#[tokio::test]
async fn each_message_event_ends_as_its_name_says() {
    for case in names(&root().join("events/run-analysis")) {
        let event = std::fs::read_to_string(root().join("events/run-analysis").join(&case)).unwrap();
        let app = App::with_analysis().await;
        let ollama = StandIn::always(Reply::answer("")).await;
        let store = app.store().await;
        let hash: PromptHash = "5f".repeat(32).parse().unwrap();
        store.put_question(&hash, "a question that is not its own", false).await.unwrap();
        store.ask(&hash, Timestamp::now()).await.unwrap();
        let deps = run_analysis::Deps { store, ollama: ollama.client(), lease: app.lease };
        let event = LambdaEvent::new(serde_json::from_str(&event).unwrap(), lambda_http::Context::default());
        let outcome = run_analysis::handle(&deps, event).await;
        match case.strip_suffix(".json").unwrap().rsplit('-').next().unwrap() {
            "back" => assert_eq!(outcome.unwrap().batch_item_failures.len(), 1, "{case}"),
            "refused" => assert!(outcome.is_err(), "{case}"),
            _ => panic!("{case} ends in neither -back nor -refused"),
        }
        assert_eq!(ollama.seen().len(), 0, "{case}");
    }
}

#[tokio::test]
async fn each_upload_event_ends_as_its_name_says() {
    for case in names(&root().join("events/ingest-upload")) {
        let event = std::fs::read_to_string(root().join("events/ingest-upload").join(&case)).unwrap();
        let app = App::with_archive().await;
        let deps = app.startup().ingest_upload().unwrap();
        // The bucket that the events name is the test's own; another stays another.
        let event = event.replace("sirius-uploads", &app.bucket);
        let mut context = lambda_http::Context::default();
        context.deadline = u64::MAX / 2;
        let event = LambdaEvent::new(serde_json::from_str(&event).unwrap(), context);
        let failures = ingest_upload::handle(&deps, event).await.unwrap().batch_item_failures.len();
        match case.strip_suffix(".json").unwrap().rsplit('-').next().unwrap() {
            "back" => assert_eq!(failures, 1, "{case}"),
            "done" => assert_eq!(failures, 0, "{case}"),
            _ => panic!("{case} ends in neither -back nor -done"),
        }
    }
}

#[tokio::test]
async fn each_order_to_look_vulnerabilities_up_ends_as_its_name_says() {
    for case in names(&root().join("events/enrich-cves")) {
        let event = std::fs::read_to_string(root().join("events/enrich-cves").join(&case)).unwrap();
        let (app, world) = (App::with_enrichment().await, World::start().await);
        app.post(&with_findings("app", 3)).await;
        let deps = app.enrichment(world.mode()).await;
        let mut context = lambda_http::Context::default();
        context.deadline = u64::MAX / 2;
        let event = LambdaEvent::new(serde_json::from_str(&event).unwrap(), context);
        let failures = enrich_cves::handle(&deps, event).await.unwrap().batch_item_failures.len();
        match case.strip_suffix(".json").unwrap().rsplit('-').next().unwrap() {
            "back" => assert_eq!(failures, 1, "{case}"),
            "done" => assert_eq!(failures, 0, "{case}"),
            _ => panic!("{case} ends in neither -back nor -done"),
        }
    }
}

#[tokio::test]
async fn each_schedule_of_feeds_refreshes_them() {
    for case in names(&root().join("events/refresh-feeds")) {
        let event = std::fs::read_to_string(root().join("events/refresh-feeds").join(&case)).unwrap();
        let (app, world) = (App::with_enrichment().await, World::start().await);
        let deps = app.enrichment(world.mode()).await;
        let event = LambdaEvent::new(serde_json::from_str(&event).unwrap(), lambda_http::Context::default());
        refresh_feeds::handle(&deps, event).await.unwrap();
        assert_eq!(world.server.seen().len(), 2, "{case}");
    }
}

#[tokio::test]
async fn each_order_to_ingest_anew_is_carried_out() {
    for case in names(&root().join("events/reingest")) {
        let event = std::fs::read_to_string(root().join("events/reingest").join(&case)).unwrap();
        let app = App::with_archive().await;
        app.post(&with_findings("app", 3)).await;
        let mut context = lambda_http::Context::default();
        context.deadline = u64::MAX / 2;
        let event = LambdaEvent::new(serde_json::from_str(&event).unwrap(), context);
        let tally = reingest::handle(&app.ingestion().await, event).await.unwrap();
        assert_eq!(tally, Tally { reingested: 1, ..Tally::default() }, "{case}");
    }
}

#[tokio::test]
async fn each_schedule_event_runs_recovery() {
    for case in names(&root().join("events/recover")) {
        let event = std::fs::read_to_string(root().join("events/recover").join(&case)).unwrap();
        let app = App::with_analysis().await;
        let deps = app.recovery().await;
        let event = LambdaEvent::new(serde_json::from_str(&event).unwrap(), lambda_http::Context::default());
        recover::handle(&deps, event).await.unwrap();
    }
}
