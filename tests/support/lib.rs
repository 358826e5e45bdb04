//! What the tests and the benchmarks share: tables of their own, a proxy that injects faults, the
//! handlers in this process, the functions that the local stack runs, and reports made to measure.
#![expect(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test's support fails by panicking")]

pub mod app;
pub mod corpus;
pub mod deployed;
pub mod proxy;
pub mod report;
pub mod table;

/// A word that no other call gets.
pub fn unique(prefix: &str) -> String {
    format!("{prefix}-{:016x}", getrandom::u64().unwrap())
}
