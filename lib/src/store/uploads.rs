//! The status of uploads.

use jiff::Timestamp;

use super::expression::{absent, at_most};
use super::item::{Item, typed};
use super::keys::{EXPIRES_AT, Key};
use super::write::{Put, value_of};
use super::{Error, Store};
use crate::domain::upload::{Upload, UploadId};

const SEQUENCER: &str = "sequencer";

impl Store {
    /// Stores the status of an upload until `expires`. Returns false, and stores nothing, if the stored status is about
    /// a later object of the same name.
    pub async fn put_upload(&self, upload: &Upload, expires: Timestamp) -> Result<bool, Error> {
        const OPERATION: &str = "PutItem(upload)";
        let put = Put::new(&Key::Upload(upload.upload_id.clone())).fields(OPERATION, upload)?;
        let put = put.set(EXPIRES_AT, expires.as_second());
        let put = match &upload.sequencer {
            None => put.into(),
            Some(sequencer) => {
                let sequencer = value_of(OPERATION, sequencer)?;
                put.when(absent(SEQUENCER).or(at_most(SEQUENCER, sequencer)))
            }
        };
        Ok(self.write(OPERATION, put).await?.is_applied())
    }

    /// Reads the status of an upload; none if it is unknown or has expired.
    pub async fn upload(&self, id: &UploadId, now: Timestamp) -> Result<Option<Upload>, Error> {
        let got = self.get("GetItem(upload)", &Key::Upload(id.clone()), true).await?;
        // DynamoDB removes an expired item within days, not at once.
        let expires = |item: &Item| item.get(EXPIRES_AT)?.as_n().ok()?.parse::<i64>().ok();
        let live = got.filter(|item| expires(item).is_none_or(|second| second > now.as_second()));
        live.map(typed).transpose()
    }
}
