//! Removes a deleted scan from the fleet's occurrences and first-seen times, a few buckets at a time.

use crate::domain::asset::Asset;
use crate::domain::occurrence::Bucket;
use crate::domain::scan::ScanId;
use crate::store::{self, Store};

/// Removes a deleted scan from all buckets of an asset. Idempotent.
pub async fn forget_everywhere(store: &Store, asset: &Asset, deleted: ScanId) -> Result<(), store::Error> {
    for (step, _) in Bucket::steps(0) {
        forget_in_buckets(store, asset, &step, deleted, false).await?;
    }
    Ok(())
}

/// Removes a deleted scan from some buckets of an asset, and returns whether it was in any. If the scan only `expired`,
/// the first-seen times stay. Idempotent.
pub async fn forget_in_buckets(
    store: &Store,
    asset: &Asset,
    buckets: &[Bucket],
    deleted: ScanId,
    expired: bool,
) -> Result<bool, store::Error> {
    let current = store.current(asset).await?;
    let removed = store.remove_occurrences(asset, buckets, deleted, current).await?;
    if !expired {
        // Also if nothing was removed: an earlier call may have been interrupted before this.
        store.remake_first_seen(asset.key().lineage(), buckets).await?;
    }
    Ok(removed)
}

/// Removes the data of a reopened scan under its former asset, unless that is `current_asset`. Idempotent.
pub async fn forget_reopened(store: &Store, scan: ScanId, current_asset: Option<&Asset>) -> Result<(), store::Error> {
    let Some(previous_asset) = store.reopened(scan).await? else { return Ok(()) };
    if current_asset == Some(&previous_asset) {
        return Ok(());
    }
    forget_everywhere(store, &previous_asset, scan).await?;
    store.remove_pointer_without_a_name(&previous_asset).await
}
