//! Reads the notifications of S3 about new objects.
//!
//! Shapes: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>.

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::domain::upload::UploadId;
use crate::pipeline::ingest_upload::Object;

/// The body of a message: records, or the test message that S3 sends when the notification is set up.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Notification {
    Records {
        /// Each is parsed on its own, so that an invalid one does not affect the others.
        #[serde(rename = "Records")]
        records: Vec<serde_json::Value>,
    },
    Test {
        #[serde(rename = "Service")]
        _service: IgnoredAny,
        #[serde(rename = "Event")]
        event: String,
    },
}

impl Notification {
    /// Returns whether it is the test message of S3.
    pub(super) fn is_test(&self) -> bool {
        matches!(self, Self::Test { event, .. } if event == "s3:TestEvent")
    }
}

/// One event of an object.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    event_version: String,
    event_source: String,
    event_name: String,
    s3: Entity,
}

#[derive(Debug, Deserialize)]
struct Entity {
    bucket: Bucket,
    object: Content,
}

#[derive(Debug, Deserialize)]
struct Bucket {
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    key: String,
    /// Only in events of created objects.
    size: Option<u64>,
    e_tag: Option<String>,
    sequencer: Option<String>,
}

/// Why a record is not ours: it is not from S3, or not about our bucket.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record {0}")]
pub(super) struct NotOurs(&'static str);

impl Record {
    /// Parses a record.
    pub(super) fn read(record: serde_json::Value) -> Result<Self, NotOurs> {
        // serde accepts an array in the place of an object.
        let is_object = |value: &serde_json::Value| value.is_object();
        let objects = [record.get("s3"), record.pointer("/s3/bucket"), record.pointer("/s3/object")];
        let is_one = is_object(&record) && objects.iter().all(|value| value.is_some_and(is_object));
        let record = Some(record).filter(|_| is_one).and_then(|record| serde_json::from_value(record).ok());
        record.ok_or(NotOurs("that is not a record of S3"))
    }

    /// Returns the object that was created under the prefix of uploads in `bucket`; none for any other event.
    pub(super) fn created(&self, bucket: &str) -> Result<Option<Object>, NotOurs> {
        if self.event_source != "aws:s3" {
            return Err(NotOurs("that is not of S3"));
        }
        // A minor version only adds members.
        if self.event_version.split('.').next() != Some("2") {
            return Err(NotOurs("of an unknown version"));
        }
        // A forged message could name any bucket that the function may read.
        if self.s3.bucket.name != bucket {
            return Err(NotOurs("of another bucket"));
        }
        // S3 sends `ObjectCreated:Put`; some emulators add a prefix.
        let name = self.event_name.strip_prefix("s3:").unwrap_or(&self.event_name);
        if !name.starts_with("ObjectCreated:") {
            return Ok(None);
        }
        let content = &self.s3.object;
        let key = decode(&content.key).ok_or(NotOurs("whose key is not UTF-8"))?;
        // Consoles create such an object for a folder.
        if key.ends_with('/') && content.size == Some(0) {
            return Ok(None);
        }
        let id = UploadId::of_key(&key).ok_or(NotOurs("whose key is not that of an upload"))?;
        let (Some(etag), Some(size)) = (&content.e_tag, content.size) else {
            return Err(NotOurs("of an object without ETag or size"));
        };
        let etag = etag.trim_matches('"').to_owned();
        if etag.is_empty() || !etag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(NotOurs("whose ETag is not valid"));
        }
        let sequencer = content.sequencer.as_deref().and_then(|sequencer| sequencer.parse().ok());
        Ok(Some(Object { id, etag, sequencer, size }))
    }
}

/// Decodes a key, which is encoded like a form: `+` is a space, and the rest percent-encoded.
fn decode(key: &str) -> Option<String> {
    let spaced = key.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn record(changes: &[(&str, Value)]) -> Record {
        let mut record = json!({
            "eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "awsRegion": "eu-central-1",
            "s3": {
                "s3SchemaVersion": "1.0", "bucket": {"name": "b", "arn": "arn:aws:s3:::b"},
                "object": {"key": "uploads/ci/a%2Bb+c.json", "size": 3, "eTag": "0f", "sequencer": "00"}
            }
        });
        for (pointer, value) in changes {
            *record.pointer_mut(pointer).unwrap() = value.clone();
        }
        serde_json::from_value(record).unwrap()
    }

    #[test]
    fn a_created_object_is_named_by_its_decoded_key() {
        let object = record(&[]).created("b").unwrap().unwrap();
        assert_eq!((object.id.as_str(), object.etag.as_str(), object.size), ("ci/a+b c.json", "0f", 3));
        assert_eq!(object.sequencer, Some("00".parse().unwrap()));
    }

    #[test]
    fn every_minor_version_and_every_way_to_create_is_taken() {
        for version in ["2.0", "2.4", "2.6", "2.17"] {
            for name in ["Put", "Post", "Copy", "CompleteMultipartUpload"] {
                let changes =
                    [("/eventVersion", version.into()), ("/eventName", format!("ObjectCreated:{name}").into())];
                assert!(record(&changes).created("b").unwrap().is_some(), "{version} {name}");
            }
        }
    }

    #[test]
    fn other_events_of_an_object_are_nothing_to_do() {
        for name in ["ObjectRemoved:Delete", "ObjectTagging:Put", "s3:TestEvent", "LifecycleExpiration:Delete"] {
            assert_eq!(record(&[("/eventName", name.into())]).created("b"), Ok(None));
        }
        let folder = [("/s3/object/key", "uploads/".into()), ("/s3/object/size", 0.into())];
        assert_eq!(record(&folder).created("b"), Ok(None));
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        for (pointer, value) in [
            ("/eventSource", json!("aws:sqs")),
            ("/eventVersion", json!("3.0")),
            ("/eventVersion", json!("")),
            ("/s3/bucket/name", json!("other")),
            ("/s3/object/key", json!("reports/x")),
            ("/s3/object/key", json!("uploads/")),
            ("/s3/object/key", json!("uploads%2F%00")),
            ("/s3/object/key", json!("uploads/%FF")),
            ("/s3/object/eTag", json!("a\"\r\nx: y")),
            ("/s3/object/eTag", Value::Null),
            ("/s3/object/size", Value::Null),
        ] {
            let read = record(&[(pointer, value.clone())]).created("b");
            assert!(read.is_err(), "{pointer} {value}");
        }
    }

    #[test]
    fn the_test_that_s3_sends_is_known() {
        let test = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2026-11-21T10:00:00.000Z","Bucket":"b","RequestId":"r","HostId":"h"}"#;
        assert!(serde_json::from_str::<Notification>(test).unwrap().is_test());
        let other = r#"{"Service":"Amazon S3","Event":"s3:Other"}"#;
        assert!(!serde_json::from_str::<Notification>(other).unwrap().is_test());
        for nothing in ["", "{}", "[]", "null", "{\"Records\":{}}"] {
            assert!(serde_json::from_str::<Notification>(nothing).is_err(), "{nothing}");
        }
    }

    proptest! {
        #[test]
        fn any_key_is_found_again_once_encoded(name in "[^\\p{Cc}]{1,60}") {
            let encoded: String = form_urlencoded::byte_serialize(format!("uploads/{name}").as_bytes()).collect();
            let object = record(&[("/s3/object/key", encoded.into())]).created("b").unwrap().unwrap();
            prop_assert_eq!(object.id.as_str(), name);
        }
    }
}
