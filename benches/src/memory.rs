//! Measures the peak memory of the ingestion of a large report.
//!
//! Measured in a process of its own, since a peak never goes down again: this program, started with
//! [`CHILD`], which does what the function does and prints Linux's `VmHWM`. Everything counts: the
//! program itself, its clients, the report's bytes.

use std::path::Path;
use std::process::{Command, Stdio};

use jiff::Timestamp;
use sirius::aws::Clients;
use sirius::config::Environment;
use sirius::domain::upload::UploadId;
use sirius::http::{self, ingest_scan};
use sirius::pipeline::ingest::Ingestion;
use sirius::pipeline::ingest_upload::{Object, UploadOutcome, ingest_upload};
use sirius::startup::Startup;
use sirius::store::lease::Owner;
use support::app::event;
use support::{bucket, table};

use crate::figure::Figure;
use crate::input::{Files, Input};

/// The first argument of the measured process.
pub(crate) const CHILD: &str = "ingest-and-tell-the-peak";

/// The report is in the bucket, and the code of `ingest-upload` ingests it.
const UPLOAD: &str = "upload";
/// The report is the zstd body of a request, the only form in which one of this size passes Lambda's
/// 6 MB, and the handler ingests it.
const POST: &str = "post";

/// Packs to a ninth, in a window of 8 MB; gzip packs to a sixth, too little.
const ZSTD_LEVEL: i32 = 16;

const REACH: f64 = 4.0;

pub(crate) async fn figures(large: &Input) -> Vec<Figure> {
    let report = &large.reports[0];
    let packed = zstd::encode_all(report.as_slice(), ZSTD_LEVEL).unwrap();
    let size = report.len() as f64;
    let files = Files::new(&[report.clone(), packed]);
    let mut figures = Vec::new();
    for (number, way, name) in [
        (0, UPLOAD, "peak memory, 32 MB report: uploaded to S3 as JSON"),
        (1, POST, "peak memory, 32 MB report: POSTed as zstd"),
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
    let (table, bucket) = (table::fresh().await, bucket::fresh().await);
    if way == UPLOAD {
        bucket::put(&bucket, &object_id().key(), std::fs::read(file).unwrap()).await;
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args([CHILD, way, &table, &bucket])
        .arg(file)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(child.status.success(), "the measured process failed: {}", child.status);
    String::from_utf8(child.stdout).unwrap().trim().parse().ok()
}

/// Runs the measured process.
pub(crate) async fn child(arguments: &[String]) {
    let [way, table, bucket, file] = arguments else { panic!("{CHILD} takes a way, a table, a bucket and a file") };
    let aws = std::env::vars().filter(|(name, _)| name.starts_with("AWS_"));
    let own = [("TABLE_NAME", table), ("BUCKET_NAME", bucket)].map(|(name, value)| (name.to_owned(), value.clone()));
    let environment: Environment = aws.chain(own).collect();
    let clients = Clients::new(&environment).unwrap();
    let ingestion = Startup::new(environment, clients).unwrap().connected().await.ingestion().unwrap();
    match way.as_str() {
        UPLOAD => upload(&ingestion, Path::new(file)).await,
        POST => post(&ingestion, Path::new(file)).await,
        _ => panic!("no way {way}"),
    }
    println!("{}", peak().map_or_else(|| "unknown".to_owned(), |bytes| bytes.to_string()));
}

fn object_id() -> UploadId {
    "large.json".parse().unwrap()
}

async fn upload(ingestion: &Ingestion, file: &Path) {
    let objects = ingestion.archive.as_ref().unwrap();
    let size = std::fs::metadata(file).unwrap().len();
    let etag = bucket::etag(objects.bucket(), &object_id().key()).await;
    let object = Object { id: object_id(), etag, sequencer: None, size };
    let owner = Owner::random().unwrap();
    let taken = ingest_upload(ingestion, objects, &object, &owner, Timestamp::now()).await.unwrap();
    assert!(matches!(taken, UploadOutcome::Done { .. }), "{taken:?}");
}

async fn post(ingestion: &Ingestion, file: &Path) {
    let headers = [("content-type", "application/zstd")];
    let request = event("POST", "/api/container/scans", "", &headers, Some(&std::fs::read(file).unwrap()));
    let response = http::serve(request, async |request| ingest_scan::handle(ingestion, request).await).await.unwrap();
    assert_eq!(response.status(), 201);
}

/// Reads the peak memory of this process, in bytes.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}
