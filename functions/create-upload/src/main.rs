//! `create-upload`: `POST /api/container/uploads`.

use lambda_http::Error;
use sirius::http::{self, create_upload};
use sirius::startup::Startup;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let state = Startup::of_process().await?.create_upload()?;
    http::answer_requests(&state, create_upload::handle).await
}
