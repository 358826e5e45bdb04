//! The queue of analyses: says that a prompt is pending. The table knows everything else.

use std::collections::HashMap;
use std::error::Error as StdError;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::BuildError;
use aws_sdk_sqs::types::{MessageAttributeValue, SendMessageBatchRequestEntry};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};

use crate::domain::prompt_hash::PromptHash;

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
        const OPERATION: &str = "SendMessage";
        let aws = |source: Box<dyn StdError + Send + Sync>| Error::Aws { operation: OPERATION, source };
        self.client
            .send_message()
            .queue_url(&self.url)
            .message_body(body(hash))
            .set_message_attributes(self.attributes().map_err(|error| aws(error.into()))?)
            .send()
            .await
            .map_err(|error| aws(error.into()))?;
        Ok(())
    }

    /// Says so of several prompts, ten in each call, four calls at a time.
    ///
    /// # Errors
    /// [`Error::Aws`]; [`Error::Refused`] for messages that a second try did not bring in either.
    pub async fn send_all(&self, hashes: &[PromptHash]) -> Result<(), Error> {
        let batches: Vec<Vec<PromptHash>> = hashes.chunks(BATCH).map(<[PromptHash]>::to_vec).collect();
        stream::iter(batches).map(|batch| self.send_batch(batch)).buffer_unordered(4).try_collect().await
    }

    async fn send_batch(&self, mut batch: Vec<PromptHash>) -> Result<(), Error> {
        const OPERATION: &str = "SendMessageBatch";
        let aws = |source: Box<dyn StdError + Send + Sync>| Error::Aws { operation: OPERATION, source };
        let attributes = self.attributes().map_err(|error| aws(error.into()))?;
        for _ in 0..2 {
            let entries = batch
                .iter()
                .enumerate()
                .map(|(at, hash)| {
                    SendMessageBatchRequestEntry::builder()
                        .id(at.to_string())
                        .message_body(body(hash))
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
            batch = batch.into_iter().enumerate().filter(|(at, _)| failed(*at)).map(|(_, hash)| hash).collect();
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
}
