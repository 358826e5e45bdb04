//! The writes of one change of an asset: its pointer, and each of its scans that is added, removed or changed.

use std::collections::{BTreeMap, BTreeSet};

use super::Error;
use super::assets::{ASSET_VERSION, AssetState, Becoming, LATEST, RETIRED, SINCE};
use super::expression::{Value, equals, exists};
use super::item::is_version;
use super::keys::{
    CURRENT_SCANS, FLEET, GENERATION, Key, LINEAGE, LISTING, MOVED_LIST, PK, RANK, SCAN_ID, SCANS_LIST, SEEN, VERSION,
};
use super::write::{Put, Update, Write};
use crate::domain::asset::Asset;
use crate::domain::fleet::generation;
use crate::domain::scan::{Scan, ScanId};

/// Of a current scan: [`Scan::asset_since`].
const ASSET_SINCE: &str = "asset_since";

/// The most scans whose flags one transaction of 100 writes changes. The others follow with the next change.
const MOST_FLAGGED: usize = 80;

impl Becoming<'_> {
    /// Makes the writes that bring an asset from its state to this one.
    pub(super) fn writes(
        &self,
        operation: &'static str,
        asset: &Asset,
        state: &AssetState,
    ) -> Result<Vec<Write>, Error> {
        let version = state.version + 1;
        let before: BTreeMap<ScanId, &Scan> = state.scans.iter().map(|scan| (scan.scan_id, scan)).collect();
        let mut writes = vec![self.pointer(asset, state)];
        let mut flagged = Vec::new();
        for scan in self.after {
            match before.get(&scan.scan_id) {
                None => writes.push(put_scan(operation, scan, version)?),
                Some(before) if *before != scan || scan.current => flagged.push((*before, scan)),
                Some(_) => {}
            }
        }
        // Scans that are or were current, or whose times change, come first.
        let is_minor = |(before, after): &(&Scan, &Scan)| {
            !before.current
                && !after.current
                && before.last_seen_at == after.last_seen_at
                && before.confirmed_until == after.confirmed_until
        };
        flagged.sort_by_key(is_minor);
        writes.extend(flagged.into_iter().take(MOST_FLAGGED).map(|(before, scan)| flag_scan(before, scan, version)));
        let kept: BTreeSet<ScanId> = self.after.iter().map(|scan| scan.scan_id).collect();
        let removed = state.scans.iter().filter(|scan| !kept.contains(&scan.scan_id));
        writes.extend(removed.map(|scan| Write::delete(&Key::Scan(scan.scan_id)).when(exists(PK))));
        Ok(writes)
    }

    fn pointer(&self, asset: &Asset, state: &AssetState) -> Write {
        let key = Key::Asset(asset.clone());
        if self.for_good && asset.alone.is_some() && self.after.is_empty() && state.version > 0 {
            return Write::delete(&key).when(is_version(state.version));
        }
        let others = self.after.iter().filter(|scan| !scan.current).map(|scan| scan.last_seen_at.as_millisecond());
        let latest = others.max().unwrap_or_default().max(if state.whole { 0 } else { state.latest });
        let current = self.after.iter().find(|scan| scan.current);
        let put = Put::new(&key)
            .set(VERSION, state.version + 1)
            .set(LATEST, latest)
            .set(RETIRED, self.retired)
            .set_some(SCAN_ID, current.map(|scan| scan.scan_id))
            .set_some(SINCE, state.since(self.after).map(|since| since.to_string()));
        // An asset whose occurrences are not updated after an earlier change stays on the list.
        let due = self.due.map(Value::from).or_else(|| state.due.map(Value::from));
        let put = put.set_some(LISTING, due.as_ref().map(|_| MOVED_LIST)).set_some(RANK, due);
        put.when(is_version(state.version))
    }
}

/// Creates a scan.
fn put_scan(operation: &'static str, scan: &Scan, version: u64) -> Result<Write, Error> {
    let put = Put::new(&Key::Scan(scan.scan_id)).fields(operation, scan)?;
    let put = put.set(LISTING, SCANS_LIST).set(RANK, scan.scan_id);
    let put = index_attributes(scan).into_iter().fold(put, |put, (name, value)| put.set_some(name, value));
    Ok(put.set_some(ASSET_VERSION, scan.current.then_some(version)).into())
}

/// Changes a scan's times and flags.
fn flag_scan(before: &Scan, scan: &Scan, version: u64) -> Write {
    let update = Update::of(&Key::Scan(scan.scan_id))
        .set("scan_timestamp", scan.scan_timestamp.to_string())
        .set("last_seen_at", scan.last_seen_at.to_string())
        .set("undated", scan.undated)
        .set("suspect", scan.suspect)
        .set("current", scan.current)
        .set("retired", scan.retired);
    let update = match scan.confirmed_until {
        Some(until) => update.set("confirmed_until", until.to_string()),
        None => update,
    };
    let update = update.set_or_remove(ASSET_SINCE, scan.asset_since.map(|since| since.to_string()));
    let update = update.set_or_remove(ASSET_VERSION, scan.current.then_some(version));
    let indexed = index_attributes(scan).into_iter();
    let update = indexed.fold(update, |update, (name, value)| update.set_or_remove(name, value));
    update.when(exists(PK).and(equals("last_seen_at", before.last_seen_at.to_string())))
}

/// The attributes by which a scan is in the indexes of the fleet: none unless it is current and not retired.
fn index_attributes(scan: &Scan) -> [(&'static str, Option<Value>); 4] {
    let is_listed = scan.current && !scan.retired;
    let (lineage, generation) = is_listed.then(|| generation(scan)).unzip();
    [
        (FLEET, is_listed.then(|| CURRENT_SCANS.into())),
        (SEEN, is_listed.then(|| scan.last_seen_at.into())),
        (LINEAGE, lineage.map(|lineage| lineage.to_string().into())),
        (GENERATION, generation.map(Value::from)),
    ]
}
