//! What the tests and the benchmarks share: tables of their own, a proxy that injects faults, the
//! handlers in this process, the functions that the local stack runs, and reports made to measure.
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

/// A client for servers on this machine. Reqwest wants a TLS provider even for plain HTTP.
pub fn http_client() -> reqwest::Client {
    // Whoever comes second finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// A word that no other call gets.
pub fn unique(prefix: &str) -> String {
    format!("{prefix}-{:016x}", getrandom::u64().unwrap())
}

/// Tells that a test, or a part of one, is skipped; nobody overlooks it.
pub fn tell_skipped(why: impl std::fmt::Display) {
    let line = "=".repeat(78);
    // Not by a macro: of a test that passes, `cargo test` keeps back what those print.
    std::io::Write::write_all(&mut std::io::stderr(), format!("\n{line}\nSKIPPED: {why}\n{line}\n").as_bytes())
        .unwrap();
}
