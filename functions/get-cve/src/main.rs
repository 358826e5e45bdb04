//! `get-cve`: `GET /api/container/cves/{cve_id}`.

use lambda_http::Error;
use sirius::http::{self, get_cve};
use sirius::startup::Startup;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let state = Startup::of_process().await?.get_cve()?;
    http::answer_requests(&state, get_cve::handle).await
}
