//! `get-report`: `GET /api/container/scans/{identifier}/report`.

use lambda_http::Error;
use sirius::aws::Clients;
use sirius::config::{self, environment};
use sirius::http::{self, get_report};
use sirius::telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let clients = Clients::load()?;
    let store = clients.store(config::table_name(&environment)?).await;
    let objects = config::bucket_if_any(&environment)?.map(|bucket| clients.objects(bucket));
    let deps = &get_report::Deps { store, objects };
    http::run(async |request| http::serve(request, async |request| get_report::handle(deps, request).await).await).await
}
