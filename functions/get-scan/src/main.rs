//! `get-scan`: GET /api/container/scans/{artifactname}.

use lambda_http::{Error, run, service_fn};
use sirius::http::{self, get_scan, list_findings};
use sirius::{aws, config, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let store = aws::store(config::table_name(&config::environment)?).await?;
    let deps = list_findings::Deps { store };
    let deps = &deps;
    run(service_fn(async |request| http::serve(request, async |request| get_scan::handle(deps, request).await).await))
        .await
}
