//! Tests the compiled functions behind API Gateway, Lambda and DynamoDB.

use reqwest::Method;
use serde_json::{Value, json};
use sha2::Digest as _;
use support::app::gzip;
use support::deployed::Deployed;
use support::report::{vulnerability, with_findings};
use support::stack::Stack;
use support::unique;

#[tokio::test]
async fn a_report_goes_in_and_comes_back_through_every_route() {
    let api = Deployed::new();
    let image = format!("ghcr.io/org/{}:1.0", unique("app"));
    let report = with_findings(&image, 12);
    let posted = api.post_json(&report).await;
    assert_eq!(posted.status, 201, "{posted:?}");
    let scan_id = posted.json["scan_id"].as_u64().unwrap();
    assert_eq!(api.post_json(&report).await.json["duplicate"], true);

    let scan = api.get(&format!("/api/container/scans/{image}")).await;
    assert_eq!((scan.status, &scan.json["scan_id"], &scan.json["image_name"]), (200, &json!(scan_id), &json!(image)));
    assert_eq!(api.get(&format!("/api/container/scans/{scan_id}")).await.json, scan.json);
    let listed = api.get("/api/container/scans").await;
    let mut alone = scan.json.clone();
    alone.as_object_mut().unwrap().remove("analysis_counts");
    assert!(listed.list().contains(&alone));
    assert!(listed.list().is_sorted_by(|a, b| a["scan_id"].as_u64() > b["scan_id"].as_u64()), "newest first");

    let findings = api.get(&format!("/api/container/scans/{scan_id}/findings")).await;
    assert_eq!((findings.list().len(), findings.header("x-total-count")), (12, Some("12")));
    let by_name = api.get(&format!("/api/container/scans/{image}/findings")).await;
    assert_eq!(reported(&by_name.json), reported(&findings.json));
    let id = findings.json[3]["finding_id"].as_u64().unwrap();
    let alone = json!([api.get(&format!("/api/container/findings/{id}")).await.json]);
    assert_eq!(reported(&alone)[0], reported(&findings.json)[3]);

    let page = api.get(&format!("/api/container/scans/{image}/findings?severity=HIGH&severity=LOW&limit=1")).await;
    let next = page.next().unwrap();
    let second = api.get(&format!("/api/container/scans/{image}/findings?{next}")).await;
    assert_eq!((second.status, second.list().len()), (200, 1));
    assert_ne!(second.json[0]["finding_id"], page.json[0]["finding_id"]);
}

/// Findings without what enrichment may add to them at any moment.
fn reported(findings: &Value) -> Vec<Value> {
    let mut findings = findings.as_array().unwrap().clone();
    for finding in &mut findings {
        let members = finding.as_object_mut().unwrap();
        members.remove("enrichment").unwrap();
        members.remove("priority").unwrap();
    }
    findings
}

#[tokio::test]
async fn names_survive_the_gateway_raw_and_encoded() {
    let api = Deployed::new();
    let salt = unique("n");
    for (sent, name) in [
        (format!("reg.io%2Forg%2F{salt}%3A1.0"), format!("reg.io/org/{salt}:1.0")),
        (format!("reg.io/org/{salt}@sha256:00ff"), format!("reg.io/org/{salt}@sha256:00ff")),
        (format!("my%20image%20{salt}.tar"), format!("my image {salt}.tar")),
        (format!("{salt}%25"), format!("{salt}%")),
        (format!("%D0%BE%D0%B1%D1%80%D0%B0%D0%B7/{salt}"), format!("образ/{salt}")),
        (format!("q%3F{salt}"), format!("q?{salt}")),
    ] {
        assert_eq!(api.post_json(&with_findings(&name, 2)).await.status, 201);
        let scan = api.get(&format!("/api/container/scans/{sent}")).await;
        assert_eq!((scan.status, &scan.json["image_name"]), (200, &json!(name)), "{sent}: {scan:?}");
        let findings = api.get(&format!("/api/container/scans/{sent}/findings")).await;
        assert_eq!((findings.status, findings.json.as_array().map(Vec::len)), (200, Some(2)), "{sent}: {findings:?}");
    }
}

#[tokio::test]
async fn twenty_posts_at_once_through_the_gateway_make_one_scan() {
    let api = Deployed::new();
    let image = unique("busy");
    let report = with_findings(&image, 40);
    let answers = futures_util::future::join_all((0..20).map(|_| api.post_json(&report))).await;
    let of_status = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!(of_status(201), 1, "{answers:?}");
    assert_eq!(of_status(201) + of_status(200) + of_status(409), 20, "{answers:?}");
    let history = api.get(&format!("/api/container/scans/{image}?history=true")).await;
    assert_eq!(history.list().len(), 1);
}

#[tokio::test]
async fn compressed_bodies_and_answers_pass_the_gateway() {
    let api = Deployed::new();
    let image = unique("packed");
    let body = gzip(&with_findings(&image, 300).to_string().into_bytes());
    let posted = api.post("", &[("content-type", "application/gzip")], body).await;
    assert_eq!(posted.status, 201, "{posted:?}");
    let path = format!("/api/container/scans/{image}/findings");
    let packed = api.get_with(&path, &[("accept-encoding", "gzip")]).await;
    assert_eq!((packed.header("content-encoding"), packed.list().len()), (Some("gzip"), 300));
    assert_eq!(reported(&packed.json), reported(&api.get(&path).await.json));
}

#[tokio::test]
async fn refusals_are_problem_documents_with_a_request_id() {
    let api = Deployed::new();
    let refused = api.post("", &[("content-type", "application/json")], b"{\n \"a\":\n oops}".to_vec()).await;
    assert_eq!((refused.status, refused.header("content-type")), (400, Some("application/problem+json")));
    assert_eq!((&refused.json["code"], &refused.json["status"]), (&json!("invalid_json"), &json!(400)));
    assert!(refused.json["detail"].as_str().unwrap().contains("line 3, column 2"));
    assert!(!refused.json["request_id"].as_str().unwrap().is_empty());
    let form = api.post("", &[("content-type", "application/x-www-form-urlencoded")], b"{}".to_vec()).await;
    assert_eq!(form.status, 415);
    for path in ["/api/container/findings/x", "/api/container/scans?limit=0", "/api/container/scans/%20"] {
        assert_eq!(api.get(path).await.status, 400, "{path}");
    }
    for path in ["/api/container/findings/9000000000000000", "/api/container/scans/none/of/that/name"] {
        assert_eq!(api.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn hostile_paths_and_headers_never_crash_a_function() {
    let api = Deployed::new();
    for path in [
        "/api/container/scans/..%2F..%2Fadmin",
        "/api/container/scans/%00",
        "/api/container/scans/%FF%FE",
        "/api/container/scans/%25",
        "/api/container/scans/a%23b",
        "/api/container/scans/%2F%2F%2F",
        "/api/container/scans/{{}}|^`",
        "/api/container/scans/'%22",
        "/api/container/findings/%31",
        "/api/container/findings/..%2F1000000",
        "/api/container/scans?limit=%FF",
        "/api/container/scans?cursor=%00&limit=1",
        "/api/container/scans?x=%",
        "/api/container/scans/a/findings?package=%E2%80%AE",
    ] {
        let answer = api.get(path).await;
        assert!((200..500).contains(&answer.status), "{path}: {answer:?}");
        if answer.status >= 400 {
            // The gateway itself answers for paths that are no route, without a code.
            let by_gateway = answer.status == 404 && answer.json["message"] == "Not Found";
            assert!(answer.json["code"].is_string() || by_gateway, "{path}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_large_list_is_paged_through_the_gateway() {
    let api = Deployed::new();
    let image = unique("large");
    let mut vulnerabilities: Vec<Value> = (0..1500).map(vulnerability).collect();
    for (n, vulnerability) in vulnerabilities.iter_mut().enumerate() {
        vulnerability["Description"] = format!("{n} ").repeat(1000).into();
    }
    let body = gzip(&support::report::report_of(&image, vulnerabilities).to_string().into_bytes());
    assert_eq!(api.post("", &[("content-type", "application/gzip")], body).await.status, 201);
    let (mut seen, mut query) = (0, String::new());
    loop {
        let page = api.get(&format!("/api/container/scans/{image}/findings?{query}")).await;
        assert_eq!((page.status, page.header("x-total-count")), (200, Some("1500")));
        seen += page.list().len();
        match page.next() {
            Some(next) => query = next,
            None => break,
        }
    }
    assert_eq!(seen, 1500);
    assert!(!query.is_empty(), "7 MB of findings came in one answer");
}

/// HTTP → SQS → `run-analysis` → the model that the stack has (the bundled one, unless `OLLAMA_URL`
/// named another) → the table → HTTP. What the model says is its own affair: that a real answer of a
/// real model arrives, or is refused with a reason, is ours.
#[tokio::test]
async fn a_real_model_explains_a_finding_through_the_queue() {
    let api = Deployed::new();
    let image = unique("explained");
    let mut vulnerability = vulnerability(1);
    vulnerability["VulnerabilityID"] = "CVE-2023-38545".into();
    vulnerability["PkgName"] = "libcurl4".into();
    vulnerability["FixedVersion"] = "7.88.1-10+deb12u4".into();
    vulnerability["Description"] = format!("A heap buffer overflow in the SOCKS5 handshake. ({image})").into();
    let scan =
        api.post_json(&support::report::report_of(&image, vec![vulnerability])).await.json["scan_id"].as_u64().unwrap();
    let path = format!("/api/llm/analyze/container/{}", scan * 1_000_000);
    let mut answer = api.get(&format!("{path}?wait=0")).await;
    if answer.status == 501 {
        support::tell_skipped("this stack was started without a model (--no-model)");
        return;
    }
    assert_eq!(answer.status, 202, "{answer:?}");
    for _ in 0..12 {
        answer = api.get(&format!("{path}?wait=25")).await;
        if answer.status != 202 {
            break;
        }
    }
    assert_eq!(answer.status, 200, "{answer:?}");
    match answer.json["llm_analysis_status"].as_str().unwrap() {
        "completed" => {
            let score = answer.json["llm_analysis_risk_score"].as_f64().unwrap();
            assert!((1.0..=10.0).contains(&score), "{answer:?}");
            for field in ["summary", "recommendations", "model", "timestamp"] {
                assert!(!answer.json[format!("llm_analysis_{field}")].as_str().unwrap().is_empty(), "{field}");
            }
            let finding = api.get(&format!("/api/container/findings/{}", scan * 1_000_000)).await.json;
            assert_eq!(finding["llm_analysis_summary"], answer.json["llm_analysis_summary"]);
        }
        // A small model may well give two unusable answers; a host that was not reached may not.
        "failed" => assert_eq!(answer.json["llm_analysis_failure"]["reason"], "invalid_answer", "{answer:?}"),
        other => panic!("{other}: {answer:?}"),
    }
    println!("the model's answer: {}", answer.json);
}

/// Waits until an upload is settled, for as long as a test may take.
async fn settled(api: &Deployed, status_url: &str) -> Value {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    let mut ticks = tokio::time::interval(std::time::Duration::from_millis(200));
    loop {
        ticks.tick().await;
        let upload = api.get(status_url).await;
        assert_eq!(upload.status, 200, "{upload:?}");
        if ["done", "failed"].contains(&upload.json["status"].as_str().unwrap()) {
            return upload.json;
        }
        assert!(tokio::time::Instant::now() < deadline, "{upload:?}");
    }
}

#[tokio::test]
async fn an_upload_goes_by_s3_and_sqs_to_a_scan_that_can_be_fetched_and_deleted() {
    let api = Deployed::new();
    let image = format!("reg.io/{}:1", unique("uploaded"));
    let report = with_findings(&image, 300).to_string().into_bytes();
    let object = gzip(&report);
    let digest: String = sha2::Sha256::digest(&object).iter().map(|byte| format!("{byte:02x}")).collect();
    let order = json!({"size": object.len(), "sha256": digest, "content_type": "application/gzip"});
    let json = [("content-type", "application/json")];
    let opened = api.send(Method::POST, "/api/container/uploads", &json, Some(order.to_string().into_bytes())).await;
    assert_eq!(opened.status, 201, "{opened:?}");
    let mut put = support::http_client().put(opened.json["url"].as_str().unwrap()).body(object);
    for (name, value) in opened.json["headers"].as_object().unwrap() {
        if !name.eq_ignore_ascii_case("content-length") {
            put = put.header(name, value.as_str().unwrap());
        }
    }
    assert_eq!(put.send().await.unwrap().status(), 200);

    let done = settled(&api, opened.json["status_url"].as_str().unwrap()).await;
    assert_eq!((&done["status"], &done["duplicate"]), (&json!("done"), &json!(false)), "{done}");
    let scan = done["scan_id"].as_u64().unwrap();
    let path = format!("/api/container/scans/{image}");
    assert_eq!(api.get(&path).await.json["scan_id"], scan);
    assert_eq!(api.get(&format!("{path}/findings")).await.list().len(), 300);
    for path in [format!("{path}/report"), format!("/api/container/scans/{scan}/report")] {
        assert_eq!(api.get(&path).await.json, serde_json::from_slice::<Value>(&report).unwrap(), "{path}");
    }
    let this = format!("/api/container/scans/{scan}");
    assert_eq!(api.send(Method::DELETE, &this, &[], None).await.status, 204);
    assert_eq!(api.get(&this).await.status, 404);
    assert_eq!(api.send(Method::DELETE, &this, &[], None).await.status, 204, "again");
}

#[tokio::test]
async fn an_object_that_is_dropped_into_the_bucket_can_be_asked_about() {
    let api = Deployed::new();
    let bucket = Stack::get().await.physical("Bucket").to_owned();
    let name = format!("ci/{} 7/sbom.json", unique("build"));
    support::bucket::put(&bucket, &format!("uploads/{name}"), br#"{"bomFormat":"CycloneDX"}"#.to_vec()).await;
    let encoded = name.replace(' ', "%20");
    let failed = settled(&api, &format!("/api/container/uploads/{encoded}")).await;
    assert_eq!((&failed["status"], &failed["code"]), (&json!("failed"), &json!("not_a_trivy_report")), "{failed}");
    assert_eq!(support::bucket::tag(&bucket, &format!("uploads/{name}")).await.as_deref(), Some("failed"));
}

#[tokio::test]
async fn a_report_of_32_mb_goes_through_the_bucket() {
    let api = Deployed::new();
    let bucket = Stack::get().await.physical("Bucket").to_owned();
    let name = unique("large");
    support::bucket::put(&bucket, &format!("uploads/{name}"), support::report::large()).await;
    let done = settled(&api, &format!("/api/container/uploads/{name}")).await;
    assert_eq!(done["status"], "done", "{done}");
    let scan = api.get(&format!("/api/container/scans/{}", done["scan_id"])).await;
    assert_eq!(scan.json["total_findings"], 10_440);
}
