//! Queries of the table and its indexes.

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use jiff::Timestamp;

use super::expression::{Aliases, Condition, at_most, equals};
use super::item::{Item, key_of, number};
use super::keys::{Key, LISTING, LISTING_INDEX, RANK};
use super::{Error, Store};

impl Store {
    /// Makes a query of the items with these keys that pass the filter.
    pub(super) fn query(&self, keys: Condition, filter: Option<Condition>) -> QueryFluentBuilder {
        let mut aliases = Aliases::default();
        let keys = aliases.condition(keys);
        let filter = filter.map(|filter| aliases.condition(filter));
        let declared = aliases.declared();
        self.client
            .query()
            .table_name(&self.table)
            .key_condition_expression(keys)
            .set_filter_expression(filter)
            .set_expression_attribute_names(declared.names)
            .set_expression_attribute_values(declared.values)
    }

    /// Makes a strongly consistent query.
    pub(super) fn query_now(&self, keys: Condition) -> QueryFluentBuilder {
        self.query(keys, None).consistent_read(true)
    }

    /// Reads the items of a list that are due, the longest due first, each from the time that it is due, its key and
    /// itself.
    pub(super) async fn due<T>(
        &self,
        list: &str,
        now: Timestamp,
        limit: usize,
        read: impl Fn(Timestamp, Key, &Item) -> Option<T>,
    ) -> Result<Vec<T>, Error> {
        let query = self.query(equals(LISTING, list).and(at_most(RANK, now)), None).index_name(LISTING_INDEX);
        let (items, _) = page("Query(due)", query, limit).await?;
        let at = |item: &Item| Timestamp::from_millisecond(number(item, RANK)?.try_into().ok()?).ok();
        Ok(items.iter().filter_map(|item| read(at(item).unwrap_or(now), key_of(item)?, item)).collect())
    }
}

/// Reads one page of up to `limit` items, and the key that the next page starts after.
pub(super) async fn page(
    operation: &'static str,
    query: QueryFluentBuilder,
    limit: usize,
) -> Result<(Vec<Item>, Option<Item>), Error> {
    let page = query.limit(i32::try_from(limit).unwrap_or(i32::MAX)).send().await;
    let page = page.map_err(|error| Error::sdk(operation, error))?;
    Ok((page.items.unwrap_or_default(), page.last_evaluated_key))
}

/// Reads all items of a query, page by page.
pub(super) async fn each(
    operation: &'static str,
    query: QueryFluentBuilder,
    mut take: impl FnMut(Item) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut items = query.into_paginator().items().send();
    while let Some(item) = items.next().await {
        take(item.map_err(|error| Error::sdk(operation, error))?)?;
    }
    Ok(())
}
