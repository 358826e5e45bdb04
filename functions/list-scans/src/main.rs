//! `list-scans`: `GET /api/container/scans`.

use lambda_http::Error;
use sirius::http::{self, list_scans};
use sirius::startup::Startup;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let state = Startup::of_process().await?.store();
    http::answer_requests(&state, list_scans::handle).await
}
