//! The keys of the table's items, and the attributes and limits that several items share.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::civil::Date;

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
use crate::domain::vulnerability::id::VulnerabilityId;

/// A repeated walk along the list of scans, from the lowest number on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walk {
    /// Looks for scans that are too old.
    Retention,
    /// Looks for analyses whose prompts have changed.
    Analyses,
    /// Looks for vulnerabilities that no image has, along the buckets of occurrences instead of the scans.
    Unseen,
}

impl Walk {
    const ALL: [Self; 3] = [Self::Retention, Self::Analyses, Self::Unseen];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Retention => "RETENTION",
            Self::Analyses => "ANALYSES",
            Self::Unseen => "UNSEEN",
        }
    }
}

pub(super) const PK: &str = "pk";
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
/// The list of vulnerabilities that no image has, by the time at which their records are dropped.
pub(super) const UNSEEN_LIST: &str = "UNSEEN";
/// The list of assets whose current scan has changed and whose occurrences are not updated yet, by the time at which
/// recovery updates them.
pub(super) const MOVED_LIST: &str = "MOVED";
/// The sparse index of current scans by when they were last seen.
pub(super) const FLEET_INDEX: &str = "fleet";
/// Its partition key; one value.
pub(super) const FLEET: &str = "fleet";
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
    /// The claim on a report: the attempt that is ingesting it, or its scan.
    Claim(ReportHash),
    Scan(ScanId),
    /// The entry of a scan under the name of its asset.
    ImageScan(ImageName, ScanId),
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
    Upload(UploadId),
    /// The facts of each source about a vulnerability.
    SourceRecords(VulnerabilityId),
    /// The summary of these facts.
    VulnerabilitySummary(VulnerabilityId),
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
    pub(super) fn pk(&self) -> String {
        match self {
            Self::Claim(hash) => format!("REPORT#{hash}"),
            Self::Scan(scan) | Self::Outbox(scan) | Self::Deletion(scan) | Self::Reopened(scan) => {
                format!("SCAN#{scan}")
            }
            Self::Upload(upload) => format!("UPLOAD#{upload}"),
            Self::SourceRecords(id) | Self::VulnerabilitySummary(id) | Self::Alias(id) => format!("CVE#{id}"),
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
            Self::Finding(scan, ordinal) => block_pk(*scan, ordinal.get()),
            Self::Counter | Self::Total(_) => COUNTERS.to_owned(),
        }
    }

    pub(super) fn sk(&self) -> String {
        match self {
            Self::Claim(_) => "CLAIM".to_owned(),
            Self::Scan(_) | Self::Counter => "SCAN".to_owned(),
            Self::Outbox(_) => "OUTBOX".to_owned(),
            Self::Deletion(_) => "DELETION".to_owned(),
            Self::Reopened(_) => "REOPENED".to_owned(),
            Self::Upload(_) => "UPLOAD".to_owned(),
            Self::SourceRecords(_) => "ENRICHMENT".to_owned(),
            Self::VulnerabilitySummary(_) => "SUMMARY".to_owned(),
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
            Self::Total(shard) => format!("TOTAL#{shard}"),
        }
    }

    pub(super) fn attributes(&self) -> HashMap<String, AttributeValue> {
        HashMap::from([(PK.to_owned(), AttributeValue::S(self.pk())), (SK.to_owned(), AttributeValue::S(self.sk()))])
    }

    /// Parses the two keys of an item; none if Sirius never writes such keys.
    pub(super) fn parse(pk: &str, sk: &str) -> Option<Self> {
        let (kind, name) = pk.split_once('#').unwrap_or((pk, ""));
        let key = match (kind, sk) {
            (COUNTERS, "SCAN") => Self::Counter,
            (COUNTERS, _) => Self::Total(sk.strip_prefix("TOTAL#")?.parse().ok()?),
            ("WALK", _) => Self::Walk(Walk::ALL.into_iter().find(|walk| walk.as_str() == name)?),
            ("ORDERS", _) => Self::Orders(name.parse().ok()?),
            ("SUBJECT", _) => Self::LatestAnswer(name.parse().ok()?),
            ("REPORT", _) => Self::Claim(name.parse().ok()?),
            ("PROMPT", "ANALYSIS") => Self::Analysis(name.parse().ok()?),
            ("PROMPT", _) => Self::Question(name.parse().ok()?),
            ("UPLOAD", _) => Self::Upload(name.parse().ok()?),
            ("CVE", "SUMMARY") => Self::VulnerabilitySummary(name.parse().ok()?),
            ("CVE", "ALIAS") => Self::Alias(name.parse().ok()?),
            ("CVE", _) => Self::SourceRecords(name.parse().ok()?),
            ("OCCURRENCES", _) => Self::Occurrences(name.parse().ok().and_then(Bucket::new)?, sk.parse().ok()?),
            ("FIRSTSEEN", _) => Self::FirstSeen(name.parse().ok().and_then(Bucket::new)?, sk.parse().ok()?),
            ("SOURCE", _) => Self::Source(name.to_owned()),
            ("FEED", _) => Self::Feed(FeedName::ALL.into_iter().find(|feed| feed.as_str() == name)?),
            ("IMAGE", _) => match sk.strip_prefix(ASSETS) {
                Some(asset) => {
                    let (platform, alone) = asset.split_once('#').map_or((asset, None), |(p, scan)| (p, Some(scan)));
                    let platform = if platform.is_empty() { None } else { Some(platform.parse::<Platform>().ok()?) };
                    let alone = alone.map(str::parse::<ScanId>).transpose().ok()?;
                    Self::Asset(Asset { name: name.parse().ok()?, platform, alone })
                }
                None => {
                    let scan = sk.strip_prefix("SCAN#")?.parse().ok().and_then(ScanId::new)?;
                    Self::ImageScan(name.parse().ok()?, scan)
                }
            },
            ("SCAN", "SCAN") => Self::Scan(name.parse().ok()?),
            ("SCAN", "OUTBOX") => Self::Outbox(name.parse().ok()?),
            ("SCAN", "DELETION") => Self::Deletion(name.parse().ok()?),
            ("SCAN", "REOPENED") => Self::Reopened(name.parse().ok()?),
            ("SCAN", _) => {
                let ordinal = sk.strip_prefix("FINDING#")?.parse().ok().and_then(Ordinal::new)?;
                Self::Finding(name.split_once('#')?.0.parse().ok()?, ordinal)
            }
            _ => return None,
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

/// The sort key of an image's scan: padded to the ten digits of [`ScanId::MAX`], so that the newest is the last.
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

/// The partition of the block that a finding is in.
pub(super) fn block_pk(scan: ScanId, ordinal: u32) -> String {
    format!("SCAN#{scan}#{}", ordinal / FINDINGS_PER_BLOCK)
}

pub(super) fn finding_sk(ordinal: u32) -> String {
    format!("FINDING#{ordinal:06}")
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
            vulnerability().prop_map(Key::SourceRecords),
            vulnerability().prop_map(Key::VulnerabilitySummary),
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
