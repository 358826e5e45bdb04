//! The least that answers HTTP on Lambda with `lambda_http`: one kind of event, one thread, no log.

use lambda_http::{Body, Error, Request, Response, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(async |_: Request| Ok::<_, Error>(Response::new(Body::from("hello, world"))))).await
}
