//! The queues: that of analyses says that a prompt is pending, that of enrichment which scan or which
//! vulnerabilities are to be looked at. The table knows everything else.

use std::collections::HashMap;
use std::error::Error as StdError;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::BuildError;
use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName, SendMessageBatchRequestEntry};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};

use crate::domain::prompt_hash::PromptHash;
use crate::domain::scan::ScanId;
use crate::domain::vulnerability::id::VulnerabilityId;

/// `SendMessageBatch` takes no more:
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>.
const BATCH: usize = 10;

/// The attribute of a message that names the request for which it was sent: one query over the log
/// then follows a request through the queue.
pub const REQUEST_ID: &str = "request_id";

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// The prompt whose analysis is pending.
    pub prompt_hash: PromptHash,
}

/// What a message of the queue of enrichment says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Order {
    /// A scan is new: where its vulnerabilities are is to be written down, and what is unknown of them.
    Scan {
        /// Which.
        scan_id: ScanId,
        /// What is left of that; none if nothing was done yet.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rest: Option<Rest>,
    },
    /// Sources are to be asked about these, at most [`Order::IDS`].
    Ids {
        /// Which.
        ids: Vec<VulnerabilityId>,
    },
}

/// What is left to be done for a scan that took longer than a message has time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rest {
    /// The first bucket of occurrences that does not have it yet; 64 if all have it.
    pub bucket: u8,
    /// Which version of its asset the buckets before follow.
    pub version: u64,
    /// The first finding whose vulnerability was not looked at.
    pub ordinal: u32,
    /// How many vulnerabilities the scan has had sources asked about.
    pub ordered: u32,
    /// How many messages there were before.
    pub round: u32,
}

impl Order {
    /// How many vulnerabilities an order may name: as many as NVD answers about at once.
    pub const IDS: usize = 100;
}

/// A queue and the client to reach it with.
#[derive(Debug)]
pub struct Queue {
    client: Client,
    url: String,
    /// The request for which messages are sent.
    request_id: Option<String>,
}

/// A message that could not be sent. Nothing is lost: recovery finds every pending analysis.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The call failed.
    #[error("{operation} failed")]
    Aws {
        /// The operation's name.
        operation: &'static str,
        /// What the SDK says.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The queue took only a part of a batch, twice.
    #[error("the queue refused {count} messages")]
    Refused {
        /// How many it did not take.
        count: usize,
    },
}

impl Error {
    /// Whether sending again may help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        true
    }
}

impl Queue {
    /// A queue that exists.
    #[must_use]
    pub fn new(client: Client, url: impl Into<String>) -> Self {
        Self { client, url: url.into(), request_id: None }
    }

    /// The same queue, for what is sent on behalf of a request; an empty id names none.
    #[must_use]
    pub fn on_behalf_of(&self, request_id: &str) -> Self {
        let request_id = Some(request_id.to_owned()).filter(|id| !id.is_empty());
        Self { client: self.client.clone(), url: self.url.clone(), request_id }
    }

    /// Tells whether the queue is there and may be asked.
    ///
    /// # Errors
    /// [`Error::Aws`].
    pub async fn check(&self) -> Result<(), Error> {
        let asked = self.client.get_queue_attributes().queue_url(&self.url);
        let there = asked.attribute_names(QueueAttributeName::QueueArn).send().await;
        there.map(drop).map_err(|error| Error::Aws { operation: "GetQueueAttributes", source: Box::new(error) })
    }

    fn attributes(&self) -> Result<Option<HashMap<String, MessageAttributeValue>>, BuildError> {
        let Some(request_id) = &self.request_id else { return Ok(None) };
        let value = MessageAttributeValue::builder().data_type("String").string_value(request_id).build()?;
        Ok(Some(HashMap::from([(REQUEST_ID.to_owned(), value)])))
    }

    /// Says that a prompt is pending.
    ///
    /// # Errors
    /// [`Error::Aws`].
    pub async fn send(&self, hash: &PromptHash) -> Result<(), Error> {
        self.send_body(body(hash)).await
    }

    /// Says so of several prompts, ten in each call, four calls at a time.
    ///
    /// # Errors
    /// [`Error::Aws`]; [`Error::Refused`] for messages that a second try did not bring in either.
    pub async fn send_all(&self, hashes: &[PromptHash]) -> Result<(), Error> {
        self.send_bodies(hashes.iter().map(body)).await
    }

    /// Has a scan's vulnerabilities looked at.
    ///
    /// # Errors
    /// [`Error::Aws`].
    pub async fn send_scan(&self, scan_id: ScanId) -> Result<(), Error> {
        self.send_body(format!("{{\"scan_id\":{scan_id}}}")).await
    }

    /// Has a scan gone on with.
    ///
    /// # Errors
    /// [`Error::Aws`].
    pub async fn send_rest(&self, scan_id: ScanId, rest: Rest) -> Result<(), Error> {
        let order = Order::Scan { scan_id, rest: Some(rest) };
        let body = serde_json::to_string(&order)
            .map_err(|source| Error::Aws { operation: "SendMessage", source: source.into() })?;
        self.send_body(body).await
    }

    /// Has sources asked about vulnerabilities, in orders of at most [`Order::IDS`].
    ///
    /// # Errors
    /// Those of [`Queue::send_all`].
    pub async fn send_ids(&self, ids: &[VulnerabilityId]) -> Result<(), Error> {
        // Their characters need no escaping.
        let quoted = |ids: &[VulnerabilityId]| ids.iter().map(|id| format!("\"{id}\"")).collect::<Vec<_>>().join(",");
        self.send_bodies(ids.chunks(Order::IDS).map(|ids| format!("{{\"ids\":[{}]}}", quoted(ids)))).await
    }

    async fn send_body(&self, body: String) -> Result<(), Error> {
        const OPERATION: &str = "SendMessage";
        let aws = |source: Box<dyn StdError + Send + Sync>| Error::Aws { operation: OPERATION, source };
        self.client
            .send_message()
            .queue_url(&self.url)
            .message_body(body)
            .set_message_attributes(self.attributes().map_err(|error| aws(error.into()))?)
            .send()
            .await
            .map_err(|error| aws(error.into()))?;
        Ok(())
    }

    async fn send_bodies(&self, bodies: impl Iterator<Item = String>) -> Result<(), Error> {
        let bodies: Vec<String> = bodies.collect();
        let batches: Vec<Vec<String>> = bodies.chunks(BATCH).map(<[String]>::to_vec).collect();
        stream::iter(batches).map(|batch| self.send_batch(batch)).buffer_unordered(4).try_collect().await
    }

    async fn send_batch(&self, mut batch: Vec<String>) -> Result<(), Error> {
        const OPERATION: &str = "SendMessageBatch";
        let aws = |source: Box<dyn StdError + Send + Sync>| Error::Aws { operation: OPERATION, source };
        let attributes = self.attributes().map_err(|error| aws(error.into()))?;
        for _ in 0..2 {
            let entries = batch
                .iter()
                .enumerate()
                .map(|(at, body)| {
                    SendMessageBatchRequestEntry::builder()
                        .id(at.to_string())
                        .message_body(body)
                        .set_message_attributes(attributes.clone())
                        .build()
                })
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| aws(error.into()))?;
            let sent = self
                .client
                .send_message_batch()
                .queue_url(&self.url)
                .set_entries(Some(entries))
                .send()
                .await
                .map_err(|error| aws(error.into()))?;
            let failed = |at: usize| sent.failed().iter().any(|entry| entry.id() == at.to_string());
            batch = batch.into_iter().enumerate().filter(|(at, _)| failed(*at)).map(|(_, body)| body).collect();
            if batch.is_empty() {
                return Ok(());
            }
        }
        Err(Error::Refused { count: batch.len() })
    }
}

fn body(hash: &PromptHash) -> String {
    // Hexadecimal digits need no escaping.
    format!("{{\"prompt_hash\":\"{hash}\"}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_written_and_nothing_else_is() {
        let hash: PromptHash = "0f".repeat(32).parse().unwrap();
        assert_eq!(serde_json::from_str::<Message>(&body(&hash)).unwrap(), Message { prompt_hash: hash });
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
