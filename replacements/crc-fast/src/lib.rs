//! What `aws-smithy-checksums` asks of the crate `crc-fast`, and no more (docs/decisions/0016).
//!
//! That crate reckons any CRC there is with any instruction set there is, and links the tables of all of
//! them, 660 KB that do not compress, into whatever uses S3. Here are the three that S3 knows: CRC-32 with
//! SIMD by `crc32fast`, the other two, which nothing of ours asks for, by the tables of `crc`.
//!
//! `[patch.crates-io]` in the workspace's Cargo.toml puts it in place. If the SDK comes to use more of
//! `crc-fast`, this does not compile any more; it cannot be wrong in silence.

use std::fmt;

use crc::{CRC_32_ISCSI, CRC_64_NVME, Crc, Table};

static ISCSI: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);
static NVME: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_NVME);

/// The checksums, by their names in the catalogue of CRCs: <https://reveng.sourceforge.io/crc-catalogue/all.htm>.
#[derive(Debug, Clone, Copy)]
pub enum CrcAlgorithm {
    /// CRC-32 of gzip and of S3's `x-amz-checksum-crc32`.
    Crc32IsoHdlc,
    /// CRC-32C.
    Crc32Iscsi,
    /// CRC-64/NVME.
    Crc64Nvme,
}

/// A checksum of bytes that come in pieces.
pub struct Digest(State);

enum State {
    IsoHdlc(crc32fast::Hasher),
    Iscsi(crc::Digest<'static, u32, Table<16>>),
    Nvme(crc::Digest<'static, u64, Table<16>>),
}

impl Digest {
    /// That of no bytes.
    #[must_use]
    pub fn new(algorithm: CrcAlgorithm) -> Self {
        Self(match algorithm {
            CrcAlgorithm::Crc32IsoHdlc => State::IsoHdlc(crc32fast::Hasher::new()),
            CrcAlgorithm::Crc32Iscsi => State::Iscsi(ISCSI.digest()),
            CrcAlgorithm::Crc64Nvme => State::Nvme(NVME.digest()),
        })
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::IsoHdlc(hasher) => hasher.update(bytes),
            State::Iscsi(digest) => digest.update(bytes),
            State::Nvme(digest) => digest.update(bytes),
        }
    }

    /// The checksum, in its lower 32 bits if it has no more.
    #[must_use]
    pub fn finalize(self) -> u64 {
        match self.0 {
            State::IsoHdlc(hasher) => hasher.finalize().into(),
            State::Iscsi(digest) => digest.finalize().into(),
            State::Nvme(digest) => digest.finalize(),
        }
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_checksum_has_the_check_value_of_the_catalogue_however_its_bytes_come() {
        for (algorithm, check) in [
            (CrcAlgorithm::Crc32IsoHdlc, 0xcbf4_3926),
            (CrcAlgorithm::Crc32Iscsi, 0xe306_9283),
            (CrcAlgorithm::Crc64Nvme, 0xae8b_1486_0a79_9888),
        ] {
            for pieces in [&["123456789"][..], &["", "1234", "56789"], &["1", "2345678", "9", ""]] {
                let mut digest = Digest::new(algorithm);
                pieces.iter().for_each(|piece| digest.update(piece.as_bytes()));
                assert_eq!(digest.finalize(), check, "{algorithm:?} of {pieces:?}");
            }
        }
    }
}
