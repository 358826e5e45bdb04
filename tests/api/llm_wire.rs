//! Tests every failure of the Ollama client over a real connection, and the repair attempt.

use std::time::Duration;

use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::Instant;

use sirius::llm::answer::repair_schema;
use sirius::llm::ollama::{Bearer, Error};
use sirius::llm::{Facts, Ollama, OllamaConfig, Options, Outcome, Prompt, explain};

use support::stand_in::{Reply, StandIn, answer_lines, line, soon};

fn facts() -> Facts {
    Facts {
        vulnerability_id: "CVE-2023-38545".into(),
        package: "libcurl4".into(),
        installed_version: "7.88.1-10".into(),
        fixed_version: Some("7.88.1-10+deb12u4".into()),
        severity: "CRITICAL".into(),
        description: "A heap buffer overflows in the SOCKS5 handshake.".into(),
        ..Facts::default()
    }
}

fn prompt() -> Prompt {
    Prompt::build(&facts(), "llama3.1:8b", &Options::default()).unwrap()
}

async fn error_of(reply: Reply) -> Error {
    let server = StandIn::always(reply).await;
    server.client().chat(&prompt(), None, soon()).await.unwrap_err()
}

const GOOD: &str = "## Summary\nA heap buffer overflows in the handshake.\n## Recommendations\n- Upgrade libcurl4 to 7.88.1-10+deb12u4.\n## Risk Score\n9/10";

#[tokio::test]
async fn an_answer_in_pieces_of_one_byte_arrives_whole() {
    let lines = answer_lines("Grüße aus 東京 🦀", "stop", Some(800)).concat();
    let server = StandIn::always(Reply::stream(lines.bytes().map(|b| vec![b]))).await;
    let answer = server.client().chat(&prompt(), None, soon()).await.unwrap();
    assert_eq!(answer.text, "Grüße aus 東京 🦀");
    assert_eq!((answer.prompt_eval_count, answer.eval_count, answer.eval_duration_ns), (Some(800), Some(7), None));
    assert_eq!((answer.model.as_deref(), answer.done_reason.as_deref()), (Some("m"), Some("stop")));
}

#[tokio::test]
async fn the_request_says_everything_explicitly() {
    let server = StandIn::always(Reply::answer("ok")).await;
    let config = OllamaConfig { bearer: Some(Bearer::new("s3cret")), ..server.config() };
    assert!(!format!("{config:?}").contains("s3cret"));
    let client = Ollama::new(config).unwrap();
    assert!(!format!("{client:?}").contains("s3cret"));
    client.chat(&prompt(), Some(&repair_schema()), soon()).await.unwrap();
    let seen = server.seen().remove(0);
    assert!(seen.head.starts_with("POST /api/chat HTTP/1.1"));
    assert!(seen.head.to_lowercase().contains("authorization: bearer s3cret"));
    let body = &seen.body;
    assert_eq!(body["model"], "llama3.1:8b");
    assert_eq!(body["messages"], serde_json::to_value(prompt().messages).unwrap());
    assert_eq!(
        body["options"],
        json!({"num_ctx": 4096, "num_predict": 700, "temperature": 0.0, "seed": 42, "repeat_penalty": 1.1})
    );
    assert_eq!(body["format"], repair_schema());
    for (field, value) in [
        ("stream", json!(true)),
        ("truncate", json!(false)),
        ("shift", json!(false)),
        ("keep_alive", json!(1800)),
        ("think", json!(false)),
    ] {
        assert_eq!(body[field], value, "{field}");
    }
}

#[tokio::test]
async fn without_a_token_or_a_schema_neither_is_sent() {
    let server = StandIn::always(Reply::answer("ok")).await;
    server.client().chat(&prompt(), None, soon()).await.unwrap();
    let seen = server.seen().remove(0);
    assert!(!seen.head.to_lowercase().contains("authorization"));
    assert_eq!(seen.body.get("format"), None);
}

#[tokio::test]
async fn each_refusal_is_its_own_outcome() {
    for (status, body, name, transient) in [
        ("400 Bad Request", r#"{"error":"\"m\" does not support thinking"}"#, "bad_request", false),
        (
            "400 Bad Request",
            r#"{"error":"the prompt is longer than the context length currently available to the model; x"}"#,
            "prompt_too_long",
            false,
        ),
        ("401 Unauthorized", "no", "unauthorised", false),
        ("403 Forbidden", "no", "unauthorised", false),
        ("404 Not Found", r#"{"error":"model 'llama3.1:8b' not found"}"#, "model_missing", false),
        ("404 Not Found", "404 page not found", "unexpected_status", false),
        ("405 Method Not Allowed", "", "unexpected_status", false),
        ("429 Too Many Requests", "", "busy", true),
        ("499 Client Closed", r#"{"error":"request canceled"}"#, "server", true),
        (
            "500 Internal Server Error",
            r#"{"error":"option \"temperature\" must be of type float32"}"#,
            "option_refused",
            false,
        ),
        ("500 Internal Server Error", r#"{"error":"invalid format: expected a JSON schema"}"#, "option_refused", false),
        (
            "500 Internal Server Error",
            r#"{"error":"model runner has unexpectedly stopped, this may be due to x"}"#,
            "runner_stopped",
            true,
        ),
        ("500 Internal Server Error", "<html>oops", "server", true),
        ("502 Bad Gateway", "<html>", "busy", true),
        (
            "503 Service Unavailable",
            r#"{"error":"server busy, please try again.  maximum pending requests exceeded"}"#,
            "busy",
            true,
        ),
        ("504 Gateway Timeout", "", "busy", true),
        ("204 No Content", "", "unexpected_status", false),
        ("307 Temporary Redirect", "", "redirect", false),
    ] {
        let error = error_of(Reply::status(status, "", body)).await;
        assert_eq!((error.name(), error.is_transient()), (name, transient), "{status} {body}: {error:?}");
        assert!(!error.is_repairable());
    }
}

#[tokio::test]
async fn a_busy_server_may_say_when_to_come_back() {
    let error = error_of(Reply::status("503 Busy", "retry-after: 17\r\n", "")).await;
    assert!(
        matches!(error, Error::Busy { retry_after: Some(after), .. } if after == Duration::from_secs(17)),
        "{error:?}"
    );
    let error = error_of(Reply::status("503 Busy", "retry-after: Wed, 21 Oct 2026 07:28:00 GMT\r\n", "")).await;
    assert!(matches!(error, Error::Busy { retry_after: None, .. }), "{error:?}");
}

#[tokio::test]
async fn a_redirect_is_never_followed() {
    let other = StandIn::always(Reply::answer("stolen")).await;
    let error =
        error_of(Reply::status("307 Temporary Redirect", &format!("location: {}/api/chat\r\n", other.url), "")).await;
    assert_eq!(error.name(), "redirect");
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn broken_streams_are_discarded() {
    let half: String = answer_lines("half of it", "stop", None)[..1].concat();
    let cases: [(Reply, &str, bool); 9] = [
        (
            Reply::stream([half.clone() + &line(json!({"error": "an error was encountered while running the model"}))]),
            "stream_error",
            true,
        ),
        (Reply::stream([half.clone()]), "stream_cut", true),
        (Reply::stream([half.clone() + "{\"mess"]), "stream_cut", true),
        (Reply::stream(Vec::<String>::new()), "stream_cut", true),
        (Reply::stream(["<html>captive portal\n"]), "bad_line", true),
        (
            Reply::stream([half.clone().into_bytes(), b"{\"message\":{\"content\":\"\xff\"}}\n".to_vec()]),
            "bad_line",
            true,
        ),
        (Reply::stream(answer_lines("", "load", None)), "not_an_answer", true),
        (Reply::stream(answer_lines("", "unload", None)), "not_an_answer", true),
        (Reply::status("200 OK", "transfer-encoding: chunked\r\n", "5\r\n{\"mes"), "broken", true),
    ];
    for (reply, name, transient) in cases {
        let error = error_of(reply).await;
        assert_eq!((error.name(), error.is_transient()), (name, transient), "{error:?}");
    }
}

#[tokio::test]
async fn answers_that_are_no_answers_are_named() {
    for (reply, name, repairable) in [
        (Reply::stream(answer_lines("cut off", "length", None)), "truncated", true),
        (Reply::stream(answer_lines("", "stop", None)), "empty", true),
        (Reply::stream(answer_lines("  \n", "stop", None)), "empty", true),
        (Reply::stream(answer_lines("<think>only thoughts", "stop", None)), "empty", true),
        (Reply::stream(answer_lines(&"x".repeat(70_000), "stop", None)), "oversized", true),
        (Reply::stream(answer_lines("fine", "stop", Some(259))), "prompt_cut", false),
    ] {
        let error = error_of(reply).await;
        assert_eq!((error.name(), error.is_repairable()), (name, repairable), "{error:?}");
        assert!(!error.is_transient());
    }
}

#[tokio::test]
async fn all_of_num_predict_spent_on_thoughts_is_said() {
    let mut lines = vec![line(json!({"message": {"role": "assistant", "content": "", "thinking": "hm"}}))];
    lines.extend(answer_lines("", "length", None));
    let error = error_of(Reply::stream(lines)).await;
    assert!(matches!(error, Error::Truncated { thinking_present: true }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_is_down_is_refused_and_transient() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = Ollama::new(OllamaConfig::new(url.parse().unwrap())).unwrap();
    let error = client.chat(&prompt(), None, soon()).await.unwrap_err();
    assert_eq!((error.name(), error.is_transient()), ("refused", true), "{error:?}");
}

#[tokio::test]
async fn a_name_without_an_address_is_a_dns_error() {
    let client = Ollama::new(OllamaConfig::new("http://no-such-host.invalid:11434".parse().unwrap())).unwrap();
    let error = client.chat(&prompt(), None, soon()).await.unwrap_err();
    assert_eq!((error.name(), error.is_transient()), ("dns", true), "{error:?}");
}

#[tokio::test]
async fn a_name_with_a_permitted_address_is_connected_to() {
    let server = StandIn::always(Reply::answer("ok")).await;
    let url = server.url.replace("127.0.0.1", "localhost");
    let client = Ollama::new(OllamaConfig::new(url.parse().unwrap())).unwrap();
    assert_eq!(client.chat(&prompt(), None, soon()).await.unwrap().text, "ok");
}

#[tokio::test]
async fn tls_to_a_plain_server_is_a_connect_error() {
    let server = StandIn::always(Reply::answer("ok")).await;
    let url = server.url.replace("http:", "https:");
    let client = Ollama::new(OllamaConfig::new(url.parse().unwrap())).unwrap();
    let error = client.chat(&prompt(), None, soon()).await.unwrap_err();
    assert_eq!(error.name(), "connect", "{error:?}");
}

#[tokio::test]
async fn a_slow_first_token_an_idle_stream_and_a_deadline_are_told_apart() {
    let silent = Reply { pieces: Vec::new(), hang: true };
    let headers_only = Reply::stream(Vec::<String>::new()).then_hang();
    let half = Reply::stream(answer_lines("half", "stop", None)[..1].to_vec()).then_hang();
    let tiny = Duration::from_millis(50);
    for (reply, first, idle, deadline, name) in [
        (silent.clone(), tiny, Duration::from_secs(20), Duration::from_secs(60), "first_token_timeout"),
        (headers_only, tiny, Duration::from_secs(20), Duration::from_secs(60), "first_token_timeout"),
        (half.clone(), Duration::from_secs(20), tiny, Duration::from_secs(60), "idle_timeout"),
        (silent, Duration::from_secs(20), Duration::from_secs(20), tiny, "deadline"),
        (half, Duration::from_secs(20), Duration::from_secs(20), tiny, "deadline"),
    ] {
        let server = StandIn::always(reply).await;
        let config = OllamaConfig { first_token_timeout: first, idle_timeout: idle, ..server.config() };
        let client = Ollama::new(config).unwrap();
        let error = client.chat(&prompt(), None, Instant::now() + deadline).await.unwrap_err();
        assert_eq!((error.name(), error.is_transient()), (name, true), "{error:?}");
    }
}

#[test]
fn a_token_that_is_no_header_and_roots_that_are_no_certificates_are_configuration_errors() {
    let url = || "https://ollama.internal".parse().unwrap();
    let bad_token = OllamaConfig { bearer: Some(Bearer::new("a\nb")), ..OllamaConfig::new(url()) };
    let bad_roots = OllamaConfig { extra_roots_pem: Some(b"not pem".to_vec()), ..OllamaConfig::new(url()) };
    for config in [bad_token, bad_roots] {
        assert_eq!(Ollama::new(config).unwrap_err().name(), "config");
    }
}

#[tokio::test]
async fn a_good_answer_is_completed_with_one_call() {
    let server = StandIn::always(Reply::answer(GOOD)).await;
    let outcome = explain(&server.client(), &prompt(), &facts(), soon()).await;
    let Outcome::Completed(explanation) = outcome else { panic!("{outcome:?}") };
    assert!(!explanation.checked.needs_review, "{explanation:?}");
    assert_eq!(explanation.repaired_after, None);
    assert_eq!(explanation.checked.risk_score.value(), 9.0);
    assert_eq!(server.seen().len(), 1);
}

const REPAIRED: &str = r#"{"summary":"A heap buffer overflows in the handshake.","recommendations":["Upgrade libcurl4 to 7.88.1-10+deb12u4."],"risk_score":9}"#;

#[tokio::test]
async fn an_unusable_answer_is_repaired_with_a_schema_once() {
    for (first, reason) in [
        (Reply::answer("I cannot help with that."), "missing"),
        (
            Reply::answer(
                "## Summary\nIt is bad indeed, really.\n## Recommendations\n- Do it now.\n## Risk Score\nN/10",
            ),
            "score",
        ),
        (Reply::stream(answer_lines(GOOD, "length", None)), "truncated"),
        (Reply::stream(answer_lines("", "stop", None)), "empty"),
        (
            Reply::answer(
                "## Summary\nIt is fixed in 9.9.9.\n## Recommendations\n- Upgrade to 9.9.9.\n## Risk Score\n9/10",
            ),
            "unsupported",
        ),
    ] {
        let server =
            StandIn::start(
                move |_, n| {
                    if n == 0 { first.clone() } else { Reply::stream(answer_lines(REPAIRED, "stop", None)) }
                },
            )
            .await;
        let outcome = explain(&server.client(), &prompt(), &facts(), soon()).await;
        let Outcome::Completed(explanation) = outcome else { panic!("{reason}: {outcome:?}") };
        assert_eq!(explanation.repaired_after, Some(reason));
        let seen = server.seen();
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[0].body.get("format"), None);
        assert_eq!(seen[1].body["format"], repair_schema());
        assert_eq!(seen[0].body["options"], seen[1].body["options"], "other options would reload the model");
    }
}

#[tokio::test]
async fn two_unusable_answers_are_invalid_with_both_reasons() {
    let server = StandIn::start(|_, n| Reply::answer(if n == 0 { "no" } else { "{\"summary\":" })).await;
    let outcome = explain(&server.client(), &prompt(), &facts(), soon()).await;
    let Outcome::Invalid { first, repair } = &outcome else { panic!("{outcome:?}") };
    assert_eq!((first.name(), repair.name(), outcome.name()), ("missing", "json", "invalid"));
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_host_that_fails_is_transient_or_final_and_asked_once() {
    for (reply, name) in [
        (Reply::status("503 Busy", "", ""), Ok("busy")),
        (Reply::status("404 Not Found", "", r#"{"error":"model 'x' not found"}"#), Err("model_missing")),
    ] {
        let server = StandIn::always(reply).await;
        let outcome = explain(&server.client(), &prompt(), &facts(), soon()).await;
        match (&outcome, name) {
            (Outcome::Transient(error), Ok(name)) | (Outcome::Final(error), Err(name)) => {
                assert_eq!(error.name(), name)
            }
            _ => panic!("{outcome:?}"),
        }
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_host_that_dies_before_the_repair_is_transient() {
    let server =
        StandIn::start(|_, n| if n == 0 { Reply::answer("no") } else { Reply::status("502 Bad Gateway", "", "") })
            .await;
    let outcome = explain(&server.client(), &prompt(), &facts(), soon()).await;
    assert!(matches!(outcome, Outcome::Transient(Error::Busy { .. })), "{outcome:?}");
}
