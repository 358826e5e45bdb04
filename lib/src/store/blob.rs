//! What a finding item holds besides its key and its searchable attributes: one compressed object.
//!
//! The blob is a byte for the version of the dictionary, then a zstd frame. Inside is canonical
//! JSON, `{"Class":…,"Suppressed":{…},"Target":…,"Type":…,"Vulnerability":{…}}`. The dictionary (`finding-v1.dict`,
//! made by `local/dictionary/build.py`) is what lets a finding fit in one write unit; a version
//! of it is never changed, since stored findings could not be read any more.

use std::fmt;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};

use crate::domain::finding::{Members, Suppression};
use crate::report::{Finding, Scanned};

const VERSION: u8 = 1;
const DICTIONARY: &[u8] = include_bytes!("finding-v1.dict");
/// Measured against other levels in local/dictionary/README.md.
const LEVEL: i32 = 4;
/// The largest object that a blob may hold: a report's findings are never this large (the largest
/// known is 26 KB), and a DynamoDB item takes 400 KB of compressed bytes at most.
const MAX_JSON: usize = 16 << 20;

/// The compiled dictionary, made when first needed.
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

/// Makes blobs, one after the other.
pub(super) struct Packer<'c> {
    compressor: Compressor<'c>,
    json: Vec<u8>,
    frame: Vec<u8>,
}

/// What a blob says.
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

/// `,"Class":"os-pkgs"`, in the order of the names.
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
        // The object goes on where `Place` closed it.
        json.pop();
        json.extend_from_slice(b",\"Vulnerability\":");
        finding.write_rest(json);
        json.push(b'}');
        // Into a buffer that stays: the most that a frame may take is several times what it does take.
        frame.clear();
        frame.reserve(zstd::zstd_safe::compress_bound(json.len()));
        compressor.compress_to_buffer(json, frame)?;
        Ok([&[VERSION], frame.as_slice()].concat())
    }
}
