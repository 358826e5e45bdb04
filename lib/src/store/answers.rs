//! The latest answer on each subject: what is shown while the present prompt has none.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::Deserialize;

use super::analyses::to_value;
use super::error::condition_failed;
use super::item::{Item, key_of, typed};
use super::keys::{Key, PK};
use super::{Error, Store, millis};
use crate::domain::analysis::Answered;
use crate::domain::prompt_hash::PromptHash;
use crate::domain::subject::Subject;

const PROMPT_HASH: &str = "prompt_hash";
const ANSWER: &str = "answer";
/// When it was given, in milliseconds: an older one never replaces a newer one.
const AT: &str = "at";

/// An answer, and the prompt that it answers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct LatestAnswer {
    /// The prompt.
    pub prompt_hash: PromptHash,
    /// The answer.
    pub answer: Answered,
}

impl Store {
    /// Keeps an answer as the latest on its subject, unless there is a newer one. To do it again is success.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn put_latest_answer(
        &self,
        subject: &Subject,
        prompt_hash: &PromptHash,
        answer: &Answered,
        at: Timestamp,
    ) -> Result<(), Error> {
        const OPERATION: &str = "UpdateItem(latest answer)";
        let updated = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::LatestAnswer(subject.clone()).attributes()))
            .update_expression("SET #hash = :hash, #answer = :answer, #at = :at")
            .condition_expression("attribute_not_exists(#at) OR #at <= :at")
            .expression_attribute_names("#hash", PROMPT_HASH)
            .expression_attribute_names("#answer", ANSWER)
            .expression_attribute_names("#at", AT)
            .expression_attribute_values(":hash", AttributeValue::S(prompt_hash.to_string()))
            .expression_attribute_values(":answer", to_value(OPERATION, answer)?)
            .expression_attribute_values(":at", AttributeValue::N(millis(at)))
            .send()
            .await;
        match updated {
            Ok(_) => Ok(()),
            Err(error) => condition_failed(OPERATION, error).map(drop),
        }
    }

    /// The latest answers on subjects, which must be distinct: one round trip for each hundred.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn latest_answers(&self, subjects: &[Subject]) -> Result<HashMap<Subject, LatestAnswer>, Error> {
        let keys = subjects.iter().cloned().map(Key::LatestAnswer).collect();
        let items = self.batch_get_all("BatchGetItem(latest answers)", keys, false).await?;
        let read = |item: Item| match key_of(&item) {
            Some(Key::LatestAnswer(subject)) => Ok((subject, typed(item)?)),
            _ => Err(Error::corrupt(format!("{:?}", item.get(PK)), "not the key of an answer")),
        };
        items.into_iter().map(read).collect()
    }
}
