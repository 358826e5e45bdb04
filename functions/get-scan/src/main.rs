//! `get-scan`: `GET /api/container/scans/{artifactname}`.

use lambda_http::Error;
use sirius::aws::Clients;
use sirius::config::{self, environment};
use sirius::http::{self, get_scan};
use sirius::queries::finding_reader::FindingReader;
use sirius::telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let clients = Clients::load()?;
    let store = clients.store(config::table_name(&environment)?).await;
    let (priorities, questions) = (config::priorities(&environment)?, config::questions(&environment)?);
    let reader = FindingReader { store, priorities, questions };
    let objects = config::bucket_if_any(&environment)?.map(|bucket| clients.objects(bucket));
    let deps = &get_scan::Deps { reader, objects };
    http::run(async |request| http::serve(request, async |request| get_scan::handle(deps, request).await).await).await
}
