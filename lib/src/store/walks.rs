//! Remembers how far the walks along the list of scans have come, so that each run takes a few steps.

use aws_sdk_dynamodb::types::AttributeValue;

use super::item::number;
pub use super::keys::Walk;
use super::keys::{Key, SCAN_ID};
use super::{Error, Store};
use crate::domain::scan::ScanId;

impl Store {
    /// The last scan that a walk has looked at; none at the beginning of the list.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn position(&self, walk: Walk) -> Result<Option<ScanId>, Error> {
        let item = self.get("GetItem(walk)", &Key::Walk(walk), false).await?;
        Ok(item.and_then(|item| number(&item, SCAN_ID)).and_then(ScanId::new))
    }

    /// Moves a walk; none is the beginning of the list.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn set_position(&self, walk: Walk, after: Option<ScanId>) -> Result<(), Error> {
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(Key::Walk(walk).attributes()))
            .item(SCAN_ID, AttributeValue::N(after.map_or(0, ScanId::get).to_string()))
            .send()
            .await
            .map_err(|error| Error::sdk("PutItem(walk)", error))?;
        Ok(())
    }
}
