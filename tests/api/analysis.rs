//! Analyses findings once per prompt, through every kind of failure.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use sirius::domain::prompt_hash::PromptHash;
use sirius::domain::severity::Severity;
use sirius::domain::vulnerabilities::Vulnerabilities;
use sirius::llm::{Ollama, OllamaConfig};
use sirius::pipeline::analyze::{self, Worked, Worker, request_analysis, run_analysis};
use sirius::pipeline::recover::Recovered;
use sirius::queries::priority_config::PriorityConfig;
use sirius::queries::prompt_reader::PromptReader;
use support::app::App;
use support::proxy::Fault;
use support::report::{report_of, vulnerability, with_findings};
use support::stand_in::{Reply, StandIn, soon};

const FINDING: &str = "/api/container/findings/1000000";
const ANALYZE: &str = "/api/llm/analyze/container/1000000";
const LEASE: Duration = Duration::from_secs(360);

/// An address where nothing listens.
async fn nowhere() -> OllamaConfig {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    OllamaConfig::new(format!("http://{address}").parse().unwrap())
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second() + second).unwrap()
}

/// An app with one analysed scan of `count` findings.
async fn app_with(count: usize) -> App {
    let app = App::with_analysis().await;
    assert_eq!(app.post(&with_findings("app", count)).await.status, 201);
    app
}

async fn hash_of(app: &App, path: &str) -> PromptHash {
    let answer = app.get(&format!("{path}?wait=0")).await;
    answer.json["llm_analysis_prompt_hash"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_finding_is_explained_once_asked_for_and_everyone_sees_it() {
    let app = app_with(3).await;
    let before = app.get(FINDING).await.json;
    for field in ["status", "summary", "recommendations", "risk_score", "timestamp", "prompt_hash"] {
        assert_eq!(before[format!("llm_analysis_{field}")], Value::Null, "{field}");
    }
    let pending = app.get(&format!("{ANALYZE}?wait=0")).await;
    assert_eq!((pending.status, &pending.json["llm_analysis_status"]), (202, &json!("pending")));
    assert!(pending.header("retry-after").is_some());
    assert_eq!(app.get(FINDING).await.json["llm_analysis_status"], "pending");

    let ollama = StandIn::always(Reply::good()).await;
    assert_eq!(app.work(ollama.config()).await, (1, vec![]));
    let done = app.get(ANALYZE).await;
    assert_eq!(done.status, 200, "{done:?}");
    assert_eq!(done.json["llm_analysis_status"], "completed");
    assert_eq!(done.json["llm_analysis_summary"], "The length of an input is not checked.");
    assert_eq!(done.json["llm_analysis_recommendations"], "- Limit who can reach the service.");
    assert_eq!(done.json["llm_analysis_risk_score"], 9.0);
    assert_eq!(
        (&done.json["llm_analysis_model"], &done.json["llm_analysis_needs_review"]),
        (&json!("m"), &json!(false))
    );

    // The same vulnerability in the same package, in another image: the model is not asked again.
    let mut report = with_findings("other", 3);
    report["Results"][0]["Target"] = "other (debian 12.5)".into();
    app.post(&report).await;
    for path in [FINDING, "/api/container/findings/2000000"] {
        let finding = app.get(path).await.json;
        for field in ["status", "summary", "recommendations", "risk_score", "timestamp", "prompt_hash"] {
            let field = format!("llm_analysis_{field}");
            assert_eq!(finding[&field], done.json[&field], "{path} {field}");
        }
    }
    let listed = app.get("/api/container/scans/other/findings").await;
    assert_eq!(listed.json[0]["llm_analysis_status"], "completed");
    assert_eq!(listed.json[1]["llm_analysis_status"], Value::Null);
    let scan = app.get("/api/container/scans/other").await.json;
    assert_eq!(
        scan["analysis_counts"],
        json!({"completed": 1, "pending": 0, "failed": 0, "none": 2, "counted_findings": 3})
    );
    assert_eq!(ollama.seen().len(), 1);
}

#[tokio::test]
async fn a_hundred_callers_at_once_cost_one_call_of_the_model() {
    let app = App::with_analysis().await;
    // Ten findings that are asked about in the same words: only their paths differ.
    let findings = (0..10)
        .map(|n| {
            let mut finding = vulnerability(1);
            finding["PkgPath"] = format!("app/{n}/lib.so").into();
            finding
        })
        .collect();
    app.post(&report_of("app", findings)).await;
    let calls = (0..100u64).map(|n| {
        let path = format!("/api/llm/analyze/container/{}?wait=0", 1_000_000 + n % 10);
        let app = &app;
        async move { app.get(&path).await.status }
    });
    let statuses = futures_util::future::join_all(calls).await;
    assert!(statuses.iter().all(|status| *status == 202), "{statuses:?}");
    let ollama = StandIn::always(Reply::good()).await;
    assert_eq!(app.work(ollama.config()).await, (1, vec![]), "one message");
    assert_eq!(ollama.seen().len(), 1, "one call");
    assert_eq!(app.get("/api/container/scans/app").await.json["analysis_counts"]["completed"], 10);
}

#[tokio::test]
async fn a_caller_that_waits_gets_the_answer_as_soon_as_it_is_there() {
    let app = app_with(1).await;
    let ollama = StandIn::always(Reply::good()).await;
    let path = format!("{ANALYZE}?wait=20");
    let asked = app.get(&path);
    let worked = async {
        loop {
            if app.work(ollama.config()).await.0 > 0 {
                break;
            }
        }
    };
    let (answer, ()) = tokio::join!(asked, worked);
    assert_eq!((answer.status, &answer.json["llm_analysis_status"]), (200, &json!("completed")));
}

#[tokio::test]
async fn a_cached_answer_costs_three_calls_and_needs_no_host() {
    let app = app_with(1).await;
    hash_of(&app, ANALYZE).await;
    app.work(StandIn::always(Reply::good()).await.config()).await;
    let answer = app.get(ANALYZE).await;
    assert_eq!(answer.status, 200);
    // Reads the finding, the records of its vulnerability, and the answer to the prompt.
    assert_eq!(app.proxy.take_calls(), ["BatchGetItem", "BatchGetItem", "GetItem"]);
    app.get(FINDING).await;
    assert_eq!(app.proxy.take_calls(), ["BatchGetItem"; 3]);
}

#[tokio::test]
async fn a_list_reads_a_hundred_vulnerabilities_prompts_and_unanswered_subjects_in_each_call() {
    let app = app_with(250).await;
    assert_eq!(app.get("/api/container/scans/1/findings").await.list().len(), 250);
    let calls = app.proxy.take_calls();
    assert_eq!(calls.iter().filter(|call| *call == "BatchGetItem").count(), 4 + 3 + 3, "{calls:?}");
}

#[tokio::test]
async fn what_cannot_be_analysed_is_a_clear_refusal() {
    let app = app_with(1).await;
    for (path, status) in [
        ("/api/llm/analyze/container/1000001", 404),
        ("/api/llm/analyze/container/7", 404),
        ("/api/llm/analyze/container/abc", 400),
        ("/api/llm/analyze/container/01000000", 400),
        ("/api/llm/analyze/container/1000000?wait=26", 400),
        ("/api/llm/analyze/container/1000000?wait=-1", 400),
        ("/api/llm/analyze/container/1000000?refresh=1", 400),
        ("/api/llm/analyze/container/1000000?model=x", 400),
    ] {
        assert_eq!(app.get(path).await.status, status, "{path}");
    }
    for (path, status) in [("2", 404), ("x", 400), ("1?severity=BAD", 400), ("1?limit=0", 400)] {
        assert_eq!(app.analyze_scan(path).await.status, status, "{path}");
    }
    let plain = App { questions: None, ..app };
    let answer = plain.get(ANALYZE).await;
    assert_eq!((answer.status, &answer.json["code"]), (501, &json!("analysis_not_configured")));
    assert_eq!(plain.get("/api/container/scans/1").await.json.get("analysis_counts"), None);
}

#[tokio::test]
async fn asking_again_keeps_the_old_answer_until_there_is_a_new_one() {
    let app = app_with(1).await;
    hash_of(&app, ANALYZE).await;
    app.work(StandIn::always(Reply::good()).await.config()).await;
    let again = app.get(&format!("{ANALYZE}?refresh=true&wait=0")).await;
    assert_eq!((again.status, &again.json["llm_analysis_status"]), (202, &json!("pending")));
    assert_eq!(again.json["llm_analysis_risk_score"], 9.0, "the old answer stays");
    // The model now answers nonsense, twice: the old answer still stands.
    let broken = StandIn::always(Reply::answer("I cannot help with that.")).await;
    app.work(broken.config()).await;
    assert_eq!(broken.seen().len(), 2, "one repair attempt");
    let kept = app.get(ANALYZE).await.json;
    assert_eq!((&kept["llm_analysis_status"], &kept["llm_analysis_risk_score"]), (&json!("completed"), &json!(9.0)));
    assert_eq!(kept["llm_analysis_failure"]["reason"], "invalid_answer");
    app.get(&format!("{ANALYZE}?refresh=true&wait=0")).await;
    let other =
        Reply::answer("## Summary\nAn input is copied.\n## Recommendations\n- Watch the service.\n## Risk Score\n10");
    app.work(StandIn::always(other).await.config()).await;
    let new = app.get(ANALYZE).await.json;
    assert_eq!((&new["llm_analysis_risk_score"], &new["llm_analysis_failure"]), (&json!(10.0), &Value::Null));
}

#[tokio::test]
async fn an_unusable_answer_gets_one_repair_and_then_fails_with_a_reason() {
    let app = app_with(2).await;
    hash_of(&app, ANALYZE).await;
    let json_answer =
        r#"{"summary": "An input is copied.", "recommendations": ["Watch the service."], "risk_score": 9}"#;
    let repaired = StandIn::start(move |seen, _| {
        if seen.body["format"].is_object() {
            Reply::answer(json_answer)
        } else {
            Reply::answer("Sure! Here is my analysis.")
        }
    })
    .await;
    app.work(repaired.config()).await;
    assert_eq!(app.get(ANALYZE).await.json["llm_analysis_status"], "completed");

    let other = "/api/llm/analyze/container/1000001";
    hash_of(&app, other).await;
    app.work(StandIn::always(Reply::answer("no")).await.config()).await;
    let failed = app.get(other).await;
    assert_eq!((failed.status, &failed.json["llm_analysis_status"]), (200, &json!("failed")));
    assert_eq!(failed.json["llm_analysis_summary"], Value::Null, "never a placeholder");
    assert_eq!(failed.json["llm_analysis_failure"]["reason"], "invalid_answer");
    assert!(failed.json["llm_analysis_failure"]["retry_at"].is_string());
    assert_eq!(support::queue::drain(&app.queue_url).await.len(), 0, "a failure is not asked again by itself");
    assert_eq!(app.get(&format!("{other}?refresh=true&wait=0")).await.status, 202);
    assert_eq!(support::queue::drain(&app.queue_url).await.len(), 1);
}

#[tokio::test]
async fn unsupported_claims_are_removed_marked_and_told() {
    let app = app_with(2).await;
    // Finding 1000000 is CVE-2026-10001 of lib1 1.1-2, without a fix.
    hash_of(&app, ANALYZE).await;
    let text = "## Summary\nThe length of an input is not checked. See CVE-2020-0001 for more.\n## Recommendations\n- Upgrade to 9.9.9 now.\n- Limit who can reach the service.\n## Risk Score\n1";
    app.work(StandIn::always(Reply::answer(text)).await.config()).await;
    let json = app.get(ANALYZE).await.json;
    assert_eq!(json["llm_analysis_needs_review"], true);
    let shown = format!("{} {}", json["llm_analysis_summary"], json["llm_analysis_recommendations"]);
    assert!(!shown.contains("9.9.9") && !shown.contains("2020"), "{shown}");
    assert_eq!(json["llm_analysis_removed"].as_array().unwrap().len(), 2, "{json}");
    assert!(json["llm_analysis_review"].to_string().contains("risk score is far from"), "{json}");
    assert_eq!(app.get(FINDING).await.json["llm_analysis_needs_review"], true);
}

#[tokio::test]
async fn a_scan_is_queued_once_per_prompt_most_severe_first() {
    let app = app_with(30).await;
    let first = app.analyze_scan("1?severity=CRITICAL&severity=HIGH&limit=5").await;
    assert_eq!(first.status, 202);
    assert_eq!((&first.json["queued"], &first.json["more"]), (&json!(5), &json!(true)));
    let ollama = StandIn::always(Reply::good()).await;
    assert_eq!(app.work(ollama.config()).await.0, 5);
    assert!(ollama.seen().iter().all(|seen| seen.body.to_string().contains("CRITICAL")));
    let rest = app.analyze_scan("1?severity=CRITICAL&severity=HIGH").await.json;
    assert_eq!(
        (&rest["queued"], &rest["cached"], &rest["pending"], &rest["more"]),
        (&json!(7), &json!(5), &json!(0), &json!(false))
    );
    let again = app.analyze_scan("1").await.json;
    assert_eq!((&again["queued"], &again["cached"], &again["pending"]), (&json!(18), &json!(5), &json!(7)));
    assert_eq!(support::queue::drain(&app.queue_url).await.len(), 25);
}

#[tokio::test]
async fn new_scans_are_analysed_by_themselves_where_that_is_configured() {
    let mut app = App::with_analysis().await;
    app.auto = vec![Severity::Critical, Severity::High];
    app.post(&with_findings("app", 20)).await;
    assert_eq!(support::queue::drain(&app.queue_url).await.len(), 8);
    app.post(&with_findings("app", 20)).await;
    assert_eq!(support::queue::drain(&app.queue_url).await.len(), 0, "a duplicate queues nothing");
}

#[tokio::test]
async fn a_queue_that_is_down_fails_no_ingestion_and_loses_no_analysis() {
    let mut app = App::with_analysis().await;
    app.auto = vec![Severity::Critical];
    app.proxy.inject(Some("SendMessageBatch"), 0, 1000, Fault::InternalError);
    assert_eq!(app.post(&with_findings("app", 20)).await.status, 201);
    app.proxy.heal();
    assert_eq!(support::queue::drain(&app.queue_url).await.len(), 0);
    let recover = async |second| app.recover(at(second)).await;
    assert_eq!(recover(0).await, Recovered::default(), "not due yet");
    assert_eq!(recover(200).await, Recovered { resent: 4, scans: 1, ..Recovered::default() });
    assert_eq!(support::queue::drain(&app.queue_url).await.len(), 4);
    assert_eq!(recover(201).await, Recovered::default(), "once");
}

#[tokio::test]
async fn a_lost_message_is_sent_again_and_ever_more_rarely() {
    let app = app_with(1).await;
    hash_of(&app, ANALYZE).await;
    let recover = async |second| app.recover(at(second)).await.resent;
    assert_eq!(recover(0).await, 0, "not due yet");
    // Two at once may both send it: one message too many is harmless.
    let (a, b) = tokio::join!(recover(130), recover(130));
    assert!((1..=2).contains(&(a + b)));
    let mut sent = vec![];
    for minute in 0..600 {
        if recover(140 + minute * 60).await > 0 {
            sent.push(minute);
        }
    }
    assert_eq!(sent.len(), 4, "within ten hours: {sent:?}");
}

#[tokio::test]
async fn an_hour_without_a_host_loses_nothing_fails_nothing_and_does_not_spin() {
    let app = app_with(2).await;
    let hashes = [hash_of(&app, ANALYZE).await, hash_of(&app, "/api/llm/analyze/container/1000001").await];
    let down = Ollama::new(nowhere().await).unwrap();
    let store = app.store().await;
    let (mut attempts, mut second) = (0, 0);
    while second < 3600 {
        for body in support::queue::drain(&app.queue_url).await {
            let hash = hashes.iter().find(|hash| body.contains(hash.as_str())).unwrap();
            let worked = run_analysis(Worker { store: &store, ollama: &down, lease: LEASE }, hash, at(second), soon())
                .await
                .unwrap();
            assert_eq!(worked, Worked::Postponed);
            attempts += 1;
        }
        second += 60;
        app.recover(at(second)).await;
    }
    assert!((10..=24).contains(&attempts), "{attempts} attempts in an hour at two analyses");
    for finding in ["1000000", "1000001"] {
        let json = app.get(&format!("/api/container/findings/{finding}")).await.json;
        assert_eq!(
            (&json["llm_analysis_status"], &json["llm_analysis_failure"]["reason"]),
            (&json!("pending"), &json!("refused"))
        );
    }
    // It comes back: within ten minutes both are answered.
    let up = StandIn::always(Reply::good()).await;
    for _ in 0..11 {
        second += 60;
        app.recover(at(second)).await;
        for body in support::queue::drain(&app.queue_url).await {
            let hash = hashes.iter().find(|hash| body.contains(hash.as_str())).unwrap();
            run_analysis(Worker { store: &store, ollama: &up.client(), lease: LEASE }, hash, at(second), soon())
                .await
                .unwrap();
        }
    }
    assert_eq!(app.get("/api/container/scans/1").await.json["analysis_counts"]["completed"], 2);
    assert_eq!(up.seen().len(), 2);
}

#[tokio::test]
async fn a_message_that_arrives_twice_or_early_does_nothing() {
    let app = app_with(1).await;
    let hash = hash_of(&app, ANALYZE).await;
    let store = app.store().await;
    let down = Ollama::new(nowhere().await).unwrap();
    assert_eq!(
        run_analysis(Worker { store: &store, ollama: &down, lease: LEASE }, &hash, at(0), soon()).await.unwrap(),
        Worked::Postponed
    );
    let up = StandIn::always(Reply::good()).await;
    assert_eq!(
        run_analysis(Worker { store: &store, ollama: &up.client(), lease: LEASE }, &hash, at(5), soon()).await.unwrap(),
        Worked::NothingToDo
    );
    assert_eq!(
        run_analysis(Worker { store: &store, ollama: &up.client(), lease: LEASE }, &hash, at(40), soon())
            .await
            .unwrap(),
        Worked::Completed
    );
    assert_eq!(
        run_analysis(Worker { store: &store, ollama: &up.client(), lease: LEASE }, &hash, at(50), soon())
            .await
            .unwrap(),
        Worked::NothingToDo
    );
    assert_eq!(up.seen().len(), 1);
}

#[tokio::test]
async fn a_worker_that_was_overtaken_cannot_write() {
    let app = app_with(1).await;
    let hash = hash_of(&app, ANALYZE).await;
    let slow = StandIn::always(Reply::answer("## Summary\nSlow.\n## Recommendations\n- Wait.\n## Risk Score\n9")).await;
    // The first worker dies in the eyes of everyone while its answer is on the way to the table.
    app.proxy.inject(Some("UpdateItem"), 1, 1, Fault::Crash);
    let (store, client) = (app.store().await, slow.client());
    let first = run_analysis(Worker { store: &store, ollama: &client, lease: LEASE }, &hash, at(0), soon());
    tokio::select! {
        outcome = first => panic!("{outcome:?}"),
        () = app.proxy.crashed() => {}
    }
    // Its answer landed all the same: the second worker finds nothing to do.
    let fast = StandIn::always(Reply::good()).await;
    let second = run_analysis(
        Worker { store: &app.store().await, ollama: &fast.client(), lease: LEASE },
        &hash,
        at(1000),
        soon(),
    )
    .await
    .unwrap();
    assert_eq!((second, fast.seen().len()), (Worked::NothingToDo, 0));

    // And one that really is too late writes nothing.
    let again = app.get(&format!("{ANALYZE}?refresh=true&wait=0")).await;
    assert_eq!(again.status, 202);
    let overtaking = async {
        let turn = app.store().await;
        run_analysis(Worker { store: &turn, ollama: &fast.client(), lease: LEASE }, &hash, at(5000), soon())
            .await
            .unwrap()
    };
    let late_store = app.store().await;
    let held = StandIn::always(Reply::stream(Vec::<Vec<u8>>::new()).then_hang()).await;
    let late_client = held.client();
    let late = run_analysis(
        Worker { store: &late_store, ollama: &late_client, lease: LEASE },
        &hash,
        at(2000),
        soon() - Duration::from_secs(57),
    );
    let (late, overtaking) = tokio::join!(late, async {
        while held.seen().is_empty() {
            tokio::task::yield_now().await;
        }
        overtaking.await
    });
    assert_eq!((late.unwrap(), overtaking), (Worked::NothingToDo, Worked::Completed));
    assert_eq!(app.get(ANALYZE).await.json["llm_analysis_summary"], "The length of an input is not checked.");
}

#[tokio::test]
async fn a_question_over_which_workers_die_is_given_up_and_its_message_set_aside() {
    let app = app_with(1).await;
    let hash = hash_of(&app, ANALYZE).await;
    let ollama = StandIn::always(Reply::good()).await;
    for turn in 0..5 {
        // Dies right after it has taken its turn.
        app.proxy.inject(Some("UpdateItem"), 0, 1, Fault::Crash);
        let (store, client) = (app.store().await, ollama.client());
        tokio::select! {
            outcome = run_analysis(Worker { store: &store, ollama: &client, lease: LEASE }, &hash, at(turn * 1000), soon()) => panic!("{outcome:?}"),
            () = app.proxy.crashed() => {}
        }
        app.proxy.heal();
    }
    let last = run_analysis(
        Worker { store: &app.store().await, ollama: &ollama.client(), lease: LEASE },
        &hash,
        at(9000),
        soon(),
    )
    .await;
    assert!(matches!(last, Err(analyze::Error::InvalidMessage(_))), "{last:?}");
    // Its message comes back each time, until the dead-letter queue has it.
    let next = run_analysis(
        Worker { store: &app.store().await, ollama: &ollama.client(), lease: LEASE },
        &hash,
        at(9001),
        soon(),
    )
    .await;
    assert!(matches!(next, Err(analyze::Error::InvalidMessage(_))), "{next:?}");
    assert_eq!(app.get(ANALYZE).await.json["llm_analysis_failure"]["reason"], "workers_died");
    assert_eq!(ollama.seen().len(), 0);
}

#[tokio::test]
async fn a_host_that_is_there_but_fails_at_one_question_for_ever_is_not_asked_for_ever() {
    let app = app_with(1).await;
    let hash = hash_of(&app, ANALYZE).await;
    let crashing = StandIn::always(Reply::status(
        "500 Internal Server Error",
        "",
        r#"{"error":"model runner has unexpectedly stopped"}"#,
    ))
    .await;
    let (store, client) = (app.store().await, crashing.client());
    for turn in 0..8 {
        let worked =
            run_analysis(Worker { store: &store, ollama: &client, lease: LEASE }, &hash, at(turn * 1000), soon())
                .await
                .unwrap();
        assert_eq!(worked, Worked::Postponed, "turn {turn}");
    }
    assert_eq!(
        run_analysis(Worker { store: &store, ollama: &client, lease: LEASE }, &hash, at(9000), soon()).await.unwrap(),
        Worked::Failed
    );
    assert_eq!(app.get(ANALYZE).await.json["llm_analysis_failure"]["reason"], "runner_stopped");
}

#[tokio::test]
async fn a_finding_with_endless_text_stops_neither_its_scan_nor_the_recovery_of_others() {
    let mut app = App::with_analysis().await;
    app.auto = vec![Severity::Critical];
    let mut hostile = vulnerability(1);
    hostile["PkgName"] = "<".repeat(2000).into();
    hostile["Title"] = "<".repeat(4000).into();
    hostile["FixedVersion"] = "<1".repeat(2000).into();
    hostile["InstalledVersion"] = "<".repeat(4000).into();
    hostile["CVSS"] = (0..400)
        .map(|n| (format!("s{n}"), json!({"V3Vector": "<".repeat(300), "V3Score": 9.8})))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let report = report_of("hostile", vec![hostile, vulnerability(6), vulnerability(11)]);
    assert_eq!(app.post(&report).await.status, 201);
    let queued = support::queue::drain(&app.queue_url).await.len();
    assert!((2..=3).contains(&queued), "{queued}");
    let answer = app.get(&format!("{ANALYZE}?wait=0")).await;
    assert!([202, 422].contains(&answer.status), "{answer:?}");
    assert_eq!(app.get("/api/container/scans/1").await.status, 200);
}

#[tokio::test]
async fn a_missing_model_is_a_failure_that_says_so_and_can_be_retried() {
    let app = app_with(1).await;
    let hash = hash_of(&app, ANALYZE).await;
    let missing = StandIn::always(Reply::status("404 Not Found", "", r#"{"error":"model 'm' not found"}"#)).await;
    app.work(missing.config()).await;
    let failed = app.get(ANALYZE).await.json;
    assert_eq!(
        (&failed["llm_analysis_status"], &failed["llm_analysis_failure"]["reason"]),
        (&json!("failed"), &json!("model_missing"))
    );
    assert!(!failed.to_string().contains("model 'm' not found"), "the host's words are for the log");
    // After that time, a request queues it again.
    let app_store = app.store().await;
    let questions = app.questions.clone().unwrap();
    let prompts = PromptReader { store: &app_store, priorities: &PriorityConfig::default(), questions: &questions };
    let (scan, finding) = app_store.finding("1000000".parse().unwrap()).await.unwrap().unwrap();
    let prompt = prompts.identify(&scan, &finding, &Vulnerabilities::default()).unwrap();
    assert_eq!(prompt.hash, hash);
    let later = request_analysis(&app_store, &app.queue().await, &prompt, false, at(16 * 60)).await.unwrap();
    assert_eq!(later.status, sirius::domain::analysis::Status::Pending);
}

#[tokio::test]
async fn one_fault_at_any_call_loses_no_answer() {
    for fault in [Fault::Throttled, Fault::InternalError, Fault::LostRequest, Fault::LostResponse] {
        // Asking: finding, what is known of it, look, question, ask, message, look.
        for (operation, nth) in [
            ("BatchGetItem", 0),
            ("BatchGetItem", 1),
            ("GetItem", 1),
            ("PutItem", 0),
            ("UpdateItem", 0),
            ("SendMessage", 0),
            ("GetItem", 2),
        ] {
            let app = app_with(1).await;
            app.proxy.inject(Some(operation), nth, 1, fault);
            let asked = app.get(&format!("{ANALYZE}?wait=0")).await;
            assert!([202, 503].contains(&asked.status), "{fault:?} at {operation}: {asked:?}");
            app.proxy.heal();
            settles(&app, &format!("{fault:?} at {operation} {nth} while asking")).await;
        }
        // Working: turn, question, answer.
        for (operation, nth) in [("UpdateItem", 0), ("GetItem", 1), ("UpdateItem", 1)] {
            let app = app_with(1).await;
            app.get(&format!("{ANALYZE}?wait=0")).await;
            app.proxy.inject(Some(operation), nth, 1, fault);
            app.work(StandIn::always(Reply::good()).await.config()).await;
            app.proxy.heal();
            settles(&app, &format!("{fault:?} at {operation} {nth} while working")).await;
        }
    }
}

/// With recovery and a host, the analysis is completed after any failure.
async fn settles(app: &App, after: &str) {
    app.get(&format!("{ANALYZE}?wait=0")).await;
    let hash = hash_of(app, ANALYZE).await;
    let store = app.store().await;
    let up = StandIn::always(Reply::good()).await;
    for step in 0..6 {
        let now = at(step * 1000);
        for body in support::queue::drain(&app.queue_url).await {
            assert!(body.contains(hash.as_str()));
            run_analysis(Worker { store: &store, ollama: &up.client(), lease: LEASE }, &hash, now, soon())
                .await
                .unwrap();
        }
        app.recover(now).await;
    }
    assert_eq!(app.get(ANALYZE).await.json["llm_analysis_status"], "completed", "after {after}");
}
