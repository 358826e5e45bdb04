//! `create-upload`: `POST /api/container/uploads`.

use lambda_http::Error;
use sirius::aws::Clients;
use sirius::config::{self, environment};
use sirius::http::{self, create_upload};
use sirius::telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let clients = Clients::load()?;
    let store = clients.store(config::table_name(&environment)?).await;
    let objects = config::bucket_if_any(&environment)?.map(|bucket| clients.objects(bucket));
    let max_bytes = config::max_report_bytes(&environment)?;
    let deps = &create_upload::Deps { store, objects, max_bytes };
    http::run(async |request| http::serve(request, async |request| create_upload::handle(deps, request).await).await)
        .await
}
