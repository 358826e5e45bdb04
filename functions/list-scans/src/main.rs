//! `list-scans`: `GET /api/container/scans`.

use lambda_http::Error;
use sirius::aws::Clients;
use sirius::config::{self, environment};
use sirius::http::{self, list_scans};
use sirius::telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let clients = Clients::load()?;
    let store = clients.store(config::table_name(&environment)?).await;
    let deps = list_scans::Deps { store };
    let deps = &deps;
    http::run(async |request| http::serve(request, async |request| list_scans::handle(deps, request).await).await).await
}
