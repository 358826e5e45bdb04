//! Archives reports as they were sent, returns them, and ingests them again.

use serde_json::Value;
use sirius::domain::scan::ScanId;
use sirius::pipeline::recover::Recovered;
use sirius::pipeline::reingest::{self, Reingested, reingest_scan};
use sirius::store::lease::Owner;
use support::app::{App, at, gunzip, gzip};
use support::proxy::Fault;
use support::report::with_findings;
use support::{bucket, table};

async fn reingest(app: &App, scan: u64, second: i64) -> Result<Reingested, reingest::Error> {
    let owner = Owner::random().unwrap();
    reingest_scan(&app.ingestion().await, ScanId::new(scan).unwrap(), &owner, at(second)).await
}

#[tokio::test]
async fn a_report_comes_back_as_it_was_sent() {
    let app = App::with_archive().await;
    let sent = format!(" {:#}\n", with_findings("ghcr.io/org/app:1", 3)).into_bytes();
    let posted = app.post_as(&gzip(&sent), "", &[("content-type", "application/gzip")]).await;
    assert_eq!(posted.status, 201);
    for path in ["/api/container/scans/1/report", "/api/container/scans/ghcr.io/org/app:1/report"] {
        for accept in ["gzip", "identity"] {
            let answer = app.get_as(path, &[("accept-encoding", accept)]).await;
            assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")), "{path}");
            assert_eq!(answer.header("content-encoding").is_some(), accept == "gzip");
            assert_eq!(answer.json, serde_json::from_slice::<Value>(&sent).unwrap());
        }
    }
    let hash = posted.json["report_hash"].as_str().unwrap();
    assert_eq!(bucket::keys(&app.bucket).await, [format!("reports/{hash}.json.gz")]);
    assert_eq!(gunzip(&bucket::get(&app.bucket, &format!("reports/{hash}.json.gz")).await), sent, "byte by byte");
}

#[tokio::test]
async fn whatever_a_report_was_packed_in_any_reader_of_gzip_reads_the_archive() {
    let report = with_findings("app", 3).to_string().into_bytes();
    let wide: Vec<u8> =
        format!("\u{FEFF}{}", str::from_utf8(&report).unwrap()).encode_utf16().flat_map(u16::to_le_bytes).collect();
    let frame = zstd::encode_all(report.as_slice(), 3).unwrap();
    for (body, content_type) in [
        ([gzip(b""), gzip(&report)].concat(), "application/gzip"),
        ([gzip(&report[..50]), gzip(&report[50..]), vec![0; 100]].concat(), "application/gzip"),
        ([&b"\x5A\x2A\x4D\x18\0\0\0\0"[..], &frame].concat(), "application/zstd"),
        (gzip(&wide), "application/gzip"),
        (wide, "application/json"),
    ] {
        let app = App::with_archive().await;
        assert_eq!(app.post_as(&body, "", &[("content-type", content_type)]).await.status, 201);
        let keys = bucket::keys(&app.bucket).await;
        assert_eq!(gunzip(&bucket::get(&app.bucket, &keys[0]).await), report, "{content_type}");
        for accept in ["gzip", "identity"] {
            let answer = app.get_as("/api/container/scans/1/report", &[("accept-encoding", accept)]).await;
            assert_eq!(answer.json, serde_json::from_slice::<Value>(&report).unwrap(), "{accept}");
        }
    }
}

#[tokio::test]
async fn a_report_that_is_too_large_for_an_answer_is_fetched_from_the_bucket() {
    let app = App::with_archive().await;
    let mut report = with_findings("app", 1);
    report["Comment"] = "x".repeat(7_000_000).into();
    let sent = report.to_string().into_bytes();
    let posted = app.post_as(&gzip(&sent), "", &[("content-type", "application/gzip")]).await;
    assert_eq!(posted.status, 201, "{posted:?}");
    let answer = app.get_as("/api/container/scans/1/report", &[("accept-encoding", "identity")]).await;
    assert_eq!((answer.status, answer.header("cache-control")), (307, Some("private, no-store")));
    let fetched = support::http_client().get(answer.header("location").unwrap()).send().await.unwrap();
    assert_eq!(fetched.status(), 200);
    assert_eq!(gunzip(&fetched.bytes().await.unwrap()), sent);
    // A client that accepts gzip gets the stored bytes.
    assert_eq!(app.get_as("/api/container/scans/1/report", &[("accept-encoding", "gzip")]).await.status, 200);
}

#[tokio::test]
async fn a_report_that_is_not_kept_is_404() {
    let mut app = App::with_archive().await;
    app.archive = false;
    app.post(&with_findings("app", 1)).await;
    assert_eq!(app.get("/api/container/scans/1/report").await.status, 404);
    assert_eq!(app.get("/api/container/scans/9/report").await.status, 404);
    assert_eq!(bucket::keys(&app.bucket).await.len(), 0);
}

#[tokio::test]
async fn nothing_is_published_whose_report_could_not_be_kept() {
    let app = App::with_archive().await;
    app.proxy.inject(Some("PUT reports"), 0, 1000, Fault::InternalError);
    let report = with_findings("app", 3);
    assert_eq!(app.post(&report).await.status, 503);
    app.proxy.heal();
    assert_eq!(app.get("/api/container/scans").await.list().len(), 0);
    assert_eq!(app.post(&report).await.status, 201);
}

#[tokio::test]
async fn an_ingestion_that_was_cut_off_is_finished_from_the_archive() {
    for crash in ["BatchWriteItem", "TransactWriteItems"] {
        let app = App::with_archive().await;
        let report = with_findings("app", 60);
        // Crash means: done, and the caller is gone. So the transaction's is one that never landed.
        let fault = if crash == "TransactWriteItems" { Fault::LostRequest } else { Fault::Crash };
        if fault == Fault::LostRequest {
            app.proxy.inject(Some("UpdateItem"), 3, 1, Fault::Crash); // the release
            app.proxy.inject(Some(crash), 0, 1000, fault);
        } else {
            app.proxy.inject(Some(crash), 0, 1, fault);
        }
        tokio::select! {
            outcome = app.deliver(&report, 0) => panic!("{crash}: {outcome:?}"),
            () = app.proxy.crashed() => {}
        }
        app.proxy.heal();
        assert_eq!(app.recover(at(60)).await, Recovered::default(), "{crash}: the sender's turn");
        let recovered = app.recover(at(400)).await;
        assert_eq!(recovered, Recovered { stuck: 1, ingested: 1, ..Recovered::default() }, "{crash}");
        assert_eq!(app.get("/api/container/scans/app/findings").await.list().len(), 60, "{crash}");
        assert_eq!(app.recover(at(500)).await, Recovered::default(), "{crash}: once");
        assert!(app.deliver(&report, 600).await.unwrap().duplicate);
    }
}

#[tokio::test]
async fn what_nobody_can_finish_is_removed_and_can_be_sent_again() {
    let app = App::new().await;
    let report = with_findings("app", 600);
    app.proxy.inject(Some("BatchWriteItem"), 15, 1, Fault::Crash);
    tokio::select! {
        outcome = app.deliver(&report, 0) => panic!("{outcome:?}"),
        () = app.proxy.crashed() => {}
    }
    app.proxy.heal();
    let app = App { bucket: bucket::fresh().await, ..app };
    assert_eq!(app.recover(at(400)).await, Recovered { stuck: 1, ..Recovered::default() }, "not yet");
    assert_eq!(app.recover(at(2000)).await, Recovered { stuck: 1, abandoned: 1, ..Recovered::default() });
    let left = table::items(&app.table).await;
    assert!(left.iter().all(|pk| pk == "COUNTER"), "{left:?}");
    assert!(!app.deliver(&report, 3000).await.unwrap().duplicate);
    assert_eq!(app.get("/api/container/scans/app/findings").await.list().len(), 600);
}

#[tokio::test]
async fn leftovers_of_a_removal_that_was_cut_off_are_removed_too() {
    let app = App::new().await;
    let report = with_findings("app", 700);
    app.proxy.inject(Some("BatchWriteItem"), 23, 1, Fault::Crash);
    tokio::select! {
        outcome = app.deliver(&report, 0) => panic!("{outcome:?}"),
        () = app.proxy.crashed() => {}
    }
    app.proxy.heal();
    let app = App { bucket: bucket::fresh().await, ..app };
    app.proxy.inject(Some("BatchWriteItem"), 12, 1000, Fault::InternalError);
    assert_eq!(app.recover(at(2000)).await.abandoned, 0);
    app.proxy.heal();
    assert_eq!(app.recover(at(20_000)).await.abandoned, 1);
    let left = table::items(&app.table).await;
    assert!(left.iter().all(|pk| pk == "COUNTER"), "{left:?}");
}

#[tokio::test]
async fn what_cannot_be_finished_keeps_nothing_else_from_being_finished() {
    let app = App::with_archive().await;
    for n in 0..12 {
        app.proxy.inject(Some("TransactWriteItems"), 0, 1000, Fault::InternalError);
        assert!(app.deliver(&with_findings(&format!("app{n}"), 2), n).await.is_err());
        app.proxy.heal();
    }
    let keys = bucket::keys(&app.bucket).await;
    assert_eq!(keys.len(), 12);
    for key in &keys[..11] {
        bucket::put(&app.bucket, key, gzip(b"{\"SchemaVersion\": 2}")).await;
    }
    let first = app.recover(at(400)).await;
    let second = app.recover(at(460)).await;
    assert_eq!((first.stuck, first.ingested + second.ingested), (10, 1), "{first:?} {second:?}");
}

#[tokio::test]
async fn the_longest_name_is_kept_beside_the_report() {
    let app = App::with_archive().await;
    let name = "ü".repeat(512);
    let body = with_findings("app", 1).to_string().into_bytes();
    let encoded = percent_encoding::utf8_percent_encode(&name, percent_encoding::NON_ALPHANUMERIC);
    let json = [("content-type", "application/json")];
    let posted = app.post_as(&body, &format!("image_name={encoded}"), &json).await;
    assert_eq!(posted.status, 201, "{posted:?}");
    assert_eq!(reingest(&app, 1, 0).await.unwrap(), Reingested::Done { findings: 1 });
    assert_eq!(app.get("/api/container/scans/1").await.json["image_name"], name);
}

#[tokio::test]
async fn a_scan_is_ingested_anew_under_its_number() {
    let app = App::with_archive().await;
    app.post(&with_findings("older", 3)).await;
    app.post(&with_findings("app", 30)).await;
    app.post(&with_findings("app", 40)).await;
    let before = app.get("/api/container/scans/2/findings").await.json;
    let scan = app.get("/api/container/scans/2").await.json;
    assert_eq!(reingest(&app, 2, 0).await.unwrap(), Reingested::Done { findings: 30 });
    assert_eq!(app.get("/api/container/scans/2/findings").await.json, before);
    assert_eq!(app.get("/api/container/scans/2").await.json, scan, "its times too");
    assert_eq!(app.get("/api/container/scans/app").await.json["scan_id"], 3, "the newest stays the newest");
    assert_eq!(app.get("/api/container/scans").await.header("x-total-count"), Some("3"));
    assert_eq!(reingest(&app, 9, 0).await.unwrap(), Reingested::NoScan);
}

#[tokio::test]
async fn a_parser_that_finds_fewer_leaves_none_of_the_old_findings() {
    let app = App::with_archive().await;
    app.post(&with_findings("app", 300)).await;
    // As if an older parser had counted more.
    for ordinal in 300..340 {
        table::put_bare(&app.table, "SCAN#1#1", &format!("FINDING#{ordinal:06}")).await;
    }
    table::set_number(&app.table, ("SCAN#1", "SCAN"), ("severity_counts", "UNKNOWN"), 100).await;
    let findings = async || table::items(&app.table).await.iter().filter(|pk| pk.starts_with("SCAN#1#")).count();
    assert_eq!(findings().await, 340);
    assert_eq!(reingest(&app, 1, 0).await.unwrap(), Reingested::Done { findings: 300 });
    assert_eq!(findings().await, 300);
}

#[tokio::test]
async fn a_crash_while_ingesting_anew_is_finished_by_recovery() {
    let app = App::with_archive().await;
    app.post(&with_findings("app", 30)).await;
    app.proxy.inject(Some("BatchWriteItem"), 0, 1, Fault::Crash);
    tokio::select! {
        outcome = reingest(&app, 1, 0) => panic!("{outcome:?}"),
        () = app.proxy.crashed() => {}
    }
    app.proxy.heal();
    assert_eq!(app.get("/api/container/scans/1").await.status, 404, "never half");
    let deleting = app.delete(1).await;
    assert_eq!((deleting.status, deleting.header("retry-after")), (409, Some("60")), "it would come back");
    assert_eq!(app.recover(at(400)).await.ingested, 1);
    assert_eq!(app.get("/api/container/scans/1/findings").await.list().len(), 30);
    assert_eq!(app.get("/api/container/scans").await.header("x-total-count"), Some("1"));
}

#[tokio::test]
async fn a_scan_whose_archived_report_is_gone_or_broken_stays_as_it_is() {
    let app = App::with_archive().await;
    let posted = app.post(&with_findings("app", 3)).await;
    let key = format!("reports/{}.json.gz", posted.json["report_hash"].as_str().unwrap());
    bucket::put(&app.bucket, &key, gzip(b"{\"SchemaVersion\": 2}")).await;
    assert!(reingest(&app, 1, 0).await.is_err());
    bucket::put(&app.bucket, &key, gzip(&with_findings("app", 4).to_string().into_bytes())).await;
    assert!(matches!(reingest(&app, 1, 0).await, Err(reingest::Error::OtherReport)));
    bucket::remove(&app.bucket, &key).await;
    assert_eq!(reingest(&app, 1, 0).await.unwrap(), Reingested::NotArchived);
    assert_eq!(app.get("/api/container/scans/1/findings").await.list().len(), 3);
}
