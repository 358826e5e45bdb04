//! Assets, within which scans replace each other, and the lineages of assets over all tags.

use std::fmt;
use std::str::FromStr;

use super::digest::{half_sha256, hex, impl_hex, parse_hex};
use super::image_name::ImageName;
use super::platform::Platform;
use super::scan::{Artifact, ScanId};

/// An image name on a platform, of which one scan is current. A nameless scan is an asset of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asset {
    /// The name in its familiar form: `docker.io/library/x` and `x` are one asset.
    pub name: ImageName,
    /// The platform in its normal form; none if the reports do not name it.
    pub platform: Option<Platform>,
    /// The only scan of a nameless asset.
    pub alone: Option<ScanId>,
}

impl Asset {
    /// Returns the asset of a scan.
    #[must_use]
    pub fn of(scan_id: ScanId, artifact: &Artifact) -> Self {
        Self {
            name: artifact.familiar_name(),
            platform: artifact.platform.as_ref().map(Platform::normal),
            alone: artifact.nameless.then_some(scan_id),
        }
    }

    /// Returns the key of the asset in the table, and of its lineage: its repository on its platform, over all tags.
    #[must_use]
    pub fn key(&self) -> AssetKey {
        let platform = self.platform.as_ref().map_or("", Platform::as_str);
        let alone = self.alone.map(|scan| scan.to_string()).unwrap_or_default();
        let repository = if self.alone.is_some() { self.name.as_str() } else { self.name.repository() };
        AssetKey {
            lineage: LineageKey(half_sha256("", ["lineage", repository, platform, &alone])),
            asset: half_sha256("", ["asset", self.name.as_str(), platform, &alone]),
        }
    }
}

/// The key of a repository on a platform: 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineageKey([u8; 16]);

/// The key of an asset, `<32 hexadecimal digits>#<32 hexadecimal digits>`: the lineage comes first, so that the assets of
/// a lineage are adjacent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssetKey {
    lineage: LineageKey,
    asset: [u8; 16],
}

impl AssetKey {
    /// Returns the lineage.
    #[must_use]
    pub const fn lineage(&self) -> LineageKey {
        self.lineage
    }
}

impl fmt::Display for AssetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.lineage, hex(&self.asset))
    }
}

impl fmt::Debug for AssetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AssetKey({self})")
    }
}

/// The text is not the key of an asset or a lineage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not the key of an asset or a lineage")]
pub struct ParseAssetKeyError;

impl_hex!(LineageKey, ParseAssetKeyError);

impl FromStr for AssetKey {
    type Err = ParseAssetKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (lineage, asset) = text.split_once('#').ok_or(ParseAssetKeyError)?;
        Ok(Self { lineage: lineage.parse()?, asset: parse_hex(asset).ok_or(ParseAssetKeyError)? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn asset(name: &str, platform: Option<&str>, alone: Option<u64>) -> Asset {
        Asset {
            name: name.parse().unwrap(),
            platform: platform.map(|platform| platform.parse().unwrap()),
            alone: alone.and_then(ScanId::new),
        }
    }

    #[test]
    fn tags_share_a_lineage_and_platforms_do_not() {
        let one = asset("r.example/shop:1", Some("linux/amd64"), None).key();
        let two = asset("r.example/shop:2", Some("linux/amd64"), None).key();
        let arm = asset("r.example/shop:1", Some("linux/arm64"), None).key();
        assert_eq!(one.lineage(), two.lineage());
        assert_ne!(one, two);
        assert_ne!(one.lineage(), arm.lineage());
    }

    #[test]
    fn scans_without_a_name_share_nothing() {
        let (one, two) = (asset(".", None, Some(1)).key(), asset(".", None, Some(2)).key());
        assert_ne!(one.lineage(), two.lineage());
        assert_ne!(one, asset(".", None, None).key());
    }

    proptest! {
        #[test]
        fn a_key_is_read_back_from_its_text(lineage: [u8; 16], asset: [u8; 16]) {
            let key = AssetKey { lineage: LineageKey(lineage), asset };
            prop_assert_eq!(key.to_string().parse(), Ok(key));
            prop_assert_eq!(key.lineage().to_string().parse(), Ok(key.lineage()));
        }

        #[test]
        fn other_text_is_no_key(text in "[0-9a-f#+A-F]{0,70}") {
            prop_assume!(!(text.len() == 65 && text.as_bytes()[32] == b'#'));
            prop_assert_eq!(text.parse::<AssetKey>(), Err(ParseAssetKeyError));
        }
    }
}
