//! Throttles, loses or cuts off each AWS call: the result is the same, or a 503.

use serde_json::json;
use support::app::App;
use support::proxy::Fault;
use support::report::with_findings;

/// The calls of an ingestion of 60 findings, and how many of each.
const CALLS: [(&str, usize); 3] = [("UpdateItem", 3), ("BatchWriteItem", 3), ("TransactWriteItems", 1)];

#[tokio::test]
async fn one_fault_at_any_call_of_an_ingestion_goes_unnoticed() {
    for fault in [Fault::Throttled, Fault::InternalError, Fault::LostRequest, Fault::LostResponse] {
        for (operation, count) in CALLS {
            for nth in 0..count {
                let app = App::new().await;
                app.proxy.inject(Some(operation), nth, 1, fault);
                let answer = app.post(&with_findings("app", 60)).await;
                assert_eq!(
                    (answer.status, &answer.json["duplicate"]),
                    (201, &json!(false)),
                    "{fault:?} at {operation} {nth}: {answer:?}"
                );
                assert_eq!(app.get("/api/container/scans").await.list().len(), 1, "{fault:?} at {operation} {nth}");
                let findings = app.get("/api/container/scans/app/findings").await;
                assert_eq!(findings.list().len(), 60, "{fault:?} at {operation} {nth}");
            }
        }
    }
}

#[tokio::test]
async fn a_service_that_stays_down_is_503_and_the_next_delivery_succeeds() {
    for (operation, _) in CALLS {
        let app = App::new().await;
        let report = with_findings("app", 60);
        app.proxy.inject(Some(operation), 0, 1000, Fault::Throttled);
        let answer = app.post(&report).await;
        assert_eq!((answer.status, &answer.json["code"]), (503, &json!("unavailable")), "{operation}: {answer:?}");
        assert!(answer.header("retry-after").is_some());
        assert!(!answer.json.to_string().contains("Throughput"), "the cause is for the log only");
        app.proxy.heal();
        assert_eq!(app.get("/api/container/scans").await.list().len(), 0, "{operation}");
        let answer = app.post(&report).await;
        // Where even the claim's release was refused, its lease still stands.
        if operation == "UpdateItem" && answer.status == 409 {
            continue;
        }
        assert_eq!(answer.status, 201, "{operation}: {answer:?}");
        assert_eq!(app.get("/api/container/scans/app/findings").await.list().len(), 60);
    }
}

#[tokio::test]
async fn items_left_unprocessed_are_written_by_and_by() {
    let app = App::new().await;
    app.proxy.inject(Some("BatchWriteItem"), 0, 6, Fault::HalfUnprocessed);
    assert_eq!(app.post(&with_findings("app", 60)).await.status, 201);
    assert_eq!(app.get("/api/container/scans/app/findings").await.list().len(), 60);
}

#[tokio::test]
async fn transactions_that_meet_are_tried_again() {
    let app = App::new().await;
    app.proxy.inject(Some("TransactWriteItems"), 0, 3, Fault::TransactionConflict);
    assert_eq!(app.post(&with_findings("app", 3)).await.status, 201);
    assert_eq!(app.get("/api/container/scans").await.header("x-total-count"), Some("1"));
}

#[tokio::test]
async fn reads_survive_a_fault_and_say_503_when_the_service_stays_down() {
    let app = App::new().await;
    app.post(&with_findings("app", 5)).await;
    for (path, operation) in [
        ("/api/container/scans", "Query"),
        ("/api/container/scans/app", "Query"),
        ("/api/container/scans/1", "GetItem"),
        ("/api/container/scans/1/findings", "Query"),
        ("/api/container/findings/1000000", "BatchGetItem"),
    ] {
        // The connection is opened by a GetItem of its own.
        let skip = usize::from(operation == "GetItem");
        for fault in [Fault::Throttled, Fault::InternalError, Fault::LostResponse] {
            app.proxy.inject(Some(operation), skip, 1, fault);
            assert_eq!(app.get(path).await.status, 200, "{path} with {fault:?}");
            app.proxy.heal();
        }
        app.proxy.inject(Some(operation), skip, 1000, Fault::InternalError);
        let answer = app.get(path).await;
        assert_eq!((answer.status, &answer.json["code"]), (503, &json!("unavailable")), "{path}");
        app.proxy.heal();
    }
}
