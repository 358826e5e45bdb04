//! Writes one item, on a condition or without.

use std::error::Error as StdError;

use aws_sdk_dynamodb::error::{BuildError, ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::error::ConditionalCheckFailedException;
use aws_sdk_dynamodb::types::{
    self, AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use serde::Serialize;

use super::expression::{Aliases, Change, Condition, Declared, Value};
use super::item::{Item, is_version};
use super::keys::{Key, VERSION};
use super::{Error, Store};

/// An item to be written as a whole.
#[derive(Debug, Clone)]
pub(super) struct Put(Item);

/// Changes of an item, which is created if it does not exist.
#[derive(Debug, Clone)]
pub(super) struct Update {
    key: Item,
    changes: Vec<Change>,
}

/// A write of one item.
#[derive(Debug, Clone)]
pub(super) struct Write {
    target: Target,
    condition: Option<Condition>,
    returning: bool,
}

#[derive(Debug, Clone)]
enum Target {
    Put(Item),
    Update(Update),
    Delete(Item),
}

/// The result of a write.
#[derive(Debug)]
pub(super) enum Answer {
    /// It is written. An update with [`Write::returning`] returns the new item.
    Applied(Item),
    /// Its condition did not hold. A write with [`Write::returning`] returns the current item, if it exists.
    Refused(Option<Item>),
}

impl Answer {
    pub(super) const fn is_applied(&self) -> bool {
        matches!(self, Self::Applied(_))
    }

    /// The item, or the error of a write whose fencing token is not the last one.
    pub(super) fn or_lost(self) -> Result<Item, Error> {
        match self {
            Self::Applied(item) => Ok(item),
            Self::Refused(_) => Err(Error::LostClaim),
        }
    }
}

impl Put {
    pub(super) fn new(key: &Key) -> Self {
        Self(key.attributes())
    }

    pub(super) fn set(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into().0);
        self
    }

    pub(super) fn set_some<V: Into<Value>>(self, name: &str, value: Option<V>) -> Self {
        match value {
            Some(value) => self.set(name, value),
            None => self,
        }
    }

    pub(super) fn into_item(self) -> Item {
        self.0
    }

    /// Adds the fields of a struct.
    pub(super) fn fields(mut self, operation: &'static str, of: &impl Serialize) -> Result<Self, Error> {
        let fields: Item = serde_dynamo::to_item(of).map_err(Error::refused(operation))?;
        self.0.extend(fields);
        Ok(self)
    }

    pub(super) fn when(self, condition: Condition) -> Write {
        Write::from(self).when(condition)
    }
}

impl Update {
    pub(super) fn of(key: &Key) -> Self {
        Self { key: key.attributes(), changes: Vec::new() }
    }

    fn with(mut self, change: Change) -> Self {
        self.changes.push(change);
        self
    }

    pub(super) fn set(self, name: &'static str, value: impl Into<Value>) -> Self {
        self.with(Change::Set(name, value.into()))
    }

    pub(super) fn set_if_absent(self, name: &'static str, value: impl Into<Value>) -> Self {
        self.with(Change::SetIfAbsent(name, value.into()))
    }

    pub(super) fn count_from(self, name: &'static str, seed: impl Into<Value>) -> Self {
        self.with(Change::CountFrom(name, seed.into()))
    }

    pub(super) fn add(self, name: &'static str, value: impl Into<Value>) -> Self {
        self.with(Change::Add(name, value.into()))
    }

    pub(super) fn remove(self, names: impl IntoIterator<Item = &'static str>) -> Self {
        names.into_iter().fold(self, |update, name| update.with(Change::Remove(name)))
    }

    pub(super) fn set_or_remove<V: Into<Value>>(self, name: &'static str, value: Option<V>) -> Self {
        match value {
            Some(value) => self.set(name, value),
            None => self.remove([name]),
        }
    }

    pub(super) fn when(self, condition: Condition) -> Write {
        Write::from(self).when(condition)
    }
}

impl From<Put> for Write {
    fn from(Put(item): Put) -> Self {
        Self { target: Target::Put(item), condition: None, returning: false }
    }
}

impl From<Update> for Write {
    fn from(update: Update) -> Self {
        Self { target: Target::Update(update), condition: None, returning: false }
    }
}

/// Fills in the common fields of all requests that write.
macro_rules! fill {
    ($request:expr, $table:expr, $parts:expr) => {
        $request
            .table_name($table)
            .set_condition_expression($parts.condition)
            .set_expression_attribute_names($parts.declared.names)
            .set_expression_attribute_values($parts.declared.values)
            .set_return_values_on_condition_check_failure($parts.on_refusal)
    };
}

/// The expressions of a write.
struct Parts {
    condition: Option<String>,
    declared: Declared,
    on_refusal: Option<ReturnValuesOnConditionCheckFailure>,
}

impl Write {
    pub(super) fn delete(key: &Key) -> Self {
        Self { target: Target::Delete(key.attributes()), condition: None, returning: false }
    }

    pub(super) fn when(self, condition: Condition) -> Self {
        Self { condition: Some(condition), ..self }
    }

    /// Requests the item: see [`Answer`].
    pub(super) fn returning(self) -> Self {
        Self { returning: true, ..self }
    }

    fn parts(condition: Option<Condition>, returning: bool, mut aliases: Aliases) -> Parts {
        let condition = condition.map(|condition| aliases.condition(condition));
        let can_be_answered = returning && condition.is_some();
        let on_refusal = can_be_answered.then_some(ReturnValuesOnConditionCheckFailure::AllOld);
        Parts { condition, declared: aliases.declared(), on_refusal }
    }

    /// Makes the part of a transaction.
    pub(super) fn in_transaction(self, table: &str) -> Result<TransactWriteItem, BuildError> {
        let Self { target, condition, returning } = self;
        let mut aliases = Aliases::default();
        let item = TransactWriteItem::builder();
        Ok(match target {
            Target::Put(put) => {
                let parts = Self::parts(condition, returning, aliases);
                item.put(fill!(types::Put::builder().set_item(Some(put)), table, parts).build()?)
            }
            Target::Update(Update { key, changes }) => {
                let update = types::Update::builder().set_key(Some(key)).set_update_expression(aliases.update(changes));
                let parts = Self::parts(condition, returning, aliases);
                item.update(fill!(update, table, parts).build()?)
            }
            Target::Delete(key) => {
                let parts = Self::parts(condition, returning, aliases);
                item.delete(fill!(types::Delete::builder().set_key(Some(key)), table, parts).build()?)
            }
        }
        .build())
    }
}

impl Store {
    /// Replaces an item that was read with `version`, 0 if it did not exist; false if it has changed since.
    pub(super) async fn put_version(&self, operation: &'static str, put: Put, version: u64) -> Result<bool, Error> {
        // An item that is removed and created again must not reuse a version.
        let next = if version == 0 { fastrand::u64(1..1 << 52) } else { version + 1 };
        let put = put.set(VERSION, next).when(is_version(version));
        Ok(self.write(operation, put).await?.is_applied())
    }

    /// Writes one item; a condition that does not hold is an answer, not an error.
    pub(super) async fn write(&self, operation: &'static str, write: impl Into<Write>) -> Result<Answer, Error> {
        let Write { target, condition, returning } = write.into();
        let mut aliases = Aliases::default();
        match target {
            Target::Put(item) => {
                let parts = Write::parts(condition, returning, aliases);
                let put = fill!(self.client.put_item().set_item(Some(item)), &self.table, parts);
                answer(operation, put.send().await.map(|_| None), |error| match error {
                    PutItemError::ConditionalCheckFailedException(refused) => Some(refused),
                    _ => None,
                })
            }
            Target::Update(Update { key, changes }) => {
                let update = self.client.update_item().set_key(Some(key));
                let update = update.set_update_expression(aliases.update(changes));
                let update = update.set_return_values(returning.then_some(ReturnValue::AllNew));
                let parts = Write::parts(condition, returning, aliases);
                let updated = fill!(update, &self.table, parts).send().await;
                answer(operation, updated.map(|updated| updated.attributes), |error| match error {
                    UpdateItemError::ConditionalCheckFailedException(refused) => Some(refused),
                    _ => None,
                })
            }
            Target::Delete(key) => {
                let parts = Write::parts(condition, returning, aliases);
                let delete = fill!(self.client.delete_item().set_key(Some(key)), &self.table, parts);
                answer(operation, delete.send().await.map(|_| None), |error| match error {
                    DeleteItemError::ConditionalCheckFailedException(refused) => Some(refused),
                    _ => None,
                })
            }
        }
    }
}

fn answer<E>(
    operation: &'static str,
    sent: Result<Option<Item>, SdkError<E, HttpResponse>>,
    refusal: fn(&E) -> Option<&ConditionalCheckFailedException>,
) -> Result<Answer, Error>
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    match sent {
        Ok(item) => Ok(Answer::Applied(item.unwrap_or_default())),
        Err(error) => match error.as_service_error().and_then(refusal) {
            Some(refused) => Ok(Answer::Refused(refused.item.clone())),
            None => Err(Error::sdk(operation, error)),
        },
    }
}

/// The value that a struct is as an attribute.
pub(super) fn value_of(operation: &'static str, of: &impl Serialize) -> Result<AttributeValue, Error> {
    serde_dynamo::to_attribute_value(of).map_err(Error::refused(operation))
}

#[cfg(test)]
mod tests {
    use super::super::expression::exists;
    use super::*;

    #[test]
    fn the_item_of_a_refusal_is_asked_for_only_with_a_condition() {
        let key = Key::Claim([7; 32].into());
        let update = || Update::of(&key).set("state", "complete");
        let part = |write: Write| write.in_transaction("table").unwrap().update.unwrap();
        let plain = part(Write::from(update()).returning());
        assert_eq!((plain.condition_expression, plain.return_values_on_condition_check_failure), (None, None));
        let conditional = part(update().when(exists("pk")).returning());
        assert_eq!(conditional.update_expression, "SET #n00 = :v00");
        assert_eq!(conditional.condition_expression.as_deref(), Some("attribute_exists(#n01)"));
        assert_eq!(
            conditional.return_values_on_condition_check_failure,
            Some(ReturnValuesOnConditionCheckFailure::AllOld)
        );
        assert_eq!(part(update().when(exists("pk"))).return_values_on_condition_check_failure, None);
    }

    #[test]
    fn a_write_without_expressions_declares_no_aliases() {
        let key = Key::Claim([7; 32].into());
        let put = Write::from(Put::new(&key).set("state", "x")).in_transaction("table").unwrap().put.unwrap();
        assert_eq!((put.expression_attribute_names, put.expression_attribute_values), (None, None));
        let delete = Write::delete(&key).in_transaction("table").unwrap().delete.unwrap();
        assert_eq!((delete.key, delete.condition_expression), (key.attributes(), None));
    }
}
