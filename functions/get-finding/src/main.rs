//! `get-finding`: `GET /api/container/findings/{finding_id}`.

use lambda_http::Error;
use sirius::aws::Clients;
use sirius::config::{self, environment};
use sirius::http::{self, get_finding};
use sirius::telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let clients = Clients::load()?;
    let store = clients.store(config::table_name(&environment)?).await;
    let deps =
        get_finding::Deps { store, judge: config::judge(&environment)?, questions: config::questions(&environment)? };
    let deps = &deps;
    http::run(async |request| http::serve(request, async |request| get_finding::handle(deps, request).await).await)
        .await
}
