//! Sends messages: which prompt to analyse, and which scan or vulnerabilities to enrich. All else is in the table.

#![expect(clippy::missing_errors_doc, reason = "the variants of the error describe the failures of all functions")]

use std::collections::HashMap;
use std::error::Error as StdError;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName, SendMessageBatchRequestEntry};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};

use crate::domain::prompt_hash::PromptHash;
use crate::domain::scan::ScanId;
use crate::domain::vulnerability::id::VulnerabilityId;

/// The most messages of one `SendMessageBatch`:
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>.
const MAX_BATCH: usize = 10;

/// The attribute of a message that names the request that caused it, which links the lines of the log.
pub const REQUEST_ID: &str = "request_id";

/// A message of the queue of analyses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// The prompt whose analysis is pending.
    pub prompt_hash: PromptHash,
}

/// A message of the queue of enrichment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Order {
    /// Catalogues the vulnerabilities of a scan, and orders the enrichment of the unknown ones.
    Scan {
        /// The scan.
        scan_id: ScanId,
        /// The remaining work; none if nothing was done yet.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rest: Option<Rest>,
    },
    /// Asks the sources about vulnerabilities.
    Ids {
        /// At most [`Order::MAX_IDS`].
        ids: Vec<VulnerabilityId>,
    },
}

/// The remaining work on a scan that takes longer than the time of one message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rest {
    /// The first bucket of occurrences without the scan; 64 if all have it.
    pub bucket: u8,
    /// The version of the asset that the earlier buckets follow.
    pub version: u64,
    /// The first finding whose vulnerability was not read yet.
    pub ordinal: u32,
    /// The number of vulnerabilities that were ordered for the scan.
    pub ordered: u32,
    /// The number of earlier messages.
    pub round: u32,
}

impl Order {
    /// The most vulnerabilities of an order: as many as NVD answers about in one call.
    pub const MAX_IDS: usize = 100;
}

/// A queue and its client.
#[derive(Debug)]
pub struct Queue {
    client: Client,
    url: String,
    /// The request that causes the messages.
    request_id: Option<String>,
}

/// A message could not be sent. Recovery finds every pending analysis, so none is lost. A retry may always help.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages describe the variants")]
pub enum Error {
    #[error("{operation} failed")]
    Aws { operation: &'static str, source: Box<dyn StdError + Send + Sync> },
    #[error("the queue refused {count} messages")]
    Refused { count: usize },
}

impl Error {
    fn aws(operation: &'static str, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Aws { operation, source: source.into() }
    }
}

impl Queue {
    /// Uses an existing queue.
    #[must_use]
    pub fn new(client: Client, url: impl Into<String>) -> Self {
        Self { client, url: url.into(), request_id: None }
    }

    /// Returns the same queue for messages that a request causes; an empty id names no request.
    #[must_use]
    pub fn on_behalf_of(&self, request_id: &str) -> Self {
        let request_id = Some(request_id.to_owned()).filter(|id| !id.is_empty());
        Self { client: self.client.clone(), url: self.url.clone(), request_id }
    }

    /// Checks that the queue exists and may be used.
    pub async fn check(&self) -> Result<(), Error> {
        let request = self.client.get_queue_attributes().queue_url(&self.url);
        let answered = request.attribute_names(QueueAttributeName::QueueArn).send().await;
        answered.map(drop).map_err(|error| Error::aws("GetQueueAttributes", error))
    }

    fn attributes(&self) -> Result<Option<HashMap<String, MessageAttributeValue>>, Error> {
        let Some(request_id) = &self.request_id else { return Ok(None) };
        let value = MessageAttributeValue::builder().data_type("String").string_value(request_id).build();
        let value = value.map_err(|error| Error::aws("MessageAttributeValue", error))?;
        Ok(Some(HashMap::from([(REQUEST_ID.to_owned(), value)])))
    }

    /// Sends a pending prompt.
    pub async fn send(&self, hash: &PromptHash) -> Result<(), Error> {
        self.send_body(prompt_body(hash)).await
    }

    /// Sends several pending prompts, ten in each call, four calls at a time.
    pub async fn send_all(&self, hashes: &[PromptHash]) -> Result<(), Error> {
        self.send_bodies(hashes.iter().map(prompt_body)).await
    }

    /// Orders the enrichment of a scan.
    pub async fn send_scan(&self, scan_id: ScanId) -> Result<(), Error> {
        self.send_body(format!("{{\"scan_id\":{scan_id}}}")).await
    }

    /// Orders the remaining enrichment of a scan.
    pub async fn send_rest(&self, scan_id: ScanId, rest: Rest) -> Result<(), Error> {
        let order = Order::Scan { scan_id, rest: Some(rest) };
        let body = serde_json::to_string(&order).map_err(|error| Error::aws("SendMessage", error))?;
        self.send_body(body).await
    }

    /// Orders that sources are asked about vulnerabilities, in messages of at most [`Order::MAX_IDS`].
    pub async fn send_ids(&self, ids: &[VulnerabilityId]) -> Result<(), Error> {
        // Ids need no escaping.
        let quoted = |ids: &[VulnerabilityId]| ids.iter().map(|id| format!("\"{id}\"")).collect::<Vec<_>>().join(",");
        self.send_bodies(ids.chunks(Order::MAX_IDS).map(|ids| format!("{{\"ids\":[{}]}}", quoted(ids)))).await
    }

    async fn send_body(&self, body: String) -> Result<(), Error> {
        let message = self.client.send_message().queue_url(&self.url).message_body(body);
        let sent = message.set_message_attributes(self.attributes()?).send().await;
        sent.map(drop).map_err(|error| Error::aws("SendMessage", error))
    }

    async fn send_bodies(&self, bodies: impl Iterator<Item = String>) -> Result<(), Error> {
        let bodies: Vec<String> = bodies.collect();
        let batches: Vec<Vec<String>> = bodies.chunks(MAX_BATCH).map(<[String]>::to_vec).collect();
        stream::iter(batches).map(|batch| self.send_batch(batch)).buffer_unordered(4).try_collect().await
    }

    async fn send_batch(&self, mut batch: Vec<String>) -> Result<(), Error> {
        const OPERATION: &str = "SendMessageBatch";
        let attributes = self.attributes()?;
        for _ in 0..2 {
            let entry = |(at, body): (usize, &String)| {
                let entry = SendMessageBatchRequestEntry::builder().id(at.to_string()).message_body(body);
                entry.set_message_attributes(attributes.clone()).build()
            };
            let entries = batch.iter().enumerate().map(entry).collect::<Result<Vec<_>, _>>();
            let entries = entries.map_err(|error| Error::aws(OPERATION, error))?;
            let request = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries));
            let sent = request.send().await.map_err(|error| Error::aws(OPERATION, error))?;
            let failed = |at: usize| sent.failed().iter().any(|entry| entry.id() == at.to_string());
            batch = batch.into_iter().enumerate().filter(|(at, _)| failed(*at)).map(|(_, body)| body).collect();
            if batch.is_empty() {
                return Ok(());
            }
        }
        Err(Error::Refused { count: batch.len() })
    }
}

fn prompt_body(hash: &PromptHash) -> String {
    // Hexadecimal digits need no escaping.
    format!("{{\"prompt_hash\":\"{hash}\"}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_written_and_nothing_else_is() {
        let hash: PromptHash = "0f".repeat(32).parse().unwrap();
        assert_eq!(serde_json::from_str::<Message>(&prompt_body(&hash)).unwrap(), Message { prompt_hash: hash });
        for other in ["", "{}", "{\"prompt_hash\":\"x\"}", "{\"prompt_hash\":1}", "{\"Records\":[]}"] {
            assert!(serde_json::from_str::<Message>(other).is_err(), "{other}");
        }
    }

    #[test]
    fn an_order_is_a_scan_or_vulnerabilities_and_nothing_else() {
        let read = serde_json::from_str::<Order>;
        assert_eq!(read("{\"scan_id\":7}").unwrap(), Order::Scan { scan_id: ScanId::new(7).unwrap(), rest: None });
        let rest = Rest { bucket: 16, version: 3, ordinal: 0, ordered: 7, round: 1 };
        let order = Order::Scan { scan_id: ScanId::new(7).unwrap(), rest: Some(rest) };
        let text = serde_json::to_string(&order).unwrap();
        assert_eq!(serde_json::from_str::<Order>(&text).unwrap(), order);
        let ids = vec!["CVE-2026-0001".parse().unwrap()];
        assert_eq!(read("{\"ids\":[\"CVE-2026-0001\"]}").unwrap(), Order::Ids { ids });
        for other in ["", "{}", "{\"ids\":[\"../../etc\"]}", "{\"scan_id\":7,\"ids\":[]}", "{\"scan_id\":-1}"] {
            assert!(read(other).is_err(), "{other}");
        }
    }
}
