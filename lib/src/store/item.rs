//! Items as the SDK has them, and reading several of them at once.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};

use super::keys::{Key, PK, SK};
use super::{Error, Store, backoff};

/// An item, by attribute name.
pub(super) type Item = HashMap<String, AttributeValue>;

/// The key of an item; none if Sirius never writes such a key.
pub(super) fn key_of(item: &Item) -> Option<Key> {
    let text = |name: &str| item.get(name)?.as_s().ok();
    Key::parse(text(PK)?, text(SK)?)
}

impl Store {
    /// The items of up to a hundred distinct keys, in one round trip unless the service keeps some back.
    pub(super) async fn batch_get(
        &self,
        operation: &'static str,
        keys: impl IntoIterator<Item = Key>,
        consistent: bool,
    ) -> Result<Vec<Item>, Error> {
        let keys = KeysAndAttributes::builder()
            .set_keys(Some(keys.into_iter().map(|key| key.attributes()).collect()))
            .consistent_read(consistent)
            .build()
            .map_err(|source| Error::Refused { operation, source: source.into() })?;
        let mut wanted = HashMap::from([(self.table.clone(), keys)]);
        let mut items = Vec::new();
        let mut delays = backoff::delays();
        let mut tries = 0;
        loop {
            tries += 1;
            let read = self
                .client
                .batch_get_item()
                .set_request_items(Some(wanted))
                .send()
                .await
                .map_err(|error| Error::sdk(operation, error))?;
            items.extend(read.responses.unwrap_or_default().into_values().flatten());
            wanted = read.unprocessed_keys.unwrap_or_default();
            if wanted.is_empty() {
                return Ok(items);
            }
            match delays.next() {
                Some(delay) => tokio::time::sleep(delay).await,
                None => return Err(Error::Unprocessed { operation, tries }),
            }
        }
    }
}
