//! `retire-image`: `POST /api/container/images/retire` and `POST /api/container/images/unretire`.

use lambda_http::Error;
use sirius::http::{self, retire_image};
use sirius::startup::Startup;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let state = Startup::of_process().await?.store();
    http::answer_requests(&state, retire_image::handle).await
}
