//! `analyze-finding`: `GET /api/llm/analyze/container/{finding_id}`.

use lambda_http::Error;
use sirius::aws::Clients;
use sirius::config::{self, environment};
use sirius::http::{self, analyze_finding};
use sirius::telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let clients = Clients::load()?;
    let store = clients.store(config::table_name(&environment)?).await;
    let queue = clients.queue(config::analysis_queue_url(&environment)?);
    let deps = analyze_finding::Deps {
        store,
        queue,
        judge: config::judge(&environment)?,
        questions: config::questions(&environment)?,
    };
    let deps = &deps;
    http::run(async |request| http::serve(request, async |request| analyze_finding::handle(deps, request).await).await)
        .await
}
