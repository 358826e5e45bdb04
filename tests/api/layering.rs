//! Imports run downhill: docs/ARCHITECTURE.md.

use std::path::{Path, PathBuf};

/// What each room of the library may import from its own crate.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("domain", &["domain"]),
    ("report", &["report", "domain"]),
    ("store", &["store", "report", "domain"]),
    ("queue", &["queue", "domain"]),
    ("objects", &["objects", "domain"]),
    ("llm", &["llm", "domain"]),
    ("enrichment", &["enrichment", "domain"]),
    ("exports", &["exports", "domain"]),
    ("sources", &["sources", "store", "objects", "enrichment", "domain"]),
    (
        "pipeline",
        &["pipeline", "sources", "store", "objects", "queue", "llm", "enrichment", "report", "domain", "telemetry"],
    ),
    ("http", &["http", "pipeline", "store", "objects", "queue", "llm", "report", "domain", "telemetry"]),
    ("events", &["events", "pipeline", "sources", "store", "objects", "queue", "llm", "domain", "telemetry"]),
    // What `main` wires with.
    ("config", &["config", "pipeline", "sources", "llm", "report", "domain"]),
    ("aws", &["aws", "config", "pipeline", "sources", "store", "objects", "queue", "llm", "enrichment"]),
    ("telemetry", &["telemetry"]),
    ("lib", &[]),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The names after `crate::`, also in `use crate::{a, b::c};`.
fn imported(source: &str) -> Vec<String> {
    let mut names = Vec::new();
    for after in source.split("crate::").skip(1) {
        let group = after.strip_prefix('{').map(|group| group.split('}').next().unwrap());
        let name =
            |text: &str| text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        match group {
            Some(group) => names.extend(group.split(',').map(name)),
            None => names.push(name(after)),
        }
    }
    names
}

#[test]
fn imports_run_downhill() {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lib/src");
    let mut seen = 0;
    for file in sources(&library) {
        let inside = file.strip_prefix(&library).unwrap();
        let room = inside.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs");
        let (_, allowed) =
            MAY_IMPORT.iter().find(|(name, _)| *name == room).unwrap_or_else(|| panic!("no rule for {room}"));
        let source = std::fs::read_to_string(&file).unwrap();
        for name in imported(&source) {
            assert!(allowed.contains(&name.as_str()), "{} imports crate::{name}", inside.display());
            seen += 1;
        }
        let pure = ["domain", "report", "exports"].contains(&room);
        for foreign in ["aws_", "lambda_", "tokio", "reqwest", "async fn"] {
            assert!(!pure || !source.contains(foreign), "{} has {foreign}", inside.display());
        }
        for (sdk, home) in [("aws_sdk_dynamodb", "store"), ("aws_sdk_sqs", "queue"), ("aws_sdk_s3", "objects")] {
            assert!(!source.contains(sdk) || [home, "aws"].contains(&room), "{} knows {sdk}", inside.display());
        }
    }
    assert!(seen > 30);
}
