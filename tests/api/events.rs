//! Every file in `events/` is a request that works: `cargo lambda invoke` uses the same ones.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use sirius::http::{self, get_finding, get_scan, ingest_scan, list_findings, list_scans};
use support::app::App;
use support::report::with_findings;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn each_function_has_events() {
    assert_eq!(names(&root().join("functions")), names(&root().join("events")));
}

/// The status that a case's name ends in: `new-201.json`.
fn expected_status(case: &str) -> u16 {
    let stem = case.strip_suffix(".json").unwrap();
    stem.rsplit('-').next().unwrap().parse().unwrap_or_else(|_| panic!("{case} does not end in a status"))
}

#[tokio::test]
async fn each_event_gives_the_status_in_its_name() {
    for function in names(&root().join("events")) {
        for case in names(&root().join("events").join(&function)) {
            let event = std::fs::read_to_string(root().join("events").join(&function).join(&case)).unwrap();
            let request = lambda_http::request::from_str(&event).unwrap();
            let app = App::new().await;
            // What the reading events ask for: scan 1 with 3 findings.
            if function != "ingest-scan" {
                app.post(&with_findings("ghcr.io/org/app:1.0", 3)).await;
            }
            let store = app.store().await;
            let response = match function.as_str() {
                "ingest-scan" => {
                    let deps = ingest_scan::Deps { store, limits: app.limits, lease: app.lease };
                    http::serve(request, async |request| ingest_scan::handle(&deps, request).await).await
                }
                "list-scans" => {
                    let deps = list_scans::Deps { store };
                    http::serve(request, async |request| list_scans::handle(&deps, request).await).await
                }
                "get-scan" => {
                    let deps = list_findings::Deps { store };
                    http::serve(request, async |request| get_scan::handle(&deps, request).await).await
                }
                "list-findings" => {
                    let deps = list_findings::Deps { store };
                    http::serve(request, async |request| list_findings::handle(&deps, request).await).await
                }
                "get-finding" => {
                    let deps = get_finding::Deps { store };
                    http::serve(request, async |request| get_finding::handle(&deps, request).await).await
                }
                other => panic!("no handler for the events of {other}"),
            };
            let response = response.unwrap();
            assert_eq!(response.status().as_u16(), expected_status(&case), "{function}/{case}: {:?}", response.body());
        }
    }
}
