//! The HTTP client of all AWS clients: HTTP/1.1, one pool of connections.
//!
//! `aws-smithy-http-client` would add HTTP/2, which DynamoDB, SQS and S3 do not speak, proxies and the operating system's
//! certificates to each package, and read the trust store for each client (docs/decisions/0018). This client also limits
//! the time to connect, classifies errors for the SDK's retries, and drops a connection over which a call failed.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use aws_smithy_runtime_api::client::connection::{CaptureSmithyConnection, ConnectionMetadata};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::ErrorKind;
use hyper::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{self, CaptureConnection, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use tower_service::Service;

use crate::tls;

/// The roots that certify AWS endpoints: parsing the 144 roots of an operating system takes longer than the rest of a cold
/// start (docs/decisions/0002).
/// Source: <https://www.amazontrust.com/repository/>.
const AMAZON_ROOTS: [&[u8]; 5] = [
    include_bytes!("amazon-roots/AmazonRootCA1.der"),
    include_bytes!("amazon-roots/AmazonRootCA2.der"),
    include_bytes!("amazon-roots/AmazonRootCA3.der"),
    include_bytes!("amazon-roots/AmazonRootCA4.der"),
    include_bytes!("amazon-roots/SFSRootCAG2.der"),
];

type BoxError = Box<dyn Error + Send + Sync>;

/// The HTTP client of the AWS clients; clones share its connections.
#[derive(Debug, Clone)]
pub(super) struct Http(Client<TimedConnector, SdkBody>);

impl Http {
    /// Makes a client without a connection yet; each must be open within `connect`. `http` is allowed too: the
    /// endpoints of an emulator have no TLS.
    pub(super) fn new(connect: Duration) -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        for root in AMAZON_ROOTS {
            roots.add(CertificateDer::from_slice(root))?;
        }
        let mut tcp = connect::HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls::client(roots)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let connector = TimedConnector { connector, time: connect };
        Ok(Self(Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector)))
    }
}

impl HttpClient for Http {
    /// The settings are the timeouts of connecting and of reading in a `TimeoutConfig`. They have no effect: all
    /// connections are opened in one time, and how long an answer may take is the attempt's own timeout.
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Http {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into()))),
        };
        let connection = capture_connection(&mut request);
        if let Some(asked) = request.extensions().get::<CaptureSmithyConnection>() {
            asked.set_connection_retriever(move || metadata(connection.clone()));
        }
        let response = self.0.request(request);
        HttpConnectorFuture::new(async move {
            let response = response.await.map_err(|error| classify(error.into()))?.map(SdkBody::from_body_1_x);
            HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// Opens connections within one bound for name resolution, TCP and TLS together.
#[derive(Debug, Clone)]
struct TimedConnector {
    connector: HttpsConnector<connect::HttpConnector>,
    time: Duration,
}

impl Service<Uri> for TimedConnector {
    type Response = <HttpsConnector<connect::HttpConnector> as Service<Uri>>::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (time, connecting) = (self.time, self.connector.call(uri));
        Box::pin(async move {
            let late = |elapsed| BoxError::from(io::Error::new(io::ErrorKind::TimedOut, elapsed));
            tokio::time::timeout(time, connecting).await.map_err(late)?
        })
    }
}

/// Lets the SDK discard the connection over which a call failed; none if no connection was opened.
fn metadata(connection: CaptureConnection) -> Option<ConnectionMetadata> {
    connection.connection_metadata().as_ref()?;
    let poison = move || {
        if let Some(connected) = connection.connection_metadata().as_ref() {
            connected.poison();
        }
    };
    Some(ConnectionMetadata::builder().proxied(false).poison_fn(poison).build())
}

/// Classifies an error for the SDK's retries: failed connections and timeouts are tried again, wrong requests are not.
fn classify(error: BoxError) -> ConnectorError {
    let hyper = find_error::<hyper::Error>(error.as_ref());
    if hyper.is_some_and(hyper::Error::is_user) {
        return ConnectorError::user(error);
    }
    if let Some(io) = find_error::<io::Error>(error.as_ref()) {
        let timed_out = io.kind() == io::ErrorKind::TimedOut;
        return if timed_out { ConnectorError::timeout(error) } else { ConnectorError::io(error) };
    }
    if let Some(hyper) = hyper {
        if hyper.is_timeout() {
            return ConnectorError::timeout(error);
        }
        if hyper.is_closed() || hyper.is_canceled() {
            return ConnectorError::io(error);
        }
        // The server closed the connection during the request or in the middle of its answer.
        let transient = hyper.is_incomplete_message().then_some(ErrorKind::TransientError);
        return ConnectorError::other(error, transient);
    }
    let connecting = find_error::<hyper_util::client::legacy::Error>(error.as_ref()).is_some_and(|e| e.is_connect());
    if connecting { ConnectorError::io(error) } else { ConnectorError::other(error, None) }
}

/// Finds the first error of a type in an error's chain.
fn find_error<'e, E: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e E> {
    std::iter::successors(Some(error), |&error| error.source()).find_map(|error| error.downcast_ref())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn listener() -> (TcpListener, String) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        (listener, url)
    }

    /// Reads a request and sends these bytes.
    async fn answer(stream: &mut TcpStream, bytes: &[u8]) {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(bytes).await.unwrap();
    }

    fn request(url: &str) -> HttpRequest {
        HttpRequest::try_from(lambda_http::http::Request::get(url).body(SdkBody::empty()).unwrap()).unwrap()
    }

    async fn get(client: &Http, url: &str) -> Result<u16, ConnectorError> {
        let response = client.call(request(url)).await?;
        let status = response.status().as_u16();
        // A connection can be used again once its response is read.
        http_body_util::BodyExt::collect(response.into_body()).await.unwrap();
        Ok(status)
    }

    fn client() -> Http {
        Http::new(Duration::from_secs(2)).unwrap()
    }

    const EMPTY: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

    #[tokio::test]
    async fn clones_share_a_connection() {
        let (listener, url) = listener().await;
        let client = client();
        let calls = async {
            assert_eq!(get(&client, &url).await.unwrap(), 200);
            assert_eq!(get(&client.clone(), &url).await.unwrap(), 200);
        };
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            for _ in 0..2 {
                answer(&mut stream, EMPTY).await;
            }
        };
        tokio::join!(calls, server);
    }

    #[tokio::test]
    async fn a_poisoned_connection_is_not_used_again() {
        let (listener, url) = listener().await;
        let client = client();
        let calls = async {
            let captured = CaptureSmithyConnection::new();
            let mut request = request(&url);
            request.add_extension(captured.clone());
            let response = client.call(request).await.unwrap();
            captured.get().unwrap().poison();
            http_body_util::BodyExt::collect(response.into_body()).await.unwrap();
            assert_eq!(get(&client, &url).await.unwrap(), 200);
        };
        let server = async {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().await.unwrap();
                answer(&mut stream, EMPTY).await;
            }
        };
        tokio::join!(calls, server);
    }

    #[tokio::test]
    async fn a_refused_connection_is_an_io_error_which_the_sdk_tries_again() {
        let (listener, url) = listener().await;
        drop(listener);
        let error = get(&client(), &url).await.unwrap_err();
        assert!(error.is_io(), "{error:?}");
    }

    #[tokio::test]
    async fn a_server_that_answers_no_handshake_is_given_up_in_time() {
        let (listener, url) = listener().await;
        let url = url.replace("http:", "https:");
        let client = Http::new(Duration::from_millis(20)).unwrap();
        let (result, accepted) = tokio::join!(get(&client, &url), listener.accept());
        let error = result.unwrap_err();
        assert!(error.is_timeout(), "{error:?}");
        drop(accepted);
    }

    #[tokio::test]
    async fn an_answer_that_is_cut_off_may_be_asked_for_again() {
        for sent in [&b""[..], b"HTTP/1.1 200 OK\r\ncontent-le"] {
            let (listener, url) = listener().await;
            let client = client();
            let server = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                answer(&mut stream, sent).await;
            };
            let (result, ()) = tokio::join!(get(&client, &url), server);
            let error = result.unwrap_err();
            assert!(error.is_io() || error.as_other() == Some(ErrorKind::TransientError), "{error:?}");
        }
    }

    #[tokio::test]
    async fn a_server_that_speaks_no_http_is_not_asked_again() {
        let (listener, url) = listener().await;
        let client = client();
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            answer(&mut stream, b"SSH-2.0-OpenSSH_9.9\r\n").await;
        };
        let (result, ()) = tokio::join!(get(&client, &url), server);
        let error = result.unwrap_err();
        assert!(!error.is_io() && !error.is_timeout() && error.as_other().is_none(), "{error:?}");
    }
}
