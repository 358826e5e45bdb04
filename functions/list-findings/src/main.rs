//! `list-findings`: `GET /api/container/scans/{identifier}/findings`.

use lambda_http::Error;
use sirius::aws::Clients;
use sirius::config::{self, environment};
use sirius::http::{self, list_findings};
use sirius::telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let clients = Clients::load()?;
    let store = clients.store(config::table_name(&environment)?).await;
    let deps =
        list_findings::Deps { store, judge: config::judge(&environment)?, questions: config::questions(&environment)? };
    let deps = &deps;
    http::run(async |request| http::serve(request, async |request| list_findings::handle(deps, request).await).await)
        .await
}
