//! `get-health`: `GET /api/health`.

use lambda_http::Error;
use sirius::aws::Clients;
use sirius::config::{self, environment};
use sirius::http::{self, get_health};
use sirius::telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let clients = Clients::load()?;
    let store = clients.store(config::table_name(&environment)?).await;
    let objects = config::bucket_if_any(&environment)?.map(|bucket| clients.objects(bucket));
    let queues = config::queues(&environment).map(|(name, url)| (name, url.map(|url| clients.queue(url))));
    let model = config::questions(&environment)?.map(|questions| questions.model);
    let sources = config::sources_mode(&environment);
    let deps = &get_health::Deps { store, objects, queues, model, sources };
    http::run(async |request| http::serve(request, async |request| get_health::handle(deps, request).await).await).await
}
