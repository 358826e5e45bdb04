//! Uploads: objects in the bucket that are ingested, and the state of that.

use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::declared::Declared;
use super::scan::ScanId;
use super::text::impl_string_wrapper;
use super::warning::Warning;
use super::{instant, random};

/// The id of an upload: the key of its object without [`UploadId::PREFIX`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UploadId(String);

/// The text cannot name an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages describe the variants")]
pub enum UploadIdError {
    #[error("is empty")]
    Empty,
    #[error("is longer than {} bytes", UploadId::MAX_BYTES)]
    TooLong,
    #[error("has a control character")]
    ControlCharacter,
}

impl UploadId {
    /// The prefix of uploads in the bucket, which only uploads have and which alone causes events.
    pub const PREFIX: &str = "uploads/";

    /// The rest of the 1,024 bytes of a key:
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>.
    pub const MAX_BYTES: usize = 1024 - Self::PREFIX.len();

    /// Creates an id of 128 random bits.
    ///
    /// # Errors
    /// If the operating system has no randomness.
    pub fn random() -> Result<Self, getrandom::Error> {
        random::name().map(Self)
    }

    /// Returns the id of the upload with this key; none if it is no upload or no valid id.
    #[must_use]
    pub fn of_key(key: &str) -> Option<Self> {
        key.strip_prefix(Self::PREFIX)?.parse().ok()
    }

    /// Returns the key of the object.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}{}", Self::PREFIX, self.0)
    }
}

impl FromStr for UploadId {
    type Err = UploadIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            Err(UploadIdError::Empty)
        } else if text.len() > Self::MAX_BYTES {
            Err(UploadIdError::TooLong)
        } else if text.chars().any(char::is_control) {
            Err(UploadIdError::ControlCharacter)
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

/// The order of an event among those of the same key; the greater one is the later one.
///
/// A hexadecimal number of S3 without a fixed length, kept with leading zeros so that it compares as text:
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sequencer(String);

/// The text is not a sequencer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a hexadecimal number of at most {} digits", Sequencer::DIGITS)]
pub struct SequencerError;

impl Sequencer {
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

/// An upload and its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// The id.
    pub upload_id: UploadId,
    /// The state.
    #[serde(flatten)]
    pub state: State,
    /// What its sender declares; the metadata of the object may declare the rest.
    #[serde(flatten)]
    pub declared: Declared,
    /// The `ETag` of the object that the state is about: another object of the same key is another upload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The event of that object: a second event of the same bytes is another upload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequencer: Option<Sequencer>,
    /// The time at which the state was written.
    #[serde(serialize_with = "instant::serialize")]
    pub updated_at: Timestamp,
}

/// The state of an upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum State {
    /// It was requested; the object is missing.
    AwaitingUpload,
    /// The object is in the bucket. Never stored: the bucket shows it.
    Received,
    /// A function ingests it.
    Ingesting,
    /// Its report was ingested.
    Done {
        /// The scan of the report.
        scan_id: ScanId,
        /// The report had been ingested earlier.
        duplicate: bool,
        /// The scan is the current one of its image.
        #[serde(default)]
        current: bool,
        /// Warnings for the sender.
        #[serde(default)]
        warnings: Vec<Warning>,
    },
    /// It cannot be ingested.
    Failed {
        /// A problem code of the API.
        code: String,
        /// The reason.
        reason: String,
    },
}

impl Upload {
    /// Tells whether the ingestion has ended.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        matches!(self.state, State::Done { .. } | State::Failed { .. })
    }

    /// Tells whether this is about the object of an event.
    #[must_use]
    pub fn is_about(&self, etag: &str, sequencer: Option<&Sequencer>) -> bool {
        self.etag.as_deref() == Some(etag) && self.sequencer.as_ref() == sequencer
    }

    /// Tells whether this is about an object that is newer than that of an event.
    #[must_use]
    pub fn is_newer(&self, sequencer: Option<&Sequencer>) -> bool {
        self.sequencer.as_ref().zip(sequencer).is_some_and(|(known, other)| known > other)
    }
}

impl_string_wrapper!(UploadId);
impl_string_wrapper!(Sequencer);

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
            declared: Declared::default(),
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
