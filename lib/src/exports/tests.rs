//! Documents of every format over the same rows: what they say, that hostile text stays text, and what they need.

use std::io;

use jiff::Timestamp;
use jiff::civil::date;
use proptest::prelude::*;
use pulldown_cmark::{Event, Options as Extensions, Parser, Tag};
use serde_json::{Value, json};

use super::*;
use crate::domain::asset::Asset;
use crate::domain::finding::{Finding, FindingId, Ordinal, Suppression};
use crate::domain::scan::ScanId;
use crate::domain::severity::Severity;
use crate::domain::tracking_key::TrackingKey;
use crate::domain::vulnerability::{CvssVersion, Epss};
use crate::priority::{Band, Priority};

fn image() -> Image {
    let name = "localhost:5000/team/shop:1.4.2";
    let asset = Asset { name: name.parse().unwrap(), platform: "linux/amd64".parse().ok(), alone: None };
    Image {
        scan_id: ScanId::new(7).unwrap(),
        name: name.to_owned(),
        repository: "localhost:5000/team/shop".to_owned(),
        tag: Some("1.4.2".to_owned()),
        digest: Some(format!("sha256:{}", "ab".repeat(32))),
        platform: Some("linux/amd64".to_owned()),
        scanned_at: now(),
        lineage: asset.key().lineage(),
    }
}

fn now() -> Timestamp {
    "2026-11-20T09:14:03.518999611Z".parse().unwrap()
}

/// A row of everything.
fn full(image: &Image) -> Row<'_> {
    Row {
        image,
        finding_id: FindingId::new(image.scan_id, Ordinal::new(0).unwrap()),
        tracking_key: TrackingKey::from([1; 16]),
        vulnerability_id: Some("CVE-2021-44228".to_owned()),
        aliases: vec!["GHSA-jfh8-c2jp-5v3q".to_owned()],
        package: "org.apache.logging.log4j:log4j-core".to_owned(),
        purl: Some("pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1".to_owned()),
        path: Some("app/my shop.jar/log4j-core-2.14.1.jar".to_owned()),
        target: "Java".to_owned(),
        class: Some("lang-pkgs".to_owned()),
        kind: Some("jar".to_owned()),
        installed: Some("2.14.1".to_owned()),
        fixed: Some("2.15.0, 2.12.2".to_owned()),
        remediation: "Upgrade log4j-core 2.14.1 to 2.15.0".to_owned(),
        severity: Severity::Critical,
        status: Some("fixed".to_owned()),
        title: Some("Remote code execution in Log4j 2.x".to_owned()),
        description: Some("JNDI features do not protect.\nSecond line, with \"quotes\".".to_owned()),
        primary_url: Some("https://avd.aquasec.com/nvd/cve-2021-44228".to_owned()),
        references: vec!["https://a.example/b c".to_owned(), "not a link".to_owned()],
        cwes: vec!["CWE-20".to_owned(), "CWE-502".to_owned()],
        scores: vec![
            Score {
                source: "nvd".to_owned(),
                version: CvssVersion::V2,
                vector: "AV:N/AC:M/Au:N/C:C/I:C/A:C".to_owned(),
                score: 9.3,
            },
            Score {
                source: "ghsa".to_owned(),
                version: CvssVersion::V31,
                vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H".to_owned(),
                score: 10.0,
            },
        ],
        published: "2021-12-10T10:15:00Z".parse().ok(),
        modified: "2026-02-20T00:00:00Z".parse().ok(),
        epss: Some(Epss { score: 0.943_58, percentile: Some(0.999_6), date: date(2026, 11, 19), model_version: None }),
        kev: Some(Listing { listed: true, date_added: Some(date(2021, 12, 10)), ransomware: Some(true) }),
        priority: Priority {
            band: Band::P0,
            score: 100.0,
            due: Some(date(2026, 11, 23)),
            why: vec!["in KEV".to_owned(), "exposed".to_owned()],
        },
        suppressed: None,
        summary: Some("An attacker runs code.".to_owned()),
    }
}

/// A row of as little as a report can say.
fn bare(image: &Image) -> Row<'_> {
    Row {
        finding_id: FindingId::new(image.scan_id, Ordinal::new(1).unwrap()),
        tracking_key: TrackingKey::from([2; 16]),
        vulnerability_id: None,
        aliases: Vec::new(),
        package: String::new(),
        purl: None,
        path: None,
        target: String::new(),
        class: None,
        kind: None,
        installed: None,
        fixed: None,
        remediation: String::new(),
        severity: Severity::Unknown,
        status: None,
        title: None,
        description: None,
        primary_url: None,
        references: Vec::new(),
        cwes: Vec::new(),
        scores: Vec::new(),
        published: None,
        modified: None,
        epss: None,
        kev: None,
        priority: Priority { band: Band::P4, score: 0.5, due: None, why: Vec::new() },
        suppressed: None,
        summary: None,
        ..full(image)
    }
}

fn of_distribution(image: &Image) -> Row<'_> {
    Row {
        finding_id: FindingId::new(image.scan_id, Ordinal::new(2).unwrap()),
        tracking_key: TrackingKey::from([3; 16]),
        package: "libstdc++6".to_owned(),
        purl: Some("pkg:deb/debian/libstdc++6@1:12.2.0-14?arch=amd64&distro=debian-12.5".to_owned()),
        path: None,
        target: "shop:1.4.2 (debian 12.5)".to_owned(),
        class: Some("os-pkgs".to_owned()),
        kind: Some("debian".to_owned()),
        installed: Some("12.2.0-14".to_owned()),
        ..full(image)
    }
}

fn suppressed(image: &Image) -> Row<'_> {
    let suppression = Suppression {
        status: Some("not_affected".to_owned()),
        source: Some("vex.json".to_owned()),
        statement: Some("code is not reachable".to_owned()),
    };
    let priority =
        Priority { band: Band::Suppressed, score: 0.0, due: None, why: vec!["suppressed in Trivy".to_owned()] };
    let finding_id = FindingId::new(image.scan_id, Ordinal::new(3).unwrap());
    Row { finding_id, tracking_key: TrackingKey::from([4; 16]), suppressed: Some(suppression), priority, ..full(image) }
}

fn destination() -> asff::Destination {
    asff::Destination::new("123456789012", "eu-west-1", asff::Destination::OWN_PRODUCT).unwrap()
}

/// The document of a format, with what is left out by default.
fn document(format: Format, image: &Image, rows: &[Row<'_>]) -> String {
    written(format, image, rows, true)
}

fn written(format: Format, image: &Image, rows: &[Row<'_>], suppressed: bool) -> String {
    let mut out = Vec::new();
    match format {
        Format::Csv => {
            let mut writer = csv::Writer::new(&mut out, csv::Options::default()).unwrap();
            rows.iter().for_each(|row| writer.row(row).unwrap());
            writer.finish().unwrap();
        }
        Format::Sarif => {
            let options = sarif::Options { suppressed, ..sarif::Options::default() };
            let mut writer = sarif::Writer::new(&mut out, image, options).unwrap();
            rows.iter().for_each(|row| writer.row(row).unwrap());
            writer.finish().unwrap();
        }
        Format::Markdown => {
            let mut writer = markdown::Writer::new(&mut out, image).unwrap();
            rows.iter().for_each(|row| writer.row(row).unwrap());
            writer.finish().unwrap();
        }
        Format::Html => {
            let mut writer = html::Writer::new(&mut out, image).unwrap();
            rows.iter().for_each(|row| writer.row(row).unwrap());
            writer.finish().unwrap();
        }
        Format::CycloneDx => {
            let mut components =
                cyclonedx::Components::new(&mut out, image, cyclonedx::Options { suppressed }, now()).unwrap();
            rows.iter().for_each(|row| components.row(row).unwrap());
            let mut vulnerabilities = components.vulnerabilities().unwrap();
            rows.iter().for_each(|row| vulnerabilities.row(row).unwrap());
            vulnerabilities.finish().unwrap();
        }
        Format::Asff => {
            let mut writer = asff::Writer::new(&mut out, destination(), asff::Options { suppressed });
            rows.iter().for_each(|row| writer.row(row).unwrap());
            writer.finish().unwrap();
        }
    }
    String::from_utf8(out).unwrap()
}

fn json_of(format: Format, image: &Image, rows: &[Row<'_>], suppressed: bool) -> Value {
    serde_json::from_str(&written(format, image, rows, suppressed)).unwrap()
}

/// The cells of a CSV, as any reader finds them, without the header.
fn cells(csv: &str) -> Vec<Vec<String>> {
    let mut reader = ::csv::ReaderBuilder::new().from_reader(csv.as_bytes());
    let names = reader.headers().unwrap().iter().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(names, csv::COLUMNS.map(|column| column.name));
    reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
}

fn cell<'c>(cells: &'c [String], name: &str) -> &'c str {
    &cells[csv::COLUMNS.iter().position(|column| column.name == name).unwrap()]
}

#[test]
fn a_row_is_made_of_a_finding_and_what_was_joined_to_it() {
    let vulnerability = json!({
        "InstalledVersion": "1", "FixedVersion": " ", "PkgPath": "a/b", "Severity": "HIGH", "Status": "affected",
        "PkgIdentifier": {"PURL": "pkg:npm/a@1"}, "PublishedDate": "2026-01-01T00:00:00Z", "LastModifiedDate": "soon",
        "CVSS": {"nvd": {"V3Score": 7.5, "V3Vector": "CVSS:3.0/x", "V2Score": 99, "V2Vector": "y"}, "z": 5},
        "CweIDs": ["CWE-1", 2, ""], "References": "none", "Title": 5
    });
    let finding = Finding {
        scan_id: ScanId::new(7).unwrap(),
        ordinal: Ordinal::new(5).unwrap(),
        vulnerability_id: Some("CVE-2026-1000".to_owned()),
        pkg_name: Some("a".to_owned()),
        target: "Node.js".to_owned(),
        class: Some("lang-pkgs".to_owned()),
        kind: Some("node-pkg".to_owned()),
        suppressed: None,
        vulnerability: serde_json::from_value(vulnerability).unwrap(),
    };
    let image = image();
    let priority = full(&image).priority;
    let found = Found {
        finding: &finding,
        tracking_key: TrackingKey::from([9; 16]),
        priority: &priority,
        vulnerability: None,
        catalogue: None,
        summary: None,
    };
    let row = Row::of(&image, &found);
    assert_eq!((row.installed.as_deref(), row.fixed, row.title), (Some("1"), None, None));
    assert_eq!(row.purl.as_deref(), Some("pkg:npm/a@1"));
    assert_eq!(row.cwes, ["CWE-1"]);
    assert!(row.references.is_empty() && row.published.is_some() && row.modified.is_none());
    let [score] = row.scores.as_slice() else { panic!("{:?}", row.scores) };
    assert_eq!((score.version, score.score), (CvssVersion::V30, 7.5));
    assert_eq!(row.remediation, "No fixed version of a 1 is known yet: the vendor says that it is affected");
}

#[test]
fn the_highest_rating_is_of_a_newer_cvss_if_there_is_one() {
    let image = image();
    assert_eq!(full(&image).highest().unwrap().score, 10.0);
    let of = |version, score| Score { source: "a".to_owned(), version, vector: format!("{score}"), score };
    let row = Row {
        scores: vec![of(CvssVersion::V2, 10.0), of(CvssVersion::V4, 5.0), of(CvssVersion::V30, 5.0)],
        ..bare(&image)
    };
    assert_eq!(row.highest().unwrap().version, CvssVersion::V4);
}

#[test]
fn csv_is_as_it_is_documented() {
    let image = image();
    let csv = document(Format::Csv, &image, &[full(&image), bare(&image)]);
    assert!(csv.starts_with("scan_id,") && csv.split("\r\n").count() == 4);
    let cells = cells(&csv);
    for (name, value) in [
        ("scan_timestamp", "2026-11-20T09:14:03.518Z"),
        ("package", "org.apache.logging.log4j:log4j-core@2.14.1"),
        ("installed_version", "2.14.1"),
        ("score", "100.0000"),
        ("epss", "0.94358"),
        ("cvss_score", "10.0"),
        ("kev", "true"),
        ("due", "2026-11-23"),
        ("cwes", "CWE-20 CWE-502"),
        ("why", "in KEV; exposed"),
        ("tracking_key", "01010101010101010101010101010101"),
    ] {
        assert_eq!(cell(&cells[0], name), value, "{name}");
    }
    for name in ["vulnerability_id", "kev", "epss", "due", "suppressed", "title"] {
        assert_eq!(cell(&cells[1], name), "", "{name}");
    }
    assert!(csv::COLUMNS.iter().all(|column| !column.about.is_empty()));
}

#[test]
fn a_spreadsheet_runs_no_cell() {
    let image = image();
    for (text, written) in [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("  =1", "'  =1"),
        ("\t1", "'\t1"),
        ("＝1", "'＝1"),
        ("'=1", "''=1"),
        ("1.10", "1.10"),
        ("a=1", "a=1"),
    ] {
        let row = Row { title: Some(text.to_owned()), ..full(&image) };
        let csv = document(Format::Csv, &image, std::slice::from_ref(&row));
        assert_eq!(cell(&cells(&csv)[0], "title"), written);
        let mut raw = Vec::new();
        let mut writer = csv::Writer::new(&mut raw, csv::Options { raw: true, bom: true }).unwrap();
        writer.row(&row).unwrap();
        writer.finish().unwrap();
        let raw = String::from_utf8(raw).unwrap();
        assert_eq!(cell(&cells(raw.strip_prefix('\u{feff}').unwrap())[0], "title"), text);
    }
}

#[test]
fn sarif_has_a_rule_for_each_vulnerability_and_a_result_for_each_finding() {
    let image = image();
    let lower = Row { severity: Severity::Low, scores: Vec::new(), ..of_distribution(&image) };
    let again = Row { installed: Some("2.13.0".to_owned()), ..full(&image) };
    let sarif = json_of(Format::Sarif, &image, &[lower, full(&image), again, bare(&image), suppressed(&image)], false);
    let run = &sarif["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let results = run["results"].as_array().unwrap();
    assert_eq!((rules.len(), results.len()), (2, 4));
    for result in results {
        let rule = &rules[usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap()];
        assert_eq!(rule["id"], result["ruleId"]);
    }
    assert_eq!(rules[0]["properties"]["security-severity"], "10.0");
    assert_eq!(rules[0]["defaultConfiguration"]["level"], "error");
    assert_eq!(rules[1]["properties"].get("security-severity"), None);
    assert_eq!(rules[1].get("helpUri"), None);
    let uri = |at: usize| results[at]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].as_str().unwrap();
    assert_eq!(uri(0), "localhost%3A5000/team/shop");
    assert_eq!(uri(1), "localhost%3A5000/team/shop/app/my%20shop.jar/log4j-core-2.14.1.jar");
    let hash = |at: usize| results[at]["partialFingerprints"]["primaryLocationLineHash"].as_str().unwrap();
    assert_eq!((hash(1), hash(2)), ("01010101010101010101010101010101:1", "01010101010101010101010101010101:2"));
    let message = results[1]["message"]["text"].as_str().unwrap();
    assert_eq!(
        message.lines().next(),
        Some("org.apache.logging.log4j:log4j-core 2.14.1 is affected by CVE-2021-44228")
    );
    assert_eq!(run["automationDetails"]["id"], "sirius/localhost%3A5000/team/shop/7");
    assert_eq!(run["properties"]["suppressedLeftOut"], 1);
}

#[test]
fn sarif_is_cut_at_its_limit_and_says_so() {
    let image = image();
    let mut out = Vec::new();
    let mut writer = sarif::Writer::new(&mut out, &image, sarif::Options { limit: 1, suppressed: true }).unwrap();
    for row in [full(&image), bare(&image), suppressed(&image)] {
        writer.row(&row).unwrap();
    }
    writer.finish().unwrap();
    let sarif: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(sarif["runs"][0]["results"].as_array().unwrap().len(), 1);
    assert_eq!(sarif["runs"][0]["properties"]["resultsCutAtLimit"], 2);
    let empty = json_of(Format::Sarif, &image, &[], true);
    assert_eq!(empty["runs"][0]["results"], json!([]));
}

#[test]
fn a_suppressed_finding_is_left_out_unless_it_is_asked_for() {
    let image = image();
    let rows = [suppressed(&image)];
    let sarif = json_of(Format::Sarif, &image, &rows, true);
    assert_eq!(
        sarif["runs"][0]["results"][0]["suppressions"][0]["justification"],
        "not_affected; vex.json; code is not reachable"
    );
    assert_eq!(json_of(Format::CycloneDx, &image, &rows, false)["vulnerabilities"], json!([]));
    let shown = json_of(Format::CycloneDx, &image, &rows, true);
    assert_eq!(shown["vulnerabilities"][0]["analysis"]["state"], "not_affected");
    assert_eq!(written(Format::Asff, &image, &rows, false), "");
    assert_eq!(json_of(Format::Asff, &image, &rows, true)["Findings"][0]["Workflow"]["Status"], "SUPPRESSED");
}

#[test]
fn cyclonedx_has_each_vulnerability_once_with_all_its_packages() {
    let image = image();
    let rows = [full(&image), of_distribution(&image), bare(&image), full(&image)];
    let bom = json_of(Format::CycloneDx, &image, &rows, false);
    let (components, vulnerabilities) =
        (bom["components"].as_array().unwrap(), bom["vulnerabilities"].as_array().unwrap());
    assert_eq!((components.len(), vulnerabilities.len()), (3, 2));
    assert_eq!(vulnerabilities[0]["affects"].as_array().unwrap().len(), 2);
    assert_eq!(components[1]["purl"], "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14?arch=amd64&distro=debian-12.5");
    let references: Vec<&Value> = components.iter().map(|component| &component["bom-ref"]).collect();
    for affected in vulnerabilities.iter().flat_map(|it| it["affects"].as_array().unwrap()) {
        assert!(references.contains(&&affected["ref"]));
    }
    assert_eq!(vulnerabilities[0]["cwes"], json!([20, 502]));
    assert_eq!(vulnerabilities[0]["references"][0]["source"]["name"], "GitHub Advisories");
    assert_eq!(
        bom["metadata"]["component"]["purl"].as_str().unwrap().split('?').next(),
        Some(&*format!("pkg:oci/shop@sha256%3A{}", "ab".repeat(32)).replace("%3A", ":"))
    );
    assert_eq!(bom["metadata"]["timestamp"], "2026-11-20T09:14:03.518Z");
}

#[test]
fn rows_of_the_second_pass_must_be_those_of_the_first() {
    let image = image();
    let components = cyclonedx::Components::new(io::sink(), &image, cyclonedx::Options::default(), now()).unwrap();
    let mut vulnerabilities = components.vulnerabilities().unwrap();
    assert!(matches!(vulnerabilities.row(&full(&image)), Err(Error::Changed)));
}

#[test]
fn asff_is_requests_of_a_hundred_findings() {
    let image = image();
    let rows: Vec<Row<'_>> = (0..201).map(|_| full(&image)).collect();
    let requests = document(Format::Asff, &image, &rows);
    let findings: Vec<Vec<Value>> = requests
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["Findings"].as_array().unwrap().clone())
        .collect();
    assert_eq!(findings.iter().map(Vec::len).collect::<Vec<_>>(), [100, 100, 1]);
    let ids: std::collections::BTreeSet<String> = findings.iter().flatten().map(|it| it["Id"].to_string()).collect();
    assert_eq!(ids.len(), 201);
    let first = &findings[0][0];
    assert_eq!(first["ProductArn"], "arn:aws:securityhub:eu-west-1:123456789012:product/123456789012/default");
    assert_eq!(first["Resources"][0]["Type"], "Container");
    assert_eq!(first["Vulnerabilities"][0]["ExploitAvailable"], "YES");
    let in_ecr =
        Image { repository: "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/shop".to_owned(), ..image.clone() };
    let request = json_of(Format::Asff, &in_ecr, &[full(&in_ecr)], true);
    let resource = &request["Findings"][0]["Resources"][0];
    assert_eq!(resource["Type"], "AwsEcrContainerImage");
    assert!(
        resource["Id"]
            .as_str()
            .unwrap()
            .starts_with("arn:aws:ecr:eu-west-1:123456789012:repository/team/shop/sha256:ab")
    );
}

#[test]
fn a_destination_is_checked() {
    use asff::{Destination, DestinationError};
    for (account, region, product, error) in [
        ("12345678901", "eu-west-1", "default", DestinationError::Account),
        ("12345678901x", "eu-west-1", "default", DestinationError::Account),
        ("123456789012", "eu west", "default", DestinationError::Region),
        ("123456789012", "", "default", DestinationError::Region),
        ("123456789012", "eu-west-1", "a/b", DestinationError::Product),
    ] {
        assert_eq!(Destination::new(account, region, product), Err(error));
    }
}

#[test]
fn a_finding_of_the_longest_texts_fits_security_hub() {
    let image = image();
    let long = "\u{1}\"é\\".repeat(60_000);
    let list = vec![format!("https://a.example/{}", "x".repeat(2_000)); 100];
    let row = Row {
        vulnerability_id: Some(long.clone()),
        package: long.clone(),
        title: Some(long.clone()),
        description: Some(long.clone()),
        remediation: long.clone(),
        purl: Some(long.clone()),
        path: Some(long.clone()),
        summary: Some(long),
        references: list,
        ..full(&image)
    };
    let request = document(Format::Asff, &image, &[row]);
    assert!(request.len() < asff::MAX_FINDING, "{}", request.len());
    let request: Value = serde_json::from_str(&request).unwrap();
    let finding = &request["Findings"][0];
    let characters = |text: &Value| text.as_str().unwrap().chars().count();
    assert!(characters(&finding["Title"]) <= 256 && characters(&finding["Description"]) <= 1024);
    assert!(characters(&finding["Id"]) <= 512 && characters(&finding["Remediation"]["Recommendation"]["Text"]) <= 512);
}

#[test]
fn markdown_and_html_show_a_finding() {
    let image = image();
    let markdown = document(Format::Markdown, &image, &[full(&image), suppressed(&image)]);
    assert_eq!(
        markdown.lines().nth(8).unwrap(),
        "| P0 | 2026-11-23 | CRITICAL | [CVE\\-2021\\-44228](<https://avd.aquasec.com/nvd/cve-2021-44228>) \
         | org\\.apache\\.logging\\.log4j\\:log4j\\-core in app\\/my shop\\.jar\\/log4j\\-core\\-2\\.14\\.1\\.jar | 2\\.14\\.1 \
         | Upgrade log4j\\-core 2\\.14\\.1 to 2\\.15\\.0 | Remote code execution in Log4j 2\\.x | in KEV; exposed |"
    );
    let totals = "Open findings: 1, critical 1, high 0, medium 0, low 0, unknown 0. With a fixed version: 1. In CISA's KEV: 1. Suppressed: 1.";
    assert!(markdown.ends_with(&format!("\n{totals}\n")));
    let html = document(Format::Html, &image, &[full(&image), suppressed(&image)]);
    assert!(html.contains(totals) && html.contains("<p>Analysis by a model: An attacker runs code.</p>"));
    assert!(html.contains("Suppressed in Trivy: not_affected; vex.json; code is not reachable"));
}

/// What hostile reports write, and any text.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "<script>alert(1)</script>",
        "<!--",
        "-->",
        "]]>",
        "</td></tr></table>",
        "\" onload=\"x",
        "' x='",
        "&lt;",
        "&#60;b&#62;",
        "|",
        "\\|",
        "\\",
        "\n\n# head\n",
        "\r\n",
        "![x](https://evil.example/i.png)",
        "[x](javascript:alert(1))",
        "<https://evil.example>",
        "https://evil.example",
        "www.evil.example",
        "a@evil.example",
        "`code`",
        "```",
        "~~~",
        "***",
        "__",
        "\u{202e}",
        "\0",
        "\u{7f}",
        "=1",
        "+1",
        "@x",
        "-1",
        "'",
        ",",
        "\"",
        ";",
        "{{7*7}}",
        "${x}",
        "$$x$$",
        "[^1]",
        ":smile:",
        "# ",
        "> ",
        "- ",
        "1. ",
        "\t",
        "é",
    ]);
    let piece = prop_oneof![3 => pieces.prop_map(str::to_owned), 1 => "\\PC{0,6}", 1 => any::<String>()];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

fn hostile_row<'i>(image: &'i Image, [a, b, c, d]: &[String; 4]) -> Row<'i> {
    Row {
        vulnerability_id: Some(a.clone()),
        aliases: vec![b.clone()],
        package: b.clone(),
        purl: Some(c.clone()),
        path: Some(d.clone()),
        target: a.clone(),
        class: Some(c.clone()),
        kind: Some(d.clone()),
        installed: Some(c.clone()),
        fixed: Some(d.clone()),
        remediation: a.clone(),
        status: Some(b.clone()),
        title: Some(d.clone()),
        description: Some(a.clone()),
        primary_url: Some(format!("https://a.example/{c}")),
        references: vec![d.clone(), format!("https://{a}")],
        cwes: vec![b.clone(), "CWE-79".to_owned()],
        summary: Some(c.clone()),
        suppressed: Some(Suppression { status: Some(a.clone()), source: Some(b.clone()), statement: Some(c.clone()) }),
        priority: Priority { why: vec![d.clone(), a.clone()], ..full(image).priority },
        ..full(image)
    }
}

fn hostile_image(text: &str) -> Image {
    let name = if text.is_empty() { "x".to_owned() } else { text.to_owned() };
    Image { repository: name.clone(), name: name.clone(), platform: Some(name.clone()), digest: Some(name), ..image() }
}

proptest! {
    #[test]
    fn csv_read_back_is_the_rows(texts in [hostile(), hostile(), hostile(), hostile()]) {
        let image = hostile_image(&texts[0]);
        let csv = document(Format::Csv, &image, &[hostile_row(&image, &texts), bare(&image)]);
        let cells = cells(&csv);
        prop_assert_eq!(cells.len(), 2);
        for (name, text) in [("vulnerability_id", &texts[0]), ("pkg_name", &texts[1]), ("purl", &texts[2]), ("title", &texts[3])] {
            let cell = cell(&cells[0], name);
            prop_assert_eq!(cell.strip_prefix('\'').unwrap_or(cell), text.replace('\0', "\u{fffd}"));
            prop_assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']));
        }
    }

    #[test]
    fn json_documents_of_hostile_text_parse(texts in [hostile(), hostile(), hostile(), hostile()]) {
        let image = hostile_image(&texts[1]);
        let row = hostile_row(&image, &texts);
        let sarif = json_of(Format::Sarif, &image, std::slice::from_ref(&row), true);
        let id = if texts[0].is_empty() { "" } else { &texts[0] };
        prop_assert_eq!(&sarif["runs"][0]["results"][0]["ruleId"], id);
        let uri = sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].as_str().unwrap();
        let base = url::Url::parse("https://base.example/").unwrap();
        let joined = base.join(uri).unwrap();
        prop_assert_eq!(joined.host_str(), Some("base.example"));
        let bom = json_of(Format::CycloneDx, &image, std::slice::from_ref(&row), true);
        prop_assert_eq!(bom["vulnerabilities"].as_array().unwrap().len(), 1);
        json_of(Format::Asff, &image, &[row], true);
    }

    #[test]
    fn hostile_text_stays_text_in_markdown(texts in [hostile(), hostile(), hostile(), hostile()]) {
        let image = hostile_image(&texts[2]);
        let markdown = document(Format::Markdown, &image, &[hostile_row(&image, &texts), full(&image)]);
        let (mut rows, mut cells, mut links, mut headings) = (0, 0, 0, 0);
        for event in Parser::new_ext(&markdown, Extensions::all()) {
            match event {
                Event::Start(Tag::TableRow) => rows += 1,
                Event::Start(Tag::TableCell) => cells += 1,
                Event::Start(Tag::Heading { .. }) => headings += 1,
                Event::Start(Tag::Link { dest_url, .. }) => {
                    links += 1;
                    prop_assert!(dest_url.starts_with("https://a.example/") || dest_url.starts_with("https://avd.aquasec.com/"));
                }
                Event::Start(
                    Tag::Paragraph | Tag::Table(_) | Tag::TableHead | Tag::List(None) | Tag::Item
                ) | Event::End(_) | Event::Text(_) | Event::SoftBreak => {}
                other => prop_assert!(false, "{other:?} in {markdown}"),
            }
        }
        prop_assert_eq!((rows, cells, headings), (2, 27, 1), "{}", markdown);
        prop_assert!(links <= 2);
    }

    #[test]
    fn hostile_text_stays_text_in_html(texts in [hostile(), hostile(), hostile(), hostile()]) {
        let image = hostile_image(&texts[3]);
        let hostile = document(Format::Html, &image, &[hostile_row(&image, &texts)]);
        let harmless = ["a"; 4].map(str::to_owned);
        let image = hostile_image("a");
        let harmless = document(Format::Html, &image, &[hostile_row(&image, &harmless)]);
        // The same tags in the same order, whatever the texts are; a text that is not there has no paragraph.
        let tags = |html: &str| {
            let tags = html.split('<').skip(1).map(|tag| tag.split('>').next().unwrap().to_owned());
            tags.map(|tag| if tag.starts_with("a href=") { "a".to_owned() } else { tag })
                .filter(|tag| !matches!(tag.as_str(), "p" | "/p" | "a" | "/a"))
                .collect::<Vec<_>>()
        };
        prop_assert_eq!(tags(&hostile), tags(&harmless));
        for link in hostile.split("href=\"").skip(1) {
            prop_assert!(link.starts_with("https://a.example/"));
        }
    }
}

#[test]
fn the_style_of_the_page_is_the_one_that_its_policy_allows() {
    use base64::Engine as _;
    use sha2::Digest as _;
    let image = image();
    let html = document(Format::Html, &image, &[]);
    let style = html.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
    let hash = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(style));
    assert!(
        html.contains(&format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'"))
    );
    assert!(!html.contains("<script") && !html.contains(" style=") && !html.contains("http-equiv=\"refresh"));
}

#[test]
fn fifty_thousand_rows_are_written_without_the_document_in_memory() {
    let image = image();
    let mut sarif = sarif::Writer::new(io::sink(), &image, sarif::Options::default()).unwrap();
    let mut asff = asff::Writer::new(io::sink(), destination(), asff::Options::default());
    let mut components = cyclonedx::Components::new(io::sink(), &image, cyclonedx::Options::default(), now()).unwrap();
    let row = |number: u32| Row {
        vulnerability_id: Some(format!("CVE-2026-{}", 1000 + number % 9_000)),
        installed: Some(format!("1.{number}")),
        tracking_key: TrackingKey::from(u128::from(number).to_be_bytes()),
        ..full(&image)
    };
    for number in 0..50_000 {
        let row = row(number);
        sarif.row(&row).unwrap();
        asff.row(&row).unwrap();
        components.row(&row).unwrap();
    }
    sarif.finish().unwrap();
    asff.finish().unwrap();
    let mut vulnerabilities = components.vulnerabilities().unwrap();
    (0..50_000).for_each(|number| vulnerabilities.row(&row(number)).unwrap());
    vulnerabilities.finish().unwrap();
}

/// With `SIRIUS_EXPORTS=<folder>` a document of each format is left there for the validators of their makers.
#[test]
fn documents_can_be_left_for_other_programs() {
    let image = image();
    let hostile = ["<b>\u{202e}|`", "=1,\"\n", "pkg:npm/%40a/b@1 2^", "../../x y:z"].map(str::to_owned);
    let mut rows =
        vec![full(&image), of_distribution(&image), bare(&image), suppressed(&image), hostile_row(&image, &hostile)];
    let many = |number: u32| Row {
        vulnerability_id: Some(format!("CVE-2026-{}", 1000 + number % 90)),
        installed: Some(format!("1.{number}")),
        tracking_key: TrackingKey::from(u128::from(number).to_be_bytes()),
        ..full(&image)
    };
    rows.extend((0..300).map(many));
    for format in Format::ALL {
        let document = document(format, &image, &rows);
        if let Some(folder) = std::env::var_os("SIRIUS_EXPORTS") {
            let file = std::path::Path::new(&folder).join(format!("export.{}", format.extension()));
            std::fs::write(file, document).unwrap();
        }
    }
}
