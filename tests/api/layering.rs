//! Checks that imports run downhill: docs/ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The rooms that each room of the library may import.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("domain", &["domain"]),
    ("priority", &["priority", "domain"]),
    ("report", &["report", "domain"]),
    ("store", &["store", "report", "domain"]),
    ("queue", &["queue", "domain"]),
    ("objects", &["objects", "domain"]),
    ("llm", &["llm", "priority", "domain", "tls"]),
    ("enrichment", &["enrichment", "domain"]),
    ("sources", &["sources", "store", "objects", "enrichment", "domain", "tls"]),
    ("queries", &["queries", "store", "llm", "enrichment", "priority", "domain"]),
    ("exports", &["exports", "priority", "domain"]),
    (
        "pipeline",
        &[
            "pipeline",
            "queries",
            "sources",
            "store",
            "objects",
            "queue",
            "llm",
            "enrichment",
            "priority",
            "report",
            "domain",
            "telemetry",
        ],
    ),
    (
        "http",
        &[
            "http",
            "pipeline",
            "queries",
            "store",
            "objects",
            "queue",
            "llm",
            "exports",
            "priority",
            "report",
            "domain",
            "telemetry",
        ],
    ),
    ("events", &["events", "pipeline", "sources", "store", "objects", "queue", "llm", "domain", "telemetry"]),
    (
        "startup",
        &[
            "startup",
            "http",
            "events",
            "pipeline",
            "queries",
            "sources",
            "store",
            "objects",
            "queue",
            "llm",
            "enrichment",
            "priority",
            "report",
            "domain",
            "aws",
            "telemetry",
            "config",
        ],
    ),
    ("aws", &["aws", "config", "tls"]),
    ("telemetry", &["telemetry", "config"]),
    ("config", &["config", "priority", "domain"]),
    ("tls", &[]),
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
        let pure = ["domain", "report", "priority", "enrichment", "exports"].contains(&room);
        for foreign in ["aws_", "lambda_"] {
            assert!(!pure && room != "llm" || !source.contains(foreign), "{} has {foreign}", inside.display());
        }
        for foreign in ["tokio", "reqwest", "async fn"] {
            assert!(!pure || !source.contains(foreign), "{} has {foreign}", inside.display());
        }
        for (sdk, home) in [("aws_sdk_dynamodb", "store"), ("aws_sdk_sqs", "queue"), ("aws_sdk_s3", "objects")] {
            assert!(!source.contains(sdk) || [home, "aws"].contains(&room), "{} knows {sdk}", inside.display());
        }
    }
    assert!(seen > 30);
}

/// The paths of a `use` tree, or of an expression, from its first segment on: `a::{b, c::d}` has two.
fn paths(tree: &str) -> Vec<Vec<&str>> {
    let tree = tree.trim();
    let is_of_name = |c: char| c.is_alphanumeric() || c == '_';
    let end = tree.find(|c: char| !is_of_name(c)).unwrap_or(tree.len());
    let (name, rest) = tree.split_at(end);
    let Some(rest) = rest.strip_prefix("::") else { return vec![vec![name]] };
    let Some(group) = rest.strip_prefix('{') else {
        return paths(rest).into_iter().map(|path| [vec![name], path].concat()).collect();
    };
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            ',' | '}' if depth == 0 => {
                found.extend(paths(&group[start..at]).into_iter().map(|path| [vec![name], path].concat()));
                start = at + 1;
            }
            '}' => depth -= 1,
            _ => {}
        }
        if c == '}' && depth == 0 && start == at + 1 {
            break;
        }
    }
    found
}

/// The files that a file imports, by the paths of their modules. Imports of its tests do not count.
fn imported_files(module: &str, source: &str, modules: &BTreeSet<String>) -> BTreeSet<String> {
    let code = source.split("#[cfg(test)]\nmod tests").next().unwrap();
    let code: String = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut files = BTreeSet::new();
    for (at, keyword) in code.match_indices("crate::").chain(code.match_indices("super::")) {
        if code[..at].ends_with("super::") || code[..at].ends_with("pub(") {
            continue;
        }
        for path in paths(&code[at..]) {
            let mut at = if keyword == "crate::" { Vec::new() } else { module.split("::").collect::<Vec<_>>() };
            for segment in path {
                match segment {
                    "crate" => {}
                    "super" => drop(at.pop()),
                    _ => at.push(segment),
                }
            }
            while !at.is_empty() && !modules.contains(&at.join("::")) {
                at.pop();
            }
            files.insert(at.join("::"));
        }
    }
    files.remove(module);
    files
}

#[test]
fn no_file_imports_itself_through_others() {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lib/src");
    let module = |file: &Path| {
        let inside = file.strip_prefix(&library).unwrap().with_extension("");
        inside.components().map(|part| part.as_os_str().to_str().unwrap()).collect::<Vec<_>>().join("::")
    };
    let files: BTreeMap<String, String> = sources(&library)
        .iter()
        .map(|file| (module(file), std::fs::read_to_string(file).unwrap()))
        .filter(|(module, _)| !module.split("::").any(|part| part == "tests"))
        .collect();
    let modules: BTreeSet<String> = files.keys().cloned().collect();
    let imports: BTreeMap<String, BTreeSet<String>> =
        files.iter().map(|(module, source)| (module.clone(), imported_files(module, source, &modules))).collect();
    assert!(imports["queries::finding_view"].contains("queries::finding_reader"));
    assert!(
        imports["http::get_scan"].contains("http::reply") && imports["report::suppressed"].contains("domain::text")
    );
    let reaches_itself = |module: &String| {
        let (mut reached, mut next) = (BTreeSet::new(), vec![module.clone()]);
        while let Some(from) = next.pop() {
            next.extend(imports.get(&from).into_iter().flatten().filter(|it| reached.insert((*it).clone())).cloned());
        }
        reached.contains(module)
    };
    let circular: Vec<&String> = imports.keys().filter(|module| reaches_itself(module)).collect();
    assert!(circular.is_empty(), "these files import themselves through others: {circular:?}");
}
