//! `get-upload`: `GET /api/container/uploads/{upload_id}`.

use lambda_http::Error;
use sirius::http::{self, get_upload};
use sirius::startup::Startup;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let state = Startup::of_process().await?.storage()?;
    http::answer_requests(&state, get_upload::handle).await
}
