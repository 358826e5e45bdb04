//! The writes of one change of an asset: its pointer, and each of its scans that comes, goes or changes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem, Update};
use jiff::Timestamp;

use super::assets::{ASSET_VERSION, AssetState, Becoming, BuildError, LATEST, RETIRED, SINCE};
use super::item::{Item, VERSION};
use super::keys::{
    CURRENT_SCANS, FLEET, GENERATION, Key, LINEAGE, LISTING, MOVED_LIST, PK, RANK, SCAN_ID, SCANS_LIST, SEEN,
};
use super::{Store, millis};
use crate::domain::asset::Asset;
use crate::domain::fleet::generation;
use crate::domain::scan::{Scan, ScanId};

/// Of a current scan: [`Scan::asset_since`].
const ASSET_SINCE: &str = "asset_since";

/// The most scans whose flags one transaction changes; DynamoDB takes 100 writes. What is left over follows with
/// the next change of the asset.
const MOST_FLAGGED: usize = 80;

impl Store {
    /// The writes that make an asset what it is to become.
    pub(super) fn asset_writes(
        &self,
        asset: &Asset,
        state: &AssetState,
        becoming: &Becoming<'_>,
        moved: Option<Timestamp>,
    ) -> Result<Vec<TransactWriteItem>, BuildError> {
        let after = becoming.after;
        let version = state.version + 1;
        let before: BTreeMap<ScanId, &Scan> = state.scans.iter().map(|scan| (scan.scan_id, scan)).collect();
        let mut writes = vec![self.pointer_write(asset, state, becoming, moved)?];
        let mut flagged = Vec::new();
        for scan in after {
            match before.get(&scan.scan_id) {
                None => writes.push(TransactWriteItem::builder().put(self.put_scan(scan, version)?).build()),
                Some(before) if *before != scan || scan.current => flagged.push((*before, scan)),
                Some(_) => {}
            }
        }
        // Those that are current, or stop being it, or were seen, go first.
        let is_minor = |(before, after): &(&Scan, &Scan)| {
            !before.current
                && !after.current
                && before.last_seen_at == after.last_seen_at
                && before.confirmed_until == after.confirmed_until
        };
        flagged.sort_by_key(is_minor);
        for (before, scan) in flagged.into_iter().take(MOST_FLAGGED) {
            writes.push(TransactWriteItem::builder().update(self.flag_scan(before, scan, version)?).build());
        }
        let kept: BTreeSet<ScanId> = after.iter().map(|scan| scan.scan_id).collect();
        for scan in state.scans.iter().filter(|scan| !kept.contains(&scan.scan_id)) {
            let delete = Delete::builder()
                .table_name(&self.table)
                .set_key(Some(Key::Scan(scan.scan_id).attributes()))
                .condition_expression("attribute_exists(#pk)")
                .expression_attribute_names("#pk", PK)
                .build()?;
            writes.push(TransactWriteItem::builder().delete(delete).build());
        }
        Ok(writes)
    }

    fn pointer_write(
        &self,
        asset: &Asset,
        state: &AssetState,
        &Becoming { after, retired, for_good }: &Becoming<'_>,
        moved: Option<Timestamp>,
    ) -> Result<TransactWriteItem, BuildError> {
        let current = after.iter().find(|scan| scan.current);
        let key = Key::Asset(asset.clone()).attributes();
        let condition = match state.version {
            0 => "attribute_not_exists(#version)",
            _ => "#version = :version",
        };
        let version = AttributeValue::N(state.version.to_string());
        if for_good && asset.alone.is_some() && after.is_empty() && state.version > 0 {
            let delete = Delete::builder().table_name(&self.table).set_key(Some(key)).condition_expression(condition);
            let delete = delete.expression_attribute_names("#version", VERSION);
            let delete = delete.expression_attribute_values(":version", version).build()?;
            return Ok(TransactWriteItem::builder().delete(delete).build());
        }
        let others = after.iter().filter(|scan| !scan.current).map(|scan| scan.last_seen_at.as_millisecond());
        let latest = others.max().unwrap_or_default().max(if state.whole { 0 } else { state.latest });
        let mut item: Item = key;
        item.insert(VERSION.to_owned(), AttributeValue::N((state.version + 1).to_string()));
        item.insert(LATEST.to_owned(), AttributeValue::N(latest.to_string()));
        item.insert(RETIRED.to_owned(), AttributeValue::Bool(retired));
        item.extend(current.map(|scan| (SCAN_ID.to_owned(), AttributeValue::N(scan.scan_id.to_string()))));
        let since = state.since(after).map(|since| (SINCE.to_owned(), AttributeValue::S(since.to_string())));
        item.extend(since);
        // What is yet to follow does not cease to be by another change.
        let moved = moved.map(millis).or_else(|| state.due.clone());
        if let Some(due) = moved {
            item.insert(LISTING.to_owned(), AttributeValue::S(MOVED_LIST.to_owned()));
            item.insert(RANK.to_owned(), AttributeValue::N(due));
        }
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression(condition)
            .expression_attribute_names("#version", VERSION);
        let put = if state.version == 0 { put } else { put.expression_attribute_values(":version", version) };
        Ok(TransactWriteItem::builder().put(put.build()?).build())
    }

    /// A whole scan item, which must not be there yet.
    fn put_scan(&self, scan: &Scan, version: u64) -> Result<Put, BuildError> {
        let mut item: Item = serde_dynamo::to_item(scan)?;
        item.extend(Key::Scan(scan.scan_id).attributes());
        item.insert(LISTING.to_owned(), AttributeValue::S(SCANS_LIST.to_owned()));
        item.insert(RANK.to_owned(), AttributeValue::N(scan.scan_id.to_string()));
        item.extend(index_attributes(scan).into_iter().map(|(name, value)| (name.to_owned(), value)));
        if scan.current {
            item.insert(ASSET_VERSION.to_owned(), AttributeValue::N(version.to_string()));
        }
        Ok(Put::builder().table_name(&self.table).set_item(Some(item)).build()?)
    }

    /// The change of a scan's times and flags.
    fn flag_scan(&self, before: &Scan, scan: &Scan, version: u64) -> Result<Update, BuildError> {
        let mut set: HashMap<&str, AttributeValue> = index_attributes(scan);
        let mut remove = if set.is_empty() { vec![FLEET, SEEN, LINEAGE, GENERATION] } else { Vec::new() };
        let time = |time: Timestamp| AttributeValue::S(time.to_string());
        set.extend([
            ("scan_timestamp", time(scan.scan_timestamp)),
            ("last_seen_at", time(scan.last_seen_at)),
            ("undated", AttributeValue::Bool(scan.undated)),
            ("suspect", AttributeValue::Bool(scan.suspect)),
            ("current", AttributeValue::Bool(scan.current)),
            ("retired", AttributeValue::Bool(scan.retired)),
        ]);
        set.extend(scan.confirmed_until.map(|until| ("confirmed_until", time(until))));
        match scan.asset_since {
            Some(since) => set.extend([(ASSET_SINCE, time(since))]),
            None => remove.push(ASSET_SINCE),
        }
        match scan.current {
            true => set.extend([(ASSET_VERSION, AttributeValue::N(version.to_string()))]),
            false => remove.push(ASSET_VERSION),
        }
        let assignments: Vec<String> = set.keys().map(|name| format!("#{name} = :{name}")).collect();
        let mut expression = format!("SET {}", assignments.join(", "));
        if !remove.is_empty() {
            let names: Vec<String> = remove.iter().map(|name| format!("#{name}")).collect();
            expression.push_str(&format!(" REMOVE {}", names.join(", ")));
        }
        let mut update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(Key::Scan(scan.scan_id).attributes()))
            .update_expression(expression)
            .condition_expression("attribute_exists(#pk) AND #last_seen_at = :known")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_values(":known", AttributeValue::S(before.last_seen_at.to_string()));
        for name in remove {
            update = update.expression_attribute_names(format!("#{name}"), name);
        }
        for (name, value) in set {
            update = update
                .expression_attribute_names(format!("#{name}"), name)
                .expression_attribute_values(format!(":{name}"), value);
        }
        Ok(update.build()?)
    }
}

/// What puts a scan into the indexes of the fleet; nothing if it does not belong there.
fn index_attributes(scan: &Scan) -> HashMap<&'static str, AttributeValue> {
    if !scan.current || scan.retired {
        return HashMap::new();
    }
    let (lineage, generation) = generation(scan);
    HashMap::from([
        (FLEET, AttributeValue::S(CURRENT_SCANS.to_owned())),
        (SEEN, AttributeValue::N(millis(scan.last_seen_at))),
        (LINEAGE, AttributeValue::S(lineage.to_string())),
        (GENERATION, AttributeValue::S(generation)),
    ])
}
