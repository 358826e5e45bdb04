//! Measures the CPU from a report's bytes to the items of the table, beside two programs that do less.

use cpu_time::ThreadTime;
use sirius::domain::declared::Declared;
use sirius::domain::scan::ScanId;
use sirius::report::{Canonical, Limits, Report};
use sirius::store::Store;
use support::table;

use crate::figure::{Figure, median, spread};
use crate::floor;
use crate::input::Input;
use crate::python::Python;

/// Each does all reports once in a round, one after the other, so that a slow machine affects all.
const ROUNDS: usize = 15;

/// The CPU seconds of Sirius.
struct Stages {
    canonical: f64,
    report: f64,
    items: f64,
    freeing: f64,
}

/// The CPU seconds of all.
struct Round {
    floor: f64,
    floor_again: f64,
    sirius: Stages,
    /// Python: `json.loads` and rows.
    rows: f64,
    /// Python: the items of Sirius.
    items: f64,
}

impl Stages {
    fn total(&self) -> f64 {
        self.canonical + self.report + self.items + self.freeing
    }
}

pub(crate) async fn figures(large: &Input, corpus: Option<&Input>) -> Vec<Figure> {
    // No call is made.
    let store = Store::new(table::client("http://127.0.0.1:9").await, "none");
    let mut figures = measure(&store, large);
    match corpus {
        Some(corpus) => figures.extend(measure(&store, corpus)),
        None => figures.push(Figure::skipped("CPU, corpus", "no corpus")),
    }
    figures
}

fn measure(store: &Store, input: &Input) -> Vec<Figure> {
    eprintln!("measuring CPU: {}", input.name);
    let mut python = Python::new(&input.reports);
    let mut rounds = Vec::new();
    // The first round warms up.
    for _ in 0..=ROUNDS {
        let (floor, of_floor) = floor(&input.reports);
        let (sirius, of_sirius) = sirius(store, &input.reports);
        let (rows, of_rows) = python.round("rows");
        let (items, of_items) = python.round("items");
        let (floor_again, _) = self::floor(&input.reports);
        assert_eq!([of_floor, of_rows, of_items], [of_sirius; 3], "all have seen the same findings");
        rounds.push(Round { floor, floor_again, sirius, rows, items });
    }
    rounds.remove(0);

    let of = |value: fn(&Round) -> f64| rounds.iter().map(value).collect::<Vec<f64>>();
    let share = |stage: fn(&Stages) -> f64| {
        let shares: Vec<f64> = rounds.iter().map(|round| stage(&round.sirius) / round.sirius.total()).collect();
        100.0 * median(&shares)
    };
    let shares = format!(
        "canonical text {:.0} %, report and hash {:.0} %, items {:.0} %, freeing {:.0} %",
        share(|s| s.canonical),
        share(|s| s.report),
        share(|s| s.items),
        share(|s| s.freeing)
    );
    let seconds = median(&of(|r| r.sirius.total()));
    let speed = format!("{:.0} ms, {:.0} MB/s", seconds * 1e3, input.bytes() as f64 / 1e6 / seconds);
    let name = |text: &str| format!("CPU, {}: {text}", input.name);
    vec![
        Figure::timed(name("parse + hash + items / floor"), &of(|r| r.sirius.total() / r.floor), 3.0),
        Figure::timed(
            name("parse + hash + items / Python's json.loads + rows"),
            &of(|r| r.sirius.total() / r.rows),
            0.25,
        ),
        Figure::shown(name("the floor / Python's json.loads + rows"), spread(&of(|r| r.floor / r.rows))),
        Figure::shown(name("parse + hash + items / the same in Python"), spread(&of(|r| r.sirius.total() / r.items))),
        Figure::shown(name("stages of parse + hash + items"), shares),
        Figure::shown(name("parse + hash + items, on this machine"), speed),
        Figure::shown(name("noise: the floor / the floor"), spread(&of(|r| r.floor_again / r.floor))),
    ]
}

fn floor(reports: &[Vec<u8>]) -> (f64, usize) {
    let start = ThreadTime::now();
    let findings = reports.iter().map(|report| floor::read(report)).sum();
    (start.elapsed().as_secs_f64(), findings)
}

fn sirius(store: &Store, reports: &[Vec<u8>]) -> (Stages, usize) {
    let mut stages = Stages { canonical: 0.0, report: 0.0, items: 0.0, freeing: 0.0 };
    let (limits, scan) = (Limits::default(), ScanId::new(ScanId::MAX).unwrap());
    let mut findings = 0;
    let mut last = ThreadTime::now();
    let mut lap = |stage: &mut f64| {
        let now = ThreadTime::now();
        *stage += now.duration_since(last).as_secs_f64();
        last = now;
    };
    for bytes in reports {
        let canonical = Canonical::read(bytes, &limits).unwrap();
        lap(&mut stages.canonical);
        // Hashes the canonical text as well.
        let report = Report::read(&canonical, &Declared::default(), &limits).unwrap();
        lap(&mut stages.report);
        for batch in store.finding_batches(scan, &report).unwrap() {
            std::hint::black_box(batch.unwrap());
        }
        lap(&mut stages.items);
        findings += report.reported_findings as usize;
        drop(report);
        drop(canonical);
        lap(&mut stages.freeing);
    }
    (stages, findings)
}
