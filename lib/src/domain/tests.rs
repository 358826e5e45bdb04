//! Finds test data beside a checkout (`SIRIUS_SHARED`, else `../shared`), which is not part of the repository.

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Finds a file or folder of the shared data; prints a notice if it is missing.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("SIRIUS_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let found = shared.join(path);
    if found.exists() {
        return Some(found);
    }
    // `cargo test` hides what the print macros write in a test that passes.
    let notice = format!("\nSKIPPED: no {}\n", found.display());
    std::io::stderr().write_all(notice.as_bytes()).unwrap();
    None
}
