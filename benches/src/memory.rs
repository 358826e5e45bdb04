//! How much memory the ingestion of a large report takes at its peak.
//!
//! Measured in a process of its own, since a peak never goes down again: this program, started with
//! [`CHILD`], which does what the function does and tells Linux's `VmHWM`. Everything counts: the
//! program itself, its clients, the report's bytes.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use sirius::aws::Clients;
use sirius::http::{self, ingest_scan};
use sirius::pipeline::ingest;
use sirius::report::{Canonical, Limits, Report};
use sirius::store::Store;
use sirius::store::claims::Holder;
use support::app::{event, gzip};
use support::table;

use crate::figure::Figure;
use crate::input::{Files, Input};

/// The first argument of the process that is measured.
pub(crate) const CHILD: &str = "ingest-and-tell-the-peak";

/// The report is a file, and the pipeline takes it in.
const FILE: &str = "file";
/// The report is the gzip body of a request, the only form in which one of this size passes Lambda's
/// 6 MB, and the handler takes it in.
const POST: &str = "post";

const LEASE: Duration = Duration::from_secs(60);
const REACH: f64 = 4.0;

pub(crate) async fn figures(large: &Input) -> Vec<Figure> {
    let report = &large.reports[0];
    let packed = gzip(report);
    let size = report.len() as f64;
    let files = Files::new(&[report.clone(), packed]);
    let mut figures = Vec::new();
    for (number, way, name) in [
        (0, FILE, "peak memory, 32 MB report: from a file through the pipeline"),
        (1, POST, "peak memory, 32 MB report: gzip through the handler"),
    ] {
        eprintln!("measuring memory: {way}");
        let peak = peak_of_child(way, &files.path(number)).await;
        figures.push(match peak {
            Some(peak) => {
                let times = peak as f64 / size;
                let measured = format!("{times:.2} x its size ({:.1} of {:.1} MB)", peak as f64 / 1e6, size / 1e6);
                Figure::counted(name, measured, &format!("<= {REACH} x"), times <= REACH)
            }
            None => Figure::skipped(name, "only Linux tells a process's peak"),
        });
    }
    figures
}

async fn peak_of_child(way: &str, file: &Path) -> Option<u64> {
    let table = table::fresh().await;
    let child = Command::new(std::env::current_exe().unwrap())
        .args([CHILD, way, &table])
        .arg(file)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(child.status.success(), "the measured process failed: {}", child.status);
    String::from_utf8(child.stdout).unwrap().trim().parse().ok()
}

/// What the measured process does.
pub(crate) async fn child(arguments: &[String]) {
    let [way, table, file] = arguments else { panic!("{CHILD} takes a way, a table and a file") };
    let store = Clients::load().await.unwrap().store(table.clone()).await;
    match way.as_str() {
        FILE => ingest_file(&store, Path::new(file)).await,
        POST => post(store, Path::new(file)).await,
        _ => panic!("no way {way}"),
    }
    println!("{}", peak().map_or_else(|| "unknown".to_owned(), |bytes| bytes.to_string()));
}

async fn ingest_file(store: &Store, file: &Path) {
    let limits = Limits::default();
    let canonical = Canonical::read(&std::fs::read(file).unwrap(), &limits).unwrap();
    let report = Report::read(&canonical, None, &limits).unwrap();
    let ingested =
        ingest::run(store, &report, None, &Holder::random().unwrap(), Timestamp::now(), LEASE).await.unwrap();
    assert!(!ingested.duplicate);
}

async fn post(store: Store, file: &Path) {
    let headers = [("content-type", "application/gzip")];
    let request = event("POST", "/api/container/scans", "", &headers, Some(&std::fs::read(file).unwrap()));
    let deps = ingest_scan::Deps { store, limits: Limits::default(), lease: LEASE, auto: None };
    let response = http::serve(request, async |request| ingest_scan::handle(&deps, request).await).await.unwrap();
    assert_eq!(response.status(), 201);
}

/// The most memory that this process has had in use, in bytes.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}
