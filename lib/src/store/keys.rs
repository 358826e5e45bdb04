//! The keys of the table's items, and the attributes and limits that several items share.

use std::collections::HashMap;
use std::ops::Range;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::civil::Date;

use super::walks::Walk;
use crate::domain::asset::{Asset, AssetKey, LineageKey};
use crate::domain::feed::FeedName;
use crate::domain::finding::Ordinal;
use crate::domain::image_name::ImageName;
use crate::domain::occurrence::Bucket;
use crate::domain::platform::Platform;
use crate::domain::prompt_hash::PromptHash;
use crate::domain::report_hash::ReportHash;
use crate::domain::scan::ScanId;
use crate::domain::subject::Subject;
use crate::domain::upload::UploadId;
use crate::domain::vulnerability_id::VulnerabilityId;

/// The partition key.
pub(super) const PK: &str = "pk";
/// The sort key.
pub(super) const SK: &str = "sk";
/// The sparse index of items that must be found without their keys.
pub(super) const LISTING_INDEX: &str = "listing";
/// The index's partition key: the list that an item is on.
pub(super) const LISTING: &str = "listing";
/// The index's sort key, a number: a scan's id, or the time at which an item is due (milliseconds).
pub(super) const RANK: &str = "rank";
/// The list of all published scans.
pub(super) const SCANS_LIST: &str = "SCANS";
/// The list of pending analyses, by the time at which recovery looks at them.
pub(super) const PENDING_LIST: &str = "PENDING";
/// The list of scans whose findings are not queued for analysis yet, by the time at which recovery queues them.
pub(super) const OUTBOX_LIST: &str = "OUTBOX";
/// The list of claims that are not complete, by the end of their lease.
pub(super) const INGESTING_LIST: &str = "INGESTING";
/// The list of deletions that are not finished, by the end of their lease.
pub(super) const DELETING_LIST: &str = "DELETING";
/// The list of vulnerabilities, by the time at which a source is to be asked again.
pub(super) const CVES_LIST: &str = "CVES";
/// The list of vulnerabilities that no image has any more, by the time at which their records are dropped.
pub(super) const UNSEEN_LIST: &str = "UNSEEN";
/// The list of assets whose current scan has changed and whose occurrences have not followed yet, by the time at which
/// recovery updates them.
pub(super) const MOVED_LIST: &str = "MOVED";
/// The sparse index of current scans by when they were last seen.
pub(super) const FLEET_INDEX: &str = "fleet";
/// Its partition key; one value.
pub(super) const FLEET: &str = "fleet";
/// The value of [`FLEET`].
pub(super) const CURRENT_SCANS: &str = "CURRENT";
/// Its sort key, a number: milliseconds since 1970.
pub(super) const SEEN: &str = "seen";
/// The sparse index of current scans by repository and platform.
pub(super) const REPOSITORY_INDEX: &str = "repository";
/// Its partition key: a [`LineageKey`].
pub(super) const LINEAGE: &str = "lineage";
/// Its sort key, a text: the newest image of a repository is the last.
pub(super) const GENERATION: &str = "generation";
/// An attribute of every item that belongs to a scan.
pub(super) const SCAN_ID: &str = "scan_id";
/// The compressed part of an item.
pub(super) const BLOB: &str = "z";
/// Counts the writes of an item, so that a write that is based on an older state is refused.
pub(super) const VERSION: &str = "version";
/// The table's time-to-live attribute, in seconds since 1970.
pub(super) const EXPIRES_AT: &str = "expires_at";
/// The platform of an asset, in items that belong to one.
pub(super) const PLATFORM: &str = "platform";

/// The most items of a `BatchWriteItem`.
pub(super) const MOST_ITEMS_OF_A_BATCH: usize = 25;
/// The most items of a `BatchGetItem`.
pub(super) const MOST_KEYS_OF_A_READ: usize = 100;
/// The most bytes that a blob may have: an item takes 400 KB.
pub(super) const MOST_BYTES_OF_A_BLOB: usize = 380 << 10;

/// Findings that share a partition key: 250 of up to four write units each stay within the limit of a key.
pub const FINDINGS_PER_BLOCK: u32 = 250;

/// Items that share the number of scans. Scans that are published at the same time have consecutive ids, and so
/// write to different ones.
pub(super) const TOTAL_SHARDS: u64 = 8;

/// The key of one item. The attributes of each item are in docs/DATA.md.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    /// The claim on a report: the attempt that is ingesting it, or the scan that it became.
    Claim(ReportHash),
    /// A scan.
    Scan(ScanId),
    /// The entry of a scan under the name of its asset.
    ImageScan(ImageName, ScanId),
    /// A finding.
    Finding(ScanId, Ordinal),
    /// The next scan's number, and the key that cursors are signed with.
    Counter,
    /// A shard of the number of scans.
    Total(u64),
    /// The analysis of a prompt: its state and its answer.
    Analysis(PromptHash),
    /// The question of a prompt: the messages, and the facts that the answer is checked against.
    Question(PromptHash),
    /// A scan whose findings are not queued for analysis yet.
    Outbox(ScanId),
    /// The progress of a scan's deletion.
    Deletion(ScanId),
    /// The mark of a scan that is being ingested again.
    Reopened(ScanId),
    /// The status of an upload.
    Upload(UploadId),
    /// The facts of each source about a vulnerability.
    Dossier(VulnerabilityId),
    /// The summary of these facts.
    Signals(VulnerabilityId),
    /// The id that an alias of a vulnerability stands for.
    Alias(VulnerabilityId),
    /// The pointer of an asset to its current scan.
    Asset(Asset),
    /// The occurrences of a bucket of vulnerabilities in an asset.
    Occurrences(Bucket, AssetKey),
    /// When the problems of a bucket were first seen in a repository on a platform.
    FirstSeen(Bucket, LineageKey),
    /// The pace and circuit of a source.
    Source(String),
    /// The last good version of a feed.
    Feed(FeedName),
    /// The position of a walk.
    Walk(Walk),
    /// The number of vulnerabilities that were queued for enrichment on a day.
    Orders(Date),
    /// The latest answer on a subject.
    LatestAnswer(Subject),
}

impl Key {
    /// The partition key.
    pub(super) fn pk(&self) -> String {
        match self {
            Self::Claim(hash) => format!("REPORT#{hash}"),
            Self::Scan(scan) | Self::Outbox(scan) | Self::Deletion(scan) | Self::Reopened(scan) => {
                format!("SCAN#{scan}")
            }
            Self::Upload(upload) => format!("UPLOAD#{upload}"),
            Self::Dossier(id) | Self::Signals(id) | Self::Alias(id) => format!("CVE#{id}"),
            Self::Asset(asset) => image_pk(&asset.name),
            Self::Occurrences(bucket, _) => occurrences_pk(*bucket),
            Self::FirstSeen(bucket, _) => first_seen_pk(*bucket),
            Self::Source(name) => format!("SOURCE#{name}"),
            Self::Feed(name) => format!("FEED#{name}"),
            Self::Walk(walk) => format!("WALK#{}", walk.as_str()),
            Self::Orders(day) => format!("ORDERS#{day}"),
            Self::LatestAnswer(subject) => format!("SUBJECT#{subject}"),
            Self::Analysis(hash) | Self::Question(hash) => format!("PROMPT#{hash}"),
            Self::ImageScan(image, _) => image_pk(image),
            Self::Finding(scan, ordinal) => block_pk(*scan, ordinal.get() / FINDINGS_PER_BLOCK),
            Self::Counter | Self::Total(_) => COUNTERS.to_owned(),
        }
    }

    /// The sort key.
    pub(super) fn sk(&self) -> String {
        match self {
            Self::Claim(_) => "CLAIM".to_owned(),
            Self::Scan(_) => "SCAN".to_owned(),
            Self::Outbox(_) => "OUTBOX".to_owned(),
            Self::Deletion(_) => "DELETION".to_owned(),
            Self::Reopened(_) => "REOPENED".to_owned(),
            Self::Upload(_) => "UPLOAD".to_owned(),
            Self::Dossier(_) => "ENRICHMENT".to_owned(),
            Self::Signals(_) => "SIGNALS".to_owned(),
            Self::Alias(_) => "ALIAS".to_owned(),
            Self::Asset(asset) => asset_sk(asset),
            Self::Occurrences(_, asset) => asset.to_string(),
            Self::FirstSeen(_, lineage) => lineage.to_string(),
            Self::Source(_) | Self::Feed(_) | Self::Walk(_) | Self::Orders(_) => "STATE".to_owned(),
            Self::LatestAnswer(_) => "ANSWER".to_owned(),
            Self::Analysis(_) => "ANALYSIS".to_owned(),
            Self::Question(_) => "QUESTION".to_owned(),
            Self::ImageScan(_, scan) => image_sk(*scan),
            Self::Finding(_, ordinal) => finding_sk(ordinal.get()),
            Self::Counter => "SCAN".to_owned(),
            Self::Total(shard) => format!("TOTAL#{shard}"),
        }
    }

    /// Both keys as attributes.
    pub(super) fn attributes(&self) -> HashMap<String, AttributeValue> {
        HashMap::from([(PK.to_owned(), AttributeValue::S(self.pk())), (SK.to_owned(), AttributeValue::S(self.sk()))])
    }

    /// Reads the two keys of an item; none if Sirius never writes such keys.
    pub(super) fn parse(pk: &str, sk: &str) -> Option<Self> {
        let key = if pk == COUNTERS {
            match sk.strip_prefix("TOTAL#") {
                Some(shard) => Self::Total(shard.parse().ok()?),
                None => Self::Counter,
            }
        } else if let Some(name) = pk.strip_prefix("WALK#") {
            Self::Walk(Walk::ALL.into_iter().find(|walk| walk.as_str() == name)?)
        } else if let Some(day) = pk.strip_prefix("ORDERS#") {
            Self::Orders(day.parse().ok()?)
        } else if let Some(subject) = pk.strip_prefix("SUBJECT#") {
            Self::LatestAnswer(subject.parse().ok()?)
        } else if let Some(hash) = pk.strip_prefix("REPORT#") {
            Self::Claim(hash.parse().ok()?)
        } else if let Some(hash) = pk.strip_prefix("PROMPT#") {
            let hash = hash.parse().ok()?;
            if sk == "ANALYSIS" { Self::Analysis(hash) } else { Self::Question(hash) }
        } else if let Some(upload) = pk.strip_prefix("UPLOAD#") {
            Self::Upload(upload.parse().ok()?)
        } else if let Some(id) = pk.strip_prefix("CVE#") {
            let id = id.parse().ok()?;
            match sk {
                "SIGNALS" => Self::Signals(id),
                "ALIAS" => Self::Alias(id),
                _ => Self::Dossier(id),
            }
        } else if let Some(bucket) = pk.strip_prefix("OCCURRENCES#") {
            Self::Occurrences(bucket.parse().ok().and_then(Bucket::new)?, sk.parse().ok()?)
        } else if let Some(bucket) = pk.strip_prefix("FIRSTSEEN#") {
            Self::FirstSeen(bucket.parse().ok().and_then(Bucket::new)?, sk.parse().ok()?)
        } else if let Some(name) = pk.strip_prefix("SOURCE#") {
            Self::Source(name.to_owned())
        } else if let Some(name) = pk.strip_prefix("FEED#") {
            Self::Feed(FeedName::ALL.into_iter().find(|feed| feed.as_str() == name)?)
        } else if let Some(image) = pk.strip_prefix("IMAGE#") {
            let image = image.parse().ok()?;
            match sk.strip_prefix("ASSET#") {
                Some(asset) => {
                    let (platform, alone) = asset.split_once('#').map_or((asset, None), |(p, scan)| (p, Some(scan)));
                    let platform = if platform.is_empty() { None } else { Some(platform.parse::<Platform>().ok()?) };
                    let alone = alone.map(str::parse::<ScanId>).transpose().ok()?;
                    Self::Asset(Asset { name: image, platform, alone })
                }
                None => Self::ImageScan(image, sk.strip_prefix("SCAN#")?.parse().ok().and_then(ScanId::new)?),
            }
        } else {
            let scan = pk.strip_prefix("SCAN#")?;
            match scan.split_once('#') {
                Some((scan, _)) => {
                    let ordinal = sk.strip_prefix("FINDING#")?.parse().ok().and_then(Ordinal::new)?;
                    Self::Finding(scan.parse().ok()?, ordinal)
                }
                None if sk == "OUTBOX" => Self::Outbox(scan.parse().ok()?),
                None if sk == "DELETION" => Self::Deletion(scan.parse().ok()?),
                None if sk == "REOPENED" => Self::Reopened(scan.parse().ok()?),
                None => Self::Scan(scan.parse().ok()?),
            }
        };
        (key.pk() == pk && key.sk() == sk).then_some(key)
    }
}

/// The partition of the counters.
pub(super) const COUNTERS: &str = "COUNTER";

/// The partition of an image's scans.
pub(super) fn image_pk(image: &ImageName) -> String {
    format!("IMAGE#{image}")
}

/// The sort key of an image's scan: padded to the ten digits of [`ScanId::MAX`], so that the newest
/// is the last.
pub(super) fn image_sk(scan: ScanId) -> String {
    format!("SCAN#{:010}", scan.get())
}

/// The prefix of the sort keys of an image's assets.
pub(super) const ASSETS: &str = "ASSET#";

/// The sort key of an asset: `ASSET#linux/amd64`, with the scan if the asset has no name.
fn asset_sk(asset: &Asset) -> String {
    let platform = asset.platform.as_ref().map_or("", Platform::as_str);
    match asset.alone {
        Some(scan) => format!("{ASSETS}{platform}#{scan}"),
        None => format!("{ASSETS}{platform}"),
    }
}

/// The partition of a bucket of occurrences.
pub(super) fn occurrences_pk(bucket: Bucket) -> String {
    format!("OCCURRENCES#{}", bucket.get())
}

/// The partition of the first times of a bucket of problems.
pub(super) fn first_seen_pk(bucket: Bucket) -> String {
    format!("FIRSTSEEN#{}", bucket.get())
}

fn block_pk(scan: ScanId, block: u32) -> String {
    format!("SCAN#{scan}#{block}")
}

fn finding_sk(ordinal: u32) -> String {
    format!("FINDING#{ordinal:06}")
}

/// A range of findings that one query can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    /// Its partition key.
    pub(super) pk: String,
    /// The first sort key of the range.
    pub(super) first: String,
    /// The last sort key of the range.
    pub(super) last: String,
}

/// The range of the findings `ordinals` of a scan, which must not be empty or cross the end of a block.
pub(super) fn block(scan: ScanId, ordinals: &Range<u32>) -> Block {
    Block {
        pk: block_pk(scan, ordinals.start / FINDINGS_PER_BLOCK),
        first: finding_sk(ordinals.start),
        last: finding_sk(ordinals.end.saturating_sub(1)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scan_id() -> impl Strategy<Value = ScanId> {
        (1..=ScanId::MAX).prop_map(|n| ScanId::new(n).unwrap())
    }

    fn vulnerability() -> impl Strategy<Value = VulnerabilityId> {
        "CVE-2[0-9]{3}-[0-9]{4,19}|GO-[A-Za-z0-9:._-]{1,20}".prop_map(|id| id.parse().unwrap())
    }

    fn any_key() -> impl Strategy<Value = Key> {
        let name = "[\\PC#]{1,20}|SCAN#[0-9]{1,3}".prop_filter_map("a name", |n| n.parse::<ImageName>().ok());
        prop_oneof![
            any::<[u8; 32]>().prop_map(|digest| Key::Claim(digest.into())),
            scan_id().prop_map(Key::Scan),
            (name, scan_id()).prop_map(|(image, scan)| Key::ImageScan(image, scan)),
            (scan_id(), 0u32..1_000_000).prop_map(|(scan, n)| Key::Finding(scan, Ordinal::new(n).unwrap())),
            Just(Key::Counter),
            (0i16..=9999, 1i8..=12, 1i8..=28)
                .prop_map(|(year, month, day)| Key::Orders(Date::constant(year, month, day))),
            scan_id().prop_map(Key::Outbox),
            scan_id().prop_map(Key::Deletion),
            scan_id().prop_map(Key::Reopened),
            "[\\PC#]{1,20}|UPLOAD#[0-9]{1,3}".prop_filter_map("an upload", |id| Some(Key::Upload(id.parse().ok()?))),
            "[0-9a-f]{64}".prop_map(|hash| Key::Analysis(hash.parse().unwrap())),
            "[0-9a-f]{64}".prop_map(|hash| Key::Question(hash.parse().unwrap())),
            (0..TOTAL_SHARDS).prop_map(Key::Total),
            vulnerability().prop_map(Key::Dossier),
            vulnerability().prop_map(Key::Signals),
            vulnerability().prop_map(Key::Alias),
            (0..Bucket::COUNT, "[0-9a-f]{32}#[0-9a-f]{32}")
                .prop_map(|(n, key)| Key::Occurrences(Bucket::new(n).unwrap(), key.parse().unwrap())),
            (0..Bucket::COUNT, "[0-9a-f]{32}")
                .prop_map(|(n, key)| Key::FirstSeen(Bucket::new(n).unwrap(), key.parse().unwrap())),
            (
                "[\\PC#]{1,20}|ASSET#[0-9]{1,3}",
                prop::option::of("[a-z]{1,8}/[a-z0-9]{1,8}(/v[0-9])?"),
                prop::option::of(scan_id())
            )
                .prop_filter_map("a name", |(name, platform, alone)| {
                    let platform = platform.map(|platform| platform.parse().unwrap());
                    Some(Key::Asset(Asset { name: name.parse().ok()?, platform, alone }))
                }),
            "[a-z_]{1,20}".prop_map(Key::Source),
            prop_oneof![Just(FeedName::Kev), Just(FeedName::Epss)].prop_map(Key::Feed),
        ]
    }

    proptest! {
        #[test]
        fn a_key_is_read_back_and_fits_dynamodb(key in any_key()) {
            let (pk, sk) = (key.pk(), key.sk());
            prop_assert!(pk.len() <= 2048 && sk.len() <= 1024);
            prop_assert_eq!(Key::parse(&pk, &sk), Some(key));
        }

        #[test]
        fn two_items_never_share_a_key(a in any_key(), b in any_key()) {
            prop_assert_eq!(a == b, (a.pk(), a.sk()) == (b.pk(), b.sk()));
        }

        #[test]
        fn foreign_keys_name_nothing(pk in "\\PC{0,20}|SCAN#[0-9#]{0,5}", sk in "\\PC{0,20}|SCAN|FINDING#[0-9]{0,7}") {
            if let Some(key) = Key::parse(&pk, &sk) {
                prop_assert_eq!((key.pk(), key.sk()), (pk, sk));
            }
        }

        #[test]
        fn keys_sort_as_their_numbers_do(a in scan_id(), b in scan_id(), i in 0u32..1_000_000, j in 0u32..1_000_000) {
            prop_assert_eq!(image_sk(a).cmp(&image_sk(b)), a.cmp(&b));
            prop_assert_eq!(finding_sk(i).cmp(&finding_sk(j)), i.cmp(&j));
        }
    }
}
