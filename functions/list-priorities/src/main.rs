//! `list-priorities`: `GET /api/container/priorities`.

use lambda_http::Error;
use sirius::http::{self, list_priorities};
use sirius::startup::Startup;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let state = Startup::of_process().await?.list_priorities()?;
    http::answer_requests(&state, list_priorities::handle).await
}
