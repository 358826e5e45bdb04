//! Measures the figures of docs/ARCHITECTURE.md in one run: `make bench`.
//!
//! No figure is compared with another day or machine. CPU is the ratio of two
//! jobs that alternate in this run; all else is counted: write units, calls, bytes. A
//! counted figure that misses its goal fails the run; a ratio of times only shows it.
//!
//! `cargo bench --package sirius-bench -- cpu memory` measures these groups only.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking and prints its result"
)]

mod cold_start;
mod cpu;
mod figure;
mod floor;
mod hostile;
mod input;
mod memory;
mod merge;
mod model;
mod python;
mod round_trips;
mod write_units;

use std::process::ExitCode;

use input::Input;

/// `model` takes minutes, and is measured by name only.
const GROUPS: [&str; 8] = ["cold-start", "cpu", "hostile", "memory", "merge", "model", "round-trips", "write-units"];

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // Cargo passes `--bench` to every benchmark.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let Some((memory::CHILD, rest)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        memory::child(rest).await;
        return ExitCode::SUCCESS;
    }
    if arguments.first().is_some_and(|first| first == hostile::CHILD) {
        support::hostile::tell_peak();
        return ExitCode::SUCCESS;
    }
    if let Some(unknown) = arguments.iter().find(|argument| !GROUPS.contains(&argument.as_str())) {
        eprintln!("no group {unknown}; there are {}", GROUPS.join(", "));
        return ExitCode::FAILURE;
    }
    let wanted = |group: &str| arguments.is_empty() || arguments.iter().any(|argument| argument == group);

    let mut figures = Vec::new();
    if wanted("cold-start") {
        figures.extend(cold_start::figures());
    }
    let large = Input::large();
    let corpus = Input::corpus();
    if wanted("cpu") {
        figures.extend(cpu::figures(&large, corpus.as_ref()).await);
    }
    if wanted("write-units") {
        figures.extend(write_units::figures(&large, corpus.as_ref()).await);
    }
    if wanted("memory") {
        figures.extend(memory::figures(&large).await);
    }
    if wanted("merge") {
        figures.extend(merge::figures().await);
    }
    if wanted("hostile") {
        figures.extend(hostile::figures());
    }
    if wanted("round-trips") {
        figures.extend(round_trips::figures().await);
    }
    if arguments.iter().any(|argument| argument == "model") {
        figures.extend(model::figures().await);
    }
    figure::print(&figures);
    if figures.iter().any(figure::Figure::is_failure) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
