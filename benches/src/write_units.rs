//! Measures write units, as `ReturnConsumedCapacity` returns them.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use jiff::Timestamp;
use sirius::domain::declared::Declared;
use sirius::pipeline::ingest::{Ingestion, ingest_report};
use sirius::report::body::Compression;
use sirius::report::{Limits, Submission};
use sirius::store::lease::Owner;
use support::app::App;
use support::proxy::{Proxy, Written};
use support::table;

use crate::figure::Figure;
use crate::input::Input;

/// The most write units of a partition key in a second:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html>.
const UNITS_OF_A_KEY: f64 = 1000.0;
const UNITS_OF_A_FINDING: f64 = 1.25;

/// The cost of writing new reports.
#[derive(Default)]
struct Cost {
    reports: usize,
    findings: usize,
    /// Write units of the findings.
    finding_units: f64,
    /// Write units of all else: claim, number, scan.
    other_units: f64,
    /// The most write units of one report on one partition key.
    busiest_key: f64,
}

pub(crate) async fn figures(large: &Input, corpus: Option<&Input>) -> Vec<Figure> {
    let app = App::new().await;
    app.proxy.count_capacity();
    assert_that_prices_are_real(&app).await;
    let mut figures = match corpus {
        Some(corpus) => measure(&app, corpus).await,
        None => vec![Figure::skipped("write units, corpus", "no corpus")],
    };
    figures.extend(measure(&app, large).await);
    figures
}

async fn measure(app: &App, input: &Input) -> Vec<Figure> {
    eprintln!("counting write units: {}", input.name);
    let ingestion = app.ingestion().await;
    let mut cost = Cost::default();
    for bytes in &input.reports {
        ingest(&ingestion, &app.proxy, bytes, &mut cost).await;
    }
    let each = cost.finding_units / cost.findings as f64;
    let besides = cost.other_units / cost.reports as f64;
    let name = input.name;
    vec![
        Figure::counted(
            format!("write units per finding, {name}"),
            format!("{each:.3} ({} findings in {} distinct reports)", cost.findings, cost.reports),
            &format!("<= {UNITS_OF_A_FINDING}"),
            each <= UNITS_OF_A_FINDING,
        ),
        Figure::shown(format!("write units per report besides its findings, {name}"), format!("{besides:.1}")),
        Figure::counted(
            format!("most write units of one report on one key, {name}"),
            format!("{}", cost.busiest_key),
            &format!("<= {UNITS_OF_A_KEY}"),
            cost.busiest_key <= UNITS_OF_A_KEY,
        ),
    ]
}

/// Ingests a report and adds its cost, unless it is a duplicate.
async fn ingest(ingestion: &Ingestion, proxy: &Proxy, bytes: &[u8], cost: &mut Cost) {
    let limits = Limits::default();
    let submission = Submission::read(bytes.to_vec(), Compression::None, Declared::default(), limits, false).unwrap();
    let report = submission.report().unwrap();
    let owner = Owner::random().unwrap();
    let ingested = ingest_report(ingestion, &submission, &report, &owner, Timestamp::now()).await.unwrap();
    let written = proxy.take_written();
    if ingested.duplicate {
        return;
    }
    let (findings, others): (Vec<&Written>, Vec<&Written>) =
        written.iter().partition(|call| call.operation == "BatchWriteItem");
    let sum = |calls: &[&Written]| calls.iter().map(|call| call.units).sum::<f64>();
    cost.reports += 1;
    cost.findings += report.findings.len();
    cost.finding_units += sum(&findings);
    cost.other_units += sum(&others);
    cost.busiest_key = busiest_key(&written).max(cost.busiest_key);
}

/// Adds each call in full to each of its keys. A batch of findings has one key; for the transaction,
/// which has four, this is too much.
fn busiest_key(written: &[Written]) -> f64 {
    let mut keys: HashMap<&str, f64> = HashMap::new();
    for call in written {
        for key in &call.partition_keys {
            *keys.entry(key).or_default() += call.units;
        }
    }
    keys.into_values().fold(0.0, f64::max)
}

/// Checks with three items of known size that the emulator counts as DynamoDB
/// does, by started KB of names and values, with binary values at their own length.
async fn assert_that_prices_are_real(app: &App) {
    let client = table::client(&app.proxy.url).await;
    for (bytes, units) in [(1024, 1.0), (1025, 2.0), (2500, 3.0)] {
        let (pk, sk) = ("price", bytes.to_string());
        // pk, sk and z, a name each, and the two keys' values.
        let rest = bytes - "pkskz".len() - pk.len() - sk.len();
        let put = PutRequest::builder()
            .item("pk", AttributeValue::S(pk.to_owned()))
            .item("sk", AttributeValue::S(sk))
            .item("z", AttributeValue::B(Blob::new(vec![0; rest])))
            .build()
            .unwrap();
        let write = WriteRequest::builder().put_request(put).build();
        client.batch_write_item().request_items(&app.table, vec![write]).send().await.unwrap();
        let told: f64 = app.proxy.take_written().iter().map(|call| call.units).sum();
        assert_eq!(told, units, "this service does not price an item of {bytes} bytes as DynamoDB does");
    }
}
