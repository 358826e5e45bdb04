//! What each request costs in calls of AWS: counted on the wire, by a function that is warm.

use support::app::App;
use support::report::with_findings;

#[tokio::test]
async fn each_request_makes_as_few_calls_as_docs_data_says() {
    let app = App::new().await;
    let report = with_findings("app", 60);
    app.post(&report).await;
    let mut first = app.proxy.take_calls();
    first.sort();
    let expected = [
        "BatchWriteItem",
        "BatchWriteItem",
        "BatchWriteItem",
        "GetItem",
        "TransactWriteItems",
        "UpdateItem",
        "UpdateItem",
        "UpdateItem",
    ];
    assert_eq!(first, expected, "a new report of 60 findings");

    app.post(&report).await;
    assert_eq!(app.proxy.take_calls(), ["UpdateItem", "GetItem"], "the same report again: one conditional write");

    for (path, expected) in [
        // What is known of the vulnerability is asked for once it is known which one it is.
        ("/api/container/findings/1000000", &["BatchGetItem", "BatchGetItem"][..]),
        ("/api/container/scans/1", &["GetItem"]),
        ("/api/container/scans/app", &["Query", "BatchGetItem"]),
        ("/api/container/scans/1/findings?limit=50", &["GetItem", "Query", "BatchGetItem"]),
        ("/api/container/scans/app/findings?limit=50", &["Query", "BatchGetItem", "Query", "BatchGetItem"]),
        ("/api/container/scans/1/findings?severity=HIGH", &["GetItem", "Query", "BatchGetItem"]),
        // The whole scan, what is known of it, the page; and what is known of the page.
        (
            "/api/container/scans/1/findings?sort=priority&limit=50",
            &["GetItem", "Query", "BatchGetItem", "BatchGetItem", "BatchGetItem"],
        ),
        // Of the same moment: one round trip.
        ("/api/container/scans?limit=50", &["Query", "Query"]),
    ] {
        assert_eq!(app.get(path).await.status, 200);
        assert_eq!(app.proxy.take_calls(), expected, "{path}");
    }
}
