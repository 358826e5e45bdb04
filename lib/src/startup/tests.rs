//! Starts each function with the variables of template.yaml, by the method that its `main` calls.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::*;
use crate::report::Limits;

fn file(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)).unwrap()
}

/// Variables by name.
type Variables = BTreeMap<String, String>;

/// The variables of each function: those of template.yaml with the defaults of its parameters, with or without an Ollama
/// host, and Lambda's own.
fn variables(with_ollama: bool) -> BTreeMap<String, Variables> {
    let template = file("template.yaml");
    let parameters = template.split("\nParameters:\n").nth(1).unwrap().split("\nRules:\n").next().unwrap();
    let defaults: BTreeMap<&str, &str> = parameters
        .split("\n  ")
        .fold((BTreeMap::new(), ""), |(mut defaults, parameter), line| {
            let name = line.strip_suffix(':').filter(|name| !name.starts_with(' '));
            if let Some(default) = line.strip_prefix("  Default: ") {
                defaults.insert(parameter, default.split(" #").next().unwrap().trim_matches('"'));
            }
            (defaults, name.unwrap_or(parameter))
        })
        .0;
    let value = |text: &str| {
        let text = text.split(" #").next().unwrap();
        let chosen = text.strip_prefix("!If [HasOllama, ").map(|choice| {
            let (with, without) = choice.trim_end_matches(']').split_once(", ").unwrap();
            if with_ollama { with } else { without }
        });
        let text = chosen.unwrap_or(text);
        match text.strip_prefix("!Ref ") {
            Some("OllamaUrl") => "https://ollama.example".to_owned(),
            Some("AutoAnalyze") => "CRITICAL,HIGH".to_owned(),
            Some("AWS::AccountId") => "123456789012".to_owned(),
            Some(name) => defaults.get(name).copied().unwrap_or(name).to_owned(),
            None => text.trim_matches('"').to_owned(),
        }
    };
    let block = |text: &str, indent: usize| -> Variables {
        let lines = text.split("Variables:\n").nth(1).unwrap_or_default().lines();
        let own = lines.take_while(|line| line.starts_with(&" ".repeat(indent)));
        let pairs = own.map(str::trim).filter(|line| !line.starts_with('#'));
        pairs.map(|line| line.split_once(": ").unwrap()).map(|(name, text)| (name.to_owned(), value(text))).collect()
    };
    let (globals, resources) = template.split_once("\nResources:\n").unwrap();
    let lambda = [("AWS_REGION", "eu-west-1"), ("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret")];
    let lambda: Variables = lambda.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let functions = resources.split("Type: AWS::Serverless::Function\n").skip(1);
    functions
        .map(|resource| {
            let resource = resource.split("\n\n").next().unwrap();
            let binary = resource.split("Binary: ").nth(1).unwrap().lines().next().unwrap();
            let all = [lambda.clone(), block(globals, 8), block(resource, 10)];
            (binary.to_owned(), all.into_iter().flatten().collect())
        })
        .collect()
}

/// The method of [`Startup`] that the `main` of a function calls; none for a function without state.
fn method(function: &str) -> Option<String> {
    let main = file(&format!("functions/{function}/src/main.rs"));
    let (_, after) = main.split_once("Startup::of_process().await?.")?;
    Some(after.split('(').next().unwrap().to_owned())
}

/// Builds the state that a method of [`Startup`] builds.
async fn build(method: &str, environment: Environment) -> Result<(), Error> {
    let startup = Startup::new(environment.clone(), Clients::new(&environment)?)?;
    match method {
        "store" => {
            drop(startup.store());
            Ok(())
        }
        "analyze_finding" => startup.analyze_finding().map(drop),
        "confirm_scan" => startup.confirm_scan().map(drop),
        "create_upload" => startup.create_upload().map(drop),
        "enrichment" => startup.enrichment().await.map(drop),
        "get_cve" => startup.get_cve().map(drop),
        "get_health" => startup.get_health().map(drop),
        "ingest_upload" => startup.ingest_upload().map(drop),
        "ingestion" => startup.ingestion().map(drop),
        "finding_reader" => startup.finding_reader().map(drop),
        "list_findings" => startup.list_findings().map(drop),
        "list_priorities" => startup.list_priorities().map(drop),
        "recovery" => startup.recovery().map(drop),
        "run_analysis" => startup.run_analysis().await.map(drop),
        "storage" => startup.storage().map(drop),
        other => panic!("Startup has no {other}"),
    }
}

/// The environment of a function in the template, with some variables changed.
fn environment(function: &str, changed: &[(&str, &str)]) -> Environment {
    let variables = variables(false).remove(function).unwrap();
    variables.into_iter().chain(changed.iter().map(|(name, value)| ((*name).into(), (*value).into()))).collect()
}

#[tokio::test]
async fn each_function_starts_from_what_the_template_sets_with_an_ollama_host_and_without() {
    let folders = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions")).unwrap();
    let folders: BTreeSet<String> = folders.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    for with_ollama in [false, true] {
        let functions = variables(with_ollama);
        assert!(functions.keys().eq(&folders));
        for (function, variables) in functions {
            if let Some(method) = method(&function) {
                build(&method, variables.into_iter().collect())
                    .await
                    .unwrap_or_else(|error| panic!("{function}: {error}"));
            } else {
                assert_eq!(function, "no-route");
            }
        }
    }
}

#[tokio::test]
async fn each_variable_that_a_function_needs_is_named_when_it_is_missing() {
    for (function, variables) in variables(false) {
        let Some(method) = method(&function) else { continue };
        let mut needed = BTreeSet::new();
        for name in variables.keys() {
            let others = variables.iter().filter(|(other, _)| *other != name);
            if let Err(error) = build(&method, others.collect()).await {
                // As it gets into the log.
                assert_eq!(format!("{error:?}"), format!("the environment variable {name} is not set"), "{function}");
                needed.insert(name.as_str());
            }
        }
        let own: &[&str] = match function.as_str() {
            "ingest-scan" | "ingest-upload" | "reingest" => &["BUCKET_NAME"],
            "recover" => &["ANALYSIS_QUEUE_URL", "BUCKET_NAME"],
            "enrich-cves" | "refresh-feeds" => &["BUCKET_NAME", "ENRICHMENT_QUEUE_URL"],
            "analyze-finding" | "analyze-scan" => &["ANALYSIS_QUEUE_URL"],
            "run-analysis" => &["OLLAMA_URL"],
            _ => &[],
        };
        let all = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "TABLE_NAME"].into_iter().chain(own.iter().copied());
        assert_eq!(needed, all.collect(), "{function}");
    }
}

#[tokio::test]
async fn an_address_of_a_source_or_of_the_ollama_host_is_refused_by_name() {
    for (function, name, address, refused) in [
        ("enrich-cves", "NVD_URL", "http://127.0.0.1:1/nvd", None),
        ("enrich-cves", "NVD_URL", "http://nvd.example/", Some("not https")),
        ("refresh-feeds", "EPSS_URL", "epss", Some("not a URL")),
        ("run-analysis", "OLLAMA_URL", "http://10.0.0.1:11434", None),
        ("run-analysis", "OLLAMA_URL", "ftp://10.0.0.1", Some("the scheme must be http or https")),
    ] {
        let built = build(&method(function).unwrap(), environment(function, &[(name, address)])).await;
        let expected = refused.map(|reason| format!("the environment variable {name} is refused: {reason}"));
        assert_eq!(built.err().map(|error| error.to_string()), expected, "{function}: {address}");
    }
}

#[test]
fn what_is_not_set_is_as_the_library_has_it() {
    let unset = [("MAX_REPORT_BYTES", ""), ("MAX_FINDINGS", ""), ("OLLAMA_NUM_CTX", ""), ("OLLAMA_NUM_PREDICT", "")];
    let changed = [unset.as_slice(), &[("OLLAMA_MODEL", "m")]].concat();
    let startup = || {
        let environment = environment("ingest-scan", &changed);
        Startup::new(environment.clone(), Clients::new(&environment).unwrap()).unwrap()
    };
    assert_eq!(startup().questions().unwrap().unwrap().options, Options::default());
    let (limits, default) = (startup().ingestion().unwrap().limits, Limits::default());
    assert_eq!((limits.max_bytes, limits.max_findings), (default.max_bytes, default.max_findings));
}
