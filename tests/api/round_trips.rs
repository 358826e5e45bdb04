//! What each request costs in calls of AWS: counted on the wire, by a function that is warm.

use std::fs;
use std::path::Path;

use support::app::App;
use support::report::with_findings;

const PATHS: [&str; 8] = [
    "/api/container/findings/1000000",
    "/api/container/scans/1",
    "/api/container/scans/app",
    "/api/container/scans/1/findings?limit=50",
    "/api/container/scans/app/findings?limit=50",
    "/api/container/scans/1/findings?severity=HIGH",
    "/api/container/scans/1/findings?sort=priority&limit=50",
    "/api/container/scans?limit=50",
];

#[tokio::test]
async fn each_request_makes_as_few_calls_as_docs_data_says() {
    let app = App::new().await;
    let report = with_findings("app", 60);
    app.post(&report).await;
    let mut first = app.proxy.take_calls();
    // Findings and archive are written at the same time, in any order.
    first.sort();
    let mut counted = vec![line("POST /api/container/scans, a new report of 60 findings", &first)];

    app.post(&report).await;
    counted.push(line("POST /api/container/scans, the same report again", &app.proxy.take_calls()));

    for path in PATHS {
        assert_eq!(app.get(path).await.status, 200);
        counted.push(line(&format!("GET {path}"), &app.proxy.take_calls()));
    }
    let counted = counted.join("\n");
    assert_eq!(documented(), counted, "the block of docs/DATA.md should be:\n{counted}\n");
}

/// Formats the calls of a request as a line of docs/DATA.md: `Query, 2 BatchGetItem`.
fn line(request: &str, calls: &[String]) -> String {
    let runs = calls.chunk_by(|one, next| one == next).map(|run| match run {
        [only] => only.clone(),
        several => format!("{} {}", several.len(), several[0]),
    });
    format!("{request}: {}", runs.collect::<Vec<_>>().join(", "))
}

/// Reads the fenced block `calls` of docs/DATA.md.
fn documented() -> String {
    let data = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/DATA.md")).unwrap();
    let (_, block) = data.split_once("```calls\n").expect("docs/DATA.md has a block of calls");
    block.split_once("\n```").expect("the block ends").0.to_owned()
}
