//! Deletes scans completely, even when steps fail or are interrupted.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use sirius::domain::asset::Asset;
use sirius::domain::occurrence::Span;
use sirius::domain::scan::ScanId;
use sirius::pipeline::delete_scan::{self, Deleted, Reason, delete_scan};
use sirius::pipeline::recover::Recovered;
use sirius::store::{self, Selection};
use support::app::{App, at};
use support::known::{follow, occurrence};
use support::proxy::Fault;
use support::report::with_findings;
use support::world::World;
use support::{bucket, table};

async fn delete(app: &App, second: i64) -> Result<Deleted, delete_scan::Error> {
    let id = ScanId::new(1).unwrap();
    delete_scan(
        &app.store().await,
        Some(&app.objects().await),
        delete_scan::Order { scan_id: id, reason: Reason::Requested },
        at(second),
        Duration::from_secs(20),
    )
    .await
}

/// Nothing but the counters and the version of the asset.
async fn assert_nothing_is_left(app: &App, context: &str) {
    let left = table::items(&app.table).await;
    assert!(left.iter().all(|pk| ["COUNTER", "IMAGE#app"].contains(&pk.as_str())), "{context}: {left:?}");
    assert!(left.iter().filter(|pk| *pk == "IMAGE#app").count() <= 1, "{context}: {left:?}");
    assert_eq!(bucket::keys(&app.bucket).await.len(), 0, "{context}");
    assert_eq!(app.get("/api/container/scans").await.header("x-total-count"), Some("0"), "{context}");
}

#[tokio::test]
async fn a_deleted_scan_leaves_nothing_and_can_be_sent_again() {
    let app = App::with_archive().await;
    let report = with_findings("app", 300);
    app.post(&report).await;
    assert_eq!(app.delete(1).await.status, 204);
    assert_nothing_is_left(&app, "deleted").await;
    for path in ["scans/1", "scans/app", "scans/1/findings", "scans/1/report", "findings/1000000"] {
        assert_eq!(app.get(&format!("/api/container/{path}")).await.status, 404, "{path}");
    }
    assert_eq!(app.delete(1).await.status, 204, "again");
    assert_eq!(app.delete(2).await.status, 404, "never was");
    for wrong in ["0", "app", "1/findings", "-1"] {
        let answer = app.delete(wrong).await;
        assert_eq!((answer.status, &answer.json["code"]), (400, &json!("invalid_parameter")), "{wrong}");
    }
    let again = app.post(&report).await;
    assert_eq!((again.status, &again.json["scan_id"]), (201, &json!(2)));
}

#[tokio::test]
async fn the_scan_before_is_the_newest_once_the_newest_is_deleted() {
    let app = App::with_archive().await;
    app.post(&with_findings("app", 3)).await;
    app.post(&with_findings("app", 4)).await;
    assert_eq!(app.delete(2).await.status, 204);
    assert_eq!(app.get("/api/container/scans/app").await.json["scan_id"], 1);
    assert_eq!(app.get("/api/container/scans/app/findings").await.list().len(), 3);
}

#[tokio::test]
async fn who_reads_a_scan_while_it_is_deleted_learns_that_it_is_gone() {
    let app = App::with_archive().await;
    app.post(&with_findings("app", 60)).await;
    let store = app.store().await;
    let scan = store.scan(ScanId::new(1).unwrap()).await.unwrap().unwrap();
    let ordinals: Vec<_> = store.findings(scan.scan_id, 0..60, &Selection::default()).await.unwrap();
    let ordinals: Vec<_> = ordinals.iter().map(|finding| finding.ordinal).collect();
    assert_eq!(app.delete(1).await.status, 204);
    let listed = store.findings(scan.scan_id, 0..60, &Selection::default()).await.map(drop);
    let picked = store.findings_at(scan.scan_id, &ordinals).await.map(drop);
    // As if it had been on the list of recovery that was read before.
    store.put_off_outbox(scan.scan_id, at(60)).await.unwrap();
    assert_nothing_is_left(&app, "read while it was deleted").await;
    for read in [listed, picked] {
        assert!(matches!(read, Err(store::Error::Vanished { scan_id }) if scan_id == scan.scan_id), "{read:?}");
        assert!(read.unwrap_err().is_transient());
    }
}

#[tokio::test]
async fn what_a_worker_wrote_of_a_scan_after_its_deletion_does_not_keep_its_first_times() {
    let app = App::with_enrichment().await;
    let enrichment = app.enrichment(World::start().await.mode()).await;
    let report = |image_id: &str, at: &str| {
        let mut report = with_findings("r.example/shop:1", 1);
        report["CreatedAt"] = at.into();
        report["Metadata"]["ImageID"] = image_id.into();
        report
    };
    app.post(&report("sha256:a", "2026-11-01T10:00:00Z")).await;
    app.enrich(&enrichment).await;
    let store = app.store().await;
    let scan = store.scan(ScanId::new(1).unwrap()).await.unwrap().unwrap();
    assert_eq!(app.delete(1).await.status, 204);
    // Cut off before it looks whether the scan is still there.
    let asset = Asset::of(scan.scan_id, &scan.artifact);
    let found = [occurrence("CVE-2026-10000", "lib0", "1.0-2", Some("1.1-3"))];
    let span = Span { from: scan.scan_timestamp, to: scan.last_seen_at };
    follow(&store, &asset, scan.scan_id, span, &found).await;

    app.post(&report("sha256:b", "2026-11-25T10:00:00Z")).await;
    app.enrich(&enrichment).await;
    let cve = app.get("/api/container/cves/CVE-2026-10000").await.json;
    assert_eq!(cve["images"][0]["first_seen"], "2026-11-25T10:00:00Z", "{cve}");
}

#[tokio::test]
async fn findings_that_are_missing_from_a_scan_that_is_there_are_our_fault() {
    let app = App::with_archive().await;
    app.post(&with_findings("app", 60)).await;
    let store = app.store().await;
    let id = ScanId::new(1).unwrap();
    store.remove_findings(id, 30..60).await.unwrap();
    let read = store.findings(id, 0..60, &Selection::default()).await;
    assert!(matches!(read, Err(store::Error::Corrupt { .. })), "{read:?}");
    // A client with the position of an older ingestion may ask for more than there are.
    let read = store.findings(id, 0..61, &Selection::default()).await;
    assert!(matches!(read, Err(store::Error::Vanished { .. })), "{read:?}");
    assert_eq!(app.get("/api/container/scans/1/findings").await.status, 500);
}

#[tokio::test]
async fn a_crash_after_any_write_is_finished_by_the_next_call_or_by_recovery() {
    // Invisible, three batches of findings, archive, claim and note.
    for by_recovery in [false, true] {
        for (operation, nth) in [
            ("TransactWriteItems", 0),
            ("BatchWriteItem", 0),
            ("BatchWriteItem", 2),
            ("DELETE reports", 0),
            ("TransactWriteItems", 1),
        ] {
            let context = format!("{operation} {nth}, by recovery: {by_recovery}");
            let app = App::with_archive().await;
            let report = with_findings("app", 60);
            app.deliver(&report, 0).await.unwrap();
            app.proxy.inject(Some(operation), nth, 1, Fault::Crash);
            tokio::select! {
                outcome = delete(&app, 100) => panic!("{context}: {outcome:?}"),
                () = app.proxy.crashed() => {}
            }
            app.proxy.heal();
            assert_eq!(app.get("/api/container/scans").await.list().len(), 0, "{context}: never half");
            assert_eq!(app.get("/api/container/findings/1000000").await.status, 404, "{context}");
            let finished = (operation, nth) == ("TransactWriteItems", 1);
            if !finished {
                assert_eq!(delete(&app, 101).await.unwrap(), Deleted::Underway, "{context}: the lease stands");
                assert!(app.deliver(&report, 102).await.is_err(), "{context}: the report has to wait");
            }
            if by_recovery {
                let recovered = app.recover(at(300)).await;
                assert_eq!(
                    recovered,
                    Recovered { deleted: usize::from(!finished), ..Recovered::default() },
                    "{context}"
                );
            } else {
                assert_eq!(delete(&app, 300).await.unwrap(), Deleted::Gone, "{context}");
            }
            assert_nothing_is_left(&app, &context).await;
        }
    }
}

#[tokio::test]
async fn faults_and_lost_answers_of_any_call_leave_nothing_in_the_end() {
    for fault in [Fault::Throttled, Fault::InternalError, Fault::LostRequest, Fault::LostResponse] {
        for operation in ["GetItem", "TransactWriteItems", "BatchWriteItem", "DELETE reports"] {
            // S3 knows no throttling by that name.
            if fault == Fault::Throttled && operation == "DELETE reports" {
                continue;
            }
            let app = App::with_archive().await;
            app.deliver(&with_findings("app", 30), 0).await.unwrap();
            app.proxy.inject(Some(operation), 0, 1, fault);
            let first = delete(&app, 100).await;
            app.proxy.heal();
            if !matches!(first, Ok(Deleted::Gone)) {
                app.recover(at(400)).await;
            }
            assert_eq!(delete(&app, 500).await.unwrap(), Deleted::Gone, "{fault:?} at {operation}: {first:?}");
            assert_nothing_is_left(&app, &format!("{fault:?} at {operation}")).await;
        }
    }
}

#[tokio::test]
async fn two_deletions_at_once_and_an_ingestion_of_the_same_report_do_no_harm() {
    let app = App::with_archive().await;
    let report = with_findings("app", 60);
    app.post(&report).await;
    let (a, b, posted) = tokio::join!(app.delete(1), app.delete(1), app.post(&report));
    for answer in [&a, &b] {
        assert!([202, 204].contains(&answer.status), "{answer:?}");
    }
    assert!([200, 201, 409].contains(&posted.status), "{posted:?}");
    let visible = app.get("/api/container/scans").await.list().len();
    assert_eq!(visible, usize::from(posted.status == 201));
    if posted.status == 201 {
        assert_eq!(app.get("/api/container/scans/app/report").await.status, 200, "its report is not the old one's");
    }
}

#[tokio::test]
async fn scans_that_are_too_old_are_deleted() {
    let mut app = App::with_archive().await;
    app.deliver(&with_findings("old", 3), 0).await.unwrap();
    app.deliver(&with_findings("new", 3), 5000).await.unwrap();
    assert_eq!(app.recover(at(9000)).await, Recovered::default(), "nothing is, where nothing is set");
    app.retention = Some(Duration::from_secs(6000));
    assert_eq!(app.recover(at(9000)).await, Recovered { deleted: 1, ..Recovered::default() });
    let scans = app.get("/api/container/scans").await;
    assert_eq!((scans.list().len(), &scans.json[0]["image_name"]), (1, &json!("new")));
    assert_eq!(app.recover(Timestamp::UNIX_EPOCH).await, Recovered::default());
}

#[tokio::test]
async fn a_scan_that_keeps_a_suspect_one_from_being_current_is_never_too_old() {
    let mut app = App::with_archive().await;
    app.retention = Some(Duration::from_secs(6000));
    let mut full = with_findings("app", 3);
    full["Metadata"]["ImageID"] = json!("sha256:a");
    let mut empty = full.clone();
    empty["Results"][0]["Vulnerabilities"] = json!([]);
    app.deliver(&full, 0).await.unwrap();
    empty["CreatedAt"] = json!(at(8000).to_string());
    app.deliver(&empty, 8000).await.unwrap();
    assert_eq!(app.get("/api/container/scans/2").await.json["suspect"], true);
    assert_eq!(app.recover(at(9000)).await.deleted, 0);
    assert_eq!(app.get("/api/container/scans/app").await.json["scan_id"], 1);
}

#[tokio::test]
async fn images_that_are_scanned_again_and_again_do_not_keep_others_from_their_end() {
    let mut app = App::with_archive().await;
    app.retention = Some(Duration::from_secs(6000));
    // The first hundred are rescanned, unchanged: they keep the lowest numbers.
    for n in 0..100 {
        let mut report = with_findings(&format!("kept{n}"), 1);
        app.deliver(&report, 0).await.unwrap();
        report["CreatedAt"] = json!(at(8000).to_string());
        app.deliver(&report, 8000).await.unwrap();
    }
    app.deliver(&with_findings("old", 1), 0).await.unwrap();
    assert_eq!(app.recover(at(9000)).await.deleted, 0, "one run looks at a hundred");
    assert_eq!(app.recover(at(9000)).await.deleted, 1, "the next goes on");
    assert!(app.recover(at(99_000)).await.deleted > 0, "and then it begins again");
}
