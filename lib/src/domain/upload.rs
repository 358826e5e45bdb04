//! An object that was put into the bucket to be ingested, and how that went.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::image_name::ImageName;
use super::scan::ScanId;
use super::warning::Warning;
use super::{instant, random};

/// Names an upload: the key of its object in the bucket, without the prefix [`UploadId::PREFIX`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UploadId(String);

/// The text cannot name an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UploadIdError {
    /// Nothing.
    #[error("is empty")]
    Empty,
    /// Longer than S3 takes.
    #[error("is longer than {} bytes", UploadId::MAX_BYTES)]
    TooLong,
    /// Cannot be asked for, nor logged safely.
    #[error("has a control character")]
    ControlCharacter,
}

impl UploadId {
    /// Where uploads lie in the bucket. Nothing else lies there, and only this is watched.
    pub const PREFIX: &str = "uploads/";

    /// What is left of the 1,024 bytes of a key:
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>.
    pub const MAX_BYTES: usize = 1024 - Self::PREFIX.len();

    /// A name made of 128 random bits.
    ///
    /// # Errors
    /// If the operating system has no randomness.
    pub fn random() -> Result<Self, getrandom::Error> {
        random::name().map(Self)
    }

    /// The upload whose object has this key; none if it is not one, or its name is unfit.
    #[must_use]
    pub fn of_key(key: &str) -> Option<Self> {
        key.strip_prefix(Self::PREFIX)?.parse().ok()
    }

    /// The object's key.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}{}", Self::PREFIX, self.0)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UploadId {
    type Err = UploadIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.to_owned().try_into()
    }
}

impl TryFrom<String> for UploadId {
    type Error = UploadIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.is_empty() {
            Err(UploadIdError::Empty)
        } else if text.len() > Self::MAX_BYTES {
            Err(UploadIdError::TooLong)
        } else if text.chars().any(char::is_control) {
            Err(UploadIdError::ControlCharacter)
        } else {
            Ok(Self(text))
        }
    }
}

impl From<UploadId> for String {
    fn from(id: UploadId) -> Self {
        id.0
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The place of an event among those of the same key: the greater one came later.
///
/// S3 gives a hexadecimal number without a fixed length; two of them are compared as text once the shorter one has zeros
/// before it: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>. So it is kept
/// with zeros before it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sequencer(String);

/// The text is not a sequencer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a hexadecimal number of at most {} digits", Sequencer::DIGITS)]
pub struct SequencerError;

impl Sequencer {
    /// More than S3 has ever used.
    const DIGITS: usize = 64;
}

impl FromStr for Sequencer {
    type Err = SequencerError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_number = (1..=Self::DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_number {
            return Err(SequencerError);
        }
        Ok(Self(format!("{:0>width$}", text.to_ascii_uppercase(), width = Self::DIGITS)))
    }
}

impl TryFrom<String> for Sequencer {
    type Error = SequencerError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Sequencer> for String {
    fn from(sequencer: Sequencer) -> Self {
        sequencer.0
    }
}

/// What is known of an upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// Which it is.
    pub upload_id: UploadId,
    /// How far it is.
    #[serde(flatten)]
    pub state: State,
    /// What its sender says was scanned; without it the report must say so itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_name: Option<ImageName>,
    /// The content that the state is about: another object of the same key is another upload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Which event told of it: the same bytes may be put there again, and are another upload then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequencer: Option<Sequencer>,
    /// When the state was written.
    #[serde(serialize_with = "instant::serialize")]
    pub updated_at: Timestamp,
}

/// How far an upload is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum State {
    /// It was asked for, and nothing has come yet.
    AwaitingUpload,
    /// It lies in the bucket. Never stored: the bucket knows.
    Received,
    /// Someone is at it.
    Ingesting,
    /// Its report is in.
    Done {
        /// As this scan.
        scan_id: ScanId,
        /// The report had been ingested before.
        duplicate: bool,
        /// The scan became, or still was, the current one of its image.
        #[serde(default)]
        current: bool,
        /// What its sender should know.
        #[serde(default)]
        warnings: Vec<Warning>,
    },
    /// It can never be ingested.
    Failed {
        /// A stable name of the reason, one of those of the API's problems.
        code: String,
        /// The reason in words.
        reason: String,
    },
}

impl Upload {
    /// Whether nothing is left to do, for whichever object of this name it is about.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        matches!(self.state, State::Done { .. } | State::Failed { .. })
    }

    /// Whether this is about the object of which that event tells.
    #[must_use]
    pub fn is_about(&self, etag: &str, sequencer: Option<&Sequencer>) -> bool {
        self.etag.as_deref() == Some(etag) && self.sequencer.as_ref() == sequencer
    }

    /// Whether this is about an object that was put there after the one of which that event tells.
    #[must_use]
    pub fn is_newer(&self, sequencer: Option<&Sequencer>) -> bool {
        self.sequencer.as_ref().zip(sequencer).is_some_and(|(known, other)| known > other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_is_named_by_its_key() {
        let id = UploadId::of_key("uploads/ci/build 7/a+b.json.gz").unwrap();
        assert_eq!((id.as_str(), id.key().as_str()), ("ci/build 7/a+b.json.gz", "uploads/ci/build 7/a+b.json.gz"));
    }

    #[test]
    fn other_keys_are_no_uploads() {
        for key in ["", "uploads", "uploads/", "reports/a", "Uploads/a", "/uploads/a", "uploads/a\n"] {
            assert_eq!(UploadId::of_key(key), None, "{key:?}");
        }
        assert_eq!(UploadId::of_key(&format!("uploads/{}", "x".repeat(1017))), None);
    }

    #[test]
    fn two_random_names_differ() {
        assert_ne!(UploadId::random().unwrap(), UploadId::random().unwrap());
    }

    #[test]
    fn the_longer_sequencer_is_not_the_later_one() {
        let sequencer = |text: &str| text.parse::<Sequencer>().unwrap();
        assert!(sequencer("0055AED6DCD90281E5") > sequencer("55AED6DCD90281E4"));
        assert!(sequencer("0055AED6DCD90281E5") < sequencer("0155AED6DCD90281E5"));
        for wrong in ["", "g", "-1", " 1", &"0".repeat(65)] {
            assert!(wrong.parse::<Sequencer>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn another_content_or_another_event_is_another_upload() {
        let upload = Upload {
            upload_id: "a".parse().unwrap(),
            state: State::Failed { code: "invalid_json".into(), reason: "no".into() },
            image_name: None,
            etag: Some("1".into()),
            sequencer: Some("0A".parse().unwrap()),
            updated_at: Timestamp::UNIX_EPOCH,
        };
        let sequencer = |text: &str| text.parse::<Sequencer>().unwrap();
        assert!(upload.is_settled() && upload.is_about("1", Some(&sequencer("0a"))));
        assert!(!upload.is_about("2", Some(&sequencer("0a"))) && !upload.is_about("1", Some(&sequencer("01"))));
        assert!(upload.is_newer(Some(&sequencer("9"))) && !upload.is_newer(Some(&sequencer("A"))));
        assert!(!upload.is_newer(Some(&sequencer("000000B"))) && !upload.is_newer(None));
        assert!(!Upload { state: State::Ingesting, ..upload }.is_settled());
    }
}
