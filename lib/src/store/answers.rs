//! The latest answer on each subject, which is shown while the current prompt has no answer of its own.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::expression::{absent, at_most};
use super::item::{Item, corrupt, key_of, typed};
use super::keys::Key;
use super::write::{Update, value_of};
use super::{Error, Store};
use crate::domain::analysis::Answered;
use crate::domain::prompt_hash::PromptHash;
use crate::domain::subject::Subject;

const PROMPT_HASH: &str = "prompt_hash";
const ANSWER: &str = "answer";
/// When it was given, in milliseconds.
const AT: &str = "at";

/// An answer and its prompt.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct LatestAnswer {
    /// The prompt.
    pub prompt_hash: PromptHash,
    /// The answer.
    pub answer: Answered,
}

impl Store {
    /// Stores an answer as the latest on its subject, unless there is a newer one; idempotent.
    pub async fn put_latest_answer(
        &self,
        subject: &Subject,
        prompt_hash: &PromptHash,
        answer: &Answered,
        at: Timestamp,
    ) -> Result<(), Error> {
        const OPERATION: &str = "UpdateItem(latest answer)";
        let update = Update::of(&Key::LatestAnswer(subject.clone()))
            .set(PROMPT_HASH, prompt_hash.to_string())
            .set(ANSWER, value_of(OPERATION, answer)?)
            .set(AT, at);
        self.write(OPERATION, update.when(absent(AT).or(at_most(AT, at)))).await.map(drop)
    }

    /// Reads the latest answers on distinct subjects.
    pub async fn latest_answers(&self, subjects: &[Subject]) -> Result<HashMap<Subject, LatestAnswer>, Error> {
        let keys = subjects.iter().cloned().map(Key::LatestAnswer).collect();
        let items = self.batch_get_all("BatchGetItem(latest answers)", keys, false).await?;
        let read = |item: Item| match key_of(&item) {
            Some(Key::LatestAnswer(subject)) => Ok((subject, typed(item)?)),
            _ => Err(corrupt(&item, "not the key of an answer")),
        };
        items.into_iter().map(read).collect()
    }
}
