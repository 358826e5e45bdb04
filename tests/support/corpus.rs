//! The corpus of real reports that lies beside a checkout in the team's workplace. It is data to
//! test against, not a part of this project: where it is missing, tests over it are skipped, loudly.

use std::path::{Path, PathBuf};

/// A file of the corpus.
#[derive(Debug, Clone)]
pub struct File {
    /// Its path inside the corpus.
    pub name: String,
    pub bytes: Vec<u8>,
    /// A Trivy report, to be taken; else to be refused.
    pub accept: bool,
    /// Made by a real Trivy from a real artifact.
    pub real: bool,
    /// How many vulnerabilities it has, if it is a report.
    pub vulnerabilities: usize,
}

fn folder() -> PathBuf {
    std::env::var_os("SIRIUS_CORPUS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus"), PathBuf::from)
}

/// All files; none, with a notice that nobody overlooks, where there is no corpus.
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

/// An input that was once answered wrongly, by its name without an ending; none, with a notice, where the shared data
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
