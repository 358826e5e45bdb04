//! The "hello, world" of `lambda_http`, as in its README: no SDK, no client, no settings.

use lambda_http::{Body, Error, Request, Response, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(async |_: Request| Ok::<_, Error>(Response::new(Body::from("hello, world"))))).await
}
