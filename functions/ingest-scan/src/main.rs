//! `ingest-scan`: `POST /api/container/scans`.

use lambda_http::Error;
use sirius::aws::Clients;
use sirius::config::environment;
use sirius::http::{self, ingest_scan};
use sirius::telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let clients = Clients::load()?;
    let deps = &clients.ingestion(&environment).await?;
    http::run(async |request| http::serve(request, async |request| ingest_scan::handle(deps, request).await).await)
        .await
}
