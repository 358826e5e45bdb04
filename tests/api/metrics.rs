//! Checks the log lines from which CloudWatch makes metrics.

use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use sirius::telemetry::metrics::{self, Source};
use support::app::App;
use support::report::with_findings;
use support::stand_in::{Reply, StandIn};

/// All lines of this process, those of the tests beside this one as well.
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn keep(line: &str) {
    LINES.lock().unwrap().push(line.to_owned());
}

/// Whether something with all these members was counted.
fn has(members: &Value) -> bool {
    LINES.lock().unwrap().iter().any(|line| {
        let found: Value = serde_json::from_str(line).unwrap();
        members.as_object().unwrap().iter().all(|(name, value)| found[name] == *value)
    })
}

#[tokio::test]
async fn what_becomes_of_reports_and_analyses_is_counted() {
    let source = Source { service: "stack".to_owned(), function: "test".to_owned() };
    metrics::install(source, keep);
    let app = App::with_analysis().await;
    let report = with_findings("counted", 137);
    app.post(&report).await;
    assert!(has(&json!({"Service": "stack", "Function": "test", "ReportsIngested": 1, "FindingsIngested": 137})));
    app.post(&report).await;
    assert!(has(&json!({"ReportsDuplicate": 1})));
    app.post_as(b"{}", "", &[("content-type", "text/plain")]).await;
    assert!(has(&json!({"ReportsRefused": 1, "Reason": "unsupported_media_type"})));

    let analyze = "/api/llm/analyze/container/1000000?wait=0";
    app.get(analyze).await;
    assert!(has(&json!({"AnalysisCacheHit": 0, "AnalysisCacheMiss": 1})));
    let ollama = StandIn::always(Reply::good()).await;
    app.work(ollama.config()).await;
    assert!(has(&json!({"AnalysisOutcome": 1, "Outcome": "completed"})));
    assert!(has(&json!({"ModelPromptTokens": 900, "ModelAnswerTokens": 7})));
    app.get(analyze).await;
    assert!(has(&json!({"AnalysisCacheHit": 1, "AnalysisCacheMiss": 0})));
    app.analyze_scan("1?limit=11").await;
    assert!(has(&json!({"AnalysisCacheHit": 1, "AnalysisCacheMiss": 11})));

    // A worker that dies leaves its lease behind.
    let store = app.store().await;
    let pending = app.get("/api/llm/analyze/container/1000001?wait=0").await.json;
    let hash = pending["llm_analysis_prompt_hash"].as_str().unwrap().parse().unwrap();
    let now = Timestamp::now();
    store.lease_analysis(&hash, now, Duration::from_secs(3)).await.unwrap();
    let recover = async |seconds| {
        let later = now.checked_add(Duration::from_secs(seconds)).unwrap();
        app.recover(later).await;
    };
    recover(1).await;
    assert!(has(&json!({"StuckLeases": 0, "OutboxAge": 0})));
    recover(60).await;
    assert!(has(&json!({"StuckLeases": 1, "OutboxAge": 57})));
}

#[tokio::test]
async fn a_message_names_the_request_that_sent_it() {
    let app = App::with_analysis().await;
    let hash = "0f".repeat(32).parse().unwrap();
    let queue = app.queue().await.on_behalf_of("request-1");
    queue.send(&hash).await.unwrap();
    queue.send_all(&[hash]).await.unwrap();
    let client = support::queue::client(&support::table::endpoint()).await;
    let mut senders = Vec::new();
    while senders.len() < 2 {
        let received = client
            .receive_message()
            .queue_url(&app.queue_url)
            .message_attribute_names("All")
            .max_number_of_messages(10)
            .send()
            .await
            .unwrap();
        for message in received.messages() {
            senders.push(message.message_attributes().unwrap()["request_id"].string_value().unwrap().to_owned());
        }
    }
    assert_eq!(senders, ["request-1", "request-1"]);
}
