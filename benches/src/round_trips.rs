//! Counts the calls of AWS for each kind of request, on the wire of a warm function.

use support::app::App;
use support::report::with_findings;

use crate::figure::Figure;

pub(crate) async fn figures() -> Vec<Figure> {
    eprintln!("counting calls");
    let app = App::new().await;
    let report = with_findings("app", 60);
    assert_eq!(app.post(&report).await.status, 201);
    let new = app.proxy.take_calls();
    assert_eq!(app.post(&report).await.status, 200);
    let again = app.proxy.take_calls();

    let mut figures = vec![
        Figure::shown("calls: a new report of 60 findings", told(&new)),
        Figure::counted(
            "calls: the identical report again",
            told(&again),
            "1 conditional write",
            again == ["UpdateItem"],
        ),
    ];
    for (name, path, reach) in [
        ("GET a finding", "/api/container/findings/1000000", Some(2)),
        ("GET a page of findings, by scan id", "/api/container/scans/1/findings?limit=50", Some(3)),
        ("GET a page of findings, by name", "/api/container/scans/app/findings?limit=50", Some(3)),
        ("GET a scan, by id", "/api/container/scans/1", None),
        ("GET a scan, by name", "/api/container/scans/app", None),
        ("GET a page of scans", "/api/container/scans?limit=50", None),
    ] {
        assert_eq!(app.get(path).await.status, 200, "{path}");
        let calls = app.proxy.take_calls();
        let name = format!("calls: {name}");
        figures.push(match reach {
            Some(most) => Figure::counted(name, told(&calls), &format!("<= {most}"), calls.len() <= most),
            None => Figure::shown(name, told(&calls)),
        });
    }
    figures
}

/// Writes `3: 2 Query, 1 GetItem`.
fn told(calls: &[String]) -> String {
    let mut operations: Vec<&String> = calls.iter().collect();
    operations.sort();
    let each = operations.chunk_by(|a, b| a == b).map(|run| format!("{} {}", run.len(), run[0]));
    format!("{}: {}", calls.len(), each.collect::<Vec<_>>().join(", "))
}
