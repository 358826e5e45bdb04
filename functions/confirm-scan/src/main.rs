//! `confirm-scan`: `POST /api/container/scans/{scan_id}/confirm`.

use lambda_http::Error;
use sirius::aws::Clients;
use sirius::config::{self, environment};
use sirius::http::{self, confirm_scan};
use sirius::telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let clients = Clients::load()?;
    let store = clients.store(config::table_name(&environment)?).await;
    let enrichment = config::enrichment_queue_url(&environment).map(|url| clients.queue(url));
    let deps = &confirm_scan::Deps { store, enrichment };
    http::run(async |request| http::serve(request, async |request| confirm_scan::handle(deps, request).await).await)
        .await
}
