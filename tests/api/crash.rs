//! Interrupts ingestion after any write: nothing is visible, and the next delivery finishes it.

use serde_json::json;
use sirius::pipeline::ingest::{self, Ingested};
use support::app::App;
use support::proxy::Fault;
use support::report::with_findings;

async fn visible(app: &App) -> (usize, u16, u16) {
    let scans = app.get("/api/container/scans").await.list().len();
    (scans, app.get("/api/container/scans/app").await.status, app.get("/api/container/findings/1000000").await.status)
}

#[tokio::test]
async fn a_crash_after_any_write_is_finished_by_the_next_delivery() {
    let report = with_findings("app", 60);
    // Claim, counter, number, three batches, the asset, publishing transaction.
    let operations = [
        "UpdateItem",
        "UpdateItem",
        "UpdateItem",
        "BatchWriteItem",
        "BatchWriteItem",
        "BatchWriteItem",
        "GetItem",
        "TransactWriteItems",
    ];
    for crash_after in 0..operations.len() {
        let app = App::new().await;
        app.proxy.inject(None, crash_after, 1, Fault::Crash);
        tokio::select! {
            outcome = app.deliver(&report, 0) => panic!("survived the crash after call {crash_after}: {outcome:?}"),
            () = app.proxy.crashed() => {}
        }
        app.proxy.heal();
        let published = crash_after == operations.len() - 1;
        assert_eq!(
            visible(&app).await,
            if published { (1, 200, 200) } else { (0, 404, 404) },
            "after call {crash_after}"
        );

        if !published {
            // The lease of the dead attempt still stands.
            let busy = app.deliver(&report, 59).await;
            assert!(matches!(busy, Err(ingest::Error::Busy { .. })), "after call {crash_after}: {busy:?}");
        }
        let finished = app.deliver(&report, 61).await.unwrap();
        assert_eq!(finished.duplicate, published, "after call {crash_after}");
        assert_eq!(visible(&app).await.0, 1);
        let findings = app.get("/api/container/scans/app/findings").await;
        assert_eq!(
            (findings.list().len(), findings.header("x-total-count")),
            (60, Some("60")),
            "after call {crash_after}"
        );
        let again = app.deliver(&report, 62).await.unwrap();
        assert_eq!((again.scan.scan_id, again.duplicate), (finished.scan.scan_id, true));
        assert_eq!(app.get("/api/container/scans").await.header("x-total-count"), Some("1"));
    }
}

#[tokio::test]
async fn an_attempt_that_was_taken_over_cannot_publish() {
    let app = App::new().await;
    let report = with_findings("app", 30);
    // The first attempt is held up right before it publishes …
    app.proxy.inject(Some("TransactWriteItems"), 0, 1, Fault::LostRequest);
    app.proxy.inject(Some("TransactWriteItems"), 0, 1, Fault::Crash);
    tokio::select! {
        outcome = app.deliver(&report, 0) => panic!("{outcome:?}"),
        () = app.proxy.crashed() => {}
    }
    app.proxy.heal();
    // … and the transaction landed all the same: the second one finds the work done.
    let second = app.deliver(&report, 100).await.unwrap();
    assert!(second.duplicate);
    assert_eq!(app.get("/api/container/scans").await.list().len(), 1);
}

#[tokio::test]
async fn two_attempts_that_overlap_make_one_scan() {
    let app = App::new().await;
    let report = with_findings("app", 120);
    // The lease of the first is over (by the second's clock) while it still writes.
    let (first, second) = tokio::join!(app.deliver(&report, 0), app.deliver(&report, 1000));
    let outcomes = [first, second];
    let new = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Ingested { duplicate: false, .. }))).count();
    assert_eq!(new, 1, "{outcomes:?}");
    assert_eq!(app.get("/api/container/scans").await.list().len(), 1);
    assert_eq!(app.get("/api/container/scans/app/findings").await.list().len(), 120);
}

#[tokio::test]
async fn a_failed_attempt_frees_its_lease_at_once() {
    let app = App::new().await;
    let report = with_findings("app", 30);
    app.proxy.inject(Some("TransactWriteItems"), 0, 4, Fault::InternalError);
    assert!(app.deliver(&report, 0).await.unwrap_err().is_transient());
    assert_eq!(visible(&app).await, (0, 404, 404));
    assert!(!app.deliver(&report, 1).await.unwrap().duplicate);
    assert_eq!(app.get("/api/container/scans/app").await.json["scan_id"], json!(1));
}
