//! `get-upload`: `GET /api/container/uploads/{upload_id}`.

use lambda_http::Error;
use sirius::aws::Clients;
use sirius::config::{self, environment};
use sirius::http::{self, get_upload};
use sirius::telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let clients = Clients::load()?;
    let store = clients.store(config::table_name(&environment)?).await;
    let objects = config::bucket_if_any(&environment)?.map(|bucket| clients.objects(bucket));
    let deps = &get_upload::Deps { store, objects };
    http::run(async |request| http::serve(request, async |request| get_upload::handle(deps, request).await).await).await
}
