//! Creates a bucket for each test.

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;

/// Creates a client of `endpoint`.
pub async fn client(endpoint: &str) -> Client {
    let config = crate::table::config(endpoint).await;
    Client::from_conf(aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build())
}

/// Creates a bucket and returns its name.
pub async fn fresh() -> String {
    let name = crate::unique("test");
    client(&crate::table::endpoint()).await.create_bucket().bucket(&name).send().await.unwrap();
    name
}

/// Puts an object and returns its `ETag`.
pub async fn put(bucket: &str, key: &str, bytes: Vec<u8>) -> String {
    put_with(bucket, key, bytes, &[]).await
}

/// Puts an object with metadata and returns its `ETag`.
pub async fn put_with(bucket: &str, key: &str, bytes: Vec<u8>, metadata: &[(&str, &str)]) -> String {
    let client = client(&crate::table::endpoint()).await;
    let put = client.put_object().bucket(bucket).key(key).body(ByteStream::from(bytes));
    let put = metadata.iter().fold(put, |put, (name, value)| put.metadata(*name, *value));
    let put = put.send().await.unwrap();
    put.e_tag.unwrap().trim_matches('"').to_owned()
}

/// Lists the keys of all objects.
pub async fn keys(bucket: &str) -> Vec<String> {
    let client = client(&crate::table::endpoint()).await;
    let listed = client.list_objects_v2().bucket(bucket).send().await.unwrap();
    listed.contents.unwrap_or_default().into_iter().map(|object| object.key.unwrap()).collect()
}

/// Reads a tag of an object.
pub async fn tag(bucket: &str, key: &str) -> Option<String> {
    let client = client(&crate::table::endpoint()).await;
    let tags = client.get_object_tagging().bucket(bucket).key(key).send().await.unwrap().tag_set;
    tags.into_iter().find(|tag| tag.key == "sirius").map(|tag| tag.value)
}

/// Reads the `ETag` of an object.
pub async fn etag(bucket: &str, key: &str) -> String {
    let client = client(&crate::table::endpoint()).await;
    let head = client.head_object().bucket(bucket).key(key).send().await.unwrap();
    head.e_tag.unwrap().trim_matches('"').to_owned()
}

/// Reads the bytes of an object.
pub async fn get(bucket: &str, key: &str) -> Vec<u8> {
    let client = client(&crate::table::endpoint()).await;
    let object = client.get_object().bucket(bucket).key(key).send().await.unwrap();
    object.body.collect().await.unwrap().to_vec()
}

/// Removes an object.
pub async fn remove(bucket: &str, key: &str) {
    let client = client(&crate::table::endpoint()).await;
    client.delete_object().bucket(bucket).key(key).send().await.unwrap();
}

/// Deletes all objects whose keys begin with `prefix`.
pub async fn empty(bucket: &str, prefix: &str) {
    for key in keys(bucket).await.into_iter().filter(|key| key.starts_with(prefix)) {
        remove(bucket, &key).await;
    }
}
