//! `analyze-scan`: `POST /api/llm/analyze/container/scans/{scan_id}`.

use lambda_http::Error;
use sirius::aws::Clients;
use sirius::config::{self, environment};
use sirius::http::{self, analyze_finding, analyze_scan};
use sirius::queries::finding_reader::FindingReader;
use sirius::telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let clients = Clients::load()?;
    let store = clients.store(config::table_name(&environment)?).await;
    let queue = clients.queue(config::analysis_queue_url(&environment)?);
    let (priorities, questions) = (config::priorities(&environment)?, config::questions(&environment)?);
    let deps = &analyze_finding::Deps { reader: FindingReader { store, priorities, questions }, queue };
    http::run(async |request| http::serve(request, async |request| analyze_scan::handle(deps, request).await).await)
        .await
}
