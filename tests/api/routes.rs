//! The table of routes against everything else that names a route or a query parameter.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sirius::http::parameter::Kind;
use sirius::http::routes::{ROUTES, Route};
use support::app::{App, event};
use support::report::with_findings;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read_file(name: impl AsRef<Path>) -> String {
    std::fs::read_to_string(root().join(name)).unwrap()
}

/// All files below a folder whose names end so.
fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, end));
        } else if path.to_str().unwrap().ends_with(end) {
            found.push(path);
        }
    }
    found
}

/// A path as documents write it: without the plus sign of a greedy parameter.
fn written(route: &Route) -> String {
    route.path.replace("+}", "}")
}

/// The texts between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Method and path of each heading of docs/API.md that names a route.
fn headings(document: &str) -> Vec<(&str, &str)> {
    let headings = document.lines().filter_map(|line| line.strip_prefix("## ")?.split_once(' '));
    headings.filter(|(_, path)| path.starts_with("/api/")).collect()
}

/// The query parameters in the section of a heading.
fn parameters<'d>(document: &'d str, heading: &str) -> BTreeSet<&'d str> {
    let lines = document.lines().skip_while(|line| *line != heading).skip(1);
    let section: Vec<&str> = lines.take_while(|line| !line.starts_with("## ")).collect();
    let tables = section.split(|line| !line.starts_with('|')).filter(|table| !table.is_empty());
    let tables = tables.filter(|table| table[0].starts_with("| query parameter |"));
    tables.flat_map(|table| &table[2..]).flat_map(|row| quoted(row.split(" | ").next().unwrap())).collect()
}

#[test]
fn the_document_has_each_route_with_its_query_parameters() {
    let document = read_file("docs/API.md");
    let mut documented = Vec::new();
    for (method, path) in headings(&document) {
        let route = ROUTES.iter().find(|route| route.method == method && written(route) == path);
        let route = route.unwrap_or_else(|| panic!("{method} {path} is not in http/routes.rs"));
        let names: BTreeSet<&str> = route.parameters.iter().map(|parameter| parameter.name).collect();
        let parameters = parameters(&document, &format!("## {method} {path}"));
        assert_eq!(parameters, names, "{method} {path}, in docs/API.md and in http/routes.rs");
        documented.push(route.operation_id);
    }
    documented.sort_unstable();
    let mut operations = ROUTES.map(|route| route.operation_id);
    operations.sort_unstable();
    assert_eq!(documented, operations, "in docs/API.md and in http/routes.rs");
}

#[test]
fn each_http_event_is_of_a_route_of_its_function() {
    let mut seen = BTreeSet::new();
    for file in files(&root().join("events"), ".json") {
        let event: Value = serde_json::from_str(&read_file(&file)).unwrap();
        let Some(key) = event["routeKey"].as_str() else { continue };
        let function = file.parent().unwrap().file_name().unwrap().to_str().unwrap();
        let case = file.display();
        if function == "no-route" {
            assert!(key.ends_with(" /{proxy+}"), "{case}: {key}");
            continue;
        }
        let route = ROUTES.iter().find(|route| route.function == function && key == keyed(route));
        let route = route.unwrap_or_else(|| panic!("{case}: {key} is no route of {function}"));
        let path = event["rawPath"].as_str().unwrap();
        assert_eq!(event["requestContext"]["http"]["method"], route.method, "{case}");
        assert!(route.has(path), "{case}: {path}");
        let given: Vec<&String> = event["pathParameters"].as_object().into_iter().flat_map(|map| map.keys()).collect();
        let named = Some(route.path_parameter()).filter(|name| !name.is_empty());
        assert_eq!(given, named.into_iter().collect::<Vec<_>>(), "{case}");
        let names = event["rawQueryString"].as_str().unwrap().split('&').map(|pair| pair.split('=').next().unwrap());
        for name in names.filter(|name| !name.is_empty()) {
            let is_known = route.parameters.iter().any(|parameter| parameter.name == name);
            assert!(is_known || case.to_string().ends_with("-400.json"), "{case}: {name}");
        }
        seen.insert(route.operation_id);
    }
    assert_eq!(seen, ROUTES.iter().map(|route| route.operation_id).collect(), "routes without an event");
}

fn keyed(route: &Route) -> String {
    format!("{} {}", route.method, route.path)
}

/// Each path of the API in a text, with the method before it if there is one.
fn mentions(text: &str) -> Vec<(Option<&str>, String)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("/api/") {
        let rest = &text[at..];
        if !["/api/container", "/api/llm/", "/api/health"].iter().any(|start| rest.starts_with(start)) {
            continue;
        }
        let (mut path, mut depth) = (String::new(), 0);
        for c in rest.chars() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ if depth > 0 => {}
                '/' | '.' | '-' | '_' | ':' | '@' | '+' | '%' | '*' | '…' => {}
                c if c.is_ascii_alphanumeric() => {}
                _ => break,
            }
            path.push(c);
        }
        let method = text[..at].rsplit([' ', '`', '"', '\n', '\'']).find(|word| !word.is_empty());
        let method = method.filter(|word| ROUTES.iter().any(|route| route.method == *word));
        found.push((method.filter(|_| text[..at].ends_with(' ')), path.trim_end_matches(['.', ':']).to_owned()));
    }
    found
}

/// Returns whether a path in a text is that of a route, or the beginning of several.
fn is_of(route: &Route, path: &str) -> bool {
    if let Some(start) = path.strip_suffix(['*', '…']) {
        return route.path.starts_with(start);
    }
    let is_named = path.contains('{') && !path.contains(['[', '(', ' ']);
    let is_start = route.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    is_start || if is_named { written(route) == path } else { route.has(path) }
}

#[test]
fn each_path_that_code_or_a_document_names_is_of_a_route() {
    let mut named = vec![root().join("README.md"), root().join("template.yaml")];
    for (folder, end) in
        [("lib/src", ".rs"), ("functions", ".rs"), ("docs", ".md"), ("local", ".py"), ("benches", ".rs")]
    {
        named.extend(files(&root().join(folder), end));
    }
    named.extend(files(&root().join("tests/support"), ".rs"));
    let mut seen = 0;
    for file in named {
        let name = file.file_name().unwrap().to_str().unwrap();
        if name == "tests.rs" || name.starts_with("test_") {
            continue;
        }
        let text = read_file(&file);
        let is_python = name.ends_with(".py");
        for (method, path) in mentions(text.split("#[cfg(test)]").next().unwrap()) {
            // A string of Python is filled with values of any name.
            let path = if is_python { filled(&path) } else { path };
            let fits = |route: &&Route| method.is_none_or(|method| route.method == method) && is_of(route, &path);
            assert!(ROUTES.iter().any(|route| fits(&route)), "{}: {method:?} {path}", file.display());
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen}");
}

/// A path with a value in the place of each parameter.
fn filled(path: &str) -> String {
    let mut pieces = path.split('{');
    let mut filled = pieces.next().unwrap().to_owned();
    for piece in pieces {
        filled.push('1');
        filled.push_str(piece.rsplit_once('}').map_or("", |(_, rest)| rest));
    }
    filled
}

#[tokio::test]
async fn each_handler_reads_the_parameters_of_its_route_and_no_others() {
    let app = App::with_analysis().await;
    app.post(&with_findings("app", 3)).await;
    for route in ROUTES {
        let path = match route.path_parameter() {
            "finding_id" => route.with(1_000_000),
            "cve_id" => route.with("CVE-2026-10000"),
            _ => route.with(1),
        };
        let ask = async |query: &str| {
            let body = (route.method == "POST").then_some(b"{}".as_slice());
            let headers = [("content-type", "application/json")];
            app.invoke(route.function, event(route.method, &path, query, &headers, body)).await
        };
        let unknown = ask("unknown=1").await;
        assert_eq!((unknown.status, &unknown.json["code"]), (400, &Value::from("invalid_parameter")), "{route:?}");
        for parameter in route.parameters {
            let name = parameter.name;
            let twice = ask(&format!("{name}=1&{name}=1")).await;
            let is_refused = twice.json["detail"] == format!("{name}: is given more than once");
            assert_eq!(is_refused, !parameter.repeated, "{name} of {route:?}: {twice:?}");
            if let Kind::Number { most, .. } = parameter.kind {
                let above = ask(&format!("{name}={}", most + 1)).await;
                assert_eq!(above.status, 400, "{name} of {route:?}: {above:?}");
            }
            if let Kind::Choice(words) = parameter.kind {
                for word in words {
                    assert_eq!(ask(&format!("{name}={word}")).await.status, 200, "{name}={word} of {route:?}");
                }
                assert_eq!(ask(&format!("{name}=neither")).await.status, 400, "{name} of {route:?}");
            }
        }
    }
}
