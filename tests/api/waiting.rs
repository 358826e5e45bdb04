//! Checks that analyses wait for the sources, and that an answer stays visible when its prompt changes.

use serde_json::{Value, json};
use sirius::domain::severity::Severity;
use sirius::pipeline::recover::Recovered;
use support::app::App;
use support::report::{report_of, vulnerability};
use support::stand_in::{Reply, StandIn};
use support::world::World;

const FINDING: &str = "/api/container/findings/1000000";
const ANALYZE: &str = "/api/llm/analyze/container/1000000";

/// A deployment that enriches and analyses everything by itself.
async fn deployment() -> App {
    let analysis = App::with_analysis().await;
    App {
        queue_url: analysis.queue_url,
        questions: analysis.questions,
        auto: vec![Severity::Critical, Severity::High, Severity::Medium, Severity::Low, Severity::Unknown],
        ..App::with_enrichment().await
    }
}

fn later(minutes: i64) -> jiff::Timestamp {
    jiff::Timestamp::now() + jiff::SignedDuration::from_mins(minutes)
}

async fn status(app: &App) -> Value {
    app.get(FINDING).await.json["llm_analysis_status"].clone()
}

#[tokio::test]
async fn findings_are_queued_once_the_sources_were_asked() {
    let (app, world) = (deployment().await, World::start().await);
    app.post(&report_of("app", (0..3).map(vulnerability).collect())).await;
    // No vulnerability has been looked up: the message is still in its queue.
    assert_eq!(app.recover(later(5)).await, Recovered::default());
    assert_eq!(app.recover(later(20)).await, Recovered::default());
    assert_eq!(status(&app).await, Value::Null);

    app.enrich(&app.enrichment(world.mode()).await).await;
    assert_eq!(app.recover(later(60)).await, Recovered { scans: 1, ..Recovered::default() });
    assert_eq!(status(&app).await, "pending", "under the prompt with what the sources say");
    let ollama = StandIn::always(Reply::good()).await;
    assert_eq!(app.work(ollama.config()).await.1, Vec::<String>::new());
    let done = app.get(FINDING).await.json;
    assert_eq!((&done["llm_analysis_status"], &done["llm_analysis_stale"]), (&json!("completed"), &json!(false)));
}

#[tokio::test]
async fn findings_are_queued_without_the_sources_after_two_hours() {
    let app = deployment().await;
    app.post(&report_of("app", vec![vulnerability(0)])).await;
    assert_eq!(app.recover(later(110)).await, Recovered::default());
    assert_eq!(app.recover(later(130)).await, Recovered { scans: 1, ..Recovered::default() });
    assert_eq!(status(&app).await, "pending");
}

#[tokio::test]
async fn an_answer_stays_on_show_and_is_asked_for_anew_when_its_prompt_has_changed() {
    let (app, world) = (deployment().await, World::start().await);
    app.post(&report_of("app", vec![vulnerability(0)])).await;
    let ollama = StandIn::always(Reply::good()).await;
    app.get(&format!("{ANALYZE}?wait=0")).await;
    app.work(ollama.config()).await;
    let before = app.get(FINDING).await.json;
    assert_eq!((&before["llm_analysis_status"], &before["llm_analysis_stale"]), (&json!("completed"), &json!(false)));

    app.enrich(&app.enrichment(world.mode()).await).await;
    let stale = app.get(FINDING).await.json;
    assert_eq!(stale["llm_analysis_stale"], true, "{stale}");
    for field in ["status", "summary", "recommendations", "risk_score", "timestamp", "prompt_hash", "model"] {
        let field = format!("llm_analysis_{field}");
        assert_eq!(stale[&field], before[&field], "{field}");
    }
    let listed = app.get("/api/container/scans/app/findings").await.json;
    assert_eq!(listed[0]["llm_analysis_stale"], true);

    app.recover(later(130)).await;
    let asked = app.get(&format!("{ANALYZE}?wait=0")).await;
    assert_eq!((asked.status, &asked.json["llm_analysis_status"]), (202, &json!("pending")));
    assert_eq!(
        (&asked.json["llm_analysis_stale"], &asked.json["llm_analysis_summary"]),
        (&json!(true), &before["llm_analysis_summary"])
    );
    app.work(ollama.config()).await;
    let after = app.get(FINDING).await.json;
    assert_eq!((&after["llm_analysis_status"], &after["llm_analysis_stale"]), (&json!("completed"), &json!(false)));
    assert_ne!(after["llm_analysis_prompt_hash"], before["llm_analysis_prompt_hash"]);
}

#[tokio::test]
async fn changed_prompts_of_every_current_scan_are_asked_anew_one_scan_in_each_run() {
    let (app, world) = (deployment().await, World::start().await);
    for (number, image) in ["one", "two"].into_iter().enumerate() {
        app.post(&report_of(image, vec![vulnerability(number)])).await;
    }
    // Queued before the sources were asked, so that their facts change the prompts.
    app.recover(later(130)).await;
    let ollama = StandIn::always(Reply::good()).await;
    app.work(ollama.config()).await;
    app.enrich(&app.enrichment(world.mode()).await).await;
    for _ in 0..3 {
        app.recover(later(140)).await;
    }
    let (count, failed) = app.work(ollama.config()).await;
    assert_eq!((count, failed.len()), (2, 0));
    for image in ["one", "two"] {
        let listed = app.get(&format!("/api/container/scans/{image}/findings")).await.json;
        assert_eq!(
            (&listed[0]["llm_analysis_status"], &listed[0]["llm_analysis_stale"]),
            (&json!("completed"), &json!(false))
        );
    }
}
