//! Checks that a bucket of another account under the configured name is neither written nor read.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::Credentials;
use aws_sdk_s3::config::retry::RetryConfig;
use sirius::domain::declared::Declared;
use sirius::domain::report_hash::ReportHash;
use sirius::domain::upload::UploadId;
use sirius::objects::{Bounds, Objects};
use support::bucket;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// Answers one request after the other with 404, and returns their heads in lower case once `calls` were made.
async fn heads(listener: TcpListener, calls: usize) -> Vec<String> {
    let mut heads = Vec::new();
    while heads.len() < calls {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = Vec::new();
        while !bytes.windows(4).any(|four| four == b"\r\n\r\n") {
            let mut chunk = [0; 4096];
            let read = stream.read(&mut chunk).await.unwrap();
            assert!(read > 0, "the connection ended within a request");
            bytes.extend_from_slice(&chunk[..read]);
        }
        heads.push(String::from_utf8_lossy(&bytes).to_lowercase());
        stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await.unwrap();
    }
    heads
}

#[tokio::test]
async fn every_call_of_s3_names_the_account_that_the_bucket_must_belong_to() {
    const OWNER: &str = "123456789012";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = bucket::client(&format!("http://{}", listener.local_addr().unwrap())).await;
    let keys = Credentials::new("key", "secret", None, None, "test");
    let config = client.config().to_builder().credentials_provider(keys).retry_config(RetryConfig::disabled());
    let client = Client::from_conf(config.build());
    let objects = Objects::new(client, "reports").owned_by(Some(OWNER.to_owned()));
    let (id, hash): (UploadId, _) = ("u".parse().unwrap(), ReportHash::from([7; 32]));
    let calls = async {
        let _ = objects.upload(&id, "e", 1).await;
        let _ = objects.upload_etag(&id).await;
        let _ = objects.tag_upload(&id, "done").await;
        let _ = objects.archive(hash, b"", &Declared::default()).await;
        let _ = objects.archived(hash).await;
        let _ = objects.remove_archived(hash).await;
        let _ = objects.check().await;
        let _ = objects.mirrored("nvd/x", 1).await;
        let _ = objects.feed("kev-1", 1).await;
        let _ = objects.put_feed("kev-1", Vec::new()).await;
        let _ = objects.put_export("x.csv.gz", "text/csv", Vec::new()).await;
    };
    let both = async { tokio::join!(heads(listener, 11), calls) };
    let (heads, ()) = tokio::time::timeout(Duration::from_secs(60), both).await.expect("eleven requests");
    for head in heads {
        assert!(head.contains(&format!("x-amz-expected-bucket-owner: {OWNER}")), "{head}");
    }

    let bounds = Bounds { size: 1, content_type: "application/json", sha256: "x".to_owned() };
    let upload = objects.presign_upload(&id, &bounds, Duration::from_secs(60)).await.unwrap();
    assert!(upload.headers.contains(&("x-amz-expected-bucket-owner".to_owned(), OWNER.to_owned())), "{upload:?}");
    // A client that follows a redirect sends none of the SDK's headers.
    let download = objects.presign_archived(hash, "attachment", Duration::from_secs(60)).await.unwrap();
    assert!(download.contains("X-Amz-SignedHeaders=host&"), "{download}");
}
