//! `ingest-scan`: `POST /api/container/scans`.

use lambda_http::Error;
use sirius::aws::Clients;
use sirius::config::{self, environment};
use sirius::http::{self, ingest_scan};
use sirius::telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let clients = Clients::load().await?;
    let store = clients.store(config::table_name(&environment)?).await;
    let config::Ingestion { limits, lease } = config::Ingestion::read(&environment)?;
    let auto = config::auto_analyze(&environment)?.map(|(auto, url)| (auto, clients.queue(url)));
    let deps = ingest_scan::Deps { store, limits, lease, auto };
    let deps = &deps;
    http::run(async |request| http::serve(request, async |request| ingest_scan::handle(deps, request).await).await)
        .await
}
