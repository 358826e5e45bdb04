//! Which scan of an asset is current.
//!
//! An asset has one item, a pointer, that names its current scan and counts its changes. Protocol:
//!
//! 1. Whoever adds, removes, confirms or retires a scan of an asset, or sees one that is not current at another
//!    time, reads the pointer first, strongly, and then the scans.
//! 2. What follows from them ([`standing`]) is written in one transaction: the pointer, on condition that its
//!    version is the one that was read, and each scan whose flags change, on condition that it was last seen when
//!    it was read. A refused condition means that somebody else was faster: from step 1 again.
//! 3. Each of these transactions also writes the current scan, with the pointer's version. So where all that changes
//!    is that the current scan was seen later, one write to its item suffices, on condition that it has the time and
//!    the version that were read.
//!
//! So the pointer is always what all scans say together, whatever the order of arrival. Appending a scan that is
//! newer than all others needs only the pointer and the current scan; everything else reads all scans of the asset.
//! The pointer of an asset without scans stays, so that its version never restarts; only that of an asset without a name,
//! which has one scan ever, goes with it.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::types::{AttributeValue, CancellationReason, TransactWriteItem};
use jiff::Timestamp;

use super::error::condition_failed;
use super::item::{Item, VERSION, key_of, number, typed};
use super::keys::{self, Key, LISTING, MOVED_LIST, PK, RANK, SCAN_ID, SEEN, SK};
use super::transaction::{Outcome, is_refused};
use super::{Error, Store, backoff, millis};
use crate::domain::asset::Asset;
use crate::domain::image_name::ImageName;
use crate::domain::platform::Platform;
use crate::domain::scan::{Scan, ScanId};
use crate::domain::standing::standing;

pub(super) type BuildError = Box<dyn std::error::Error + Send + Sync>;

/// Of a pointer: the latest time at which any scan but the current one was seen.
pub(super) const LATEST: &str = "latest";
pub(super) const RETIRED: &str = "retired";
/// Of a pointer: when any scan of the asset was first seen.
pub(super) const SINCE: &str = "since";
/// Of a current scan: the version of its pointer.
pub(super) const ASSET_VERSION: &str = "asset_version";
/// Of the entry of a scan under its image: what asset it is of.
pub(super) const PLATFORM: &str = "platform";
pub(super) const ALONE: &str = "alone";

/// An asset as it was read.
#[derive(Debug, Clone)]
pub(super) struct AssetState {
    pub(super) version: u64,
    /// Somebody has retired it.
    retired: bool,
    current: Option<ScanId>,
    pub(super) latest: i64,
    /// When any of its scans was first seen, as the pointer has it.
    since: Option<Timestamp>,
    /// When its occurrences are yet to follow: the number by which it is listed.
    pub(super) due: Option<String>,
    /// Its scans: all, or the current one.
    pub(super) scans: Vec<Scan>,
    pub(super) whole: bool,
}

/// What an asset is to become.
pub(super) enum Wanted {
    /// It is that already.
    Nothing,
    /// The scans that were read do not tell.
    Whole,
    /// It has these scans, of those that were read, and is retired or not.
    Scans {
        /// The flags that follow from the others need not be right.
        scans: Vec<Scan>,
        /// Whether it is retired.
        retired: bool,
        /// If no scan is left, none will come: the pointer of an asset without a name goes, too.
        for_good: bool,
    },
}

/// What an asset is to become, with the flags that follow.
pub(super) struct Becoming<'a> {
    /// Its scans, of those that were read.
    pub(super) after: &'a [Scan],
    /// Whether it is retired.
    pub(super) retired: bool,
    /// If no scan is left, none will come.
    pub(super) for_good: bool,
}

/// How a change of an asset ended.
pub(super) enum Change {
    /// It is written: the scans that were read as they are now.
    Written(Vec<Scan>),
    /// There was nothing to do.
    Unneeded,
    /// A condition of the caller's own writes did not hold; in their order, what the service says of each.
    Refused(Vec<CancellationReason>),
}

/// What came of seeing a stored report once more.
#[derive(Debug, Clone, PartialEq)]
pub enum SeenAgain {
    /// It is no news.
    Unchanged(Scan),
    /// The current scan was seen later than before.
    Later(Scan),
    /// The times of a scan changed, and with them perhaps which scan is current: the occurrences must follow.
    Moved(Scan),
}

impl SeenAgain {
    /// The scan as it is now.
    #[must_use]
    pub const fn scan(&self) -> &Scan {
        match self {
            Self::Unchanged(scan) | Self::Later(scan) | Self::Moved(scan) => scan,
        }
    }
}

/// Which scan of an asset is current, in which of the asset's versions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Current {
    /// The scan.
    pub scan_id: Option<ScanId>,
    /// The version of the asset.
    pub version: u64,
    /// Its occurrences are yet to follow.
    pub moved: bool,
}

impl AssetState {
    /// Whether a scan that was not read yet was never seen before any other was for the last time.
    fn is_after_all(&self, scan: &Scan) -> bool {
        let newest = self.scans.iter().map(|scan| scan.last_seen_at).max();
        let first = scan.scan_timestamp;
        self.whole || first.as_millisecond() > self.latest && newest.is_none_or(|newest| first > newest)
    }

    /// When any of these scans, or of those that were not read, was first seen.
    pub(super) fn since(&self, scans: &[Scan]) -> Option<Timestamp> {
        let known = self.since.filter(|_| !self.whole);
        scans.iter().map(|scan| scan.scan_timestamp).chain(known).min()
    }

    /// Whether all that changes by a scan as it was seen is that scan. The scans that were read are all there are.
    fn moves_only(&self, seen: &Scan) -> bool {
        let scans = self.scans.iter().map(|scan| if scan.scan_id == seen.scan_id { seen } else { scan }).cloned();
        let scans: Vec<Scan> = scans.collect();
        let since = self.since(&scans);
        let after = with_flags(scans, self.retired, since);
        let is_same = |(before, after): (&Scan, &Scan)| before == after || after == seen;
        self.scans.iter().zip(&after).all(is_same)
    }

    /// The asset with one more scan.
    pub(super) fn adding(&self, scan: &Scan) -> Wanted {
        if !self.is_after_all(scan) {
            return Wanted::Whole;
        }
        let others = self.scans.iter().filter(|other| other.scan_id != scan.scan_id);
        let scans = others.cloned().chain([scan.clone()]).collect();
        Wanted::Scans { scans, retired: self.retired, for_good: false }
    }

    /// The asset without a scan, which goes for good or only to be ingested anew.
    pub(super) fn removing(&self, scan: ScanId, for_good: bool) -> Wanted {
        if !self.whole {
            return Wanted::Whole;
        }
        let scans = self.scans.iter().filter(|other| other.scan_id != scan).cloned().collect();
        Wanted::Scans { scans, retired: self.retired, for_good }
    }

    /// The asset with one of its scans changed.
    fn changing(&self, scan: ScanId, change: impl Fn(&mut Scan) -> bool) -> Wanted {
        if !self.whole {
            return Wanted::Whole;
        }
        let mut scans = self.scans.clone();
        let changed = scans.iter_mut().find(|other| other.scan_id == scan).is_some_and(change);
        if changed { Wanted::Scans { scans, retired: self.retired, for_good: false } } else { Wanted::Nothing }
    }
}

/// Adds a time to those at which a scan was seen; whether that changes them. A report that does not say when it
/// was made has the time of its ingestion only until one says.
fn see(scan: &mut Scan, at: Timestamp) -> bool {
    let before = (scan.scan_timestamp, scan.last_seen_at, scan.undated);
    if scan.undated {
        (scan.scan_timestamp, scan.last_seen_at, scan.undated) = (at, at, false);
    } else {
        (scan.scan_timestamp, scan.last_seen_at) = (scan.scan_timestamp.min(at), scan.last_seen_at.max(at));
    }
    before != (scan.scan_timestamp, scan.last_seen_at, scan.undated)
}

impl Store {
    /// Notes that the content of a published scan was seen at a time. None if the scan is not there.
    ///
    /// One write if it is current and nothing else changes; else one transaction, which lists the asset, from
    /// `due` on, as one whose occurrences are yet to follow.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn see_again(
        &self,
        scan_id: ScanId,
        at: Timestamp,
        due: Option<Timestamp>,
    ) -> Result<Option<SeenAgain>, Error> {
        const OPERATION: &str = "TransactWriteItems(seen)";
        let mut delays = backoff::delays();
        let mut tries = 0;
        loop {
            tries += 1;
            let Some(scan) = self.scan(scan_id).await? else { return Ok(None) };
            let mut seen = scan.clone();
            if !see(&mut seen, at) {
                return Ok(Some(SeenAgain::Unchanged(scan)));
            }
            let asset = Asset::of(scan_id, &scan.artifact);
            // Others were faster, or the scan is from before scans had the version: then the transaction decides.
            if tries == 1
                && let Some(version) = self.version_that_stays(&asset, &scan, &seen).await?
                && self.see_current_later(&scan, at, version).await?
            {
                return Ok(Some(SeenAgain::Later(seen)));
            }
            let change = self
                .change_asset(OPERATION, &asset, Vec::new(), due, |state| state.changing(scan_id, |scan| see(scan, at)))
                .await?;
            if let Change::Written(scans) = change
                && let Some(scan) = scans.into_iter().find(|scan| scan.scan_id == scan_id)
            {
                return Ok(Some(SeenAgain::Moved(scan)));
            }
            match delays.next() {
                Some(delay) => tokio::time::sleep(delay).await,
                None => return Err(Error::Unprocessed { operation: OPERATION, tries }),
            }
        }
    }

    /// The version of an asset in which a scan is current, and remains so without any other change as it is `seen`
    /// later.
    async fn version_that_stays(&self, asset: &Asset, scan: &Scan, seen: &Scan) -> Result<Option<u64>, Error> {
        if !scan.current || scan.undated || seen.scan_timestamp != scan.scan_timestamp {
            return Ok(None);
        }
        let pointer = self.get("GetItem(asset)", &Key::Asset(asset.clone()), true).await?;
        let state = read_pointer(pointer.as_ref());
        if state.current == Some(scan.scan_id) && state.latest < scan.last_seen_at.as_millisecond() {
            return Ok(Some(state.version));
        }
        let state = self.asset_with_all(asset).await?;
        Ok(state.moves_only(seen).then_some(state.version))
    }

    /// Moves the time of a scan that still is current in that version of its asset and was not seen since it was
    /// read.
    async fn see_current_later(&self, scan: &Scan, at: Timestamp, version: u64) -> Result<bool, Error> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::Scan(scan.scan_id).attributes()))
            .condition_expression("#current = :true AND #version = :version AND #last_seen = :known")
            .expression_attribute_names("#version", ASSET_VERSION)
            .expression_attribute_values(":version", AttributeValue::N(version.to_string()))
            .expression_attribute_names("#current", "current")
            .expression_attribute_names("#last_seen", "last_seen_at")
            .expression_attribute_values(":true", AttributeValue::Bool(true))
            .expression_attribute_values(":known", AttributeValue::S(scan.last_seen_at.to_string()))
            .expression_attribute_values(":at", AttributeValue::S(at.to_string()));
        // A retired scan is in no index.
        let update = if scan.retired {
            update.update_expression("SET #last_seen = :at")
        } else {
            update
                .update_expression("SET #last_seen = :at, #seen = :seen")
                .expression_attribute_names("#seen", SEEN)
                .expression_attribute_values(":seen", AttributeValue::N(millis(at)))
        };
        match update.send().await {
            Ok(_) => Ok(true),
            Err(SdkError::ServiceError(e)) if e.err().is_conditional_check_failed_exception() => Ok(false),
            Err(error) => Err(Error::sdk("UpdateItem(seen)", error)),
        }
    }

    /// Confirms that what a suspect scan lacked until it was last seen is really gone; a scan that is not suspect
    /// stays as it is. None if the scan is not there.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn confirm(&self, scan_id: ScanId, due: Option<Timestamp>) -> Result<Option<Scan>, Error> {
        let Some(scan) = self.scan(scan_id).await? else { return Ok(None) };
        if !scan.suspect {
            return Ok(Some(scan));
        }
        let asset = Asset::of(scan_id, &scan.artifact);
        let confirm = |scan: &mut Scan| {
            let until = Some(scan.last_seen_at);
            std::mem::replace(&mut scan.confirmed_until, until) != until
        };
        let operation = "TransactWriteItems(confirm)";
        self.change_asset(operation, &asset, Vec::new(), due, |state| state.changing(scan_id, confirm)).await?;
        self.scan(scan_id).await
    }

    /// Retires the assets of an image, or brings them back; of one platform only if one is given. Answers the
    /// platforms of the assets that there are.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn retire(
        &self,
        image: &ImageName,
        platform: Option<&Platform>,
        retired: bool,
    ) -> Result<Vec<Option<Platform>>, Error> {
        let platform = platform.map(Platform::normal);
        let mut found = Vec::new();
        for (asset, _) in self.assets_of(image).await? {
            if platform.is_some() && asset.platform != platform {
                continue;
            }
            let want = |state: &AssetState| match state.retired == retired {
                true => Wanted::Nothing,
                false => Wanted::Scans { scans: state.scans.clone(), retired, for_good: false },
            };
            self.change_asset("TransactWriteItems(retire)", &asset, Vec::new(), None, want).await?;
            found.push(asset.platform);
        }
        Ok(found)
    }

    /// Which scan of an asset is current.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn current(&self, asset: &Asset) -> Result<Current, Error> {
        let pointer = self.get("GetItem(asset)", &Key::Asset(asset.clone()), true).await?;
        Ok(pointer.as_ref().map(current_of).unwrap_or_default())
    }

    /// Whether a scan is the current one of an asset that has suspect scans, which would be judged without it.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`], [`Error::Corrupt`].
    pub async fn holds_suspects_back(&self, scan: &Scan) -> Result<bool, Error> {
        if !scan.current {
            return Ok(false);
        }
        let state = self.asset_with_all(&Asset::of(scan.scan_id, &scan.artifact)).await?;
        Ok(state.scans.iter().any(|other| other.suspect))
    }

    /// Takes an asset off the list of those whose occurrences are yet to follow, if it has not changed since.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn clear_moved(&self, asset: &Asset, version: u64) -> Result<(), Error> {
        let cleared = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::Asset(asset.clone()).attributes()))
            .update_expression("REMOVE #listing, #rank")
            .condition_expression("#version = :version")
            .expression_attribute_names("#listing", LISTING)
            .expression_attribute_names("#rank", RANK)
            .expression_attribute_names("#version", VERSION)
            .expression_attribute_values(":version", AttributeValue::N(version.to_string()))
            .send()
            .await;
        match cleared {
            Ok(_) => Ok(()),
            Err(error) => condition_failed("UpdateItem(moved)", error).map(drop),
        }
    }

    /// Assets whose occurrences should have followed their current scan by now, each with that scan.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn due_moved(&self, now: Timestamp, limit: usize) -> Result<Vec<(Asset, Current)>, Error> {
        let items = self.due(MOVED_LIST, now, limit).await?;
        let mut found = Vec::new();
        for (_, item) in items {
            if let Some(Key::Asset(asset)) = key_of(&item) {
                // The index follows the table, and may carry only keys.
                let current = self.current(&asset).await?;
                found.push((asset, current));
            }
        }
        Ok(found)
    }

    /// Removes the pointer of an asset without a name, whose one scan will not come back. To do it again is success.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn remove_pointer_without_a_name(&self, asset: &Asset) -> Result<(), Error> {
        if asset.alone.is_none() {
            return Ok(());
        }
        let key = Key::Asset(asset.clone()).attributes();
        let deleted = self.client.delete_item().table_name(&self.table).set_key(Some(key)).send().await;
        deleted.map(drop).map_err(|error| Error::sdk("DeleteItem(asset)", error))
    }

    /// The assets of an image name, each with its current scan; strongly consistent.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn assets_of(&self, image: &ImageName) -> Result<Vec<(Asset, Option<ScanId>)>, Error> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("#pk = :pk AND begins_with(#sk, :assets)")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_names("#sk", SK)
            .expression_attribute_values(":pk", AttributeValue::S(keys::image_pk(image)))
            .expression_attribute_values(":assets", AttributeValue::S(keys::ASSETS.to_owned()));
        let mut items = query.into_paginator().items().send();
        let mut found = Vec::new();
        while let Some(item) = items.next().await {
            let item = item.map_err(|error| Error::sdk("Query(assets)", error))?;
            if let Some(Key::Asset(asset)) = key_of(&item) {
                found.push((asset, current_of(&item).scan_id));
            }
        }
        Ok(found)
    }

    /// Changes an asset, and writes what the caller writes besides, all in one transaction.
    ///
    /// With `moved` the asset goes on the list of those whose occurrences are yet to follow; that is the time from
    /// which recovery looks after it.
    pub(super) async fn change_asset(
        &self,
        operation: &'static str,
        asset: &Asset,
        own: Vec<TransactWriteItem>,
        moved: Option<Timestamp>,
        want: impl Fn(&AssetState) -> Wanted,
    ) -> Result<Change, Error> {
        let mut delays = backoff::delays();
        let mut tries = 0;
        loop {
            tries += 1;
            let mut state = self.asset_with_current(asset).await?;
            let mut wanted = want(&state);
            if matches!(wanted, Wanted::Whole) {
                state = self.asset_with_all(asset).await?;
                wanted = want(&state);
            }
            let (scans, retired, for_good) = match wanted {
                Wanted::Scans { scans, retired, for_good } => (scans, retired, for_good),
                Wanted::Whole | Wanted::Nothing => return Ok(Change::Unneeded),
            };
            let since = state.since(&scans);
            let after = with_flags(scans, retired, since);
            let mut writes = own.clone();
            let becoming = Becoming { after: &after, retired, for_good };
            let changed = self.asset_writes(asset, &state, &becoming, moved);
            writes.extend(changed.map_err(|source| Error::Refused { operation, source })?);
            match self.transact(operation, writes).await? {
                Outcome::Written => return Ok(Change::Written(after)),
                Outcome::Refused(reasons) if reasons.iter().take(own.len()).any(is_refused) => {
                    return Ok(Change::Refused(reasons));
                }
                Outcome::Refused(_) => {}
            }
            match delays.next() {
                Some(delay) => tokio::time::sleep(delay).await,
                None => return Err(Error::Unprocessed { operation, tries }),
            }
        }
    }

    /// The pointer of an asset and its current scan.
    async fn asset_with_current(&self, asset: &Asset) -> Result<AssetState, Error> {
        let pointer = self.get("GetItem(asset)", &Key::Asset(asset.clone()), true).await?;
        let mut state = read_pointer(pointer.as_ref());
        // An asset without a name has one scan only.
        if let Some(scan) = asset.alone.or(state.current) {
            state.scans.extend(self.scan(scan).await?);
        }
        state.whole = asset.alone.is_some();
        Ok(state)
    }

    /// The pointer of an asset and all its scans.
    async fn asset_with_all(&self, asset: &Asset) -> Result<AssetState, Error> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("#pk = :pk")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_values(":pk", AttributeValue::S(keys::image_pk(&asset.name)));
        // Pointers sort before scans, so the version is read before what it counts the changes of.
        let mut items = query.into_paginator().items().send();
        let (mut pointer, mut scans) = (None, Vec::new());
        while let Some(item) = items.next().await {
            let item = item.map_err(|error| Error::sdk("Query(asset)", error))?;
            match key_of(&item) {
                Some(Key::Asset(other)) if other == *asset => pointer = Some(item),
                Some(Key::ImageScan(_, scan)) if is_entry_of(asset, &item) => scans.push(Key::Scan(scan)),
                _ => {}
            }
        }
        let items = self.batch_get_all("BatchGetItem(scans)", scans, true).await?;
        let scans = items.into_iter().map(typed).collect::<Result<Vec<Scan>, _>>()?;
        Ok(AssetState { scans, whole: true, ..read_pointer(pointer.as_ref()) })
    }
}

/// The scans with the flags that follow from them together.
fn with_flags(mut scans: Vec<Scan>, retired: bool, since: Option<Timestamp>) -> Vec<Scan> {
    let standing = standing(&scans);
    for scan in &mut scans {
        scan.current = standing.current == Some(scan.scan_id);
        scan.suspect = standing.suspects.contains(&scan.scan_id);
        scan.retired = retired && scan.current;
        scan.asset_since = since.filter(|_| scan.current);
    }
    scans
}

fn is_entry_of(asset: &Asset, entry: &Item) -> bool {
    let platform = entry.get(PLATFORM).and_then(|platform| platform.as_s().ok()?.parse::<Platform>().ok());
    !entry.contains_key(ALONE) && platform == asset.platform
}

fn current_of(pointer: &Item) -> Current {
    Current {
        scan_id: number(pointer, SCAN_ID).and_then(ScanId::new),
        version: number(pointer, VERSION).unwrap_or_default(),
        moved: pointer.contains_key(LISTING),
    }
}

fn read_pointer(pointer: Option<&Item>) -> AssetState {
    let number = |name| pointer.and_then(|item| number(item, name));
    AssetState {
        version: number(VERSION).unwrap_or_default(),
        retired: pointer.and_then(|item| item.get(RETIRED)?.as_bool().ok().copied()).unwrap_or_default(),
        current: number(SCAN_ID).and_then(ScanId::new),
        due: pointer.filter(|item| item.contains_key(LISTING)).and_then(|item| item.get(RANK)?.as_n().ok().cloned()),
        since: pointer.and_then(|item| item.get(SINCE)?.as_s().ok()?.parse().ok()),
        latest: number(LATEST).and_then(|latest| i64::try_from(latest).ok()).unwrap_or_default(),
        scans: Vec::new(),
        whole: false,
    }
}
