//! Remembers how far retention has walked along the list of scans.

use aws_sdk_dynamodb::types::AttributeValue;

use super::keys::{Key, SCAN_ID};
use super::{Error, Store};
use crate::domain::scan::ScanId;

impl Store {
    /// The last scan that retention has looked at; none at the beginning of the list.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn retention_position(&self) -> Result<Option<ScanId>, Error> {
        let item = self.get("GetItem(retention)", &Key::Retention, false).await?;
        let scan_id = item.as_ref().and_then(|item| item.get(SCAN_ID)?.as_n().ok()?.parse().ok());
        Ok(scan_id.and_then(ScanId::new))
    }

    /// Moves it; none is the beginning of the list.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn set_retention_position(&self, after: Option<ScanId>) -> Result<(), Error> {
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(Key::Retention.attributes()))
            .item(SCAN_ID, AttributeValue::N(after.map_or(0, ScanId::get).to_string()))
            .send()
            .await
            .map_err(|error| Error::sdk("PutItem(retention)", error))?;
        Ok(())
    }
}
