//! `get-health`: `GET /api/health`.

use lambda_http::Error;
use sirius::http::{self, get_health};
use sirius::startup::Startup;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let state = Startup::of_process().await?.get_health()?;
    http::answer_requests(&state, get_health::handle).await
}
