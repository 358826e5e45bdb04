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
use sirius::config::Bucket;
use sirius::domain::upload::UploadId;
use sirius::http::{self, ingest_scan};
use sirius::pipeline::ingest::Ingestion;
use sirius::pipeline::ingest_upload::{Object, UploadOutcome, ingest_upload};
use sirius::report::Limits;
use sirius::store::claims::Holder;
use support::app::event;
use support::{bucket, table};

use crate::figure::Figure;
use crate::input::{Files, Input};

/// The first argument of the process that is measured.
pub(crate) const CHILD: &str = "ingest-and-tell-the-peak";

/// The report lies in the bucket as it is, and what `ingest-upload` calls takes it in.
const UPLOAD: &str = "upload";
/// The report is the zstd body of a request, the only form in which one of this size passes Lambda's
/// 6 MB, and the handler takes it in.
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

/// What the measured process does.
pub(crate) async fn child(arguments: &[String]) {
    let [way, table, bucket, file] = arguments else { panic!("{CHILD} takes a way, a table, a bucket and a file") };
    let clients = Clients::load().unwrap();
    let ingestion = Ingestion {
        store: clients.store(table.clone()).await,
        archive: Some(clients.objects(Bucket { name: bucket.clone(), owner: None })),
        auto: None,
        enrichment: None,
        limits: Limits::default(),
        require_image_name: false,
        lease: Duration::from_secs(60),
    };
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
    let holder = Holder::random().unwrap();
    let taken = ingest_upload(ingestion, objects, &object, &holder, Timestamp::now()).await.unwrap();
    assert!(matches!(taken, UploadOutcome::Done { .. }), "{taken:?}");
}

async fn post(ingestion: &Ingestion, file: &Path) {
    let headers = [("content-type", "application/zstd")];
    let request = event("POST", "/api/container/scans", "", &headers, Some(&std::fs::read(file).unwrap()));
    let response = http::serve(request, async |request| ingest_scan::handle(ingestion, request).await).await.unwrap();
    assert_eq!(response.status(), 201);
}

/// The most memory that this process has had in use, in bytes.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}
