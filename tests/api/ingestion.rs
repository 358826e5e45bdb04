//! POST: each report once, counted right, refused clearly.

use serde_json::{Value, json};
use support::app::{App, gzip};
use support::report::{report_of, vulnerability, with_findings};

#[tokio::test]
async fn a_new_report_is_201_and_the_same_again_is_200_with_the_same_scan() {
    let app = App::new().await;
    let report = with_findings("shop/api:1", 7);
    let first = app.post(&report).await;
    assert_eq!(first.status, 201, "{first:?}");
    let hash = first.json["report_hash"].as_str().unwrap().to_owned();
    assert_eq!(hash.len(), 64);
    let counts = json!({"CRITICAL": 2, "HIGH": 1, "MEDIUM": 2, "LOW": 1, "UNKNOWN": 1});
    let others = json!({"secrets": 0, "misconfigurations": 0, "licenses": 0});
    let expected = json!({
        "message": "the report was ingested with 7 findings", "scan_id": 1, "report_hash": hash,
        "duplicate": false, "newly_ingested_count": 7, "total_findings_in_report": 7, "current": true,
        "severity_counts": counts, "suppressed_findings": 0, "other_findings": others, "warnings": []
    });
    assert_eq!(first.json, expected);

    let again = app.post(&report).await;
    assert_eq!(again.status, 200);
    let expected = json!({
        "message": "this report was ingested before; at most the time at which it was last seen has changed", "scan_id": 1, "report_hash": hash,
        "duplicate": true, "newly_ingested_count": 0, "total_findings_in_report": 7, "current": true,
        "severity_counts": counts, "suppressed_findings": 0, "other_findings": others, "warnings": []
    });
    assert_eq!(again.json, expected);
}

#[tokio::test]
async fn a_re_scan_that_found_the_same_is_the_same_report() {
    let app = App::new().await;
    let mut report = with_findings("shop/api:1", 3);
    app.post(&report).await;
    report["CreatedAt"] = "2026-11-22T10:00:00Z".into();
    report["ReportID"] = "another".into();
    let pretty = serde_json::to_vec_pretty(&report).unwrap();
    let again = app.post_as(&pretty, "", &[("content-type", "application/json")]).await;
    assert_eq!((again.status, &again.json["scan_id"]), (200, &json!(1)));
    report["Results"][0]["Vulnerabilities"][0]["FixedVersion"] = "9".into();
    assert_eq!(app.post(&report).await.status, 201);
}

#[tokio::test]
async fn exact_repeats_collapse_and_are_counted_while_other_fixed_versions_stay() {
    let app = App::new().await;
    let (one, mut other) = (vulnerability(1), vulnerability(1));
    other["FixedVersion"] = "7.7".into();
    let answer = app.post(&report_of("a", vec![one.clone(), other, one.clone(), one])).await;
    assert_eq!(answer.json["newly_ingested_count"], 2);
    assert_eq!(answer.json["total_findings_in_report"], 4);
    assert_eq!(answer.json["message"], "the report was ingested with 2 findings; 2 exact repeats were collapsed");
    assert_eq!(app.get("/api/container/scans/1/findings").await.list().len(), 2);
}

#[tokio::test]
async fn twenty_posts_of_one_report_at_once_make_one_scan() {
    let app = App::new().await;
    let report = with_findings("busy:1", 60);
    let answers = futures_util::future::join_all((0..20).map(|_| app.post(&report))).await;
    let of_status = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!(of_status(201), 1, "{answers:?}");
    assert_eq!(of_status(201) + of_status(200) + of_status(409), 20);
    for busy in answers.iter().filter(|answer| answer.status == 409) {
        assert_eq!(busy.json["code"], "ingestion_in_progress");
        let seconds: u64 = busy.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=61).contains(&seconds));
    }
    let scans = app.get("/api/container/scans").await;
    assert_eq!((scans.list().len(), scans.header("x-total-count")), (1, Some("1")));
    assert_eq!(app.get("/api/container/scans/busy:1/findings").await.list().len(), 60);
}

#[tokio::test]
async fn many_reports_at_once_get_a_number_each_and_are_all_counted() {
    let app = App::new().await;
    let reports: Vec<Value> = (0..24).map(|n| with_findings(&format!("image:{n}"), 1)).collect();
    let answers = futures_util::future::join_all(reports.iter().map(|report| app.post(report))).await;
    let mut ids: Vec<u64> = answers.iter().map(|answer| answer.json["scan_id"].as_u64().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 24);
    assert_eq!(app.get("/api/container/scans?limit=1").await.header("x-total-count"), Some("24"));
}

#[tokio::test]
async fn a_clean_report_is_a_scan_without_findings() {
    let app = App::new().await;
    for (n, results) in [
        json!(null),
        json!([]),
        json!([{"Target": "x", "Vulnerabilities": null}]),
        json!([{"Target": "x", "Class": "secret", "Secrets": []}]),
    ]
    .into_iter()
    .enumerate()
    {
        let report = json!({"SchemaVersion": 2, "ArtifactName": format!("clean:{n}"), "ArtifactType": "filesystem", "Results": results});
        assert_eq!(app.post(&report).await.status, 201);
        let findings = app.get(&format!("/api/container/scans/clean:{n}/findings")).await;
        assert_eq!((findings.status, findings.header("x-total-count"), &findings.json), (200, Some("0"), &json!([])));
    }
}

#[tokio::test]
async fn an_old_array_is_named_by_its_operating_system_or_by_the_sender() {
    let app = App::new().await;
    let array = json!([
        {"Target": "app/package-lock.json", "Vulnerabilities": [vulnerability(1)]},
        {"Target": "alpine:3.10 (alpine 3.10.2)", "Vulnerabilities": [vulnerability(2)]}
    ]);
    assert_eq!(app.post(&array).await.status, 201);
    assert_eq!(app.get("/api/container/scans/alpine:3.10").await.json["image_name"], "alpine:3.10");
    let body = array.to_string().into_bytes();
    let named = app.post_as(&body, "image_name=my%2Fown%3A1", &[("content-type", "application/json")]).await;
    assert_eq!((named.status, &named.json["scan_id"]), (201, &json!(2)));
    assert_eq!(app.get("/api/container/scans/my/own:1").await.json["scan_id"], 2);
    let same_name = app.post_as(&body, "image_name=alpine%3A3.10", &[("content-type", "application/json")]).await;
    assert_eq!((same_name.status, &same_name.json["scan_id"]), (200, &json!(1)));
}

#[tokio::test]
async fn compressed_reports_are_taken_under_their_own_types() {
    let app = App::new().await;
    let json = with_findings("packed:1", 5).to_string().into_bytes();
    let zstd = zstd::encode_all(&json[..], 3).unwrap();
    let headers = |pairs: &'static [(&str, &str)]| pairs;
    for (n, (body, headers)) in [
        (gzip(&json), headers(&[("content-type", "application/gzip")])),
        (gzip(&json), headers(&[("content-type", "application/octet-stream"), ("content-encoding", "gzip")])),
        (zstd.clone(), headers(&[("content-type", "application/zstd")])),
        (zstd, headers(&[("content-type", "application/octet-stream"), ("content-encoding", "zstd")])),
        ([b"\xEF\xBB\xBF", &json[..]].concat(), headers(&[("content-type", "application/json")])),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = app.post_as(&body, "", headers).await;
        assert_eq!(answer.status, if n == 0 { 201 } else { 200 }, "{n}: {answer:?}");
    }
}

#[tokio::test]
async fn what_is_not_a_report_is_refused_with_what_it_is_and_what_to_send() {
    let app = App::new().await;
    let wide: Vec<u8> = "\u{FEFF}[\"é\"]".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mangled = String::from_utf8_lossy(&wide).into_owned().into_bytes();
    let cases: Vec<(Vec<u8>, u16, &str, &str)> = vec![
        (br#"{"bomFormat":"CycloneDX","components":[]}"#.to_vec(), 422, "not_a_trivy_report", "a CycloneDX SBOM; scan it with `trivy sbom"),
        (br#"{"spdxVersion":"SPDX-2.3"}"#.to_vec(), 422, "not_a_trivy_report", "an SPDX SBOM"),
        (br#"{"@context":"https://spdx.org/rdf/3.0.1","@graph":[]}"#.to_vec(), 422, "not_a_trivy_report", "an SPDX 3 SBOM"),
        (br#"{"version":"2.1.0","runs":[]}"#.to_vec(), 422, "not_a_trivy_report", "SARIF"),
        (br#"{"matches":[],"source":{}}"#.to_vec(), 422, "not_a_trivy_report", "a Grype report"),
        (br#"{"ClusterName":"x","Findings":[]}"#.to_vec(), 422, "not_a_trivy_report", "the output of `trivy k8s`"),
        (br#"{"apiVersion":"v1","kind":"List","items":[]}"#.to_vec(), 422, "not_a_trivy_report", "a Kubernetes object"),
        (br#"{"manifest_hash":"sha256:0","vulnerabilities":{}}"#.to_vec(), 422, "not_a_trivy_report", "a Clair report"),
        (br#"{"results":[{"id":"x"}],"consoleURL":"https://x"}"#.to_vec(), 422, "not_a_trivy_report", "Prisma Cloud (Twistlock)"),
        (br#"{"hello":1}"#.to_vec(), 422, "not_a_trivy_report", "JSON of no known kind"),
        (b"{}".to_vec(), 422, "not_a_trivy_report", "JSON of no known kind"),
        (b"[]".to_vec(), 422, "not_a_trivy_report", "an empty array"),
        (br#"[{"check_name":"x"}]"#.to_vec(), 422, "not_a_trivy_report", "a GitLab code quality report"),
        (br#"[1]"#.to_vec(), 422, "not_a_trivy_report", "an array of other values"),
        (br#"{"SchemaVersion":3,"ArtifactName":"x","ArtifactType":"container_image"}"#.to_vec(), 422, "invalid_report", "SchemaVersion 3 is not known"),
        (br#"{"SchemaVersion":2,"ArtifactName":7}"#.to_vec(), 422, "invalid_report", "ArtifactName: expected a string, found the number 7"),
        (br#"{"SchemaVersion":2,"ArtifactType":"vm"}"#.to_vec(), 422, "invalid_report", "image_name"),
        (br#"{"SchemaVersion":2,"ArtifactName":"a\nb"}"#.to_vec(), 422, "invalid_report", "ArtifactName has a control character"),
        (br#"{"SchemaVersion":2,"ArtifactName":"a","CreatedAt":"soon"}"#.to_vec(), 422, "invalid_report", "CreatedAt: expected an RFC 3339 time"),
        (br#"{"SchemaVersion":2,"ArtifactName":"a","Results":{}}"#.to_vec(), 422, "invalid_report", "Results: expected an array of results, found an object"),
        (br#"{"SchemaVersion":2,"ArtifactName":"a","Results":[{"Class":"os-pkgs"}]}"#.to_vec(), 422, "invalid_report", "Results[0]: Target is missing"),
        (br#"{"SchemaVersion":2,"ArtifactName":"a","Results":[{"Target":"t","Vulnerabilities":[{},{"PkgName":{}}]}]}"#.to_vec(), 422, "invalid_report", "Results[0].Vulnerabilities[1].PkgName: expected a string, found an object"),
        (b"{\n  \"SchemaVersion\": 2,\n  oops\n}".to_vec(), 400, "invalid_json", "line 3, column 3"),
        (b"{\n  \"SchemaVersion\": 2".to_vec(), 400, "invalid_json", "ends too early, at line 2"),
        ("[".repeat(5000).into_bytes(), 400, "invalid_json", "nested too deep"),
        (b"2026-01-01T00:00:00Z\tINFO\tNeed to update DB\n{\"SchemaVersion\":2}".to_vec(), 400, "invalid_json", "lines before the JSON"),
        (mangled, 400, "invalid_json", "UTF-16 text of which API Gateway has replaced bytes"),
        (b"{\"SchemaVersion\":2,\"ArtifactName\":\"a\"}\n{}".to_vec(), 400, "invalid_json", "a second JSON value begins at line 2, column 1"),
        (b"{\"SchemaVersion\":2,\"ArtifactName\":\"a\"}\nINFO done".to_vec(), 400, "invalid_json", "other text begins at line 2, column 1"),
        (b"PK\x03\x04report.json".to_vec(), 400, "invalid_json", "a ZIP archive"),
        (br#"{"SchemaVersion":2,"Results":[]}"#.to_vec(), 422, "invalid_report", "neither ArtifactName nor ArtifactType"),
        (br#"[{"SchemaVersion":2,"ArtifactName":"a"},{"SchemaVersion":2,"ArtifactName":"b"}]"#.to_vec(), 422, "not_a_trivy_report", "send each by itself"),
        (b"".to_vec(), 400, "invalid_json", "empty"),
        (b"alpine:3.10 (alpine 3.10.2)\n====\nTotal: 3".to_vec(), 400, "invalid_json", "other text"),
    ];
    for (body, status, code, text) in cases {
        let answer = app.post_as(&body, "", &[("content-type", "application/json")]).await;
        let shown = String::from_utf8_lossy(&body).chars().take(80).collect::<String>();
        assert_eq!((answer.status, &answer.json["code"]), (status, &json!(code)), "{shown}: {answer:?}");
        let detail = answer.json["detail"].as_str().unwrap();
        assert!(detail.contains(text), "{shown}: {detail}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    }
    assert_eq!(app.get("/api/container/scans").await.json, json!([]));
}

#[tokio::test]
async fn what_is_not_utf8_is_refused_alike_however_it_comes() {
    let app = App::new().await;
    let json = br#"{"SchemaVersion":2,"ArtifactName":"a"#;
    let json = [&json[..], b"\xE9\"}"].concat();
    // API Gateway's form of a JSON body, with the length that the client sent.
    let text = String::from_utf8_lossy(&json).into_owned().into_bytes();
    let length = json.len().to_string();
    for (body, headers) in [
        (json.clone(), &[("content-type", "application/json")][..]),
        (text.clone(), &[("content-type", "application/json"), ("content-length", &length)]),
        (gzip(&json), &[("content-type", "application/gzip")]),
        (zstd::encode_all(&json[..], 3).unwrap(), &[("content-type", "application/zstd")]),
    ] {
        let answer = app.post_as(&body, "", headers).await;
        assert_eq!((answer.status, &answer.json["code"]), (400, &json!("invalid_json")), "{answer:?}");
        assert!(answer.json["detail"].as_str().unwrap().contains("not UTF-8 at byte 36"), "{answer:?}");
    }
    let length = text.len().to_string();
    let sent_so = app.post_as(&text, "", &[("content-type", "application/json"), ("content-length", &length)]).await;
    assert_eq!(sent_so.status, 201, "a report may have the character itself");
}

#[tokio::test]
async fn utf16_is_read_as_the_report_that_it_is() {
    let app = App::new().await;
    let json = with_findings("wide:1", 2).to_string();
    let wide: Vec<u8> = format!("\u{FEFF}{json}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let behind_a_gateway = String::from_utf8_lossy(&wide).into_owned().into_bytes();
    for (at, (body, content_type)) in
        [(wide.clone(), "application/json"), (behind_a_gateway, "application/json"), (gzip(&wide), "application/gzip")]
            .into_iter()
            .enumerate()
    {
        let answer = app.post_as(&body, "", &[("content-type", content_type)]).await;
        assert_eq!(answer.status, if at == 0 { 201 } else { 200 }, "{answer:?}");
    }
    assert_eq!(app.post_as(json.as_bytes(), "", &[("content-type", "application/json")]).await.status, 200);
}

#[tokio::test]
async fn a_report_without_an_artifact_is_taken_under_the_name_that_is_given() {
    let app = App::new().await;
    let report = json!({"SchemaVersion": 2, "Results": [{"Target": "t", "Vulnerabilities": [vulnerability(1)]}]});
    let body = report.to_string().into_bytes();
    let json = [("content-type", "application/json")];
    assert_eq!(app.post_as(&body, "", &json).await.status, 422);
    assert_eq!(app.post_as(&body, "image_name=mine%3A1", &json).await.status, 201);
    assert_eq!(app.get("/api/container/scans/mine:1").await.json["image_name"], "mine:1");
}

#[tokio::test]
async fn the_cases_of_unclear_refusals_are_answered_as_they_should_be() {
    let app = App::new().await;
    for (name, query, status, text) in [
        ("f10-utf16-by-post", "", 201, "1 finding"),
        ("f11-schemaversion-2-is-not-known-only-2", "", 422, "ArtifactName"),
        ("f11-schemaversion-2-is-not-known-only-2", "image_name=x", 201, "1 finding"),
        ("f15-two-reports-in-one-body", "", 400, "second JSON value begins at line 2"),
        ("f09-no-findings-although-there-are", "", 201, "1 misconfiguration and 1 secret"),
        ("lookalike-compliance_all", "", 422, "compliance"),
        ("lookalike-cosign-vuln", "", 422, "cosign"),
    ] {
        let Some(body) = support::corpus::case(name) else { return };
        // As API Gateway hands it over.
        let text_body = String::from_utf8_lossy(&body).into_owned().into_bytes();
        let answer = app.post_as(&text_body, query, &[("content-type", "application/json")]).await;
        assert_eq!(answer.status, status, "{name}: {answer:?}");
        assert!(answer.json.to_string().contains(text), "{name}: {answer:?}");
    }
}

#[tokio::test]
async fn a_type_that_is_neither_json_nor_compressed_is_415_with_what_to_send() {
    let app = App::new().await;
    let report = with_findings("typed:1", 1).to_string().into_bytes();
    for headers in [
        &[("content-type", "application/x-www-form-urlencoded")][..],
        &[("content-type", "text/plain")],
        &[("content-type", "application/json"), ("content-encoding", "gzip")],
    ] {
        let answer = app.post_as(&report, "", headers).await;
        assert_eq!((answer.status, &answer.json["code"]), (415, &json!("unsupported_media_type")));
        assert!(answer.json["detail"].as_str().unwrap().contains("application/gzip"));
    }
}

#[tokio::test]
async fn what_is_over_a_limit_is_413_and_leaves_nothing_behind() {
    let mut app = App::new().await;
    app.limits.max_findings = 3;
    app.limits.max_bytes = 20_000;
    assert_eq!(app.post(&with_findings("three", 3)).await.status, 201);
    let four = app.post(&with_findings("four", 4)).await;
    assert_eq!((four.status, &four.json["code"]), (413, &json!("too_large")));
    assert!(four.json["detail"].as_str().unwrap().contains("more than 3 vulnerabilities"));
    let bomb = gzip(&vec![b' '; 1 << 20]);
    let answer = app.post_as(&bomb, "", &[("content-type", "application/gzip")]).await;
    assert_eq!(answer.status, 413);
    let mut huge = with_findings("huge", 1);
    huge["Results"][0]["Vulnerabilities"][0]["Description"] = "x".repeat(300_000).into();
    app.limits.max_bytes = 1 << 20;
    let answer = app.post(&huge).await;
    assert_eq!(answer.status, 422);
    assert!(
        answer.json["detail"].as_str().unwrap().starts_with("Results[0].Vulnerabilities[0]: a vulnerability of 300")
    );
    assert_eq!(app.get("/api/container/scans").await.list().len(), 1);
}

#[tokio::test]
async fn nothing_of_a_vulnerability_is_lost() {
    let app = App::new().await;
    let mut odd = vulnerability(3);
    odd["VulnerabilityID"] = Value::Null;
    odd["Severity"] = "important".into();
    odd["Custom"] = json!({"nested": [1, 2.5, {"b": null, "a": "ü\u{202e}"}]});
    odd["PkgPath"] = "usr/lib/app.jar".into();
    app.post(&report_of("kept", vec![odd.clone()])).await;
    let finding = app.get("/api/container/findings/1000000").await.json;
    assert_eq!((&finding["vulnerability_id"], &finding["severity"]), (&Value::Null, &json!("UNKNOWN")));
    assert_eq!(finding["cve_data"]["Severity"], "important");
    assert_eq!(finding["cve_data"]["Custom"], odd["Custom"]);
    for (field, member) in [
        ("pkg_name", "PkgName"),
        ("pkg_path", "PkgPath"),
        ("installed_version", "InstalledVersion"),
        ("status", "Status"),
        ("title", "Title"),
        ("primary_url", "PrimaryURL"),
        ("cvss", "CVSS"),
        ("published_date", "PublishedDate"),
        ("last_modified_date", "LastModifiedDate"),
    ] {
        assert_eq!(finding[field], odd[member], "{field}");
        assert!(finding["cve_data"].get(member).is_none(), "{member} is shown twice");
    }
    assert_eq!(finding["purl"], odd["PkgIdentifier"]["PURL"]);
    for member in ["Description", "References", "CweIDs", "VendorSeverity", "DataSource", "SeveritySource", "PkgID"] {
        assert_eq!(finding["cve_data"][member], odd[member], "{member}");
    }
}
