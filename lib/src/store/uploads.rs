//! How uploads went.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use super::item::{Item, typed};
use super::keys::Key;
use super::{Error, Store};
use crate::domain::upload::{Upload, UploadId};

/// The table's time-to-live attribute, in seconds since 1970.
pub(super) const EXPIRES_AT: &str = "expires_at";

impl Store {
    /// Writes down how an upload goes, until `expires`.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn put_upload(&self, upload: &Upload, expires: Timestamp) -> Result<(), Error> {
        const OPERATION: &str = "PutItem(upload)";
        let mut item: Item = serde_dynamo::to_item(upload)
            .map_err(|source| Error::Refused { operation: OPERATION, source: source.into() })?;
        item.extend(Key::Upload(upload.upload_id.clone()).attributes());
        item.insert(EXPIRES_AT.to_owned(), AttributeValue::N(expires.as_second().to_string()));
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item)).send().await;
        put.map(drop).map_err(|error| Error::sdk(OPERATION, error))
    }

    /// How an upload goes; none if nothing was written down, or too long ago.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn upload(&self, id: &UploadId, now: Timestamp) -> Result<Option<Upload>, Error> {
        let got = self.get("GetItem(upload)", &Key::Upload(id.clone()), true).await?;
        // DynamoDB removes what has expired within days, not at once.
        let expires = |item: &Item| item.get(EXPIRES_AT)?.as_n().ok()?.parse::<i64>().ok();
        let live = got.filter(|item| expires(item).is_none_or(|second| second > now.as_second()));
        live.map(typed).transpose()
    }
}
