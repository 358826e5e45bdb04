//! GET: names, lists, pages, filters, cursors.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use support::app::App;
use support::report::{report_of, vulnerability, with_findings};

fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[tokio::test]
async fn a_scan_says_what_was_scanned_and_what_was_found() {
    let app = App::new().await;
    app.post(&with_findings("ghcr.io/org/app:1.0", 10)).await;
    let scan = app.get("/api/container/scans/ghcr.io/org/app:1.0").await;
    assert_eq!(scan.status, 200);
    let mut json = scan.json;
    for volatile in ["report_hash", "ingested_at"] {
        assert!(json.as_object_mut().unwrap().remove(volatile).unwrap().is_string());
    }
    let expected = json!({
        "scan_id": 1, "image_name": "ghcr.io/org/app:1.0", "image_digest": "sha256:2222", "image_id": "sha256:1111",
        "artifact_type": "container_image", "os_family": "debian", "os_name": "12.5", "os_end_of_life": false,
        "scan_timestamp": "2026-11-21T09:00:00.5Z", "trivy_version": null, "total_findings": 10, "fixable_findings": 5,
        "severity_counts": {"CRITICAL": 2, "HIGH": 2, "MEDIUM": 2, "LOW": 2, "UNKNOWN": 2},
        "platform": null, "repository": "ghcr.io/org/app", "tag": "1.0", "image_ref": null,
        "repo_tags": ["ghcr.io/org/app:1.0"], "artifact_id": null, "image_created_at": null,
        "last_seen_at": "2026-11-21T09:00:00.5Z", "current": true, "suspect": false, "confirmed": false,
        "retired": false, "is_vulnerability_scan": true, "scanners": null, "scanned_severities": null,
        "suppressed_findings": 0, "other_findings": {"secrets": 0, "misconfigurations": 0, "licenses": 0}
    });
    assert_eq!(json, expected);
}

#[tokio::test]
async fn names_with_anything_in_them_are_found_raw_and_encoded() {
    let app = App::new().await;
    let names = [
        "ghcr.io/org/app:1.0",
        "localhost:5000/a/b@sha256:00ff",
        "/tmp/my image.tar",
        "100%",
        "50%25",
        "what?",
        "a#b",
        "образ:1",
        "a//b",
        "../../etc",
        "a+b&c=d",
        "x/findings-of-y",
        ".",
    ];
    for (n, name) in names.iter().enumerate() {
        assert_eq!(app.post(&with_findings(name, n + 1)).await.status, 201, "{name}");
    }
    for (n, name) in names.iter().enumerate() {
        // As a gateway hands it over: decoded, but for `%25`; and as `cargo lambda watch` does: as it was sent.
        for raw in [name.replace('%', "%25"), encode(name)] {
            let path = format!("/api/container/scans/{raw}");
            let request = support::app::event("GET", &path, "", &[], None);
            assert_eq!(lambda_http::RequestExt::raw_http_path(&request), path);
            let deps = app.startup().list_findings().unwrap();
            let response = sirius::http::get_scan::handle(&deps, &request)
                .await
                .unwrap_or_else(|error| panic!("{raw}: {error:?}"));
            let scan: Value = serde_json::from_slice(response.body()).unwrap();
            assert_eq!(scan["image_name"], *name, "{raw}");
            let request = support::app::event("GET", &format!("{path}/findings"), "", &[], None);
            let response = sirius::http::get_scan::handle(&deps, &request).await.unwrap();
            let findings: Vec<Value> = serde_json::from_slice(response.body()).unwrap();
            assert_eq!(findings.len(), n + 1, "{raw}");
        }
        let listed = app.get(&format!("/api/container/scans?image_name={}", encode(name))).await;
        assert_eq!(listed.json[0]["image_name"], *name);
    }
}

#[tokio::test]
async fn the_newest_scan_answers_for_its_name_and_history_has_all() {
    let app = App::new().await;
    for count in 1..=5 {
        app.post(&with_findings("app:latest", count)).await;
    }
    app.post(&with_findings("other", 1)).await;
    assert_eq!(app.get("/api/container/scans/app:latest").await.json["total_findings"], 5);
    assert_eq!(app.get("/api/container/scans/2").await.json["total_findings"], 2);
    assert_eq!(app.get("/api/container/scans/app:latest/findings").await.list().len(), 5);
    let history = app.get("/api/container/scans/app:latest?history=true").await;
    let ids = |list: &[Value]| list.iter().map(|scan| scan["scan_id"].as_u64().unwrap()).collect::<Vec<_>>();
    assert_eq!((ids(history.list()), history.header("x-total-count")), (vec![5, 4, 3, 2, 1], Some("5")));
    assert_eq!(ids(&app.get_all("/api/container/scans/app:latest", "history=true&limit=2").await), [5, 4, 3, 2, 1]);
    assert_eq!(ids(&app.get_all("/api/container/scans/3", "history=true&limit=3").await), [5, 4, 3, 2, 1]);
    assert_eq!(ids(&app.get_all("/api/container/scans", "image_name=app:latest&limit=4").await), [5, 4, 3, 2, 1]);
    assert_eq!(ids(&app.get_all("/api/container/scans", "limit=4").await), [6, 5, 4, 3, 2, 1]);
    assert_eq!(ids(app.get("/api/container/scans").await.list()), [6, 5, 4, 3, 2, 1]);
}

#[tokio::test]
async fn what_does_not_exist_is_404_and_what_cannot_is_400() {
    let app = App::new().await;
    app.post(&with_findings("one", 2)).await;
    for path in [
        "/api/container/scans/none",
        "/api/container/scans/7",
        "/api/container/scans/7/findings",
        "/api/container/scans/no/such/image/findings",
        "/api/container/findings/1000002",
        "/api/container/findings/2000000",
        "/api/container/findings/5",
        "/api/container/findings/18446744073709551615",
        "/api/container/scans/none?history=true",
    ] {
        let answer = app.get(path).await;
        assert_eq!((answer.status, &answer.json["code"]), (404, &json!("not_found")), "{path}: {answer:?}");
    }
    for path in [
        "/api/container/findings/abc",
        "/api/container/findings/-1",
        "/api/container/findings/1000000x",
        "/api/container/findings/01000000",
        "/api/container/findings/18446744073709551616",
        "/api/container/findings/1/2",
        "/api/container/findings/1000000?x=1",
        "/api/container/scans?limit=0",
        "/api/container/scans?limit=x",
        "/api/container/scans/1/findings?severity=SEVERE",
        "/api/container/scans/1/findings?fixable=yes",
        "/api/container/scans/1/findings?serverity=HIGH",
        "/api/container/scans/1?limit=2",
        "/api/container/scans/%0A",
        "/api/container/scans?cursor=",
        "/api/container/scans/1/findings?cursor=!!",
    ] {
        assert_eq!(app.get(path).await.status, 400, "{path}");
    }
}

#[tokio::test]
async fn findings_come_most_severe_first_and_their_ids_lead_back_to_them() {
    let app = App::new().await;
    app.post(&with_findings("sorted", 30)).await;
    let findings = app.get("/api/container/scans/sorted/findings").await;
    let rank = |f: &Value| {
        let order = ["CRITICAL", "HIGH", "MEDIUM", "LOW", "UNKNOWN"];
        let severity = order.iter().position(|s| f["severity"] == **s).unwrap();
        (severity, f["vulnerability_id"].as_str().unwrap().to_owned(), f["pkg_name"].as_str().unwrap().to_owned())
    };
    assert!(findings.list().is_sorted_by_key(rank));
    for (n, finding) in findings.list().iter().enumerate() {
        let id = finding["finding_id"].as_u64().unwrap();
        assert_eq!(id, 1_000_000 + n as u64);
        assert_eq!(&app.get(&format!("/api/container/findings/{id}")).await.json, finding);
    }
}

#[tokio::test]
async fn filters_and_pages_give_every_wanted_finding_once() {
    let app = App::new().await;
    // More than one block, so that pages cross its border.
    app.post(&with_findings("filtered", 610)).await;
    let path = "/api/container/scans/filtered/findings";
    let all = app.get(path).await;
    assert_eq!((all.list().len(), all.header("x-total-count")), (610, Some("610")));
    let ids = |list: &[Value]| list.iter().map(|f| f["finding_id"].as_u64().unwrap()).collect::<Vec<_>>();
    for (query, total, keep) in [
        ("severity=HIGH", Some("122"), Box::new(|f: &Value| f["severity"] == "HIGH") as Box<dyn Fn(&Value) -> bool>),
        (
            "severity=LOW&severity=CRITICAL",
            Some("244"),
            Box::new(|f| f["severity"] == "LOW" || f["severity"] == "CRITICAL"),
        ),
        ("fixable=true", Some("305"), Box::new(|f| !f["fixed_version"].is_null())),
        (
            "fixable=false&severity=high",
            Some("61"),
            Box::new(|f| f["fixed_version"].is_null() && f["severity"] == "HIGH"),
        ),
        ("package=lib7", None, Box::new(|f| f["pkg_name"] == "lib7")),
        ("vulnerability_id=CVE-2026-10300", None, Box::new(|f| f["vulnerability_id"] == "CVE-2026-10300")),
        ("package=none", None, Box::new(|_| false)),
    ] {
        let expected: Vec<u64> = ids(&all.list().iter().filter(|f| keep(f)).cloned().collect::<Vec<_>>());
        let whole = app.get(&format!("{path}?{query}")).await;
        assert_eq!(ids(whole.list()), expected, "{query}");
        let total = total.map_or_else(|| expected.len().to_string(), str::to_owned);
        assert_eq!(whole.header("x-total-count"), Some(total.as_str()), "{query}");
        for limit in [1, 7, 100, 611] {
            if limit == 1 && expected.len() > 10 {
                continue;
            }
            let paged = app.get_all(path, &format!("{query}&limit={limit}")).await;
            assert_eq!(ids(&paged), expected, "{query} by {limit}");
        }
    }
    assert_eq!(ids(&app.get_all(path, "limit=249").await), ids(all.list()));
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_list_only_and_cannot_be_forged() {
    let app = App::new().await;
    app.post(&with_findings("a", 9)).await;
    app.post(&with_findings("b", 9)).await;
    let cursor = |answer: &support::app::Answer| {
        let next = answer.next().unwrap();
        next.split('&').find_map(|pair| pair.strip_prefix("cursor=")).unwrap().to_owned()
    };
    let of_a = cursor(&app.get("/api/container/scans/a/findings?limit=2").await);
    let of_a_high = cursor(&app.get("/api/container/scans/a/findings?severity=HIGH&limit=1").await);
    let of_scans = cursor(&app.get("/api/container/scans?limit=1").await);
    let of_history = cursor(&{
        app.post(&with_findings("a", 8)).await;
        app.get("/api/container/scans/a?history=true&limit=1").await
    });
    // `a` has a newer scan now: its cursor belongs to scan 1.
    assert_eq!(app.get(&format!("/api/container/scans/1/findings?limit=2&cursor={of_a}")).await.status, 200);
    assert_eq!(app.get(&format!("/api/container/scans?cursor={of_scans}")).await.status, 200);
    let mut flipped = of_a.clone().into_bytes();
    flipped[5] ^= 1;
    let flipped = String::from_utf8(flipped).unwrap();
    for path in [
        format!("/api/container/scans/2/findings?cursor={of_a}"),
        format!("/api/container/scans/1/findings?severity=LOW&cursor={of_a}"),
        format!("/api/container/scans/1/findings?cursor={of_a_high}"),
        format!("/api/container/scans/1/findings?cursor={of_scans}"),
        format!("/api/container/scans/1/findings?cursor={flipped}"),
        format!("/api/container/scans?cursor={of_a}"),
        format!("/api/container/scans?cursor={of_history}"),
        format!("/api/container/scans?cursor={}", "A".repeat(44)),
        format!("/api/container/scans/b?history=true&cursor={of_history}"),
        format!("/api/container/scans/1/findings?cursor={}", "A".repeat(44)),
    ] {
        let answer = app.get(&path).await;
        assert_eq!((answer.status, &answer.json["code"]), (400, &json!("invalid_cursor")), "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn ten_thousand_findings_are_served_whole_or_page_by_page() {
    let app = App::new().await;
    // A description of random hexadecimal digits: even gzip cannot fit all of them in one answer.
    let mut state = 7u64;
    let vulnerabilities = (0..10_000)
        .map(|n| {
            let mut vulnerability = vulnerability(n);
            let noise: String = (0..40)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    format!("{:08x}", state >> 32)
                })
                .collect();
            vulnerability["Description"] = noise.into();
            vulnerability
        })
        .collect();
    app.deliver(&report_of("large", vulnerabilities), 0).await.unwrap();
    let path = "/api/container/scans/large/findings";
    let packed = app.get_as(path, &[("accept-encoding", "gzip")]).await;
    assert_eq!((packed.status, packed.header("content-encoding")), (200, Some("gzip")));
    assert_eq!(packed.list().len(), 10_000);
    assert_eq!(packed.next(), None);
    let first = app.get(path).await;
    assert_eq!((first.status, first.header("x-total-count")), (200, Some("10000")));
    assert!((1000..10_000).contains(&first.list().len()), "{}", first.list().len());
    let everything = app.get_all(path, "").await;
    let ids: BTreeSet<u64> = everything.iter().map(|f| f["finding_id"].as_u64().unwrap()).collect();
    assert_eq!((everything.len(), ids.len()), (10_000, 10_000));
    let page = app.get(&format!("{path}?limit=1000&severity=LOW")).await;
    assert_eq!((page.list().len(), page.header("x-total-count")), (1000, Some("2000")));
}

#[tokio::test]
async fn findings_that_would_be_huge_in_memory_are_listed_as_any_others() {
    let app = App::new().await;
    // Seven bytes of text that would take hundreds in memory.
    let dense: Value = serde_json::from_str(&format!("[{}]", vec!["{\"\":0}"; 20_000].join(","))).unwrap();
    let vulnerabilities = (0..5)
        .map(|n| {
            let mut vulnerability = vulnerability(n);
            vulnerability["Dense"] = dense.clone();
            vulnerability
        })
        .collect();
    assert_eq!(app.post(&report_of("dense", vulnerabilities)).await.status, 201);
    let findings = app.get("/api/container/scans/dense/findings").await;
    assert_eq!(findings.list().len(), 5);
    assert_eq!(findings.json[0]["cve_data"]["Dense"], dense);
}

#[tokio::test]
async fn a_finding_and_its_analysis_say_which_version_to_upgrade_to() {
    let app = App::with_analysis().await;
    let mut report = report_of("app", Vec::new());
    report["Results"] = json!([{"Target": "Node.js", "Class": "lang-pkgs", "Type": "node-pkg", "Vulnerabilities": [
        {"VulnerabilityID": "CVE-2021-44906", "PkgName": "minimist", "InstalledVersion": "1.2.5",
         "FixedVersion": "1.2.6, 0.2.4", "Status": "fixed", "Severity": "CRITICAL"},
        {"VulnerabilityID": "CVE-2026-0002", "PkgName": "left-pad", "InstalledVersion": "1.0.0",
         "FixedVersion": "N/A", "Status": "will_not_fix", "Severity": "LOW"},
    ]}]);
    assert_eq!(app.post(&report).await.status, 201);
    let upgrade = "Upgrade minimist 1.2.5 to 1.2.6 (same major version) or 0.2.4";
    let listed = app.get("/api/container/scans/app/findings").await.json;
    assert_eq!(listed[0]["remediation"], upgrade);
    assert_eq!(listed[1]["remediation"], "No fixed version of left-pad 1.0.0 is known: the vendor will not fix it");
    assert_eq!(app.get("/api/container/findings/1000000").await.json["remediation"], upgrade);
    let asked = app.get("/api/llm/analyze/container/1000000?wait=0").await;
    assert_eq!((asked.status, &asked.json["remediation"]), (202, &json!(upgrade)));
}
