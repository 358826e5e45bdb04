//! `list-findings`: `GET /api/container/scans/{identifier}/findings`.

use lambda_http::Error;
use sirius::aws::Clients;
use sirius::config::{self, environment};
use sirius::http::{self, list_findings};
use sirius::queries::finding_reader::FindingReader;
use sirius::telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let clients = Clients::load()?;
    let store = clients.store(config::table_name(&environment)?).await;
    let (priorities, questions) = (config::priorities(&environment)?, config::questions(&environment)?);
    let reader = &FindingReader { store, priorities, questions };
    http::run(async |request| http::serve(request, async |request| list_findings::handle(reader, request).await).await)
        .await
}
