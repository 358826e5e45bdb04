//! Helpers of tests and benchmarks: tables, a proxy that injects faults, the
//! handlers in this process, the functions of the local stack, and generated reports.
pub mod app;
pub mod bucket;
pub mod corpus;
pub mod deployed;
pub mod hostile;
pub mod identity;
pub mod known;
pub mod proxy;
pub mod queue;
pub mod report;
pub mod stack;
pub mod stand_in;
pub mod table;
pub mod world;

/// Creates a client for servers on this machine. Reqwest needs a TLS provider even for plain HTTP.
pub fn http_client() -> reqwest::Client {
    // Fails if it is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Returns a word that no other call returns.
pub fn unique(prefix: &str) -> String {
    format!("{prefix}-{:016x}", getrandom::u64().unwrap())
}

/// Prints that a test, or a part of one, is skipped.
pub fn tell_skipped(why: impl std::fmt::Display) {
    let line = "=".repeat(78);
    // `cargo test` hides what the print macros write in a test that passes.
    std::io::Write::write_all(&mut std::io::stderr(), format!("\n{line}\nSKIPPED: {why}\n{line}\n").as_bytes())
        .unwrap();
}
