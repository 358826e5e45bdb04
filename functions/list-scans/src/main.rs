//! `list-scans`: GET /api/container/scans.

use lambda_http::{Error, run, service_fn};
use sirius::http::{self, list_scans};
use sirius::{aws, config, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let store = aws::store(config::table_name(&config::environment)?).await?;
    let deps = list_scans::Deps { store };
    let deps = &deps;
    run(service_fn(async |request| http::serve(request, async |request| list_scans::handle(deps, request).await).await))
        .await
}
