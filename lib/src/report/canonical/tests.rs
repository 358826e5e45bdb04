use std::io::Write as _;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::sample::subsequence;
use serde_json::{Value, json};

use super::*;
use crate::domain::tests::shared;

/// The filter that docs/decisions/0003 gives for `jq --sort-keys --compact-output --join-output`.
const JQ: &str = r#"def sorted: if type == "object" then . as $o | reduce keys[] as $k ({}; .[$k] = ($o[$k] | sorted)) elif type == "array" then map(sorted) else . end; del(.. | objects | (.Layer | objects | .Digest), (.PkgIdentifier, .Identifier | objects | .UID), (.DataSource | objects | .BaseID)) | sorted | if type == "object" then del(.CreatedAt, .ReportID, (.Trivy | objects | .Server), (.Metadata | objects | .Layers)) | (.Results | arrays | .[] | objects | .Licenses, .ExperimentalModifiedFindings | arrays) |= sort_by(tojson) | (.Results | arrays) |= sort_by(tojson) else . end"#;

fn canonical(json: &str) -> Result<Canonical, Error> {
    Canonical::read(json.as_bytes(), &Limits::default())
}

fn text(json: &str) -> String {
    canonical(json).unwrap().text
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC*|[\\x00-\\x1f\"\\\\]*".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map("[a-z\"\\\\é]{0,4}", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Equal, where 5 and 5.0 are one number.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        _ => a == b,
    }
}

/// The same value, with members in another order, spread over lines, numbers spelled otherwise.
fn respell(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push_str("[ \n");
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { "\t, " });
                respell(item, out);
            }
            out.push_str("\r\n]");
        }
        Value::Object(members) => {
            out.push('{');
            for (at, (key, member)) in members.iter().rev().enumerate() {
                out.push_str(if at == 0 { " " } else { " , " });
                out.push_str(&serde_json::to_string(key).unwrap());
                out.push_str(" : ");
                respell(member, out);
            }
            out.push('}');
        }
        // Beyond 2^53 a float is not the same number any more.
        Value::Number(number) if number.as_i64().is_some_and(|n| n.abs() < 1 << 53) => {
            out.push_str(&format!("{number}.0"));
        }
        other => out.push_str(&other.to_string()),
    }
}

fn hash(json: &str) -> ReportHash {
    canonical(json).unwrap().hash(&Declared::default())
}

fn sha256(text: &str) -> ReportHash {
    ReportHash::from(<[u8; 32]>::from(Sha256::digest(text)))
}

/// Removes from a value what the hash leaves out, and sorts what it sorts: a second, slow form of the rule.
fn reduced(report: &Value) -> Value {
    fn without_chance(value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(without_chance),
            Value::Object(members) => {
                for (of, member) in
                    [("Layer", "Digest"), ("PkgIdentifier", "UID"), ("Identifier", "UID"), ("DataSource", "BaseID")]
                {
                    if let Some(Value::Object(inner)) = members.get_mut(of) {
                        inner.remove(member);
                    }
                }
                members.values_mut().for_each(without_chance);
            }
            _ => {}
        }
    }

    fn sort(value: Option<&mut Value>) {
        if let Some(Value::Array(items)) = value {
            items.sort_by_cached_key(Value::to_string);
        }
    }

    let mut report = report.clone();
    without_chance(&mut report);
    if let Value::Object(members) = &mut report {
        members.remove("CreatedAt");
        members.remove("ReportID");
        for (of, member) in [("Trivy", "Server"), ("Metadata", "Layers")] {
            if let Some(Value::Object(inner)) = members.get_mut(of) {
                inner.remove(member);
            }
        }
        if let Some(Value::Array(results)) = members.get_mut("Results") {
            for result in results {
                if let Value::Object(result) = result {
                    sort(result.get_mut("Licenses"));
                    sort(result.get_mut("ExperimentalModifiedFindings"));
                }
            }
        }
        sort(members.get_mut("Results"));
    }
    report
}

/// JSON with the names that matter, anywhere and of any type.
fn like_a_report() -> impl Strategy<Value = Value> {
    const NAMES: [&str; 17] = [
        "CreatedAt",
        "ReportID",
        "Trivy",
        "Server",
        "Metadata",
        "Layers",
        "Results",
        "Licenses",
        "ExperimentalModifiedFindings",
        "Layer",
        "Digest",
        "PkgIdentifier",
        "Identifier",
        "UID",
        "DataSource",
        "BaseID",
        "Z",
    ];
    let leaf =
        prop_oneof![Just(Value::Null), (0..3).prop_map(Value::from), "[a-b\"\u{1}\u{2}]{0,2}".prop_map(Value::from)];
    leaf.prop_recursive(8, 80, 6, |inner| {
        let object = (subsequence(&NAMES, 0..6), prop::collection::vec(inner.clone(), 6))
            .prop_map(|(names, values)| Value::Object(names.into_iter().map(str::to_owned).zip(values).collect()));
        prop_oneof![1 => prop::collection::vec(inner, 0..5).prop_map(Value::from), 2 => object]
    })
}

/// Runs jq over a report; answers nothing, and says so aloud, where there is no jq.
fn jq(json: &[u8]) -> Option<Vec<u8>> {
    let mut jq = Command::new("jq");
    jq.args(["--sort-keys", "--compact-output", "--join-output", JQ]);
    let Ok(mut child) = jq.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn() else {
        // Not by a macro: of a test that passes, `cargo test` keeps back what those print.
        std::io::stderr().write_all(b"\nSKIPPED: no jq\n").unwrap();
        return None;
    };
    let mut stdin = child.stdin.take().unwrap();
    // jq reads all before it writes anything. It may end before it has read all of what is no JSON.
    let _ = stdin.write_all(json);
    drop(stdin);
    Some(child.wait_with_output().unwrap().stdout)
}

#[test]
fn numbers_have_one_spelling() {
    assert_eq!(text("[7.5,7.50,75e-1,0.75E1]"), "[7.5,7.5,7.5,7.5]");
    assert_eq!(text("[5,5.0,50e-1,-0,-0.0,0]"), "[5,5,5,0,0,0]");
    assert_eq!(text("[18446744073709551615,-9223372036854775808]"), "[18446744073709551615,-9223372036854775808]");
}

#[test]
fn keys_are_sorted_at_every_level_and_volatile_ones_left_out_at_the_first_only() {
    let report = r#"{"b":{"z":1,"CreatedAt":2,"a":[]},"ReportID":"x","CreatedAt":"2026-01-01T00:00:00Z","a":null}"#;
    assert_eq!(text(report), r#"{"a":null,"b":{"CreatedAt":2,"a":[],"z":1}}"#);
    assert_eq!(text(r#"{"ReportID":1}"#), "{}");
}

#[test]
fn keys_are_sorted_by_their_names_whatever_their_spelling() {
    assert_eq!(
        text(r#"{"a\"":1,"ab":2,"a b":3,"a":4,"a!":5,"é":6,"\u0009":7}"#),
        "{\"\\t\":7,\"a\":4,\"a b\":3,\"a!\":5,\"a\\\"\":1,\"ab\":2,\"é\":6}"
    );
}

#[test]
fn escapes_do_not_matter() {
    assert_eq!(text(r#"{"\u0061":"\u002fé\u00e9\n"}"#), r#"{"a":"/éé\n"}"#);
    assert_eq!(text(r#"{"\u0043reatedAt":"2026-01-01T00:00:00Z"}"#), "{}");
}

#[test]
fn a_key_given_twice_is_refused() {
    let error = canonical("{\"x\":{\n\"a\":1,\"b\":2,\"\\u0061\":3}}").unwrap_err();
    assert!(matches!(&error, Error::Syntax { line: 2, reason, .. } if reason == "duplicate key \"a\""), "{error}");
    for name in ["CreatedAt", "ReportID"] {
        let twice = canonical(&format!(r#"{{"{name}":"2026-01-01T00:00:00Z","{name}":null}}"#));
        assert!(matches!(twice, Err(Error::Syntax { .. })), "{name}");
    }
    for (of, name) in [
        ("Trivy", "Server"),
        ("Metadata", "Layers"),
        ("Layer", "Digest"),
        ("PkgIdentifier", "UID"),
        ("Identifier", "UID"),
        ("DataSource", "BaseID"),
    ] {
        let twice = canonical(&format!(r#"{{"{of}":{{"{name}":1,"a":2,"{name}":1}}}}"#));
        assert!(matches!(twice, Err(Error::Syntax { .. })), "{name}");
    }
}

#[test]
fn a_key_that_means_something_to_the_parser_itself_is_refused() {
    for key in ["RawValue", "Number"] {
        let json = format!(r#"{{"a":[{{"$serde_json::private::{key}":"[1]"}}]}}"#);
        assert!(matches!(canonical(&json), Err(Error::Syntax { reason, .. }) if reason.contains("$serde_json")));
    }
    assert!(canonical(r#"{"$serde":1}"#).is_ok());
}

#[test]
fn broken_json_is_located() {
    assert!(matches!(canonical("{\n \"a\": 1,\n}"), Err(Error::Syntax { line: 3, column: 1, .. })));
    assert!(matches!(canonical("{\n \"a\": [1,"), Err(Error::Truncated { line: 2, .. })));
    assert!(matches!(canonical("[1e999]"), Err(Error::Syntax { .. })));
    let invalid = Canonical::read(b"[\"\xC3\x28\"]", &Limits::default());
    assert!(matches!(invalid, Err(Error::NotUtf8 { offset: 2, line: 1, column: 3 })));
}

#[test]
fn what_follows_the_json_is_located_and_named() {
    for (json, at) in [("{} {}", (1, 4)), ("[]\n[]", (2, 1)), ("{\n}\r\n  {\"a\": broken", (3, 3)), ("{}{", (1, 3))] {
        let error = canonical(json).unwrap_err();
        assert!(matches!(error, Error::SecondValue { line, column } if (line, column) == at), "{json}: {error}");
    }
    for (json, at) in
        [("{} x", (1, 4)), ("[]\n2026-11-20 done", (2, 1)), ("{}\0", (1, 3)), ("{}]", (1, 3)), ("{}\"x\"", (1, 3))]
    {
        let error = canonical(json).unwrap_err();
        assert!(matches!(error, Error::TextAfter { line, column } if (line, column) == at), "{json}: {error}");
    }
}

#[test]
fn half_a_surrogate_pair_is_read_as_a_replacement_character() {
    assert_eq!(text(r#"{"\ud800a":["\udfff","\ud83d\ude00"]}"#), "{\"\u{FFFD}a\":[\"\u{FFFD}\",\"😀\"]}");
    let twice = canonical(r#"{"\ud800":1,"\udbff":2}"#);
    assert!(matches!(twice, Err(Error::Syntax { reason, .. }) if reason.contains("duplicate")), "both read the same");
}

#[test]
fn endless_members_names_and_exponents_are_refused() {
    let members: String = (0..=MAX_OPEN_MEMBERS).map(|n| format!("\"{n}\":0,")).collect();
    let wide = format!("{{{members}\"x\":0}}");
    assert!(matches!(canonical(&wide), Err(Error::Syntax { reason, .. }) if reason.contains("50000 members")));
    let long = format!("{{\"{}\":0}}", "n".repeat(MAX_NAME_BYTES));
    assert!(matches!(canonical(&long), Err(Error::Syntax { reason, .. }) if reason.contains("16384 bytes")));
    let numbers = format!("[{}0]", "1e15,".repeat(100_000));
    assert!(matches!(canonical(&numbers), Err(Error::Syntax { reason, .. }) if reason.contains("exponent")));
    assert_eq!(text("[1e15,1e15]"), "[1000000000000000,1000000000000000]");
}

#[test]
fn members_of_large_objects_come_into_order() {
    let large = "x".repeat(700_000);
    let json = format!(r#"{{"b":"{large}","e":{{"z":"{large}","y":[1]}},"a":"{large}","d":2,"c":"{large}"}}"#);
    let expected = format!(r#"{{"a":"{large}","b":"{large}","c":"{large}","d":2,"e":{{"y":[1],"z":"{large}"}}}}"#);
    assert!(text(&json) == expected);
}

#[test]
fn deep_nesting_is_refused_and_never_overflows_the_stack() {
    assert!(canonical(&format!("{}{}", "[".repeat(127), "]".repeat(127))).is_ok());
    assert!(matches!(canonical(&"[".repeat(1_000_000)), Err(Error::TooDeep { line: 1, column: 128 })));
    assert!(matches!(canonical(&"{\"a\":".repeat(1_000_000)), Err(Error::TooDeep { .. })));
}

#[test]
fn the_time_of_a_report_is_read_in_every_form_that_trivy_wrote() {
    let at = |json: &str| canonical(&format!("{{\"CreatedAt\":{json}}}")).unwrap().created_at();
    let expected: Timestamp = "2026-06-07T10:00:00.123456789Z".parse().unwrap();
    assert_eq!(at("\"2026-06-07T12:00:00.123456789+02:00\"").unwrap(), Some(expected));
    assert_eq!(at("\"2026-06-07T10:00:00.123456789Z\"").unwrap(), Some(expected));
    assert_eq!(at("\"2026-06-07T10:00:00.1234567899999Z\"").unwrap(), Some(expected));
    assert_eq!(at("\"2026-06-07T15:30:00.1234567890000000001+05:30\"").unwrap(), Some(expected));
    assert_eq!(at("1629894030").unwrap(), Some(Timestamp::from_second(1_629_894_030).unwrap()));
    assert_eq!(at("null").unwrap(), None);
    assert_eq!(canonical("{}").unwrap().created_at().unwrap(), None);
    for json in ["\"yesterday\"", "\"yesterday at 1.12345678901\"", "true", "{}", "1e40", "\"\""] {
        assert!(matches!(at(json), Err(Error::Field { path, .. }) if path == "CreatedAt"), "{json}");
    }
}

#[test]
fn a_given_name_is_part_of_the_hash() {
    let report = canonical("[]").unwrap();
    let named = |name: &str| Declared { image_name: Some(name.parse().unwrap()), ..Declared::default() };
    let (a, b) = (named("a"), named("b"));
    assert_ne!(report.hash(&Declared::default()), report.hash(&a));
    assert_ne!(report.hash(&b), report.hash(&a));
}

#[test]
fn scanners_and_severities_are_part_of_the_hash_where_they_are_given() {
    let report = canonical("[]").unwrap();
    let all = Declared {
        image_name: Some("app".parse().unwrap()),
        scanners: Some("secret,vuln".parse().unwrap()),
        severities: Some("high,critical".parse().unwrap()),
    };
    assert_eq!(report.hash(&all), sha256("[]\nimage_name=app\nscanners=vuln,secret\nseverities=CRITICAL,HIGH"));
    let some = Declared { image_name: None, scanners: None, ..all };
    assert_eq!(report.hash(&some), sha256("[]\nseverities=CRITICAL,HIGH"));
    assert_eq!(report.hash(&Declared::default()), sha256("[]"));
}

#[test]
fn the_hash_is_what_jq_and_sha256sum_say() {
    let expected = "5db14a2cddc92d31365806bb5d82ed2bc436bf6960d10cd4654140f7bdadce1c";
    assert_eq!(hash(r#"{ "ReportID": 1, "a": [1.0, "\u00e9"] }"#).to_string(), expected);
    for json in [
        r#"{ "ReportID": 1, "a": [1.0, "\u00e9"] }"#,
        r#"{"Trivy":[1],"Metadata":"x","Results":[1,12,{"Licenses":{"a":1}},"s",null,[],{"Layer":{"Digest":1}}]}"#,
        r#"{"Layer":{"Digest":{"Layer":{"Digest":2,"a":3}},"z":{"Layer":{"Digest":2}},"A":1},"Results":{"b":1,"a":2}}"#,
        r#"{"Results":[{"Licenses":[{"b":2,"a":1},{"a":1}],"ExperimentalModifiedFindings":["b","a","é","a\u0001"]}]}"#,
        r#"{"Trivy":{"Server":1,"Version":2},"Metadata":{"Layers":[],"Size":1},"Results":null}"#,
        r#"[{"Target":"b","Licenses":[2,1],"Layer":{"Digest":1}},{"Target":"a","CreatedAt":1}]"#,
    ] {
        let Some(said) = jq(json.as_bytes()) else { return };
        assert_eq!(hash(json), sha256(str::from_utf8(&said).unwrap()), "{json}");
    }
}

#[test]
fn the_hash_of_a_real_report_is_what_jq_and_sha256sum_say() {
    // jq 1.6 needs a second for the largest.
    const MAX_BYTES: u64 = 100_000;
    let (Some(cases), Some(corpus)) = (shared("cases"), shared("corpus")) else { return };
    let folders = std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let files = folders.chain([cases]).flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let mut compared = 0;
    for file in files.map(|entry| entry.unwrap()).filter(|file| file.metadata().unwrap().len() < MAX_BYTES) {
        let json = std::fs::read(file.path()).unwrap();
        let Ok(canonical) = Canonical::read(&json, &Limits::default()) else { continue };
        // jq reads UTF-8 only.
        if std::str::from_utf8(&json).is_err() {
            continue;
        }
        let Some(said) = jq(&json) else { return };
        let said = sha256(str::from_utf8(&said).unwrap());
        assert_eq!(canonical.hash(&Declared::default()), said, "{}", file.path().display());
        compared += 1;
    }
    assert!(compared > 120, "{compared}");
}

#[test]
fn what_trivy_says_differently_of_one_input_has_one_hash() {
    let Some(cases) = shared("cases") else { return };
    let hash = |name: &str| hash(&std::fs::read_to_string(cases.join(name)).unwrap());
    for (one, other, are_one) in [
        ("suppressed-order-0.json", "suppressed-order-1.json", true),
        ("licence-order-059-0.json", "licence-order-059-1.json", true),
        ("server-db-day1.json", "server-db-day2.json", true),
        ("layer-digest-cold-cache.json", "layer-digest-warm-cache.json", true),
        ("rhsa-flip-0.json", "rhsa-flip-1.json", false),
        ("multi-arch-amd64.json", "multi-arch-arm64.json", false),
    ] {
        assert_eq!(hash(one) == hash(other), are_one, "{one}");
    }
}

#[test]
fn a_digest_of_a_layer_stays_in_the_text() {
    for (json, expected) in [
        (r#"{"Layer":{"Digest":"d","DiffID":"i"}}"#, r#"{"Layer":{"DiffID":"i","Digest":"d"}}"#),
        (r#"{"Layer":{"Digest":"d"}}"#, r#"{"Layer":{"Digest":"d"}}"#),
        (
            r#"{"Layer":{"Z":1,"Digest":{"Layer":{"Digest":2}}}}"#,
            r#"{"Layer":{"Digest":{"Layer":{"Digest":2}},"Z":1}}"#,
        ),
        (r#"{"Layer":{}}"#, r#"{"Layer":{}}"#),
        (
            r#"[{"Layer":{"Digest":1,"A":[]}},{"Layer":[{"Digest":1}]}]"#,
            r#"[{"Layer":{"A":[],"Digest":1}},{"Layer":[{"Digest":1}]}]"#,
        ),
    ] {
        assert_eq!(text(json), expected);
    }
    assert_eq!(hash(r#"{"Layer":{"DiffID":"i","Digest":"d"}}"#), sha256(r#"{"Layer":{"DiffID":"i"}}"#));
    assert_eq!(hash(r#"{"Layer":{"Digest":"d"}}"#), hash(r#"{"Layer":{}}"#));
    assert_ne!(hash(r#"{"Layer":[{"Digest":1}]}"#), hash(r#"{"Layer":[{}]}"#));
}

#[test]
fn members_that_are_left_out_are_left_out_in_their_place_only() {
    assert_eq!(
        text(
            r#"{"Trivy":{"Server":{"Version":1},"Version":2},"Metadata":{"Layers":[1],"Size":3},"Server":4,"Layers":5}"#
        ),
        r#"{"Layers":5,"Metadata":{"Size":3},"Server":4,"Trivy":{"Version":2}}"#
    );
    assert_eq!(text(r#"{"a":{"Trivy":{"Server":1}}}"#), r#"{"a":{"Trivy":{"Server":1}}}"#);
    assert_eq!(text(r#"[{"Trivy":{"Server":1},"CreatedAt":2}]"#), r#"[{"CreatedAt":2,"Trivy":{"Server":1}}]"#);
}

#[test]
fn arrays_are_sorted_in_their_place_only() {
    let results = r#"{"Results":[{"Target":"b","Licenses":[2,12,1],"Packages":[2,1]},{"Target":"a"},{"Target":"a"}]}"#;
    let sorted = r#"{"Results":[{"Licenses":[1,12,2],"Packages":[2,1],"Target":"b"},{"Target":"a"},{"Target":"a"}]}"#;
    assert_eq!(text(results), sorted);
    for kept in [
        r#"[{"Target":"b"},{"Licenses":[2,1],"Target":"a"}]"#,
        r#"{"Licenses":[2,1],"Metadata":{"Results":[2,1]}}"#,
        r#"{"Results":{"Licenses":[2,1],"Results":[2,1]}}"#,
        r#"{"Results":[[{"Licenses":[2,1]},1]]}"#,
        r#"{"Results":[{"Licenses":[{"Licenses":[2,1]}],"Vulnerabilities":[2,1]}]}"#,
    ] {
        assert_eq!(text(kept), kept);
    }
}

#[test]
fn results_are_sorted_by_what_the_hash_sees_of_them() {
    let result = |digest: &str, target: &str| format!(r#"{{"Layer":{{"DiffID":"i"{digest}}},"Target":"{target}"}}"#);
    let report = |a: &str, b: &str| format!(r#"{{"Results":[{a},{b}]}}"#);
    let (known, unknown) = (r#","Digest":"d""#, "");
    let expected = hash(&report(&result(unknown, "a"), &result(unknown, "b")));
    for (a, b) in [(known, unknown), (unknown, known), (known, known)] {
        assert_eq!(hash(&report(&result(a, "a"), &result(b, "b"))), expected);
        assert_eq!(hash(&report(&result(b, "b"), &result(a, "a"))), expected);
    }
    let twins = report(&result(known, "a"), &result(unknown, "a"));
    assert_eq!(text(&twins), text(&report(&result(unknown, "a"), &result(known, "a"))), "one text for both orders");
}

#[test]
fn an_endless_array_that_would_be_sorted_is_refused() {
    let report = format!(r#"{{"Results":[{}0]}}"#, "0,".repeat(MAX_SORTED_ELEMENTS));
    assert!(matches!(canonical(&report), Err(Error::Syntax { reason, .. }) if reason.contains("200000")));
    assert!(canonical(&report.replace("Results", "results")).is_ok());
}

proptest! {
    #[test]
    fn the_canonical_text_says_what_the_json_said(value in any_json()) {
        prop_assume!(value.is_array() || value.is_object());
        let back: Value = serde_json::from_str(&text(&value.to_string())).unwrap();
        prop_assert!(same(&back, &value), "{back} != {value}");
    }

    #[test]
    fn the_canonical_text_is_its_own_canonical_text(value in any_json()) {
        prop_assume!(value.is_array() || value.is_object());
        let once = text(&json!([value]).to_string());
        prop_assert_eq!(text(&once), once);
    }

    #[test]
    fn order_and_white_space_do_not_matter(value in any_json()) {
        prop_assume!(value.is_array() || value.is_object());
        let mut other = String::new();
        respell(&value, &mut other);
        prop_assert_eq!(text(&other), text(&value.to_string()));
    }

    #[test]
    fn the_hash_is_that_of_what_is_left(report in like_a_report()) {
        prop_assume!(report.is_array() || report.is_object());
        prop_assert_eq!(hash(&report.to_string()), sha256(&reduced(&report).to_string()));
    }

    #[test]
    fn the_text_of_a_report_is_its_own_canonical_text(report in like_a_report()) {
        prop_assume!(report.is_array() || report.is_object());
        let once = text(&report.to_string());
        let has_marks = once.contains(['\u{1}', '\u{2}']);
        prop_assert!(!has_marks);
        prop_assert_eq!(&text(&once), &once);
        prop_assert_eq!(hash(&once), hash(&report.to_string()));
    }

    #[test]
    fn the_order_of_what_trivy_fills_in_any_order_does_not_matter(
        results in Just((0..5u8).collect::<Vec<_>>()).prop_shuffle(),
        elements in Just((0..5u8).collect::<Vec<_>>()).prop_shuffle(),
        known in prop::collection::vec(any::<bool>(), 5),
        time: u32,
    ) {
        let layer = |n: u8| match known[usize::from(n)] {
            true => json!({"DiffID": "i", "Digest": format!("d{time}")}),
            false => json!({"DiffID": "i"}),
        };
        let element = |&n: &u8| json!({"Name": n % 3, "Layer": layer(n), "Finding": {"Layer": layer(n), "n": n}});
        let elements: Vec<Value> = elements.iter().map(element).collect();
        let result = |&n: &u8| json!({
            "Target": n % 3, "Licenses": elements, "ExperimentalModifiedFindings": elements, "Layer": layer(n), "Type": n
        });
        let report = json!({
            "Trivy": {"Version": 1, "Server": time}, "Metadata": {"Layers": known}, "CreatedAt": time, "ReportID": time,
            "Results": results.iter().map(result).collect::<Vec<_>>()
        });
        let plain = |n: u8| json!({"Name": n % 3, "Layer": {"DiffID": "i"}, "Finding": {"Layer": {"DiffID": "i"}, "n": n}});
        let plain: Vec<Value> = (0..5).map(plain).collect();
        let expected = json!({"Trivy": {"Version": 1}, "Metadata": {}, "Results": (0..5u8).map(|n| json!({
            "Target": n % 3, "Licenses": plain, "ExperimentalModifiedFindings": plain, "Layer": {"DiffID": "i"}, "Type": n
        })).collect::<Vec<_>>()});
        prop_assert_eq!(hash(&report.to_string()), hash(&expected.to_string()));
    }

    #[test]
    fn the_order_of_any_other_array_matters(items in Just((0..4).collect::<Vec<u8>>()).prop_shuffle(), name in "[A-Z][a-z]{1,9}") {
        prop_assume!(items != [0, 1, 2, 3] && name != "Licenses");
        let with = |items: &[u8]| hash(&json!({"Results": [{(name.as_str()): items}]}).to_string());
        prop_assert_ne!(with(&items), with(&[0, 1, 2, 3]));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Canonical::read(&bytes, &Limits::default());
    }

    #[test]
    fn damaged_json_never_panics(value in any_json(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = value.to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = Canonical::read(&bytes, &Limits::default());
    }
}
