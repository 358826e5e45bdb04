//! `no-route`: what no other route takes.

use lambda_http::Error;
use sirius::http::{self, no_route};
use sirius::telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    http::run(async |request| http::serve(request, async |request| no_route::handle(request)).await).await
}
