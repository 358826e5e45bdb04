//! Reads the top-level members of a report. Each of them is optional in Trivy's structs:
//! <https://github.com/aquasecurity/trivy/blob/main/pkg/types/report.go>.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::de::{Deserialize, DeserializeSeed as _, Deserializer, IgnoredAny, SeqAccess};
use serde_json::value::RawValue;

use super::finding::Text;
use super::reader::{Read, Reader, flag, object};
use crate::domain::platform::Platform;

#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Envelope<'c> {
    #[serde(borrow)]
    pub(super) schema_version: Option<&'c RawValue>,
    #[serde(borrow)]
    pub(super) artifact_name: Option<Text<'c>>,
    #[serde(borrow, rename = "ArtifactID")]
    pub(super) artifact_id: Option<Text<'c>>,
    #[serde(borrow)]
    pub(super) artifact_type: Option<Text<'c>>,
    #[serde(borrow, deserialize_with = "object")]
    pub(super) metadata: Option<Metadata<'c>>,
    #[serde(borrow, deserialize_with = "object")]
    pub(super) trivy: Option<Trivy<'c>>,
    /// Read after the checks that the document is a report of Trivy.
    #[serde(borrow)]
    pub(super) results: Option<&'c RawValue>,
}

impl Envelope<'_> {
    /// Tells whether `SchemaVersion` is 2; canonical text has 2.0 as 2.
    pub(super) fn is_version_2(&self) -> bool {
        self.schema_version.is_some_and(|version| version.get() == "2")
    }
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Metadata<'c> {
    #[serde(borrow, rename = "OS", deserialize_with = "object")]
    pub(super) os: Option<Os<'c>>,
    #[serde(borrow, rename = "ImageID")]
    pub(super) image_id: Option<Text<'c>>,
    #[serde(borrow)]
    pub(super) reference: Option<Text<'c>>,
    #[serde(borrow, rename = "RepoURL")]
    pub(super) repo_url: Option<Text<'c>>,
    #[serde(borrow)]
    pub(super) repo_tags: Option<Texts<'c>>,
    #[serde(borrow)]
    pub(super) repo_digests: Option<Texts<'c>>,
    #[serde(borrow, deserialize_with = "object")]
    pub(super) image_config: Option<ImageConfig<'c>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Os<'c> {
    #[serde(borrow)]
    pub(super) family: Option<Text<'c>>,
    #[serde(borrow)]
    pub(super) name: Option<Text<'c>>,
    #[serde(rename = "EOSL", deserialize_with = "flag")]
    pub(super) eosl: Option<bool>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Trivy<'c> {
    #[serde(borrow)]
    pub(super) version: Option<Text<'c>>,
}

/// The first [`MAX_TEXTS`] texts of an array.
#[derive(Debug, Default)]
pub(super) struct Texts<'c>(pub(super) Vec<Cow<'c, str>>);

/// The most texts of one array; an image has a digest in each repository, and its tags.
const MAX_TEXTS: usize = 1000;

impl<'de: 'c, 'c> Deserialize<'de> for Texts<'c> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextsReader;

        impl<'c> Reader<'c> for TextsReader {
            type Value = Texts<'c>;

            const EXPECTED: &'static str = "an array of strings";

            fn array<A: SeqAccess<'c>>(self, mut items: A) -> Result<Texts<'c>, A::Error> {
                let mut texts = Vec::new();
                while texts.len() < MAX_TEXTS
                    && let Some(Text(text)) = items.next_element()?
                {
                    texts.push(text);
                }
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Texts(texts))
            }
        }

        Read(TextsReader).deserialize(deserializer)
    }
}

/// The image's configuration, which is not Trivy's: unreadable members count as missing.
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

/// The start of 2013, before the first release of Docker: reproducible builds set the time of an image to 0 or to 1980.
const FIRST_IMAGE: Timestamp = Timestamp::constant(1_356_998_400, 0);
/// The end of the year 2100.
const LAST_IMAGE: Timestamp = Timestamp::constant(4_133_980_799, 0);

impl ImageConfig<'_> {
    /// Returns the platform, if both system and architecture are given.
    pub(super) fn platform(&self) -> Option<Platform> {
        let word = |raw| text(raw).filter(|word| !word.is_empty() && !word.contains('/'));
        let platform = format!("{}/{}", word(self.os)?, word(self.architecture)?);
        let variant = word(self.variant).and_then(|variant| format!("{platform}/{variant}").parse().ok());
        variant.or_else(|| platform.parse().ok())
    }

    /// Returns the time at which the image was built, if it is plausible.
    pub(super) fn created_at(&self) -> Option<Timestamp> {
        let created: Timestamp = text(self.created)?.parse().ok()?;
        (FIRST_IMAGE..=LAST_IMAGE).contains(&created).then_some(created)
    }
}

fn text(raw: Option<&RawValue>) -> Option<String> {
    const MAX_BYTES: usize = 1024;
    serde_json::from_str(raw.map(RawValue::get).filter(|json| json.len() <= MAX_BYTES)?).ok()
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
