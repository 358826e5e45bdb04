//! Checks deployments without a bucket, a model or enrichment.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use sirius::pipeline::delete_scan::{self, Deleted, Reason, delete_scan};
use support::app::{Answer, App};
use support::report::with_findings;
use support::{queue, unique};

fn assert_refused(answer: &Answer, status: u16, code: &str, names: &str) {
    assert_eq!((answer.status, &answer.json["code"]), (status, &json!(code)), "{answer:?}");
    assert!(answer.json["detail"].as_str().unwrap().contains(names), "{answer:?}");
}

#[tokio::test]
async fn where_no_vulnerabilities_are_looked_up_nobody_is_told_that_there_are_none() {
    let app = App { enriched: false, ..App::new().await };
    app.post(&with_findings("app", 3)).await;
    for path in ["/api/container/cves/CVE-2026-10000", "/api/container/priorities"] {
        assert_refused(&app.get(path).await, 501, "enrichment_not_configured", "ENRICHMENT_QUEUE_URL");
    }
    assert_eq!(app.get("/api/container/cves/nonsense").await.status, 400);
    assert_eq!(app.get("/api/container/priorities?limit=0").await.status, 400);
}

#[tokio::test]
async fn without_a_bucket_nothing_is_uploaded_no_report_is_kept_and_scans_are_deleted_all_the_same() {
    let app = App::new().await;
    app.post(&with_findings("app", 3)).await;
    let order = json!({"size": 7, "sha256": "00".repeat(32)});
    assert_refused(&app.open_upload(&order).await, 501, "bucket_not_configured", "BUCKET_NAME");
    assert_refused(&app.get("/api/container/uploads/a").await, 501, "bucket_not_configured", "BUCKET_NAME");
    assert_refused(&app.get("/api/container/scans/1/report").await, 404, "not_found", "not kept");
    assert_eq!(app.delete(1).await.status, 204);
    assert_eq!(app.get("/api/container/scans/1").await.status, 404);
}

#[tokio::test]
async fn a_bucket_that_cannot_be_reached_is_noticed_before_anything_is_deleted() {
    let app = App::with_archive().await;
    app.post(&with_findings("app", 3)).await;
    let mistaken = App { bucket: unique("no-such-bucket"), ..app };
    let refused = mistaken.delete(1).await;
    assert!(refused.status >= 500, "{refused:?}");
    assert_eq!(mistaken.get("/api/container/scans/1").await.status, 200, "as if nobody had asked");
    assert_eq!(mistaken.get("/api/container/scans/1/findings").await.list().len(), 3);
}

#[tokio::test]
async fn a_report_whose_scan_is_being_deleted_is_told_so() {
    let app = App::with_archive().await;
    let report = with_findings("app", 3);
    app.post(&report).await;
    let (store, objects) = (app.store().await, app.objects().await);
    let id = "1".parse().unwrap();
    let now = jiff::Timestamp::now();
    let begun = delete_scan(
        &store,
        Some(&objects),
        delete_scan::Order { scan_id: id, reason: Reason::Requested },
        now,
        Duration::ZERO,
    )
    .await
    .unwrap();
    assert_eq!(begun, Deleted::Underway);
    let refused = app.post(&report).await;
    assert_refused(&refused, 409, "deletion_in_progress", "deleted");
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=121).contains(&seconds), "{seconds}");
    // Whoever was at it is gone for two minutes.
    let later = now + Duration::from_secs(200);
    delete_scan(
        &store,
        Some(&objects),
        delete_scan::Order { scan_id: id, reason: Reason::Requested },
        later,
        Duration::from_secs(20),
    )
    .await
    .unwrap();
    assert_eq!(app.post(&report).await.status, 201);
}

#[tokio::test]
async fn what_is_no_utf8_in_a_path_and_odd_names_of_uploads_are_no_fault_of_ours() {
    let app = App::with_archive().await;
    for path in [
        "/api/container/scans/%FF",
        "/api/container/scans/%FF/findings",
        "/api/container/scans/a\u{fffd}",
        "/api/container/uploads/%FF",
        "/api/container/uploads/\u{fffd}",
        "/api/container/uploads//",
        "/api/container/uploads/%2F",
        "/api/container/cves/%FF",
        "/api/container/findings/%FF",
    ] {
        let answer = app.get(path).await;
        assert_eq!((answer.status, &answer.json["code"]), (400, &json!("invalid_parameter")), "{path}: {answer:?}");
    }
    for name in ["a/", "/a", "a//b", "..", ".", "../reports/x", "%25"] {
        let answer = app.get(&format!("/api/container/uploads/{name}")).await;
        assert_eq!((answer.status, &answer.json["code"]), (404, &json!("not_found")), "{name}: {answer:?}");
    }
}

fn state<'a>(health: &'a Answer, part: &str) -> &'a Value {
    let parts = health.json["parts"].as_array().unwrap();
    &parts.iter().find(|found| found["name"] == part).unwrap()["state"]
}

#[tokio::test]
async fn health_names_the_part_that_is_missing() {
    let app = App { queue_url: queue::fresh().await, ..App::with_enrichment().await };
    let well = app.get("/api/health").await;
    assert_eq!(
        (well.status, &well.json["status"], &well.json["degraded"]),
        (200, &json!("ok"), &json!([])),
        "{well:?}"
    );
    for part in ["table", "bucket", "analysis_queue", "enrichment_queue"] {
        assert_eq!(state(&well, part), "ok", "{part}");
    }
    assert_eq!(state(&well, "upload_queue"), "not_configured");
    assert_eq!(well.json["model"], json!({"configured": false, "name": null}));
    assert!(well.json["versions"]["sirius"].is_string());

    let nowhere = format!("{}-no", app.queue_url);
    let without_queue = App { queue_url: nowhere, ..app };
    let ill = without_queue.get("/api/health").await;
    assert_eq!((ill.status, &ill.json["status"]), (503, &json!("degraded")));
    assert_eq!(ill.json["degraded"], json!(["analysis_queue"]), "{ill:?}");
    let without_bucket = App { bucket: unique("no-such-bucket"), ..without_queue };
    assert_eq!(without_bucket.get("/api/health").await.json["degraded"], json!(["bucket", "analysis_queue"]));
    let without_table = App { table: unique("no-such-table"), ..without_bucket };
    let ill = without_table.get("/api/health").await;
    assert_eq!(ill.json["degraded"], json!(["table", "bucket", "analysis_queue"]));
    assert_eq!(App::new().await.get("/api/health?x=1").await.status, 400);
}

/// Runs the recipe in a shell with an `aws` that writes down how it is called; answers that and the variables.
fn run_recipe(shell: &str, table_is_there: bool) -> (Vec<String>, Vec<String>) {
    let folder = std::env::temp_dir().join(unique("recipe"));
    std::fs::create_dir(&folder).unwrap();
    let (aws, log) = (folder.join("aws"), folder.join("log"));
    let fate = if table_is_there { "exit 0" } else { "[ \"$2\" = create-table ]" };
    std::fs::write(&aws, format!("#!/bin/sh\nprintf '%s\\n' \"$@\" >> '{}'\n{fate}\n", log.display())).unwrap();
    std::fs::set_permissions(&aws, std::fs::Permissions::from_mode(0o755)).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../local/dynamodb-local.sh");
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let ran = Command::new(shell)
        .args(["-euc", &format!(". '{}'; env", script.display())])
        .env_remove("AWS_ENDPOINT_URL_DYNAMODB")
        .env("PATH", path)
        .env("AWS_SESSION_TOKEN", "of-a-real-account")
        .env("ENRICHMENT_QUEUE_URL", "of-another-deployment")
        .output()
        .unwrap();
    assert!(ran.status.success(), "{shell}: {}", String::from_utf8_lossy(&ran.stderr));
    let lines = |text: &str| text.lines().map(str::to_owned).collect();
    let called = lines(&std::fs::read_to_string(log).unwrap());
    std::fs::remove_dir_all(folder).unwrap();
    (called, lines(&String::from_utf8(ran.stdout).unwrap()))
}

#[test]
fn the_recipe_for_dynamodb_local_makes_the_table_of_the_template_once_and_exports_what_functions_and_cli_read() {
    let template = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml")).unwrap();
    let table = template.split("Type: AWS::DynamoDB::Table").nth(1).unwrap().split("TimeToLive").next().unwrap();
    let named = |text: &str, key: &str| -> Vec<String> {
        let values = text.split(key).skip(1).map(|rest| rest.split([',', '}', '\n']).next().unwrap().trim().to_owned());
        let mut values: Vec<String> = values.collect();
        values.sort();
        values
    };
    for shell in ["sh", "bash"] {
        let (called, variables) = run_recipe(shell, false);
        let called = called.join("\n");
        assert!(called.starts_with("dynamodb\ndescribe-table\n--table-name\nsirius\n"), "{called}");
        let created = called.split("create-table").nth(1).unwrap();
        for (in_template, in_recipe) in [("IndexName: ", "IndexName="), ("AttributeName: ", "AttributeName=")] {
            assert_eq!(named(created, in_recipe), named(table, in_template), "{shell}: {in_template}");
        }
        for expected in [
            "AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:8000",
            "AWS_REGION=us-east-1",
            "AWS_DEFAULT_REGION=us-east-1",
            "TABLE_NAME=sirius",
            "BUCKET_NAME=none",
            "ARCHIVE_REPORTS=false",
        ] {
            assert!(variables.iter().any(|line| line == expected), "{shell}: {expected}");
        }
        let foreign = |line: &String| line.contains("of-a-real-account") || line.contains("of-another-deployment");
        assert!(!variables.iter().any(foreign), "{shell}");
        let (called, _) = run_recipe(shell, true);
        assert!(!called.iter().any(|word| word == "create-table"), "{shell}: {called:?}");
    }
}
