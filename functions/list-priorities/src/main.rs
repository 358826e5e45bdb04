//! `list-priorities`: `GET /api/container/priorities`.

use lambda_http::Error;
use sirius::aws::Clients;
use sirius::config::{self, environment};
use sirius::http::{self, list_priorities};
use sirius::queries::fleet_reader::FleetReader;
use sirius::telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let clients = Clients::load()?;
    let store = clients.store(config::table_name(&environment)?).await;
    let (priorities, fleet) = (config::priorities(&environment)?, config::fleet(&environment)?);
    let enriched = config::enrichment_queue_url(&environment).is_some();
    let reader = FleetReader { store, priorities, fleet };
    let deps = &list_priorities::Deps { reader, enriched, time: list_priorities::READ_BUDGET };
    http::run(async |request| http::serve(request, async |request| list_priorities::handle(deps, request).await).await)
        .await
}
