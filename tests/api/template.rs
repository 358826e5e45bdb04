//! template.yaml, functions/ and the router of `cargo lambda watch` tell the same story.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sirius::http::routes::{ROUTES, Route};

fn read_file(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)).unwrap()
}

fn functions() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions");
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn the_template_has_each_function_once() {
    let template = read_file("template.yaml");
    let mut named: Vec<&str> = template.lines().filter_map(|line| line.trim().strip_prefix("Binary: ")).collect();
    named.sort_unstable();
    assert_eq!(named, functions().iter().map(String::as_str).collect::<Vec<_>>());
}

/// The routes of `cargo lambda watch`: path, method (none for all methods) and function.
fn watched(manifest: &str) -> BTreeSet<(String, Option<String>, String)> {
    let router = manifest.split("[workspace.metadata.lambda.watch.router]").nth(1).unwrap();
    let (mut found, mut path) = (BTreeSet::new(), "");
    for line in router.lines() {
        let quoted: Vec<&str> = line.split('"').skip(1).step_by(2).collect();
        match quoted.as_slice() {
            [] => {}
            [only] => path = only,
            [path, function] if line.starts_with('"') => {
                found.insert(((*path).to_owned(), None, (*function).to_owned()));
            }
            [method, function] => {
                found.insert((path.to_owned(), Some((*method).to_owned()), (*function).to_owned()));
            }
            _ => panic!("{line}"),
        }
    }
    found
}

/// A path as the router of `cargo lambda watch` spells it: `{*name}` for `{name+}`.
fn spelled(path: &str) -> String {
    match path.strip_suffix("+}").and_then(|path| path.rsplit_once('{')) {
        Some((before, name)) => format!("{before}{{*{name}}}"),
        None => path.to_owned(),
    }
}

#[test]
fn the_watch_router_has_the_routes_of_the_table_and_no_route() {
    let watched = watched(&read_file("Cargo.toml"));
    let mut found = BTreeSet::from([("/{*proxy}".to_owned(), None, "no-route".to_owned())]);
    for route in ROUTES {
        let below = |greedy: &Route| {
            let before = greedy.path.strip_suffix("+}").and_then(|path| path.rsplit_once('{'));
            before.is_some_and(|(before, _)| route.path.starts_with(before))
        };
        // The router cannot have a route below a greedy one, which takes the requests of its method to its own function.
        let (path, function) = match ROUTES.into_iter().find(below) {
            Some(greedy) if route.method == greedy.method => (spelled(greedy.path), greedy.function),
            Some(greedy) => (spelled(greedy.path), route.function),
            None => (spelled(route.path), route.function),
        };
        let entry = |method: Option<&str>| (path.clone(), method.map(str::to_owned), function.to_owned());
        let entries = [entry(Some(route.method)), entry(None)];
        let has: Vec<_> = entries.into_iter().filter(|entry| watched.contains(entry)).collect();
        assert_eq!(has.len(), 1, "{} {} in Cargo.toml", route.method, route.path);
        found.extend(has);
    }
    assert_eq!(watched, found);
}

/// The routes in template.yaml: method, path, function and, from the `security` of its OpenAPI document, the scope.
fn routes(template: &str) -> BTreeSet<(String, String, String, String)> {
    let (mut scopes, mut path, mut method) = (BTreeMap::new(), "", "");
    for line in template.lines() {
        if let Some(found) = line.strip_prefix("          /") {
            path = found.trim_end_matches(':');
        } else if let Some(found) = line.strip_prefix("            ").filter(|text| !text.starts_with([' ', '-', '#']))
        {
            method = found.trim_end_matches(':');
        } else if let Some(security) = line.trim().strip_prefix("security: !If [UsesJwt, [jwt: [") {
            let scope = security.split(']').next().unwrap().trim_start_matches("!Ref ").trim_end_matches("Scope");
            scopes.insert((method.to_uppercase(), format!("/{path}")), scope.to_owned());
        }
    }
    let (mut found, mut function, mut method) = (BTreeSet::new(), "", "");
    for line in template.lines().map(str::trim) {
        if let Some(binary) = line.strip_prefix("Binary: ") {
            function = binary;
        } else if let Some(verb) = line.strip_prefix("Method: ") {
            method = verb;
        } else if let Some(path) = line.strip_prefix("Path: /") {
            let (method, path) = (method.to_owned(), format!("/{path}"));
            let scope = scopes.remove(&(method.clone(), path.clone())).unwrap_or_else(|| panic!("{method} {path}"));
            found.insert((method, path, function.to_owned(), scope));
        }
    }
    assert!(scopes.is_empty(), "without a function: {scopes:?}");
    found
}

#[test]
fn the_template_has_the_routes_of_the_table_and_beside_them_those_of_no_route() {
    let table = ROUTES.iter().map(|route| {
        let scope = format!("{:?}", route.scope);
        (route.method.to_owned(), route.path.to_owned(), route.function.to_owned(), scope)
    });
    let no_route = ["DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"]
        .map(|method| (method.to_owned(), "/{proxy+}".to_owned(), "no-route".to_owned(), String::new()));
    assert_eq!(routes(&read_file("template.yaml")), table.chain(no_route).collect());
}

#[test]
fn limits_and_cors_are_of_the_routes_of_the_table() {
    let template = read_file("template.yaml");
    let settings = template.split("\n      RouteSettings:\n").nth(1).unwrap();
    let limited: Vec<&str> = settings.lines().map_while(|line| line.strip_prefix("        ")).collect();
    assert!(limited.len() > 3, "{limited:?}");
    for line in limited {
        let key = line.split(": {Throttling").next().unwrap();
        assert!(ROUTES.iter().any(|route| format!("{} {}", route.method, route.path) == key), "{key} is no route");
    }
    let methods: BTreeSet<&str> = ROUTES.iter().map(|route| route.method).collect();
    let allowed = format!("allowMethods: [{}]", methods.into_iter().collect::<Vec<_>>().join(", "));
    assert!(template.contains(&allowed), "{allowed}");
}

/// The text of a resource, and the number that follows a key in it.
fn number_in(resource: &str, key: &str) -> Option<u64> {
    let line = resource.lines().find_map(|line| line.trim().strip_prefix(key))?;
    line.trim().trim_matches('"').split_whitespace().next()?.parse().ok()
}

#[test]
fn a_lease_is_longer_than_the_function_that_holds_it_can_live() {
    let template = read_file("template.yaml");
    let globals = number_in(&template, "Timeout:").unwrap();
    let mut leases = 0;
    for resource in template.split("Type: AWS::Serverless::Function").skip(1) {
        let timeout = number_in(resource, "Timeout:").unwrap_or(globals);
        if let Some(lease) = number_in(resource, "LEASE_SECONDS:") {
            assert!(lease > timeout, "a lease of {lease} s and a timeout of {timeout} s");
            leases += 1;
        }
    }
    assert_eq!(leases, 7);
    for (queue, timeout) in [("UploadQueue", 120), ("AnalysisQueue", 300)] {
        let resource = template.split(&format!("\n  {queue}:\n")).nth(1).unwrap();
        let visibility = number_in(resource, "VisibilityTimeout:").unwrap();
        assert!(visibility >= 6 * timeout, "{queue}: six times the timeout of its function");
    }
}

#[test]
fn the_largest_report_is_the_same_for_the_template_and_for_the_functions() {
    let template = read_file("template.yaml");
    let parameter = template
        .split("\n  MaxReportBytes:\n")
        .nth(1)
        .unwrap()
        .split("\n  ")
        .find(|line| line.trim_start().starts_with("MaxValue:"));
    let most = number_in(parameter.unwrap(), "MaxValue:").unwrap();
    assert_eq!(Some(most), u64::try_from(sirius::config::reports::MAX_BYTES_LIMIT).ok());
}

#[test]
fn each_function_that_knows_the_bucket_knows_whose_it_is() {
    let template = read_file("template.yaml");
    let named = template.matches("BUCKET_NAME: !Ref Bucket\n").count();
    assert!(named >= 8, "{named}");
    assert_eq!(
        template.matches("BUCKET_NAME: !Ref Bucket\n          BUCKET_OWNER: !Ref AWS::AccountId").count(),
        named
    );
}

#[test]
fn each_index_has_an_alarm_for_its_throttles() {
    let template = read_file("template.yaml");
    let indexes: Vec<&str> = template.lines().filter_map(|line| line.trim().strip_prefix("- IndexName: ")).collect();
    assert!(indexes.len() >= 3, "{indexes:?}");
    for index in indexes {
        let dimension = format!("{{Name: GlobalSecondaryIndexName, Value: {index}}}");
        assert!(template.contains(&dimension), "nobody is told when {index} is throttled");
    }
}

/// The logical ids of the resources of a type.
fn resources<'t>(template: &'t str, kind: &str) -> Vec<&'t str> {
    let lines: Vec<&str> = template.lines().collect();
    let of_kind = lines.windows(2).filter(|two| two[1].trim() == format!("Type: {kind}"));
    of_kind.map(|two| two[0].trim().trim_end_matches(':')).collect()
}

#[test]
fn each_alarm_is_on_the_dashboard_goes_to_the_topic_and_is_explained() {
    let (template, manual) = (read_file("template.yaml"), read_file("docs/OPERATIONS.md"));
    let alarms = resources(&template, "AWS::CloudWatch::Alarm");
    assert!(alarms.len() >= 12, "{alarms:?}");
    for alarm in &alarms {
        assert!(template.contains(&format!("\"${{{alarm}.Arn}}\"")), "{alarm} is not on the dashboard");
        assert!(manual.contains(&format!("`{alarm}`")), "{alarm} is not in docs/OPERATIONS.md");
    }
    for action in ["AlarmActions: !If [HasAlarmTopic,", "OKActions: !If [HasAlarmTopic,"] {
        assert_eq!(template.matches(action).count(), alarms.len(), "{action}");
    }
}

#[test]
fn each_function_may_use_the_key_and_is_on_the_dashboard() {
    let template = read_file("template.yaml");
    let functions = resources(&template, "AWS::Serverless::Function");
    assert_eq!(template.matches("- !If [HasKmsKey, !Ref UseKey, !Ref AWS::NoValue]").count(), functions.len());
    for function in functions {
        let errors = format!(r#"["AWS/Lambda","Errors","FunctionName","${{{function}}}"]"#);
        assert!(template.contains(&errors), "{function} is not on the dashboard");
    }
}

#[test]
fn each_queue_is_encrypted_and_wants_tls() {
    let template = read_file("template.yaml");
    let queues = resources(&template, "AWS::SQS::Queue");
    assert_eq!(template.matches("SqsManagedSseEnabled: !If [HasKmsKey, false, true]").count(), queues.len());
    let policies = template.split("Type: AWS::SQS::QueuePolicy").skip(1);
    let policies: Vec<&str> = policies.map(|text| text.split("\n\n").next().unwrap()).collect();
    for queue in queues {
        let wants_tls = |policy: &&str| {
            policy.contains(&format!("- !Ref {queue}\n"))
                && policy.contains("Effect: Deny")
                && policy.contains("aws:SecureTransport: \"false\"")
        };
        assert!(policies.iter().any(wants_tls), "{queue}");
    }
}
