//! Checks the headers of answers, and conditional requests.

use reqwest::Method;
use serde_json::json;
use sirius::http::routes::ROUTES;
use support::app::{Answer, App, event};
use support::deployed::Deployed;
use support::report::with_findings;
use support::stack::Route;

fn assert_guarded(answer: &Answer, context: &str) {
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{context}: {answer:?}");
    assert_eq!(answer.header("cache-control"), Some("private, no-store"), "{context}: {answer:?}");
}

#[tokio::test]
async fn every_deployed_route_says_that_its_answer_is_what_it_says_and_is_kept_nowhere() {
    let api = Deployed::new();
    for route in Route::all().await {
        // Without a body: its answer to it has none.
        if route.method == "HEAD" {
            continue;
        }
        let method: Method = route.method.parse().unwrap();
        let body = (method == Method::POST).then(|| b"{}".to_vec());
        let answer = api.send(method, &route.example(), &[], body).await;
        assert_guarded(&answer, &route.key());
    }
}

#[tokio::test]
async fn so_does_every_handler_whether_it_succeeds_or_refuses() {
    let app = App::with_archive().await;
    app.post(&with_findings("ghcr.io/org/app:1.0", 3)).await;
    for route in ROUTES {
        let segments = route.path.split('/').map(|segment| match segment {
            "{finding_id}" => "1000000",
            segment if segment.starts_with('{') => "1",
            segment => segment,
        });
        let path = segments.collect::<Vec<_>>().join("/");
        for query in ["", "unknown=1"] {
            let body = (route.method == "POST").then_some(b"{}".as_slice());
            let request = event(route.method, &path, query, &[("content-type", "application/json")], body);
            let answer = app.invoke(route.function, request).await;
            assert_guarded(&answer, &format!("{} {path}?{query}", route.method));
            if !query.is_empty() {
                assert_eq!(answer.status, 400, "{} {path}: {answer:?}", route.method);
            }
        }
    }
}

#[tokio::test]
async fn who_has_an_answer_already_is_told_so_until_it_changes() {
    let app = App::with_archive().await;
    app.post(&with_findings("ghcr.io/org/app:1.0", 3)).await;
    for path in [
        "/api/container/scans",
        "/api/container/scans/1",
        "/api/container/scans/1/findings",
        "/api/container/scans/1/findings?limit=2",
        "/api/container/scans/1/report",
        "/api/container/findings/1000000",
    ] {
        let first = app.get(path).await;
        let tag = first.header("etag").unwrap().to_owned();
        let again = app.get_as(path, &[("if-none-match", &tag)]).await;
        assert_eq!((again.status, &again.json), (304, &json!(null)), "{path}");
        for name in ["etag", "vary", "link", "x-total-count"] {
            assert_eq!(again.header(name), first.header(name), "{path}: {name}");
        }
        assert_guarded(&again, path);
        let other = app.get_as(path, &[("if-none-match", "\"other\"")]).await;
        assert_eq!((other.status, &other.json), (200, &first.json), "{path}");
    }
    let tag = app.get("/api/container/scans").await.header("etag").unwrap().to_owned();
    app.post(&with_findings("ghcr.io/org/app:1.1", 3)).await;
    let changed = app.get_as("/api/container/scans", &[("if-none-match", &tag)]).await;
    assert_eq!((changed.status, changed.list().len()), (200, 2));
}

#[tokio::test]
async fn a_report_comes_as_a_file() {
    let app = App::with_archive().await;
    app.post(&with_findings("ghcr.io/org/app:1.0", 3)).await;
    let report = app.get("/api/container/scans/1/report").await;
    assert_eq!(report.header("content-disposition"), Some("attachment; filename=\"scan-1-ghcr.io_org_app_1.0.json\""));
}

#[tokio::test]
async fn no_time_in_an_answer_is_finer_than_a_millisecond() {
    let app = App::with_archive().await;
    let mut report = with_findings("ghcr.io/org/app:1.0", 3);
    report["CreatedAt"] = json!("2026-11-20T09:14:03.518274611Z");
    report["Metadata"]["ImageConfig"] = json!({"created": "2026-11-19T17:40:22.123456789Z"});
    app.post(&report).await;
    let scan = app.get("/api/container/scans/1").await.json;
    assert_eq!(scan["scan_timestamp"], "2026-11-20T09:14:03.518Z");
    assert_eq!(scan["image_created_at"], "2026-11-19T17:40:22.123Z");
    let order = json!({"size": 7, "sha256": "00".repeat(32)});
    let opened = app.open_upload(&order).await.json;
    let upload = app.get(opened["status_url"].as_str().unwrap()).await.json;
    for (what, time) in [
        ("ingested_at", &scan["ingested_at"]),
        ("last_seen_at", &scan["last_seen_at"]),
        ("expires_at", &opened["expires_at"]),
        ("updated_at", &upload["updated_at"]),
    ] {
        let time = time.as_str().unwrap();
        let fraction = time.trim_end_matches('Z').split_once('.').map_or("", |(_, fraction)| fraction);
        assert!(fraction.len() <= 3, "{what}: {time}");
    }
}
