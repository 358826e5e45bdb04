//! How uploads went.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use super::item::{Item, typed};
use super::keys::Key;
use super::{Error, Store};
use crate::domain::upload::{Upload, UploadId};

/// The table's time-to-live attribute, in seconds since 1970.
pub(super) const EXPIRES_AT: &str = "expires_at";

const SEQUENCER: &str = "sequencer";

impl Store {
    /// Writes down how an upload goes, until `expires`; false, and nothing is written, if what is known is about an object
    /// that was put there later.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn put_upload(&self, upload: &Upload, expires: Timestamp) -> Result<bool, Error> {
        const OPERATION: &str = "PutItem(upload)";
        let mut item: Item = serde_dynamo::to_item(upload)
            .map_err(|source| Error::Refused { operation: OPERATION, source: source.into() })?;
        item.extend(Key::Upload(upload.upload_id.clone()).attributes());
        item.insert(EXPIRES_AT.to_owned(), AttributeValue::N(expires.as_second().to_string()));
        let sequencer = item.get(SEQUENCER).cloned();
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        let put = match sequencer {
            None => put,
            Some(sequencer) => put
                .condition_expression("attribute_not_exists(#sequencer) OR #sequencer <= :sequencer")
                .expression_attribute_names("#sequencer", SEQUENCER)
                .expression_attribute_values(":sequencer", sequencer),
        };
        match put.send().await {
            Ok(_) => Ok(true),
            Err(SdkError::ServiceError(e)) if e.err().is_conditional_check_failed_exception() => Ok(false),
            Err(error) => Err(Error::sdk(OPERATION, error)),
        }
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
