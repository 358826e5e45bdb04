//! The blob of a finding item: all of the finding except for the attributes that a filter can use.
//!
//! A blob is a byte for the version of the dictionary, then a zstd frame of canonical JSON,
//! `{"Class":…,"Suppressed":{…},"Target":…,"Type":…,"Vulnerability":{…}}`. With the dictionary (`finding-v1.dict`, made
//! by `local/dictionary/build.py`) most findings fit in one write unit. A version of it must never change, because
//! stored findings would become unreadable.

use std::fmt;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};

use crate::domain::finding::{Members, Suppression};
use crate::report::{Finding, Scanned};

const VERSION: u8 = 1;
const DICTIONARY: &[u8] = include_bytes!("finding-v1.dict");
/// Compared with other levels in local/dictionary/README.md.
const LEVEL: i32 = 4;
/// The largest object of a blob that is read. The largest known finding has 26 KB.
const MAX_JSON: usize = 16 << 20;

/// The compiled dictionary, made at its first use.
#[derive(Default)]
pub(super) struct Codec {
    encoder: OnceLock<EncoderDictionary<'static>>,
    decoder: OnceLock<DecoderDictionary<'static>>,
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Codec")
    }
}

/// Makes blobs with reused buffers.
pub(super) struct Packer<'c> {
    compressor: Compressor<'c>,
    json: Vec<u8>,
    frame: Vec<u8>,
}

/// The object of a blob.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Unpacked {
    pub(super) class: Option<String>,
    pub(super) suppressed: Option<Suppression>,
    pub(super) target: String,
    #[serde(rename = "Type")]
    pub(super) kind: Option<String>,
    pub(super) vulnerability: Members,
}

impl Codec {
    pub(super) fn packer(&self) -> std::io::Result<Packer<'_>> {
        let dictionary = self.encoder.get_or_init(|| EncoderDictionary::copy(DICTIONARY, LEVEL));
        let mut compressor = Compressor::with_prepared_dictionary(dictionary)?;
        compressor.set_parameter(zstd::zstd_safe::CParameter::DictIdFlag(false))?;
        Ok(Packer { compressor, json: Vec::new(), frame: Vec::new() })
    }

    pub(super) fn unpack(&self, blob: &[u8]) -> Result<Unpacked, String> {
        let Some((&VERSION, frame)) = blob.split_first() else {
            return Err("its dictionary is of an unknown version".to_owned());
        };
        let dictionary = self.decoder.get_or_init(|| DecoderDictionary::copy(DICTIONARY));
        let json = Decompressor::with_prepared_dictionary(dictionary)
            .and_then(|mut decompressor| {
                let size = Decompressor::upper_bound(frame).unwrap_or(MAX_JSON).min(MAX_JSON);
                decompressor.decompress(frame, size)
            })
            .map_err(|error| error.to_string())?;
        serde_json::from_slice(&json).map_err(|error| error.to_string())
    }
}

/// The members before `Vulnerability`, in the order of their names.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Place<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suppressed: Option<Suppression>,
    target: &'a str,
    #[serde(rename = "Type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
}

impl Packer<'_> {
    pub(super) fn pack(
        &mut self,
        scanned: &Scanned<'_>,
        finding: &Finding<'_>,
        suppressed: Option<Suppression>,
    ) -> std::io::Result<Vec<u8>> {
        let Self { compressor, json, frame } = self;
        json.clear();
        let place = Place {
            class: scanned.class.as_deref(),
            suppressed,
            target: &scanned.target,
            kind: scanned.kind.as_deref(),
        };
        serde_json::to_writer(&mut *json, &place)?;
        // Opens the object again, to add one more member.
        json.pop();
        json.extend_from_slice(b",\"Vulnerability\":");
        finding.write_rest(json);
        json.push(b'}');
        // The bound is several times the size of a frame, so the buffer is reused.
        frame.clear();
        frame.reserve(zstd::zstd_safe::compress_bound(json.len()));
        compressor.compress_to_buffer(json, frame)?;
        Ok([&[VERSION], frame.as_slice()].concat())
    }
}
