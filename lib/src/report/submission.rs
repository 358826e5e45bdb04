//! Unpacks a report, and packs it again for the archive.

use std::borrow::Cow;
use std::io::Write as _;

use flate2::write::GzEncoder;

use super::body::{self, Compression, Unpacked};
use super::encoding::Text;
use super::{Canonical, Error, Limits, Report};
use crate::domain::declared::Declared;

/// Fast, and within a tenth of the smallest size: an archived report is rarely read.
const GZIP_LEVEL: flate2::Compression = flate2::Compression::new(4);

/// A JSON document that was sent as a report.
#[derive(Debug)]
pub struct Submission {
    canonical: Canonical,
    /// The declarations of the sender.
    pub declared: Declared,
    limits: Limits,
    /// The sent bytes as gzip; empty if they are not kept.
    pub packed: Vec<u8>,
}

impl Submission {
    /// Unpacks a body and reads its JSON. With `keep`, the JSON is packed for the archive as UTF-8; gzip that every
    /// reader accepts is kept unchanged.
    ///
    /// # Errors
    /// [`Error::TooLarge`], those of [`body::unpack`], and those of broken JSON.
    pub fn read<'b>(
        body: impl Into<Cow<'b, [u8]>>,
        compression: Compression,
        declared: Declared,
        limits: Limits,
        keep: bool,
    ) -> Result<Self, Error> {
        let body = body.into();
        let (sent, bytes) = match compression {
            Compression::None => (None, body::unpack(body, compression, limits.max_bytes)?.bytes),
            Compression::Gzip | Compression::Zstd => {
                let Unpacked { bytes, is_one_member } = body::unpack(&*body, compression, limits.max_bytes)?;
                let bytes: Cow<'_, [u8]> = Cow::Owned(bytes.into_owned());
                // Large gzip is not held in memory meanwhile; the JSON is packed again at the end.
                let is_small = body.len() <= bytes.len() / 2 + MAX_GZIP_OVERHEAD;
                (Some(body).filter(|_| keep && is_one_member && is_small), bytes)
            }
        };
        let mut json = Text::read(bytes, limits.max_bytes)?;
        // Reading takes the most memory, so the JSON is packed afterwards.
        let canonical = Canonical::from_text(&mut json)?;
        let packed = match sent {
            _ if !keep => Vec::new(),
            Some(gzip) if json.is_as_sent => gzip.into_owned(),
            _ => pack(json.bytes())?,
        };
        Ok(Self { canonical, declared, limits, packed })
    }

    /// Reads the report.
    ///
    /// # Errors
    /// Those of [`Report::read`].
    pub fn report(&self) -> Result<Report<'_>, Error> {
        Report::read(&self.canonical, &self.declared, &self.limits)
    }

    /// Returns the length of the canonical text, for the log.
    #[must_use]
    pub fn canonical_bytes(&self) -> usize {
        self.canonical.text().len()
    }
}

/// The bytes that kept gzip may have beyond half of its content: its header can hold anything.
const MAX_GZIP_OVERHEAD: usize = 64;

fn pack(json: &[u8]) -> Result<Vec<u8>, Error> {
    let mut encoder = GzEncoder::new(Vec::new(), GZIP_LEVEL);
    let packed = encoder.write_all(json).and_then(|()| encoder.finish());
    packed.map_err(|source| Error::Compression { format: "gzip", source })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &[u8] = br#"{"SchemaVersion": 2, "ArtifactName": "app", "Results": []}"#;

    fn unpacked(submission: &Submission) -> Vec<u8> {
        let unpacked = body::unpack(&submission.packed, Compression::Gzip, 1 << 20).unwrap();
        assert!(unpacked.is_one_member, "what any reader of gzip takes");
        unpacked.bytes.into_owned()
    }

    #[test]
    fn what_is_kept_is_what_was_sent() {
        let limits = Limits::default();
        let gzip = pack(REPORT).unwrap();
        let zstd = zstd::encode_all(REPORT, 3).unwrap();
        for (sent, compression) in
            [(REPORT.to_vec(), Compression::None), (gzip.clone(), Compression::Gzip), (zstd, Compression::Zstd)]
        {
            let submission = Submission::read(sent, compression, Declared::default(), limits, true).unwrap();
            assert_eq!(unpacked(&submission), REPORT, "{compression:?}");
            assert_eq!(submission.report().unwrap().artifact.image_name.as_str(), "app");
        }
    }

    #[test]
    fn gzip_in_pieces_or_padded_is_packed_anew() {
        let (a, b) = REPORT.split_at(20);
        let (whole, empty) = (pack(REPORT).unwrap(), pack(b"").unwrap());
        let mut stuffed = flate2::GzBuilder::new().extra(vec![1; 5000]).write(Vec::new(), GZIP_LEVEL);
        stuffed.write_all(REPORT).unwrap();
        for sent in [
            [pack(a).unwrap(), pack(b).unwrap()].concat(),
            [whole.clone(), empty.repeat(50)].concat(),
            [empty, whole.clone()].concat(),
            [whole.clone(), vec![0; 512]].concat(),
            stuffed.finish().unwrap(),
        ] {
            let submission =
                Submission::read(sent, Compression::Gzip, Declared::default(), Limits::default(), true).unwrap();
            assert_eq!(submission.packed, whole);
        }
    }

    #[test]
    fn the_archive_has_utf8_whatever_was_sent() {
        let text = std::str::from_utf8(REPORT).unwrap();
        let wide: Vec<u8> = format!("\u{FEFF}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
        let odd = REPORT.strip_suffix(b"}").unwrap();
        let (odd, mended) = ([odd, br#","x":"\ud800"}"#].concat(), [odd, br#","x":"\ufffd"}"#].concat());
        for (sent, expected) in [(&wide, REPORT), (&odd, &mended)] {
            for (sent, compression) in [(sent.clone(), Compression::None), (pack(sent).unwrap(), Compression::Gzip)] {
                let submission =
                    Submission::read(sent, compression, Declared::default(), Limits::default(), true).unwrap();
                assert_eq!(unpacked(&submission), expected);
                assert_eq!(submission.report().unwrap().artifact.image_name.as_str(), "app");
            }
        }
    }

    #[test]
    fn nothing_is_kept_where_nobody_wants_it() {
        let submission =
            Submission::read(REPORT.to_vec(), Compression::None, Declared::default(), Limits::default(), false)
                .unwrap();
        assert_eq!(submission.packed, b"");
    }
}
