//! `get-finding`: `GET /api/container/findings/{finding_id}`.

use lambda_http::Error;
use sirius::http::{self, get_finding};
use sirius::startup::Startup;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let state = Startup::of_process().await?.finding_reader()?;
    http::answer_requests(&state, get_finding::handle).await
}
