//! `get-finding`: GET /api/container/findings/{finding_id}.

use lambda_http::{Error, run, service_fn};
use sirius::http::{self, get_finding};
use sirius::{aws, config, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let store = aws::store(config::table_name(&config::environment)?).await?;
    let deps = get_finding::Deps { store };
    let deps = &deps;
    run(service_fn(async |request| {
        http::serve(request, async |request| get_finding::handle(deps, request).await).await
    }))
    .await
}
