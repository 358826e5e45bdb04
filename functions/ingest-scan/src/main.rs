//! `ingest-scan`: POST /api/container/scans.

use lambda_http::{Error, run, service_fn};
use sirius::http::{self, ingest_scan};
use sirius::{aws, config, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let store = aws::store(config::table_name(&config::environment)?).await?;
    let config::Ingestion { limits, lease } = config::Ingestion::read(&config::environment)?;
    let deps = ingest_scan::Deps { store, limits, lease };
    let deps = &deps;
    run(service_fn(async |request| {
        http::serve(request, async |request| ingest_scan::handle(deps, request).await).await
    }))
    .await
}
