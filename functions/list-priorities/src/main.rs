//! `list-priorities`: `GET /api/container/priorities`.

use lambda_http::Error;
use sirius::aws::Clients;
use sirius::config::{self, environment};
use sirius::http::{self, list_priorities};
use sirius::telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let clients = Clients::load()?;
    let store = clients.store(config::table_name(&environment)?).await;
    let (judge, fleet) = (config::judge(&environment)?, config::fleet(&environment)?);
    let enriched = config::enrichment_queue_url(&environment).is_some();
    let deps = list_priorities::Deps { store, judge, fleet, time: list_priorities::TIME, enriched };
    let deps = &deps;
    http::run(async |request| http::serve(request, async |request| list_priorities::handle(deps, request).await).await)
        .await
}
