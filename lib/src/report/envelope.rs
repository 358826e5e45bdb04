//! The members of a report's top level that Sirius uses. Every one of them is optional in Trivy's structs:
//! <https://github.com/aquasecurity/trivy/blob/main/pkg/types/report.go>.

use std::fmt;
use std::marker::PhantomData;

use jiff::Timestamp;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::domain::platform::Platform;

#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Envelope<'c> {
    pub(super) schema_version: Option<Value>,
    pub(super) artifact_name: Option<String>,
    #[serde(rename = "ArtifactID")]
    pub(super) artifact_id: Option<String>,
    pub(super) artifact_type: Option<String>,
    #[serde(borrow, deserialize_with = "object")]
    pub(super) metadata: Option<Metadata<'c>>,
    #[serde(deserialize_with = "object")]
    pub(super) trivy: Option<Trivy>,
    /// Kept as text until it is known that the document is Trivy's.
    #[serde(borrow)]
    pub(super) results: Option<&'c RawValue>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Metadata<'c> {
    #[serde(rename = "OS", deserialize_with = "object")]
    pub(super) os: Option<Os>,
    #[serde(rename = "ImageID")]
    pub(super) image_id: Option<String>,
    pub(super) reference: Option<String>,
    #[serde(rename = "RepoURL")]
    pub(super) repo_url: Option<String>,
    pub(super) repo_tags: Option<Vec<String>>,
    pub(super) repo_digests: Option<Vec<String>>,
    #[serde(borrow, deserialize_with = "object")]
    pub(super) image_config: Option<ImageConfig<'c>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Os {
    pub(super) family: Option<String>,
    pub(super) name: Option<String>,
    #[serde(rename = "EOSL")]
    pub(super) eosl: Option<bool>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Trivy {
    pub(super) version: Option<String>,
}

/// The image's own words, which are not Trivy's: what cannot be read of them is not there.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct ImageConfig<'c> {
    #[serde(borrow)]
    os: Option<&'c RawValue>,
    #[serde(borrow)]
    architecture: Option<&'c RawValue>,
    #[serde(borrow)]
    variant: Option<&'c RawValue>,
    #[serde(borrow)]
    created: Option<&'c RawValue>,
}

/// Reproducible builds set the time of an image to 0 or to 1980; there was no Docker before 2013.
const FIRST_IMAGE: Timestamp = Timestamp::constant(1_356_998_400, 0);
/// The end of the year 2100.
const LAST_IMAGE: Timestamp = Timestamp::constant(4_133_980_799, 0);

impl ImageConfig<'_> {
    /// The platform, if both system and architecture are given.
    pub(super) fn platform(&self) -> Option<Platform> {
        let word = |raw| text(raw).filter(|word| !word.is_empty() && !word.contains('/'));
        let platform = format!("{}/{}", word(self.os)?, word(self.architecture)?);
        let variant = word(self.variant).and_then(|variant| format!("{platform}/{variant}").parse().ok());
        variant.or_else(|| platform.parse().ok())
    }

    /// The time at which the image was built, if it says so.
    pub(super) fn created_at(&self) -> Option<Timestamp> {
        let created: Timestamp = text(self.created)?.parse().ok()?;
        (FIRST_IMAGE..=LAST_IMAGE).contains(&created).then_some(created)
    }
}

fn text(raw: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(raw?.get()).ok()
}

/// Reads an object or `null`. What serde derives would take an array as well, as the values of the fields in turn.
pub(super) fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    struct ObjectVisitor<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
        type Value = Option<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_unit<E>(self) -> Result<Option<T>, E> {
            Ok(None)
        }

        fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Option<T>, A::Error> {
            T::deserialize(MapAccessDeserializer::new(members)).map(Some)
        }
    }

    deserializer.deserialize_any(ObjectVisitor(PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> ImageConfig<'_> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_platform_needs_a_system_and_an_architecture() {
        for (json, platform) in [
            (r#"{"os":"linux","architecture":"amd64"}"#, Some("linux/amd64")),
            (r#"{"os":"Linux","architecture":"ARM","variant":"v7"}"#, Some("linux/arm/v7")),
            (r#"{"os":"linux","architecture":"arm64","variant":""}"#, Some("linux/arm64")),
            (r#"{"os":"linux","architecture":"arm64","variant":["v8"]}"#, Some("linux/arm64")),
            (r#"{"os":"linux","architecture":"arm64","variant":"v 8"}"#, Some("linux/arm64")),
            (r#"{"os":"linux"}"#, None),
            (r#"{"os":"","architecture":"amd64"}"#, None),
            (r#"{"os":"linux/arm","architecture":"v7"}"#, None),
            (r#"{"os":"linux","architecture":7}"#, None),
            (r#"{"os":"linux","architecture":"amd 64"}"#, None),
        ] {
            assert_eq!(config(json).platform().as_ref().map(Platform::as_str), platform, "{json}");
        }
    }

    #[test]
    fn the_time_of_a_reproducible_build_is_none() {
        for (created, is_one) in [
            ("\"2024-01-02T03:04:05Z\"", true),
            ("\"2013-01-01T00:00:00Z\"", true),
            ("\"2100-12-31T23:59:59Z\"", true),
            ("\"2012-12-31T23:59:59.9Z\"", false),
            ("\"2101-01-01T00:00:00Z\"", false),
            ("\"1980-01-01T00:00:00Z\"", false),
            ("\"0001-01-01T00:00:00Z\"", false),
            ("\"yesterday\"", false),
            ("0", false),
            ("null", false),
        ] {
            let json = format!("{{\"created\":{created}}}");
            assert_eq!(config(&json).created_at().is_some(), is_one, "{created}");
        }
    }
}
