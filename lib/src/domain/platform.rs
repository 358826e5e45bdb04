//! Platforms of images.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::text::impl_string_wrapper;

/// `os/architecture` or `os/architecture/variant` in lower case, as in the image's configuration:
/// <https://github.com/opencontainers/image-spec/blob/main/config.md>.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Platform(String);

/// The text is not a platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not a platform, such as linux/amd64 or linux/arm/v7")]
pub struct ParsePlatformError;

impl Platform {
    const MAX_BYTES: usize = 64;

    /// Returns the form that is compared: builders write the default variant of an architecture or leave it out
    /// (<https://github.com/containerd/platforms/blob/main/database.go>).
    #[must_use]
    pub fn normal(&self) -> Self {
        let (os, architecture) = self.0.split_once('/').unwrap_or((&self.0, ""));
        let architecture = match architecture {
            "x86_64" | "x86-64" | "amd64/v1" => "amd64",
            "aarch64" | "arm64/8" | "arm64/v8" => "arm64",
            "arm" | "armhf" | "arm/7" => "arm/v7",
            "armel" | "arm/6" => "arm/v6",
            "i386" | "i486" | "i586" | "i686" => "386",
            other => other,
        };
        Self(format!("{}/{architecture}", if os == "macos" { "darwin" } else { os }))
    }
}

impl FromStr for Platform {
    type Err = ParsePlatformError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_part = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        let parts = text.split('/').count();
        if (2..=3).contains(&parts) && text.len() <= Self::MAX_BYTES && text.split('/').all(is_part) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(ParsePlatformError)
        }
    }
}

impl_string_wrapper!(Platform);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_that_goes_without_saying_makes_no_other_platform() {
        for (stated, normal) in [
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v9", "linux/arm64/v9"),
            ("linux/x86_64", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/v6", "linux/arm/v6"),
            ("windows/amd64", "windows/amd64"),
        ] {
            let platform: Platform = stated.parse().unwrap();
            assert_eq!(platform.normal().as_str(), normal, "{stated}");
            assert_eq!(platform.normal().normal(), platform.normal(), "{stated}");
        }
    }

    #[test]
    fn a_platform_is_an_operating_system_and_an_architecture() {
        assert_eq!("Linux/ARM/v7".parse::<Platform>().unwrap().as_str(), "linux/arm/v7");
        for wrong in ["", "linux", "linux/", "/amd64", "a/b/c/d", "linux/am d64", "linux/é"] {
            assert_eq!(wrong.parse::<Platform>(), Err(ParsePlatformError), "{wrong}");
        }
    }
}
