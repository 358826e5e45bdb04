//! Creates a table for each test, with the keys and the index of template.yaml.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType,
};
use aws_smithy_types::retry::RetryConfig;

/// The address of the emulator.
pub fn endpoint() -> String {
    std::env::var("AWS_ENDPOINT_URL_DYNAMODB")
        .or_else(|_| std::env::var("AWS_ENDPOINT_URL"))
        .unwrap_or_else(|_| panic!("no local stack in the environment: run this through `make test` or `make bench`"))
}

/// Retries at once instead of after seconds.
pub fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(4).with_initial_backoff(Duration::from_millis(5))
}

/// Settings of clients of `endpoint`.
pub async fn config(endpoint: &str) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(sirius::aws::http_client().unwrap())
        .endpoint_url(endpoint)
        .region(Region::from_static("us-east-1"))
        .retry_config(retries())
        .load()
        .await
}

/// Creates a client of `endpoint`.
pub async fn client(endpoint: &str) -> Client {
    Client::new(&config(endpoint).await)
}

/// Creates a table and returns its name.
pub async fn fresh() -> String {
    let name = crate::unique("test");
    let attribute = |name: &str, kind: ScalarAttributeType| {
        AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build().unwrap()
    };
    let key =
        |name: &str, kind: KeyType| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
    let index = |name: &str, hash: &str, range: &str| {
        GlobalSecondaryIndex::builder()
            .index_name(name)
            .key_schema(key(hash, KeyType::Hash))
            .key_schema(key(range, KeyType::Range))
            .projection(Projection::builder().projection_type(ProjectionType::All).build())
            .build()
            .unwrap()
    };
    client(&endpoint())
        .await
        .create_table()
        .table_name(&name)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute("pk", ScalarAttributeType::S))
        .attribute_definitions(attribute("sk", ScalarAttributeType::S))
        .attribute_definitions(attribute("listing", ScalarAttributeType::S))
        .attribute_definitions(attribute("rank", ScalarAttributeType::N))
        .attribute_definitions(attribute("fleet", ScalarAttributeType::S))
        .attribute_definitions(attribute("seen", ScalarAttributeType::N))
        .attribute_definitions(attribute("lineage", ScalarAttributeType::S))
        .attribute_definitions(attribute("generation", ScalarAttributeType::S))
        .key_schema(key("pk", KeyType::Hash))
        .key_schema(key("sk", KeyType::Range))
        .global_secondary_indexes(index("listing", "listing", "rank"))
        .global_secondary_indexes(index("fleet", "fleet", "seen"))
        .global_secondary_indexes(index("repository", "lineage", "generation"))
        .send()
        .await
        .unwrap();
    name
}

/// Lists the partition keys of all items of a table.
pub async fn items(table: &str) -> Vec<String> {
    let mut pages = client(&endpoint()).await.scan().table_name(table).into_paginator().items().send();
    let mut keys = Vec::new();
    while let Some(item) = pages.next().await {
        keys.push(item.unwrap()["pk"].as_s().unwrap().clone());
    }
    keys
}

/// Puts an item that has only its key.
pub async fn put_bare(table: &str, pk: &str, sk: &str) {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let put = client(&endpoint()).await.put_item().table_name(table).item("pk", text(pk)).item("sk", text(sk));
    put.send().await.unwrap();
}

/// Sets a number inside a map of an item.
pub async fn set_number(table: &str, (pk, sk): (&str, &str), (map, name): (&str, &str), number: u32) {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let update = client(&endpoint())
        .await
        .update_item()
        .table_name(table)
        .key("pk", text(pk))
        .key("sk", text(sk))
        .update_expression("SET #map.#name = :number")
        .expression_attribute_names("#map", map)
        .expression_attribute_names("#name", name)
        .expression_attribute_values(":number", AttributeValue::N(number.to_string()));
    update.send().await.unwrap();
}
