//! A report as it was sent: unpacked, and packed again for the archive.

use std::io::Write as _;

use flate2::write::GzEncoder;

use super::body::{self, Compression};
use super::{Canonical, Error, Limits, Report};
use crate::domain::declared::Declared;

/// Fast, and within a tenth of the smallest: an archive is written once and read hardly ever.
const LEVEL: flate2::Compression = flate2::Compression::new(4);

/// A report that was sent, not yet known to be one.
#[derive(Debug)]
pub struct Submission {
    canonical: Canonical,
    declared: Declared,
    limits: Limits,
    /// The bytes that were sent, as gzip; empty if they are not to be kept.
    packed: Vec<u8>,
}

impl Submission {
    /// Unpacks a body and reads its JSON. With `keep`, what was sent is packed for the archive:
    /// before the canonical text is made, so that the report is never in memory three times.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Compression`], and those of broken JSON.
    pub fn read(
        body: Vec<u8>,
        compression: Compression,
        declared: Declared,
        limits: Limits,
        keep: bool,
    ) -> Result<Self, Error> {
        // Gzip is kept as it came, if it is one whole: readers of the archive get it as it is.
        let sent = if keep && compression == Compression::Gzip { body.clone() } else { Vec::new() };
        let json = body::inflate(body, compression, limits.max_bytes)?;
        let packed = match keep {
            true if !sent.is_empty() && is_one_member(&sent, &json) => sent,
            true => pack(&json)?,
            false => Vec::new(),
        };
        let canonical = Canonical::read(&json, &limits)?;
        Ok(Self { canonical, declared, limits, packed })
    }

    /// The report.
    ///
    /// # Errors
    /// Those of [`Report::read`].
    pub fn report(&self) -> Result<Report<'_>, Error> {
        Report::read(&self.canonical, &self.declared, &self.limits)
    }

    /// What was sent, as gzip; empty if it was not to be kept.
    #[must_use]
    pub fn packed(&self) -> &[u8] {
        &self.packed
    }

    /// Returns what the sender says of the report.
    #[must_use]
    pub const fn declared(&self) -> &Declared {
        &self.declared
    }

    /// Bytes of the canonical text, for the log.
    #[must_use]
    pub fn canonical_bytes(&self) -> usize {
        self.canonical.text().len()
    }
}

/// Whether gzip that unpacks to `json` does so from one member, with no padding: its last four bytes
/// then tell the length of all (RFC 1952 §2.3.1), and it is no larger than what is in it.
fn is_one_member(gzip: &[u8], json: &[u8]) -> bool {
    let length = gzip.last_chunk().map(|tail| u32::from_le_bytes(*tail));
    length.is_some() && length == u32::try_from(json.len()).ok() && gzip.len() <= json.len() + 64
}

fn pack(json: &[u8]) -> Result<Vec<u8>, Error> {
    let mut encoder = GzEncoder::new(Vec::new(), LEVEL);
    let packed = encoder.write_all(json).and_then(|()| encoder.finish());
    packed.map_err(|source| Error::Compression { format: "gzip", source })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &[u8] = br#"{"SchemaVersion": 2, "ArtifactName": "app", "Results": []}"#;

    fn unpacked(submission: &Submission) -> Vec<u8> {
        body::inflate(submission.packed().to_vec(), Compression::Gzip, 1 << 20).unwrap()
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
        let pieces = [pack(a).unwrap(), pack(b).unwrap()].concat();
        let padded = [pack(REPORT).unwrap(), pack(b"").unwrap().repeat(50)].concat();
        for sent in [pieces, padded] {
            let submission =
                Submission::read(sent, Compression::Gzip, Declared::default(), Limits::default(), true).unwrap();
            assert_eq!(submission.packed(), pack(REPORT).unwrap());
        }
    }

    #[test]
    fn nothing_is_kept_where_nobody_wants_it() {
        let submission =
            Submission::read(REPORT.to_vec(), Compression::None, Declared::default(), Limits::default(), false)
                .unwrap();
        assert_eq!(submission.packed(), b"");
    }
}
