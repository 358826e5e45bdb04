//! Findings as documents of other tools' formats.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use sirius::exports::Format;
use sirius::exports::csv::COLUMNS;
use support::app::{App, gunzip, gzip};
use support::bucket;
use support::known::Told;
use support::report::{report_of, vulnerability, with_findings};
use support::stand_in::{Reply, StandIn};

const FINDINGS: &str = "/api/container/scans/1/findings";
const SARIF: &str = "application/sarif+json";
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";

/// The rows of a CSV, by the names of the columns.
fn rows(csv: &Value) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(csv.as_str().unwrap().as_bytes());
    let names: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let rows = reader.records().map(|record| -> BTreeMap<String, String> {
        let cells: Vec<String> = record.unwrap().iter().map(str::to_owned).collect();
        names.iter().cloned().zip(cells).collect()
    });
    rows.collect()
}

/// A report with one open and one suppressed finding.
fn suppressing() -> Value {
    let mut report = report_of("vex:1", vec![vulnerability(1)]);
    report["Results"][0]["ExperimentalModifiedFindings"] = json!([{
        "Type": "vulnerability", "Status": "not_affected", "Source": "vex.json",
        "Statement": "vulnerable_code_not_present", "Finding": vulnerability(2)
    }]);
    report
}

#[tokio::test]
async fn each_format_is_a_file_of_its_media_type_that_a_parser_reads() {
    let app = App::new().await;
    app.post(&with_findings("ghcr.io/org/app:1.0", 10)).await;
    for format in Format::ALL {
        let answer = app.get(&format!("{FINDINGS}?format={format}")).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(format.content_type())), "{answer:?}");
        let file = format!("attachment; filename=\"scan-1-findings.{}\"", format.extension());
        assert_eq!(answer.header("content-disposition"), Some(file.as_str()));
        assert_eq!(answer.header("vary"), Some("accept, accept-encoding"));
        let packed = [("accept-encoding", "gzip")];
        let packed = app.get_as(&format!("{FINDINGS}?format={format}"), &packed).await;
        assert_eq!((packed.status, packed.header("content-encoding")), (200, Some("gzip")), "{format}");
        let (text, json) = (answer.json.as_str().unwrap_or_default(), &answer.json);
        match format {
            Format::Csv => assert_eq!(rows(json).len(), 10),
            Format::Sarif => {
                let driver = &json["runs"][0]["tool"]["driver"];
                assert_eq!((&driver["name"], &json["version"]), (&json!("Sirius"), &json!("2.1.0")));
                assert_eq!(driver["semanticVersion"], env!("CARGO_PKG_VERSION"));
                assert_eq!(json["runs"][0]["results"].as_array().unwrap().len(), 10);
            }
            Format::Markdown => assert!(text.contains("CVE\\-2026\\-10003"), "{text}"),
            Format::Html => assert!(text.starts_with("<!DOCTYPE html>") && text.contains("CVE-2026-10003"), "{text}"),
            Format::CycloneDx => {
                assert_eq!((&json["bomFormat"], &json["specVersion"]), (&json!("CycloneDX"), &json!("1.6")));
                assert_eq!(json["vulnerabilities"].as_array().unwrap().len(), 10);
                assert_eq!(json["components"].as_array().unwrap().len(), 10);
            }
            Format::Asff => {
                let findings = json["Findings"].as_array().unwrap();
                let product = "arn:aws:securityhub:us-east-1:000000000000:product/000000000000/default";
                assert_eq!((findings.len(), &findings[0]["ProductArn"]), (10, &json!(product)));
                assert_eq!(findings[0]["AwsAccountId"], "000000000000");
            }
        }
    }
}

#[tokio::test]
async fn a_row_of_csv_has_the_values_of_the_json() {
    let app = App::with_analysis().await;
    app.post(&with_findings("ghcr.io/org/app:1.0", 20)).await;
    let store = app.store().await;
    Told::of("CVE-2026-10001").exploited("2026-01-02").predicted(0.5, 0.9).store(&store).await;
    app.get("/api/llm/analyze/container/1000001?wait=0").await;
    app.work(StandIn::always(Reply::good()).await.config()).await;

    let scan = app.get("/api/container/scans/1").await.json;
    for query in ["", "&sort=priority"] {
        let listed = app.get(&format!("{FINDINGS}?format=json{query}")).await;
        let exported = rows(&app.get(&format!("{FINDINGS}?format=csv{query}")).await.json);
        assert_eq!(exported.len(), 20);
        assert_eq!(exported.iter().filter(|row| row["kev"] == "true").count(), 1);
        let completed = listed.list().iter().filter(|finding| finding["llm_analysis_status"] == "completed");
        assert_eq!(completed.count(), 1);
        for (row, finding) in exported.iter().zip(listed.list()) {
            for column in &COLUMNS {
                assert_cell(column.name, &row[column.name], finding, &scan);
            }
        }
    }
}

/// Compares a cell of CSV with the finding and the scan that the API shows.
fn assert_cell(column: &str, cell: &str, finding: &Value, scan: &Value) {
    let shown = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    let joined = |list: &Value, between: &str| {
        list.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect::<Vec<_>>().join(between)
    };
    let time = |value: &Value| value.as_str().unwrap().parse::<Timestamp>().unwrap();
    let decimals = |value: &Value, places: usize| value.as_f64().map_or(String::new(), |it| format!("{it:.places$}"));
    let (enrichment, priority, rated) = (&finding["enrichment"], &finding["priority"], &finding["cvss"]["nvd"]);
    let expected = match column {
        "image_name" | "repository" | "platform" => shown(&scan[column]),
        "scan_timestamp" | "published_date" | "last_modified_date" => {
            let of = if column == "scan_timestamp" { &scan[column] } else { &finding[column] };
            return assert_eq!(cell.parse::<Timestamp>().unwrap(), time(of), "{column}");
        }
        "tracking_key" => return assert!(cell.len() == 32, "{column}: {cell}"),
        "aliases" | "suppressed" => String::new(),
        "band" | "due" => shown(&priority[column]),
        "score" => decimals(&priority["score"], 4),
        "why" => joined(&priority["why"], "; "),
        "kev" => shown(&enrichment["kev"]["listed"]),
        "kev_date_added" => shown(&enrichment["kev"]["date_added"]),
        "kev_ransomware" => shown(&enrichment["kev"]["ransomware"]),
        "epss" => decimals(&enrichment["epss"]["score"], 5),
        "epss_percentile" => decimals(&enrichment["epss"]["percentile"], 5),
        "epss_date" => shown(&enrichment["epss"]["date"]),
        "cvss_score" => decimals(&rated["V3Score"], 1),
        "cvss_vector" => shown(&rated["V3Vector"]),
        "cvss_source" => "nvd".to_owned(),
        "package" => format!("{}@{}", shown(&finding["pkg_name"]), shown(&finding["installed_version"])),
        "cwes" => joined(&finding["cve_data"]["CweIDs"], " "),
        // A summary that a person should look at first is left out.
        "analysis_summary" if finding["llm_analysis_needs_review"] != false => String::new(),
        "analysis_summary" => shown(&finding["llm_analysis_summary"]),
        _ => shown(&finding[column]),
    };
    assert_eq!(cell, expected, "{column} of {finding}");
}

#[tokio::test]
async fn filters_and_the_order_are_those_of_the_list() {
    let app = App::new().await;
    app.post(&with_findings("ghcr.io/org/app:1.0", 610)).await;
    for query in [
        "severity=HIGH",
        "severity=LOW,CRITICAL&fixable=true",
        "package=lib7",
        "vulnerability_id=cve-2026-10300",
        "package=none",
        "sort=priority",
    ] {
        let listed = app.get(&format!("{FINDINGS}?{query}")).await;
        let listed: Vec<String> = listed.list().iter().map(|it| it["finding_id"].to_string()).collect();
        let exported = rows(&app.get(&format!("{FINDINGS}?{query}&format=csv")).await.json);
        let exported: Vec<&str> = exported.iter().map(|row| row["finding_id"].as_str()).collect();
        assert_eq!(exported, listed, "{query}");
    }
    assert_eq!(app.get(&format!("{FINDINGS}?severity=SEVERE&format=csv")).await.status, 400);
    assert_eq!(app.get("/api/container/scans/9/findings?format=csv").await.status, 404);
}

#[tokio::test]
async fn accept_chooses_a_format_unless_the_query_does_and_a_browser_gets_json() {
    let app = App::new().await;
    app.post(&with_findings("app", 3)).await;
    for (accept, query, content_type) in [
        ("text/csv", "", Format::Csv.content_type()),
        (SARIF, "", SARIF),
        ("application/vnd.cyclonedx+json; version=1.6, */*;q=0.1", "", Format::CycloneDx.content_type()),
        ("*/*", "", "application/json"),
        ("application/json", "", "application/json"),
        ("image/png", "", "application/json"),
        (BROWSER, "", "application/json"),
        (BROWSER, "?format=html", Format::Html.content_type()),
        ("text/csv", "?format=json", "application/json"),
        ("text/csv", "?format=sarif", SARIF),
    ] {
        let answer = app.get_as(&format!("{FINDINGS}{query}"), &[("accept", accept)]).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(content_type)), "{accept} {query}");
    }
}

#[tokio::test]
async fn an_unknown_format_is_refused_with_the_names_and_so_are_pages_of_an_export() {
    let app = App::new().await;
    app.post(&with_findings("app", 3)).await;
    for format in ["xml", "CSV", "vex"] {
        let answer = app.get(&format!("{FINDINGS}?format={format}")).await;
        let detail = "format: is not one of json, csv, sarif, markdown, html, cyclonedx, asff";
        assert_eq!((answer.status, &answer.json["detail"]), (400, &json!(detail)), "{format}");
    }
    for (query, accept) in [("format=csv&limit=2", "*/*"), ("limit=2", "text/csv"), ("format=html&cursor=x", "*/*")] {
        let answer = app.get_as(&format!("{FINDINGS}?{query}"), &[("accept", accept)]).await;
        let detail = answer.json["detail"].as_str().unwrap().to_owned();
        assert!(answer.status == 400 && detail.ends_with("an export has no pages"), "{query}: {answer:?}");
    }
    assert_eq!(app.get(&format!("{FINDINGS}?format=json&limit=2")).await.list().len(), 2);
}

#[tokio::test]
async fn suppressed_findings_are_left_out_unless_asked_for_and_then_marked() {
    let app = App::new().await;
    app.post(&suppressing()).await;
    let results = async |query: &str| {
        let sarif = app.get(&format!("{FINDINGS}?format=sarif{query}")).await.json;
        sarif["runs"][0]["results"].as_array().unwrap().clone()
    };
    let ids =
        |results: &[Value]| results.iter().map(|it| it["ruleId"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(ids(&results("").await), ["CVE-2026-10001"]);
    let all = results("&suppressed=include").await;
    assert_eq!(ids(&all), ["CVE-2026-10001", "CVE-2026-10002"]);
    assert_eq!(all[1]["suppressions"][0]["kind"], "external");
    assert_eq!(ids(&results("&suppressed=only").await), ["CVE-2026-10002"]);
    let only = app.get(&format!("{FINDINGS}?format=csv&suppressed=only")).await;
    assert_eq!(rows(&only.json)[0]["suppressed"], "not_affected; vex.json; vulnerable_code_not_present");
}

#[tokio::test]
async fn an_export_that_a_client_already_has_is_not_sent_again() {
    let app = App::new().await;
    app.post(&with_findings("app", 3)).await;
    let path = format!("{FINDINGS}?format=csv");
    let first = app.get(&path).await;
    let again = app.get_as(&path, &[("if-none-match", first.header("etag").unwrap())]).await;
    assert_eq!((again.status, again.header("content-disposition")), (304, None));
}

#[tokio::test]
async fn a_tracking_key_is_that_of_the_cve_once_an_alias_is_known() {
    let report = |image: &str, id: &str| {
        let mut one = vulnerability(1);
        one["VulnerabilityID"] = id.into();
        report_of(image, vec![one])
    };
    let app = App::new().await;
    app.post(&report("app:1", "GHSA-2222-3333-4444")).await;
    app.post(&report("app:2", "CVE-2026-10001")).await;
    let keys = async || {
        let mut keys = Vec::new();
        for scan in [1, 2] {
            let csv = app.get(&format!("/api/container/scans/{scan}/findings?format=csv")).await.json;
            keys.push(rows(&csv)[0]["tracking_key"].clone());
        }
        keys
    };
    let before = keys().await;
    assert_ne!(before[0], before[1]);
    let store = app.store().await;
    Told::of("GHSA-2222-3333-4444").published(support::known::RCE, &["CVE-2026-10001"]).store(&store).await;
    assert_eq!(keys().await, [before[1].clone(), before[1].clone()]);
}

#[tokio::test]
async fn hostile_text_of_a_report_stays_text_in_every_format() {
    const HOSTILE: &str = "</script></table><script>alert(1)</script>";
    let mut hostile = vulnerability(1);
    hostile["Title"] = HOSTILE.into();
    hostile["PkgName"] = "=HYPERLINK(\"http://evil.example\")".into();
    let app = App::new().await;
    app.post(&report_of("app", vec![hostile])).await;
    for format in [Format::Html, Format::Markdown] {
        let answer = app.get(&format!("{FINDINGS}?format={format}")).await;
        let text = answer.json.as_str().unwrap();
        assert!(!text.contains("<script") && text.contains("alert"), "{text}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
    let row = &rows(&app.get(&format!("{FINDINGS}?format=csv")).await.json)[0];
    assert_eq!((row["title"].as_str(), row["pkg_name"].starts_with("'=")), (HOSTILE, true));
}

#[tokio::test]
async fn a_name_with_slashes_has_exports_too() {
    let app = App::with_archive().await;
    app.post(&with_findings("ghcr.io/org/app:1.0", 3)).await;
    let path = "/api/container/scans/ghcr.io/org/app:1.0/findings";
    let answer = app.get(&format!("{path}?format=csv&severity=CRITICAL")).await;
    assert_eq!((answer.status, rows(&answer.json).len()), (200, 1));
    assert_eq!(answer.header("content-disposition"), Some("attachment; filename=\"scan-1-findings.csv\""));
    let sarif = app.get_as(path, &[("accept", SARIF)]).await;
    assert_eq!((sarif.status, sarif.header("content-type")), (200, Some(SARIF)));
}

/// A report whose CSV has about seven million bytes.
fn large() -> Vec<u8> {
    let long = |number| {
        let mut vulnerability = vulnerability(number);
        vulnerability["Title"] = "x".repeat(20_000).into();
        vulnerability
    };
    gzip(report_of("ghcr.io/org/large:1", (0..350).map(long).collect()).to_string().as_bytes())
}

#[tokio::test]
async fn an_export_that_is_too_large_for_an_answer_is_fetched_from_the_bucket() {
    let app = App::with_archive().await;
    let posted = app.post_as(&large(), "", &[("content-type", "application/gzip")]).await;
    assert_eq!(posted.status, 201, "{posted:?}");
    for path in [FINDINGS, "/api/container/scans/ghcr.io/org/large:1/findings"] {
        let path = format!("{path}?format=csv");
        let answer = app.get_as(&path, &[("accept-encoding", "identity")]).await;
        assert_eq!((answer.status, answer.header("content-disposition")), (307, None), "{answer:?}");
        let location = answer.header("location").unwrap();
        assert_eq!(answer.json, json!({"location": location}));
        let fetched = support::http_client().get(location).send().await.unwrap();
        assert_eq!(fetched.status(), 200);
        assert_eq!(fetched.headers()["content-type"], Format::Csv.content_type());
        assert_eq!(fetched.headers()["content-disposition"], "attachment; filename=\"scan-1-findings.csv\"");
        let csv = String::from_utf8(gunzip(&fetched.bytes().await.unwrap())).unwrap();
        let packed = app.get_as(&path, &[("accept-encoding", "gzip")]).await;
        assert_eq!((packed.status, packed.json.as_str()), (200, Some(csv.as_str())), "gzip fits in an answer");
        assert_eq!(rows(&packed.json).len(), 350);
    }
    let keys = bucket::keys(&app.bucket).await;
    let exports: Vec<&String> = keys.iter().filter(|key| key.starts_with("exports/")).collect();
    assert!(exports.len() == 2 && exports.iter().all(|key| key.ends_with(".csv.gz")), "{keys:?}");
}

#[tokio::test]
async fn without_a_bucket_a_large_export_is_refused_with_the_remedy() {
    let app = App::new().await;
    let posted = app.post_as(&large(), "", &[("content-type", "application/gzip")]).await;
    assert_eq!(posted.status, 201, "{posted:?}");
    let answer = app.get_as(&format!("{FINDINGS}?format=csv"), &[("accept-encoding", "identity")]).await;
    assert_eq!((answer.status, &answer.json["code"]), (501, &json!("bucket_not_configured")), "{answer:?}");
    assert!(answer.json["detail"].as_str().unwrap().contains("BUCKET_NAME"), "{answer:?}");
    let fewer = app.get(&format!("{FINDINGS}?format=csv&severity=CRITICAL")).await;
    assert_eq!((fewer.status, rows(&fewer.json).len()), (200, 70));
}
