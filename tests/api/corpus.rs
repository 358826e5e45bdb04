//! Every real report of the corpus is taken, with the right count; every other file is refused.

use std::collections::HashSet;

use futures_util::{StreamExt as _, stream};
use support::app::gzip;
use support::corpus::{self, File};
use support::deployed::Deployed;

/// Above this a report is sent compressed: Lambda takes 6 MB.
const LARGE: usize = 2_000_000;

struct Outcome {
    file: File,
    status: u16,
    text: String,
    hash: String,
    stored: Option<usize>,
}

async fn send(api: &Deployed, file: File) -> Outcome {
    let (kind, body) = if file.bytes.len() > LARGE {
        ("application/gzip", gzip(&file.bytes))
    } else {
        ("application/json", file.bytes.clone())
    };
    let mut answer = api.post("", &[("content-type", kind)], body.clone()).await;
    // Some files are the same report: while one of them is being ingested, the others wait.
    for _ in 0..100 {
        if answer.status != 409 {
            break;
        }
        answer = api.post("", &[("content-type", kind)], body.clone()).await;
    }
    let (status, text) = (answer.status, answer.json.to_string());
    let hash = answer.json["report_hash"].as_str().unwrap_or_default().to_owned();
    let stored = match answer.json["scan_id"].as_u64() {
        Some(scan) => {
            let total = answer.json["total_findings_in_report"].as_u64().unwrap();
            assert_eq!(total, file.vulnerabilities as u64, "{}", file.name);
            Some(count(api, scan).await)
        }
        None => None,
    };
    Outcome { file, status, text, hash, stored }
}

/// Counts the findings of a scan, following the links.
async fn count(api: &Deployed, scan: u64) -> usize {
    let (mut seen, mut query) = (0, String::new());
    loop {
        let page = api
            .get_with(&format!("/api/container/scans/{scan}/findings?{query}"), &[("accept-encoding", "gzip")])
            .await;
        assert_eq!(page.status, 200, "{page:?}");
        seen += page.list().len();
        match page.next() {
            Some(next) => query = next,
            None => return seen,
        }
    }
}

#[tokio::test]
async fn real_reports_are_taken_with_their_count_and_everything_else_is_refused() {
    let Some(files) = corpus::files() else { return };
    let api = Deployed::new();
    let outcomes: Vec<Outcome> = stream::iter(files).map(|file| send(&api, file)).buffer_unordered(4).collect().await;
    let (mut taken, mut refused, mut findings, mut hashes) = (0, 0, 0, HashSet::new());
    for Outcome { file, status, text, hash, stored } in outcomes {
        if file.accept {
            assert!(status == 201 || status == 200, "{}: {status} {text}", file.name);
            assert_eq!(stored, Some(file.vulnerabilities), "{}", file.name);
            taken += 1;
            findings += file.vulnerabilities;
            hashes.insert(hash);
        } else {
            assert!((400..500).contains(&status), "{}: {status} {text}", file.name);
            let is_named = !text.contains("no known kind");
            assert!(is_named, "{} is refused without a name: {text}", file.name);
            refused += 1;
        }
    }
    println!(
        "{taken} reports taken with {findings} findings, {refused} other files refused, {} distinct reports",
        hashes.len()
    );
    assert_eq!((taken, refused, hashes.len()), (145, 58, 131));
}
