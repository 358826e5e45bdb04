//! What a report calls the thing that was scanned.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of an artifact as its report gives it: an image reference, a tar path, `.` …
///
/// Any text of 1 to [`ImageName::MAX_BYTES`] bytes without control characters: Trivy writes what
/// was typed on its command line, so a stricter grammar would refuse real reports.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageName(String);

/// The text cannot name an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ImageNameError {
    /// Nothing, or only white space.
    #[error("is empty")]
    Empty,
    /// Longer than a partition key should be.
    #[error("is longer than {} bytes", ImageName::MAX_BYTES)]
    TooLong,
    /// A line feed, an escape …: such a name cannot be asked for, nor logged safely.
    #[error("has a control character")]
    ControlCharacter,
}

impl ImageName {
    /// Half of the 2,048 bytes that DynamoDB allows a partition key:
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>.
    pub const MAX_BYTES: usize = 1024;

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ImageName {
    type Error = ImageNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.trim().is_empty() {
            Err(ImageNameError::Empty)
        } else if text.len() > Self::MAX_BYTES {
            Err(ImageNameError::TooLong)
        } else if text.chars().any(char::is_control) {
            Err(ImageNameError::ControlCharacter)
        } else {
            Ok(Self(text))
        }
    }
}

impl FromStr for ImageName {
    type Err = ImageNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.to_owned().try_into()
    }
}

impl From<ImageName> for String {
    fn from(name: ImageName) -> Self {
        name.0
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_trivy_was_asked_to_scan_is_a_name() {
        for name in ["ghcr.io/org/app:1.0@sha256:00", ".", "/tmp/my image.tar", "100%", "a?b", "образ:1"] {
            assert_eq!(name.parse::<ImageName>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn an_empty_endless_or_unprintable_name_is_refused() {
        assert_eq!(" ".parse::<ImageName>(), Err(ImageNameError::Empty));
        assert_eq!("a\nb".parse::<ImageName>(), Err(ImageNameError::ControlCharacter));
        assert_eq!("x".repeat(1025).parse::<ImageName>(), Err(ImageNameError::TooLong));
    }
}
