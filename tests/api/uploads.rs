//! Ingests uploaded objects once, or stores the reason of a refusal.

use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};
use sirius::events::ingest_upload::{self, Deps};
use support::app::{App, gzip};
use support::proxy::Fault;
use support::report::with_findings;
use support::{bucket, queue};

/// Puts an object under `uploads/` and answers the record that S3 makes of it.
async fn put(app: &App, name: &str, bytes: Vec<u8>) -> Value {
    let (key, size) = (format!("uploads/{name}"), bytes.len());
    let etag = bucket::put(&app.bucket, &key, bytes).await;
    record(app, &key, &etag, size)
}

fn record(app: &App, key: &str, etag: &str, size: usize) -> Value {
    let encoded = percent_encoding::utf8_percent_encode(key, percent_encoding::NON_ALPHANUMERIC).to_string();
    json!({
        "eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": app.bucket}, "object": {"key": encoded, "size": size, "eTag": etag, "sequencer": "00"}}
    })
}

/// Does what Lambda's poller and `ingest-upload` do with messages of these records; answers how many
/// messages come back.
async fn notify(app: &App, messages: &[Vec<Value>]) -> usize {
    let deps = Deps { ingestion: app.ingestion().await, objects: app.objects().await };
    let bodies = messages.iter().map(|records| json!({ "Records": records }).to_string());
    let mut context = lambda_http::Context::default();
    context.deadline = u64::MAX / 2;
    let event = LambdaEvent::new(queue::event(bodies), context);
    ingest_upload::handle(&deps, event).await.unwrap().batch_item_failures.len()
}

fn bytes(report: &Value) -> Vec<u8> {
    report.to_string().into_bytes()
}

#[tokio::test]
async fn plain_gzip_and_zstd_objects_are_ingested_whatever_their_names() {
    let app = App::with_archive().await;
    let report = bytes(&with_findings("app", 5));
    for (name, object, duplicate) in [
        ("ci/build 7/a+b.json", report.clone(), false),
        ("b.json.gz", gzip(&report), true),
        ("c.zst", zstd::encode_all(report.as_slice(), 3).unwrap(), true),
        ("misnamed.gz", report.clone(), true),
        ("two members, the first empty", [gzip(b""), gzip(&report)].concat(), true),
        ("padded", [gzip(&report), vec![0; 512]].concat(), true),
        (
            "pzstd",
            [&b"\x50\x2A\x4D\x18\x04\0\0\0\0\0\0\0"[..], &zstd::encode_all(report.as_slice(), 3).unwrap()].concat(),
            true,
        ),
    ] {
        let record = put(&app, name, object).await;
        assert_eq!(notify(&app, &[vec![record]]).await, 0, "{name}");
        let upload = app.get(&format!("/api/container/uploads/{name}")).await;
        assert_eq!(
            (upload.status, &upload.json["status"], &upload.json["scan_id"], &upload.json["duplicate"]),
            (200, &json!("done"), &json!(1), &json!(duplicate)),
            "{upload:?}"
        );
        assert_eq!(bucket::tag(&app.bucket, &format!("uploads/{name}")).await.as_deref(), Some("done"));
    }
    assert_eq!(app.get("/api/container/scans/app/findings").await.list().len(), 5);
}

#[tokio::test]
async fn an_object_that_is_no_report_is_settled_with_the_reason() {
    let mut app = App::with_archive().await;
    app.limits.max_bytes = 2000;
    for (name, object, code) in [
        ("broken.json", b"{\"SchemaVersion\": 2,".to_vec(), "invalid_json"),
        ("sbom.json", br#"{"bomFormat":"CycloneDX","specVersion":"1.5"}"#.to_vec(), "not_a_trivy_report"),
        ("empty", Vec::new(), "invalid_json"),
        ("latin1.json", b"[\"\xE9\"]".to_vec(), "invalid_json"),
        ("followed.gz", [gzip(b"{}"), b"more".to_vec()].concat(), "invalid_json"),
        ("bomb.gz", gzip(&vec![b' '; 1 << 20]), "too_large"),
        ("large.json", vec![b' '; 3000], "too_large"),
        ("nameless.json", br#"{"SchemaVersion":2,"ArtifactType":"vm"}"#.to_vec(), "invalid_report"),
    ] {
        let record = put(&app, name, object).await;
        assert_eq!(notify(&app, &[vec![record.clone()]]).await, 0, "{name} comes back");
        let upload = app.get(&format!("/api/container/uploads/{name}")).await;
        assert_eq!((&upload.json["status"], &upload.json["code"]), (&json!("failed"), &json!(code)), "{upload:?}");
        assert!(!upload.json["reason"].as_str().unwrap().is_empty());
        assert_eq!(bucket::tag(&app.bucket, &format!("uploads/{name}")).await.as_deref(), Some("failed"), "{name}");
        assert_eq!(notify(&app, &[vec![record]]).await, 0, "{name}, told twice");
    }
    assert_eq!(app.get("/api/container/scans").await.list().len(), 0);
}

#[tokio::test]
async fn one_bad_record_fails_alone() {
    let app = App::with_archive().await;
    let good = put(&app, "good.json", bytes(&with_findings("app", 2))).await;
    let mut foreign = good.clone();
    foreign["s3"]["bucket"]["name"] = "other".into();
    let broken = put(&app, "broken.json", b"no".to_vec()).await;
    // Within a message the others are still taken in, and another message is none of its business.
    let other = put(&app, "other.json", bytes(&with_findings("other", 2))).await;
    assert_eq!(notify(&app, &[vec![foreign, good, broken], vec![other]]).await, 1);
    assert_eq!(app.get("/api/container/scans").await.list().len(), 2);
    assert_eq!(app.get("/api/container/uploads/broken.json").await.json["status"], "failed");
}

#[tokio::test]
async fn duplicate_and_late_events_change_nothing() {
    let app = App::with_archive().await;
    let first = put(&app, "a.json", bytes(&with_findings("first", 2))).await;
    let second = put(&app, "a.json", bytes(&with_findings("second", 3))).await;
    // The newer object's event comes first, and both come twice.
    for record in [&second, &first, &second, &first] {
        assert_eq!(notify(&app, &[vec![record.clone()]]).await, 0);
    }
    let scans = app.get("/api/container/scans").await;
    assert_eq!((scans.list().len(), &scans.json[0]["image_name"]), (1, &json!("second")));
    assert_eq!(app.get("/api/container/uploads/a.json").await.json["scan_id"], scans.json[0]["scan_id"]);
    // An event of an object that is gone.
    let gone = record(&app, "uploads/gone.json", "0f", 10);
    assert_eq!(notify(&app, &[vec![gone]]).await, 0);
    assert_eq!(app.get("/api/container/uploads/gone.json").await.json["code"], "upload_gone");
    // A late event of one that was too large, and is not there any more.
    let mut large = first.clone();
    large["s3"]["object"]["size"] = (1u64 << 40).into();
    assert_eq!(notify(&app, &[vec![large]]).await, 0);
    assert_eq!(app.get("/api/container/uploads/a.json").await.json["status"], "done");
}

#[tokio::test]
async fn the_same_bytes_put_there_again_are_another_upload() {
    let app = App::with_archive().await;
    let report = bytes(&with_findings("app", 2));
    let mut again = put(&app, "a.json", report).await;
    assert_eq!(notify(&app, &[vec![again.clone()]]).await, 0);
    assert_eq!(app.delete(1).await.status, 204);
    assert_eq!(notify(&app, &[vec![again.clone()]]).await, 0);
    assert_eq!(app.get("/api/container/scans").await.list().len(), 0, "the same event again");
    again["s3"]["object"]["sequencer"] = "01".into();
    assert_eq!(notify(&app, &[vec![again]]).await, 0);
    assert_eq!(app.get("/api/container/uploads/a.json").await.json["scan_id"], 2);
}

#[tokio::test]
async fn an_object_that_replaces_a_settled_one_is_received() {
    let app = App::with_archive().await;
    let first = put(&app, "a.json", b"no".to_vec()).await;
    assert_eq!(notify(&app, &[vec![first]]).await, 0);
    assert_eq!(app.get("/api/container/uploads/a.json").await.json["status"], "failed");
    put(&app, "a.json", bytes(&with_findings("app", 2))).await;
    assert_eq!(app.get("/api/container/uploads/a.json").await.json["status"], "received");
}

#[tokio::test]
async fn the_same_event_at_once_makes_one_scan() {
    let app = App::with_archive().await;
    let record = put(&app, "a.json", bytes(&with_findings("app", 40))).await;
    let messages = [vec![record]];
    let backs = futures_util::future::join_all((0..8).map(|_| notify(&app, &messages))).await;
    assert!(backs.contains(&0));
    assert_eq!(notify(&app, &messages).await, 0, "whoever came back is done the next time");
    assert_eq!(app.get("/api/container/scans").await.list().len(), 1);
    assert_eq!(app.get("/api/container/uploads/a.json").await.json["status"], "done");
}

#[tokio::test]
async fn a_passing_failure_of_any_call_brings_the_message_back_and_the_next_try_succeeds() {
    for operation in
        ["GetItem", "GET uploads", "PutItem", "UpdateItem", "PUT reports", "TransactWriteItems", "PUT uploads?tagging"]
    {
        let app = App::with_archive().await;
        let record = put(&app, "a.json", bytes(&with_findings("app", 3))).await;
        app.proxy.inject(Some(operation), 0, 1000, Fault::InternalError);
        assert_eq!(notify(&app, &[vec![record.clone()]]).await, 1, "{operation}");
        app.proxy.heal();
        let status = app.get("/api/container/uploads/a.json").await.json["status"].clone();
        let expected: &[&str] = if operation.ends_with("tagging") { &["done"] } else { &["received", "ingesting"] };
        assert!(expected.contains(&status.as_str().unwrap()), "{operation}: {status}");
        if operation == "UpdateItem" {
            // Not even the claim's release came through; its lease stands for a minute.
            continue;
        }
        assert_eq!(notify(&app, &[vec![record]]).await, 0, "{operation}");
        assert_eq!(app.get("/api/container/uploads/a.json").await.json["status"], "done", "{operation}");
        assert_eq!(bucket::tag(&app.bucket, "uploads/a.json").await.as_deref(), Some("done"), "{operation}");
        assert_eq!(app.get("/api/container/scans").await.list().len(), 1, "{operation}");
    }
}

#[tokio::test]
async fn an_upload_is_opened_bound_followed_and_ingested() {
    let app = App::with_archive().await;
    let object = gzip(&bytes(&with_findings("app", 4)));
    let digest = sha256(&object);
    let order = json!({
        "size": object.len(), "sha256": digest, "content_type": "application/gzip", "image_name": "ghcr.io/org/named:1",
        "scanners": "secret", "severities": "CRITICAL",
    });
    let opened = app.open_upload(&order).await;
    assert_eq!(opened.status, 201, "{opened:?}");
    let id = opened.json["upload_id"].as_str().unwrap().to_owned();
    let status = opened.json["status_url"].as_str().unwrap().to_owned();
    assert_eq!(opened.header("location"), Some(status.as_str()));
    assert_eq!(app.get(&status).await.json["status"], "awaiting_upload");

    // An object with another size, type or content than announced is refused.
    let mut headers: Vec<(String, String)> = opened.json["headers"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        .collect();
    for name in ["content-type", "x-amz-checksum-sha256"] {
        assert!(
            headers.iter().any(|(header, _)| header.eq_ignore_ascii_case(name)),
            "{name} is not bound: {headers:?}"
        );
    }
    let url = opened.json["url"].as_str().unwrap();
    headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-length"));
    let send = async |body: Vec<u8>, change: Option<(&str, &str)>| {
        let mut request = support::http_client().put(url).body(body);
        for (name, value) in &headers {
            let value =
                change.filter(|(changed, _)| name.eq_ignore_ascii_case(changed)).map_or(value.as_str(), |(_, v)| v);
            request = request.header(name, value);
        }
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(send(object.clone(), Some(("content-type", "text/html"))).await, 403);
    assert_eq!(send(b"something else".to_vec(), None).await / 100, 4, "another content");
    assert_eq!(app.get(&status).await.json["status"], "awaiting_upload");
    assert_eq!(send(object.clone(), None).await, 200);
    assert_eq!(app.get(&status).await.json["status"], "received");

    let etag = bucket::etag(&app.bucket, &format!("uploads/{id}")).await;
    let told = record(&app, &format!("uploads/{id}"), &etag, object.len());
    assert_eq!(notify(&app, &[vec![told]]).await, 0);
    let done = app.get(&status).await;
    assert_eq!((&done.json["status"], &done.json["scan_id"]), (&json!("done"), &json!(1)), "{done:?}");
    assert_eq!((&done.json["scanners"], &done.json["severities"]), (&json!("secret"), &json!("CRITICAL")));
    let scan = app.get("/api/container/scans/1").await.json;
    assert_eq!(scan["image_name"], "ghcr.io/org/named:1");
    assert_eq!(scan["is_vulnerability_scan"], false, "no vulnerabilities were looked for: {scan}");
}

#[tokio::test]
async fn an_order_of_an_upload_is_read_strictly() {
    let app = App::new().await;
    let digest = "0a".repeat(32);
    for (order, why) in [
        (format!(r#"{{"size": 7, "sha256": "{digest}", "size": 7}}"#), "size is there twice"),
        (format!(r#"{{"size": 7, "sha256": "{digest}", "\u0073ize": 8}}"#), "size is there twice"),
        (format!(r#"[7, "{digest}"]"#), "it is not a JSON object"),
        (format!(r#"{{"size": "7", "sha256": "{digest}"}}"#), "size: expected a whole number, found the text \"7\""),
        (r#"{"size": 7}"#.to_owned(), "sha256 is missing"),
        (format!(r#"{{"size": 7, "sha256": "{digest}", "key": 1}}"#), "key is not known here"),
        (String::new(), "it is empty"),
    ] {
        let answer = app.open_upload_with(order.as_bytes()).await;
        assert_eq!((answer.status, &answer.json["code"]), (400, &json!("invalid_json")), "{order}: {answer:?}");
        assert!(answer.json["detail"].as_str().unwrap().contains(why), "{order}: {answer:?}");
    }
}

#[tokio::test]
async fn a_body_that_lambda_would_not_hand_over_is_413_and_says_how_to_upload() {
    let app = App::new().await;
    for (body, content_type) in
        [(vec![b' '; 6_400_000], "application/json"), (gzip_of_noise(4_800_000), "application/gzip")]
    {
        let answer = app.post_as(&body, "", &[("content-type", content_type)]).await;
        assert_eq!((answer.status, &answer.json["code"]), (413, &json!("too_large")), "{content_type}");
        assert!(answer.json["detail"].as_str().unwrap().contains("POST /api/container/uploads"));
    }
}

/// Bytes that begin as gzip does, and are not UTF-8.
fn gzip_of_noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0xF5; length];
    bytes[..2].copy_from_slice(&[0x1F, 0x8B]);
    bytes
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn the_metadata_of_an_object_says_what_the_parameters_of_a_post_say() {
    let app = App::with_archive().await;
    let mut report = with_findings(".", 1);
    report["ArtifactType"] = json!("filesystem");
    let upload = async |name: &str, metadata: &[(&str, &str)]| {
        let (key, bytes) = (format!("uploads/{name}"), bytes(&report));
        let size = bytes.len();
        let etag = bucket::put_with(&app.bucket, &key, bytes, metadata).await;
        assert_eq!(notify(&app, &[vec![record(&app, &key, &etag, size)]]).await, 0);
        app.get(&format!("/api/container/uploads/{name}")).await.json
    };
    assert_eq!(upload("nameless", &[]).await["scan_id"], 1);
    assert_eq!(upload("named", &[("image-name", "team/shop:1")]).await["scan_id"], 2);
    let named = app.get("/api/container/scans/team/shop:1").await.json;
    assert_eq!((&named["scan_id"], &named["current"]), (&json!(2), &json!(true)));
    let declared = [("image-name", "team/shop:1"), ("scanners", "secret"), ("severities", "HIGH")];
    assert_eq!(upload("secrets", &declared).await["scan_id"], 3);
    let secrets = app.get("/api/container/scans/3").await.json;
    assert_eq!((&secrets["scanners"], &secrets["scanned_severities"]), (&json!("secret"), &json!("HIGH")));
    assert_eq!((&secrets["current"], &secrets["is_vulnerability_scan"]), (&json!(false), &json!(false)));
    let wrong = upload("wrong", &[("scanners", "everything")]).await;
    assert_eq!((&wrong["status"], &wrong["code"]), (&json!("failed"), &json!("invalid_report")), "{wrong}");
    assert_eq!(app.get("/api/container/scans/team/shop:1").await.json["scan_id"], 2);
}
