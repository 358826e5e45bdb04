//! Generates reports.

use serde_json::{Value, json};

/// Builds a report of an image with vulnerabilities of one operating system result.
pub fn report_of(image: &str, vulnerabilities: Vec<Value>) -> Value {
    json!({
        "SchemaVersion": 2, "CreatedAt": "2026-11-21T10:00:00.5+01:00", "ReportID": "019a0000-0000-7000-8000-000000000000",
        "ArtifactName": image, "ArtifactType": "container_image",
        "Metadata": {
            "OS": {"Family": "debian", "Name": "12.5"}, "ImageID": "sha256:1111",
            "RepoTags": [image], "RepoDigests": [format!("{image}@sha256:2222")]
        },
        "Results": [{
            "Target": format!("{image} (debian 12.5)"), "Class": "os-pkgs", "Type": "debian",
            "Vulnerabilities": vulnerabilities
        }]
    })
}

/// Builds a vulnerability, distinct for each `number`.
pub fn vulnerability(number: usize) -> Value {
    let severity = ["MEDIUM", "CRITICAL", "LOW", "HIGH", "UNKNOWN"].get(number % 5).unwrap();
    let mut vulnerability = json!({
        "VulnerabilityID": format!("CVE-2026-{:05}", 10_000 + number), "PkgID": format!("lib{}@1.{number}-2", number % 97),
        "PkgName": format!("lib{}", number % 97), "InstalledVersion": format!("1.{number}-2"),
        "PkgIdentifier": {"PURL": format!("pkg:deb/debian/lib{}@1.{number}-2?arch=amd64", number % 97), "UID": format!("{number:016x}")},
        "Status": "affected", "Severity": severity, "SeveritySource": "nvd",
        "PrimaryURL": format!("https://avd.aquasec.com/nvd/cve-2026-{:05}", 10_000 + number),
        "DataSource": {"ID": "debian", "Name": "Debian Security Tracker", "URL": "https://salsa.debian.org/security-tracker-team/security-tracker"},
        "Title": format!("lib{}: a flaw numbered {number}", number % 97),
        "Description": format!("An input of {number} bytes is copied without a check of its length."),
        "CweIDs": ["CWE-787"],
        "VendorSeverity": {"nvd": 3}, "CVSS": {"nvd": {"V3Vector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "V3Score": 9.8}},
        "References": [format!("https://example.org/advisories/{number}")],
        "PublishedDate": "2026-02-03T04:05:06.7Z", "LastModifiedDate": "2026-03-04T05:06:07Z"
    });
    if number.is_multiple_of(2) {
        vulnerability["FixedVersion"] = format!("1.{}-3", number + 1).into();
    }
    vulnerability
}

/// Builds a report with `count` findings.
pub fn with_findings(image: &str, count: usize) -> Value {
    report_of(image, (0..count).map(vulnerability).collect())
}

/// Builds a report of about 32 MB with 10,440 findings, whose descriptions and reference lists all differ.
pub fn large() -> Vec<u8> {
    const WORDS: [&str; 24] = [
        "buffer",
        "overflow",
        "in",
        "the",
        "parser",
        "of",
        "a",
        "crafted",
        "request",
        "allows",
        "remote",
        "attackers",
        "to",
        "cause",
        "denial",
        "service",
        "or",
        "execute",
        "arbitrary",
        "code",
        "via",
        "memory",
        "corruption",
        "leading",
    ];
    let mut state = 1u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let vulnerabilities = (0..10_440)
        .map(|number| {
            let mut vulnerability = vulnerability(number);
            let words: Vec<&str> = (0..90).map(|_| WORDS[next() % WORDS.len()]).collect();
            vulnerability["Description"] = words.join(" ").into();
            let references: Vec<String> = (0..18)
                .map(|_| format!("https://example.org/security/{:08x}/advisory-{}.html", next(), next() % 10_000))
                .collect();
            vulnerability["References"] = references.into();
            vulnerability
        })
        .collect();
    serde_json::to_vec_pretty(&report_of("registry.example.com/large:1", vulnerabilities)).unwrap()
}
