//! `retire-image`: `POST /api/container/images/retire` and `POST /api/container/images/unretire`.

use lambda_http::Error;
use sirius::aws::Clients;
use sirius::config::{self, environment};
use sirius::http::{self, retire_image};
use sirius::telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let clients = Clients::load()?;
    let deps = &retire_image::Deps { store: clients.store(config::table_name(&environment)?).await };
    http::run(async |request| http::serve(request, async |request| retire_image::handle(deps, request).await).await)
        .await
}
