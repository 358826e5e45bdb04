//! `get-cve`: `GET /api/container/cves/{cve_id}`.

use lambda_http::Error;
use sirius::aws::Clients;
use sirius::config::{self, environment};
use sirius::http::{self, get_cve};
use sirius::queries::fleet_reader::FleetReader;
use sirius::telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let clients = Clients::load()?;
    let store = clients.store(config::table_name(&environment)?).await;
    let (priorities, fleet) = (config::priorities(&environment)?, config::fleet(&environment)?);
    let enriched = config::enrichment_queue_url(&environment).is_some();
    let deps = &get_cve::Deps { reader: FleetReader { store, priorities, fleet }, enriched };
    http::run(async |request| http::serve(request, async |request| get_cve::handle(deps, request).await).await).await
}
