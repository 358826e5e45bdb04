//! The corpus of real reports beside a checkout. It is data to
//! test against and not a part of this project: without it, tests over it are skipped with a notice.

use std::path::{Path, PathBuf};

/// A file of the corpus.
#[derive(Debug, Clone)]
pub struct File {
    /// Its path inside the corpus.
    pub name: String,
    pub bytes: Vec<u8>,
    /// Whether it is a Trivy report, which is accepted; else it is refused.
    pub accept: bool,
    /// Whether a real Trivy made it from a real artifact.
    pub real: bool,
    /// The number of its vulnerabilities, if it is a report.
    pub vulnerabilities: usize,
}

fn folder() -> PathBuf {
    std::env::var_os("SIRIUS_CORPUS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus"), PathBuf::from)
}

/// Lists all files; none, with a notice, without a corpus.
pub fn files() -> Option<Vec<File>> {
    let folder = folder();
    let Ok(manifest) = std::fs::read_to_string(folder.join("MANIFEST.tsv")) else {
        crate::tell_skipped(format_args!("no corpus of real reports at {}", folder.display()));
        return None;
    };
    let mut lines = manifest.lines();
    let header: Vec<&str> = lines.next().unwrap().split('\t').collect();
    let column = |name: &str| header.iter().position(|title| *title == name).unwrap();
    let (file, kind, count, provenance) = (column("file"), column("kind"), column("n_vulns"), column("provenance"));
    let read = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let name = fields[file].to_owned();
        File {
            bytes: std::fs::read(folder.join(&name)).unwrap(),
            name,
            accept: matches!(fields[kind], "v2" | "v1-array"),
            real: fields[provenance] == "real",
            vulnerabilities: fields[count].parse().unwrap(),
        }
    };
    Some(lines.map(read).collect())
}

/// Reads an input that was once handled wrongly, by its name without an ending; none, with a notice, if the shared data
/// are missing.
pub fn case(name: &str) -> Option<Vec<u8>> {
    let shared = std::env::var_os("SIRIUS_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let file = shared.join("cases").join(format!("{name}.json"));
    let read = std::fs::read(&file).ok();
    if read.is_none() {
        crate::tell_skipped(format_args!("no case at {}", file.display()));
    }
    read
}
