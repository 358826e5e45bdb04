//! The current scan of each asset.
//!
//! An asset has one item, the pointer, that names its current scan and counts its changes. Protocol:
//!
//! 1. A caller that adds, removes, confirms or retires a scan of an asset, or changes its times, reads the pointer
//!    first, strongly consistent, and then the scans.
//! 2. The changes that follow ([`standing`]) are written in one transaction: the pointer, on condition of the version
//!    that was read, and each scan whose flags change, on condition of the `last_seen_at` that was read. If a condition
//!    does not hold, another caller was faster, and step 1 is repeated.
//! 3. Each of these transactions also writes the pointer's version to the current scan. So if the current scan was seen
//!    later and nothing else changes, one write to its item is enough, on condition of the time and the version that
//!    were read.
//!
//! So the pointer always follows from all scans together, in any order of arrival. A scan that is newer than all
//! others needs only the pointer and the current scan; any other change reads all scans of the asset. The pointer of an
//! asset without scans stays, so that its version never restarts. Only an asset without a name, which never has another
//! scan, loses its pointer with its scan.

use jiff::Timestamp;

use super::backoff::Retries;
use super::expression::{begins_with, equals};
use super::item::{Item, key_of, number, text, typed};
use super::keys::{self, Key, LISTING, MOVED_LIST, PK, PLATFORM, RANK, SCAN_ID, SEEN, SK, VERSION};
use super::transaction::Outcome;
use super::write::{Update, Write};
use super::{Error, Store, query};
use crate::domain::asset::Asset;
use crate::domain::image_name::ImageName;
use crate::domain::platform::Platform;
use crate::domain::scan::{Scan, ScanId};
use crate::domain::standing::standing;

/// Of a pointer: when any scan but the current one was last seen.
pub(super) const LATEST: &str = "latest";
pub(super) const RETIRED: &str = "retired";
/// Of a pointer: when any scan of the asset was first seen.
pub(super) const SINCE: &str = "since";
/// Of a current scan: the version of its pointer.
pub(super) const ASSET_VERSION: &str = "asset_version";
/// Of the entry of a scan under its image: the scan has its own asset, because it has no name.
pub(super) const ALONE: &str = "alone";

/// An asset as it was read.
#[derive(Debug, Clone)]
pub(super) struct AssetState {
    pub(super) version: u64,
    retired: bool,
    current: Option<ScanId>,
    pub(super) latest: i64,
    /// When any of its scans was first seen, by the pointer.
    since: Option<Timestamp>,
    /// Its rank in the list of assets whose occurrences are not updated yet.
    pub(super) due: Option<u64>,
    /// Its scans: all, or only the current one.
    pub(super) scans: Vec<Scan>,
    /// All scans were read.
    pub(super) whole: bool,
}

/// The change that a caller wants.
pub(super) enum Wanted {
    Nothing,
    /// It depends on scans that were not read.
    Whole,
    /// The scans that were read are replaced by these.
    Scans {
        /// Their flags need not be right.
        scans: Vec<Scan>,
        retired: bool,
        /// If no scan is left, the asset never has another: the pointer of an asset without a name is removed.
        for_good: bool,
    },
}

/// The asset after a change.
pub(super) struct Becoming<'a> {
    /// Its scans, of those that were read, with their flags.
    pub(super) after: &'a [Scan],
    pub(super) retired: bool,
    /// If no scan is left, it never has another.
    pub(super) for_good: bool,
    /// When recovery brings its occurrences up to date.
    pub(super) due: Option<Timestamp>,
}

/// The result of a change.
pub(super) enum Change {
    /// It is written. The scans that were read, as they are now.
    Written(Vec<Scan>),
    Unneeded,
    /// A condition of the caller's own writes did not hold: see [`Outcome::Refused`].
    Refused(Vec<Option<Item>>),
}

/// A change of an asset, and the caller's own writes in the same transaction.
pub(super) struct AssetChange<'a> {
    pub(super) operation: &'static str,
    pub(super) asset: &'a Asset,
    pub(super) own: Vec<Write>,
    /// Puts the asset on the list of those whose occurrences are not updated yet. Recovery updates them at that time.
    pub(super) due: Option<Timestamp>,
}

impl<'a> AssetChange<'a> {
    pub(super) const fn of(operation: &'static str, asset: &'a Asset) -> Self {
        Self { operation, asset, own: Vec::new(), due: None }
    }
}

/// The result of seeing a stored report again.
#[derive(Debug, Clone, PartialEq)]
pub enum SeenAgain {
    /// Its times stay.
    Unchanged(Scan),
    /// The current scan was seen later than before.
    Later(Scan),
    /// The times of a scan changed, and perhaps the current scan: the occurrences have to be updated.
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

/// The current scan of an asset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Current {
    /// The scan.
    pub scan_id: Option<ScanId>,
    /// The version of the asset.
    pub version: u64,
    /// The occurrences are not updated yet.
    pub moved: bool,
}

impl AssetState {
    /// Returns whether a new scan was first seen after all others were last seen.
    fn is_after_all(&self, scan: &Scan) -> bool {
        let newest = self.scans.iter().map(|scan| scan.last_seen_at).max();
        let first = scan.scan_timestamp;
        self.whole || first.as_millisecond() > self.latest && newest.is_none_or(|newest| first > newest)
    }

    /// Finds when any of these scans, or of those that were not read, was first seen.
    pub(super) fn since(&self, scans: &[Scan]) -> Option<Timestamp> {
        let known = self.since.filter(|_| !self.whole);
        scans.iter().map(|scan| scan.scan_timestamp).chain(known).min()
    }

    /// Returns whether a scan as it was `seen` changes no other scan of the asset.
    fn moves_only(&self, seen: &Scan) -> bool {
        let scans = self.scans.iter().map(|scan| if scan.scan_id == seen.scan_id { seen } else { scan }).cloned();
        let scans: Vec<Scan> = scans.collect();
        let since = self.since(&scans);
        let after = with_flags(scans, self.retired, since);
        let is_same = |(before, after): (&Scan, &Scan)| before == after || after == seen;
        self.scans.iter().zip(&after).all(is_same)
    }

    pub(super) fn adding(&self, scan: &Scan) -> Wanted {
        if !self.is_after_all(scan) {
            return Wanted::Whole;
        }
        let others = self.scans.iter().filter(|other| other.scan_id != scan.scan_id);
        let scans = others.cloned().chain([scan.clone()]).collect();
        Wanted::Scans { scans, retired: self.retired, for_good: false }
    }

    /// Removes a scan, for good or to ingest its report again.
    pub(super) fn removing(&self, scan: ScanId, for_good: bool) -> Wanted {
        if !self.whole {
            return Wanted::Whole;
        }
        let scans = self.scans.iter().filter(|other| other.scan_id != scan).cloned().collect();
        Wanted::Scans { scans, retired: self.retired, for_good }
    }

    fn changing(&self, scan: ScanId, change: impl Fn(&mut Scan) -> bool) -> Wanted {
        if !self.whole {
            return Wanted::Whole;
        }
        let mut scans = self.scans.clone();
        let changed = scans.iter_mut().find(|other| other.scan_id == scan).is_some_and(change);
        if changed { Wanted::Scans { scans, retired: self.retired, for_good: false } } else { Wanted::Nothing }
    }
}

/// Adds a time at which a scan was seen, and returns whether its times change. The time of an ingestion replaces a
/// missing time only until a report with a time is ingested.
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
    /// Records that the content of a published scan was seen at a time. None if the scan does not exist.
    ///
    /// This is one write if the scan is current and nothing else changes. Otherwise it is one transaction, which puts
    /// the asset on the list of those whose occurrences are not updated yet, with `due`.
    pub async fn see_again(
        &self,
        scan_id: ScanId,
        at: Timestamp,
        due: Option<Timestamp>,
    ) -> Result<Option<SeenAgain>, Error> {
        const OPERATION: &str = "TransactWriteItems(seen)";
        let mut retries = Retries::of(OPERATION);
        loop {
            let Some(scan) = self.scan(scan_id).await? else { return Ok(None) };
            let mut seen = scan.clone();
            if !see(&mut seen, at) {
                return Ok(Some(SeenAgain::Unchanged(scan)));
            }
            let asset = Asset::of(scan_id, &scan.artifact);
            // If another caller was faster, the transaction decides.
            if retries.is_first()
                && let Some(version) = self.version_that_stays(&asset, &scan, &seen).await?
                && self.see_current_later(&scan, at, version).await?
            {
                return Ok(Some(SeenAgain::Later(seen)));
            }
            let change = AssetChange { due, ..AssetChange::of(OPERATION, &asset) };
            let want = |state: &AssetState| state.changing(scan_id, |scan| see(scan, at));
            if let Change::Written(scans) = self.change_asset(change, want).await?
                && let Some(scan) = scans.into_iter().find(|scan| scan.scan_id == scan_id)
            {
                return Ok(Some(SeenAgain::Moved(scan)));
            }
            retries.wait().await?;
        }
    }

    /// Finds the version of an asset in which a scan is current, if nothing else changes when it is `seen` later.
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

    /// Sets when a scan was last seen, if it is still current in that version of its asset and was not seen since it
    /// was read.
    async fn see_current_later(&self, scan: &Scan, at: Timestamp, version: u64) -> Result<bool, Error> {
        let update = Update::of(&Key::Scan(scan.scan_id)).set("last_seen_at", at.to_string());
        // A retired scan is in no index.
        let update = if scan.retired { update } else { update.set(SEEN, at) };
        let is_same = equals("current", true)
            .and(equals(ASSET_VERSION, version))
            .and(equals("last_seen_at", scan.last_seen_at.to_string()));
        Ok(self.write("UpdateItem(seen)", update.when(is_same)).await?.is_applied())
    }

    /// Confirms that the findings that a suspect scan lacks are fixed. A scan that is not suspect stays as it is. None
    /// if the scan does not exist.
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
        let change = AssetChange { due, ..AssetChange::of("TransactWriteItems(confirm)", &asset) };
        self.change_asset(change, |state: &AssetState| state.changing(scan_id, confirm)).await?;
        self.scan(scan_id).await
    }

    /// Retires the assets of an image, on all platforms or on one, or brings them back. Returns their platforms.
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
            self.change_asset(AssetChange::of("TransactWriteItems(retire)", &asset), want).await?;
            found.push(asset.platform);
        }
        Ok(found)
    }

    /// Reads the current scan of an asset; strongly consistent.
    pub async fn current(&self, asset: &Asset) -> Result<Current, Error> {
        let pointer = self.get("GetItem(asset)", &Key::Asset(asset.clone()), true).await?;
        Ok(pointer.as_ref().map(current_of).unwrap_or_default())
    }

    /// Returns whether a scan is the current one of an asset with suspect scans, which could become current without it.
    pub async fn holds_suspects_back(&self, scan: &Scan) -> Result<bool, Error> {
        if !scan.current {
            return Ok(false);
        }
        let state = self.asset_with_all(&Asset::of(scan.scan_id, &scan.artifact)).await?;
        Ok(state.scans.iter().any(|other| other.suspect))
    }

    /// Removes an asset from the list of those whose occurrences are not updated yet, if it has not changed since.
    pub async fn clear_moved(&self, asset: &Asset, version: u64) -> Result<(), Error> {
        let update = Update::of(&Key::Asset(asset.clone())).remove([LISTING, RANK]);
        self.write("UpdateItem(moved)", update.when(equals(VERSION, version))).await.map(drop)
    }

    /// Reads the assets whose occurrences should be updated by now, each with its current scan.
    pub async fn due_moved(&self, now: Timestamp, limit: usize) -> Result<Vec<(Asset, Current)>, Error> {
        let asset = |_, key, _: &Item| if let Key::Asset(asset) = key { Some(asset) } else { None };
        let mut found = Vec::new();
        for asset in self.due(MOVED_LIST, now, limit, asset).await? {
            // The index may be older than the table.
            let current = self.current(&asset).await?;
            found.push((asset, current));
        }
        Ok(found)
    }

    /// Removes the pointer of an asset without a name, which never has another scan; idempotent.
    pub async fn remove_pointer_without_a_name(&self, asset: &Asset) -> Result<(), Error> {
        if asset.alone.is_none() {
            return Ok(());
        }
        self.write("DeleteItem(asset)", Write::delete(&Key::Asset(asset.clone()))).await.map(drop)
    }

    /// Reads the assets of an image name, each with its current scan; strongly consistent.
    pub async fn assets_of(&self, image: &ImageName) -> Result<Vec<(Asset, Option<ScanId>)>, Error> {
        let mut found = Vec::new();
        let query = self.query_now(equals(PK, keys::image_pk(image)).and(begins_with(SK, keys::ASSETS)));
        let take = |item: Item| {
            if let Some(Key::Asset(asset)) = key_of(&item) {
                found.push((asset, current_of(&item).scan_id));
            }
            Ok(())
        };
        query::each("Query(assets)", query, take).await?;
        Ok(found)
    }

    /// Changes an asset, and tries again while other callers are faster.
    pub(super) async fn change_asset(
        &self,
        AssetChange { operation, asset, own, due }: AssetChange<'_>,
        want: impl Fn(&AssetState) -> Wanted,
    ) -> Result<Change, Error> {
        let mut retries = Retries::of(operation);
        loop {
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
            let becoming = Becoming { after: &after, retired, for_good, due };
            writes.extend(becoming.writes(operation, asset, &state)?);
            match self.transact(operation, writes).await? {
                Outcome::Written => return Ok(Change::Written(after)),
                Outcome::Refused(refusals) if refusals.iter().take(own.len()).any(Option::is_some) => {
                    return Ok(Change::Refused(refusals));
                }
                Outcome::Refused(_) => {}
            }
            retries.wait().await?;
        }
    }

    /// Reads the pointer of an asset and its current scan.
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

    /// Reads the pointer of an asset and all its scans.
    async fn asset_with_all(&self, asset: &Asset) -> Result<AssetState, Error> {
        let query = self.query_now(equals(PK, keys::image_pk(&asset.name)));
        let (mut pointer, mut scans) = (None, Vec::new());
        // Pointers sort before entries, so the version is read before the scans.
        let take = |item: Item| {
            match key_of(&item) {
                Some(Key::Asset(other)) if other == *asset => pointer = Some(item),
                Some(Key::ImageScan(_, scan)) if is_entry_of(asset, &item) => scans.push(Key::Scan(scan)),
                _ => {}
            }
            Ok(())
        };
        query::each("Query(asset)", query, take).await?;
        let items = self.batch_get_all("BatchGetItem(scans)", scans, true).await?;
        let scans = items.into_iter().map(typed).collect::<Result<Vec<Scan>, _>>()?;
        Ok(AssetState { scans, whole: true, ..read_pointer(pointer.as_ref()) })
    }
}

/// Sets the flags that follow from all scans together.
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
    let platform = text(entry, PLATFORM).and_then(|platform| platform.parse::<Platform>().ok());
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
        due: number(RANK),
        since: pointer.and_then(|item| text(item, SINCE)?.parse().ok()),
        latest: number(LATEST).and_then(|latest| i64::try_from(latest).ok()).unwrap_or_default(),
        scans: Vec::new(),
        whole: false,
    }
}
