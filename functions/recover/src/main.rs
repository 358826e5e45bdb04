//! `recover`: finishes what was lost or cut off; runs each minute.

use lambda_runtime::Error;
use sirius::events::{self, recover};
use sirius::startup::Startup;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let state = Startup::of_process().await?.recovery()?;
    events::handle_events(&state, recover::handle).await
}
