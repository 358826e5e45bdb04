//! The team's data that lie beside a checkout (`SIRIUS_SHARED`, else `../shared`): not ours to copy, and not always there.

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A file or folder of the shared data; none, with a notice that nobody overlooks, where it is not.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("SIRIUS_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let found = shared.join(path);
    if found.exists() {
        return Some(found);
    }
    // Not by a macro: of a test that passes, `cargo test` keeps back what those print.
    let notice = format!("\nSKIPPED: no {}\n", found.display());
    std::io::stderr().write_all(notice.as_bytes()).unwrap();
    None
}
