//! A stand-in for the public sources: one HTTP server with a route for each. It
//! answers about every id, unless a test sets another answer.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use sirius::sources::{Addresses, BaseUrl, Intervals, Live, Mode};

use crate::stand_in::{Reply, Seen, StandIn};

/// The running server, which ends with the test.
pub struct World {
    pub server: StandIn,
}

/// The path and the query of a request.
pub fn target(seen: &Seen) -> &str {
    seen.head.split(' ').nth(1).unwrap()
}

/// Returns the ids in a request to NVD.
pub fn asked_of_nvd(target: &str) -> Vec<&str> {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let ids = query.strip_prefix("cveIds=").or_else(|| query.strip_prefix("cveId=")).unwrap_or_default();
    ids.split(',').filter(|id| !id.is_empty()).collect()
}

impl World {
    /// Starts a server that answers everything.
    pub async fn start() -> Self {
        Self::but(|_, _| None).await
    }

    /// Starts a server that asks `fault` for a reply first, with the path and the query, and the number of the
    /// request, from 0.
    pub async fn but(fault: impl Fn(&str, usize) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let reply = move |seen: &Seen, number: usize| {
            let target = target(seen);
            fault(target, number).unwrap_or_else(|| answer(target))
        };
        Self { server: StandIn::start(reply).await }
    }

    /// Returns the mode that uses it, without waits between requests.
    pub fn mode(&self) -> Mode {
        self.mode_with_key(None)
    }

    /// Returns the mode with a key of NVD.
    pub fn mode_with_key(&self, key: Option<&str>) -> Mode {
        let at = |path: &str| -> BaseUrl { format!("{}/{path}", self.server.url).parse().unwrap() };
        let addresses = Addresses {
            nvd: at("nvd"),
            osv: at("osv"),
            cve_services: at("cve"),
            kev: at("kev.json"),
            kev_mirror: at("kev-mirror.json"),
            epss: at("epss.csv.gz"),
        };
        let none = Duration::ZERO;
        let intervals = Intervals { nvd: none, nvd_with_key: none, osv: none, cve_services: none, feeds: none };
        let live = Live::new(addresses, intervals, Duration::from_millis(1), Some("tests@example.org"), key).unwrap();
        Mode::Live(Box::new(live))
    }

    /// Returns the requests to routes with a prefix, in order.
    pub fn asked(&self, route: &str) -> Vec<String> {
        let seen = self.server.seen();
        seen.iter().map(target).filter(|target| target.starts_with(route)).map(str::to_owned).collect()
    }
}

/// Answers for a source.
pub fn answer(target: &str) -> Reply {
    let last = target.rsplit('/').next().unwrap();
    if target.starts_with("/nvd") {
        json_reply(&nvd_page(asked_of_nvd(target).into_iter().map(nvd_cve).collect()))
    } else if target.starts_with("/osv/v1/vulns/") {
        json_reply(&osv_record(last, &[]))
    } else if target.starts_with("/cve/api/cve/") {
        json_reply(&cve_record(last))
    } else if target.starts_with("/kev.json") || target.starts_with("/kev-mirror.json") {
        json_reply(&kev_catalogue("2026-11-20", 1200))
    } else if target.starts_with("/epss.csv.gz") {
        bytes_reply(&crate::app::gzip(epss_csv("2026-11-20", 200_500, 0.5).as_bytes()))
    } else {
        Reply::status("404 Not Found", "", "")
    }
}

pub fn json_reply(value: &Value) -> Reply {
    Reply::status("200 OK", "content-type: application/json\r\n", &value.to_string())
}

pub fn bytes_reply(bytes: &[u8]) -> Reply {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", bytes.len());
    Reply { pieces: vec![[head.as_bytes(), bytes].concat()], hang: false }
}

/// Builds an answer of NVD's API 2.0 with these CVEs.
pub fn nvd_page(cves: Vec<Value>) -> Value {
    let count = cves.len();
    let wrapped: Vec<Value> = cves.into_iter().map(|cve| json!({"cve": cve})).collect();
    json!({"resultsPerPage": count, "startIndex": 0, "totalResults": count, "format": "NVD_CVE", "version": "2.0",
        "timestamp": "2026-11-21T10:00:00.000", "vulnerabilities": wrapped})
}

/// Builds an invented CVE of NVD, assessed by CISA.
pub fn nvd_cve(id: &str) -> Value {
    json!({
        "id": id, "sourceIdentifier": "cve@example.org", "published": "2026-02-03T04:05:06.700",
        "lastModified": "2026-11-01T10:00:00.000", "vulnStatus": "Analyzed", "cveTags": [],
        "descriptions": [{"lang": "en", "value": format!("A made-up flaw, {id}.")}],
        "metrics": {
            "cvssMetricV31": [{"source": "nvd@nist.gov", "type": "Primary", "cvssData": {"version": "3.1",
                "vectorString": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "baseScore": 9.8, "baseSeverity": "CRITICAL"}}],
            "ssvcV203": [{"source": "134c704f-9b21-4f2e-91b3-4a467353bcc0", "ssvcData": {"timestamp": "2026-03-01T10:00:00Z",
                "options": [{"exploitation": "poc"}, {"automatable": "yes"}, {"technicalImpact": "total"}],
                "role": "CISA Coordinator", "version": "2.0.3"}}]
        },
        "weaknesses": [{"source": "nvd@nist.gov", "type": "Primary", "description": [{"lang": "en", "value": "CWE-787"}]}],
        "references": [{"url": format!("https://example.org/{id}"), "source": "cve@example.org", "tags": ["Exploit"]}]
    })
}

/// Builds an invented record of OSV.
pub fn osv_record(id: &str, aliases: &[&str]) -> Value {
    json!({"schema_version": "1.7.4", "id": id, "modified": "2026-11-02T10:00:00Z", "published": "2026-02-01T10:00:00Z",
        "aliases": aliases, "summary": format!("A made-up flaw, {id}"), "details": "It is made up.",
        "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
        "references": [{"type": "ADVISORY", "url": format!("https://example.org/{id}")}]})
}

/// Builds an invented record of CVE Services, assessed by CISA.
pub fn cve_record(id: &str) -> Value {
    json!({"dataType": "CVE_RECORD", "dataVersion": "5.1",
        "cveMetadata": {"cveId": id, "assignerOrgId": "00000000-0000-4000-9000-000000000000", "state": "PUBLISHED",
            "assignerShortName": "example", "datePublished": "2026-02-03T04:05:06Z", "dateUpdated": "2026-11-03T10:00:00Z"},
        "containers": {
            "cna": {"providerMetadata": {"orgId": "00000000-0000-4000-9000-000000000000", "shortName": "example"},
                "descriptions": [{"lang": "en", "value": format!("A made-up flaw, {id}.")}],
                "references": [{"url": format!("https://example.org/cna/{id}")}]},
            "adp": [{"title": "CISA ADP Vulnrichment",
                "providerMetadata": {"orgId": "134c704f-9b21-4f2e-91b3-4a467353bcc0", "shortName": "CISA-ADP"},
                "metrics": [{"other": {"type": "ssvc", "content": {"timestamp": "2026-03-02T10:00:00Z", "id": id,
                    "options": [{"Exploitation": "active"}, {"Automatable": "no"}, {"Technical Impact": "partial"}],
                    "role": "CISA Coordinator", "version": "2.0.3"}}}]}]}})
}

/// Builds a catalogue of invented entries, from `CVE-2026-10000` on.
pub fn kev_catalogue(day: &str, entries: usize) -> Value {
    let entry = |number: usize| {
        json!({"cveID": format!("CVE-2026-{}", 10_000 + number), "vendorProject": "x", "product": "x",
            "vulnerabilityName": "A made-up flaw", "dateAdded": "2026-10-01", "shortDescription": "x",
            "requiredAction": "Apply what there is.", "dueDate": "2026-10-22", "knownRansomwareCampaignUse": "Known",
            "notes": "", "cwes": []})
    };
    // Every hundredth CVE, so that most CVEs of the tests are not in it.
    let entries: Vec<Value> = (0..entries).map(|number| entry(number * 100)).collect();
    json!({"title": "x", "catalogVersion": day, "dateReleased": format!("{day}T12:00:00.0000Z"),
        "count": entries.len(), "vulnerabilities": entries})
}

/// Builds scores of CVEs, from `CVE-2026-10000` on.
pub fn epss_csv(day: &str, rows: usize, score: f64) -> String {
    let mut csv = format!("#model_version:v2026.06.15,score_date:{day}T12:00:00Z\ncve,epss,percentile\n");
    for number in 0..rows {
        csv.push_str(&format!("CVE-2026-{},{score},0.9{:04}\n", 10_000 + number, number % 10_000));
    }
    csv
}

/// Returns the folder of real answers of all sources beside a checkout; none, with a
/// notice, if they are missing.
pub fn recorded() -> Option<PathBuf> {
    let shared = std::env::var_os("SIRIUS_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let folder = shared.join("enrichment-data");
    if folder.join("MANIFEST.tsv").exists() {
        return Some(folder);
    }
    crate::tell_skipped(format_args!("no recorded answers at {}", folder.display()));
    None
}
