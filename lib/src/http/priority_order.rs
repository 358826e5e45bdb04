//! The order of a list by priority, and the places in it.
//!
//! The first page sorts the findings. With a bucket their order is kept there for the next pages, which so assess only the
//! findings that they list, and list each finding once. Without a bucket each page sorts again, and goes on after the sort
//! key of the last finding of the page before.

use jiff::Timestamp;

use super::ApiError;
use super::selected_findings::Filter;
use crate::domain::finding::Ordinal;
use crate::objects::Objects;
use crate::priority::SortKey;
use crate::queries::finding_reader::FindingReader;
use crate::store::cursor::InvalidCursor;

/// Marks a position that is a place in a kept order. Sort keys do not use this bit.
const IS_KEPT: u128 = 1 << 127;

/// The findings of a list by priority, from a place on.
pub(super) struct PriorityOrder {
    pub(super) ordinals: Vec<Ordinal>,
    /// The place of the first finding that is not listed yet.
    pub(super) start: usize,
    /// The sort keys; none of a kept order.
    keys: Vec<SortKey>,
    /// The number of a kept order.
    id: Option<u64>,
}

impl PriorityOrder {
    /// Reads a kept order, or sorts the selected findings.
    ///
    /// # Errors
    /// [`InvalidCursor`] if the kept order has expired.
    pub(super) async fn read(
        reader: &FindingReader,
        objects: Option<&Objects>,
        filter: Filter<'_>,
        position: Option<u128>,
        now: Timestamp,
    ) -> Result<Self, ApiError> {
        if let Some((id, start)) = position.and_then(kept_place) {
            let bytes = match objects {
                Some(objects) => objects.order(id).await?,
                None => None,
            };
            let ordinals = unpack(&bytes.ok_or(InvalidCursor)?);
            return Ok(Self { ordinals, start, keys: Vec::new(), id: Some(id) });
        }
        let sorted = reader.order_by_priority(filter.scan, filter.ordinals(0), filter.wanted, now).await?;
        let start = sorted.partition_point(|(key, _)| position.is_some_and(|position| key.get() <= position));
        let (keys, ordinals) = sorted.into_iter().unzip();
        Ok(Self { ordinals, start, keys, id: None })
    }

    /// Returns the position of the page that begins at `place`; keeps the order if there is a bucket.
    pub(super) async fn position(&self, objects: Option<&Objects>, place: usize) -> Result<u128, ApiError> {
        let id = match (self.id, objects) {
            (Some(id), _) => id,
            (None, Some(objects)) => {
                let id = fastrand::u64(..1 << 63);
                objects.put_order(id, pack(&self.ordinals)).await?;
                id
            }
            (None, None) => {
                let last = place.checked_sub(1).and_then(|last| self.keys.get(last));
                return Ok(last.map_or(0, |key| key.get()));
            }
        };
        Ok(IS_KEPT | u128::from(id) << 64 | u128::try_from(place).unwrap_or_default())
    }
}

/// The number of a kept order and the place in it; none for a sort key.
fn kept_place(position: u128) -> Option<(u64, usize)> {
    if position & IS_KEPT == 0 {
        return None;
    }
    let id = u64::try_from((position & !IS_KEPT) >> 64).ok()?;
    Some((id, usize::try_from(position & u128::from(u64::MAX)).ok()?))
}

fn pack(ordinals: &[Ordinal]) -> Vec<u8> {
    ordinals.iter().flat_map(|ordinal| ordinal.get().to_be_bytes()).collect()
}

fn unpack(bytes: &[u8]) -> Vec<Ordinal> {
    let (numbers, _) = bytes.as_chunks::<4>();
    numbers.iter().filter_map(|number| Ordinal::new(u32::from_be_bytes(*number))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_order_is_read_back() {
        let ordinals: Vec<Ordinal> = [7, 0, 999_999, 65_536].into_iter().filter_map(Ordinal::new).collect();
        assert_eq!(unpack(&pack(&ordinals)), ordinals);
        assert_eq!(unpack(&[0, 0, 0, 1, 9]), [Ordinal::new(1).unwrap()]);
    }

    #[tokio::test]
    async fn a_place_in_a_kept_order_is_no_sort_key() {
        for id in [0, 1, (1 << 63) - 1] {
            let order = PriorityOrder { ordinals: Vec::new(), start: 0, keys: Vec::new(), id: Some(id) };
            assert_eq!(kept_place(order.position(None, 42).await.unwrap()), Some((id, 42)));
        }
        assert_eq!(kept_place(SortKey::suppressed(999_999).get()), None);
    }
}
