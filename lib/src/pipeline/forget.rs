//! Taking a deleted scan out of the fleet: a few buckets of occurrences at a time, and what its times decided there.

use crate::domain::asset::Asset;
use crate::domain::occurrence::Bucket;
use crate::domain::scan::ScanId;
use crate::store::{self, Store};

/// Removes a deleted scan from the fleet's occurrences, and what its times decided; where it `expired`, the clocks of
/// its problems go on. To do it again is success.
///
/// # Errors
/// Those of the table.
pub async fn everywhere(store: &Store, asset: &Asset, deleted: ScanId, expired: bool) -> Result<(), store::Error> {
    for (step, _) in Bucket::steps(0) {
        from(store, asset, &step, deleted, expired).await?;
    }
    Ok(())
}

/// The same in some buckets; whether there was anything to remove.
///
/// # Errors
/// Those of the table.
pub async fn from(
    store: &Store,
    asset: &Asset,
    buckets: &[Bucket],
    deleted: ScanId,
    expired: bool,
) -> Result<bool, store::Error> {
    let current = store.current(asset).await?;
    let removed = store.remove_occurrences(asset, buckets, deleted, current).await?;
    if !expired {
        // Also where nothing was removed: whoever removed it may have been cut off before this.
        store.remake_first_seen(asset.key().lineage(), buckets).await?;
    }
    Ok(removed)
}

/// Removes what a scan that was taken back has left under the asset that it was of: all of it, or nothing if `now_of` is
/// that asset still. To do it again is success.
///
/// # Errors
/// Those of the table.
pub async fn taken_back(store: &Store, scan: ScanId, now_of: Option<&Asset>) -> Result<(), store::Error> {
    let Some(was_of) = store.reopened(scan).await? else { return Ok(()) };
    if now_of == Some(&was_of) {
        return Ok(());
    }
    everywhere(store, &was_of, scan, false).await?;
    store.remove_pointer_without_a_name(&was_of).await
}
