//! How many vulnerabilities reports have had sources asked about, day by day.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::error::condition_failed;
use super::item::number;
use super::keys::Key;
use super::uploads::EXPIRES_AT;
use super::{Error, Store};

const ORDERED: &str = "ordered";
/// How long the count of a day is kept.
const KEPT: SignedDuration = SignedDuration::from_hours(72);
/// Others count at the same time.
const TRIES: usize = 8;

impl Store {
    /// Counts what is to be ordered today (UTC), as far as the day has room for: of `wanted` the number that may be.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn admit(&self, now: Timestamp, wanted: u32, most: u32) -> Result<u32, Error> {
        const OPERATION: &str = "UpdateItem(orders)";
        let key = Key::Orders(day(now));
        for _ in 0..TRIES {
            if wanted == 0 {
                return Ok(0);
            }
            let known = self.get("GetItem(orders)", &key, true).await?;
            let known = known.as_ref().and_then(|item| number(item, ORDERED)).and_then(|n| u32::try_from(n).ok());
            let granted = wanted.min(most.saturating_sub(known.unwrap_or_default()));
            if granted == 0 {
                return Ok(0);
            }
            let expires = now.checked_add(KEPT).unwrap_or(Timestamp::MAX);
            let counted = self
                .client
                .update_item()
                .table_name(&self.table)
                .set_key(Some(key.attributes()))
                .update_expression("SET #expires = :expires ADD #ordered :granted")
                .condition_expression("attribute_not_exists(#ordered) OR #ordered <= :room")
                .expression_attribute_names("#expires", EXPIRES_AT)
                .expression_attribute_names("#ordered", ORDERED)
                .expression_attribute_values(":expires", AttributeValue::N(expires.as_second().to_string()))
                .expression_attribute_values(":granted", AttributeValue::N(granted.to_string()))
                .expression_attribute_values(":room", AttributeValue::N((most - granted).to_string()))
                .send()
                .await;
            match counted {
                Ok(_) => return Ok(granted),
                Err(error) => drop(condition_failed(OPERATION, error)?),
            }
        }
        // The day is so busy that what is left is for the schedule.
        Ok(0)
    }
}

fn day(now: Timestamp) -> Date {
    now.to_zoned(TimeZone::UTC).date()
}
