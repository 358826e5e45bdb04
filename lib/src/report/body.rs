//! Unpacks a body, gzip and zstd in every form that their formats allow, under a limit.
//!
//! | | read as one |
//! |---|---|
//! | gzip, RFC 1952 | any number of members, empty ones too; zero bytes after the last, as tapes and `dd` leave them |
//! | zstd, RFC 8878 | any number of frames, empty ones too, and skippable frames anywhere, as `pzstd` writes them |
//!
//! Any other byte after the end is refused with its offset.

use std::borrow::Cow;
use std::io::{self, Read};

use flate2::bufread::GzDecoder;
use zstd::zstd_safe::DCtx;

use super::Error;

/// The compression of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// No compression.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Compression {
    /// Recognises the compression by the first bytes, since an object's name or type may be wrong.
    #[must_use]
    pub const fn detect(bytes: &[u8]) -> Self {
        match bytes {
            [0x1F, 0x8B, ..] => Self::Gzip,
            // The second is the beginning of a skippable frame.
            [0x28, 0xB5, 0x2F, 0xFD, ..] | [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// The largest zstd window, as a power of two: 128 MiB, the default limit of the `zstd` command. It takes no more memory
/// than the frame has content.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// The most members or frames of one body; blocked gzip (`bgzip`) has one for each 64 KiB.
const MAX_PARTS: usize = 65_536;

/// The content of a body.
#[derive(Debug)]
pub struct Unpacked<'b> {
    /// The bytes.
    pub bytes: Cow<'b, [u8]>,
    /// Whether the body is a single gzip member, which every reader of gzip accepts.
    pub is_one_member: bool,
}

/// Unpacks `body` without holding more than `limit` bytes of output.
///
/// # Errors
/// [`Error::TooLarge`] past the limit, [`Error::Compression`] if the stream is not whole, [`Error::Trailing`] if
/// something follows it, [`Error::TooManyParts`].
pub fn unpack<'b>(
    body: impl Into<Cow<'b, [u8]>>,
    compression: Compression,
    limit: usize,
) -> Result<Unpacked<'b>, Error> {
    let body = body.into();
    match compression {
        Compression::None if body.len() > limit => Err(Error::TooLarge { limit }),
        Compression::None => Ok(Unpacked { bytes: body, is_one_member: false }),
        Compression::Gzip => gunzip(&body, limit),
        Compression::Zstd => unzstd(&body, limit),
    }
}

fn gunzip<'b>(body: &[u8], limit: usize) -> Result<Unpacked<'b>, Error> {
    const FORMAT: &str = "gzip";
    let (mut content, mut rest, mut parts) = (Content::new(FORMAT, limit), body, 0);
    // The length of the last member (RFC 1952 §2.3.1): most bodies have only one.
    if let Some(length) = body.last_chunk().map(|tail| u32::from_le_bytes(*tail)) {
        content.expect(usize::try_from(length).unwrap_or_default(), body.len());
    }
    loop {
        let mut member = GzDecoder::new(rest);
        content.append(&mut member)?;
        rest = member.into_inner();
        parts += 1;
        if !rest.starts_with(&[0x1F, 0x8B]) {
            break;
        }
        if parts == MAX_PARTS {
            return Err(Error::TooManyParts { format: FORMAT, limit: MAX_PARTS });
        }
    }
    if let Some(at) = rest.iter().position(|&byte| byte != 0) {
        let offset = body.len() - rest.len() + at;
        return Err(Error::Trailing { format: FORMAT, offset });
    }
    Ok(Unpacked { bytes: content.bytes.into(), is_one_member: parts == 1 && rest.is_empty() })
}

fn unzstd<'b>(body: &[u8], limit: usize) -> Result<Unpacked<'b>, Error> {
    const FORMAT: &str = "zstd";
    let broken = |source| Error::Compression { format: FORMAT, source };
    let (mut content, mut rest, mut parts) = (Content::new(FORMAT, limit), body, 0);
    let mut context = DCtx::try_create().ok_or_else(|| broken(io::ErrorKind::OutOfMemory.into()))?;
    loop {
        match rest {
            [0x50..=0x5F, 0x2A, 0x4D, 0x18, a, b, c, d, frame @ ..] => {
                let length = usize::try_from(u32::from_le_bytes([*a, *b, *c, *d])).unwrap_or(usize::MAX);
                rest = frame.get(length..).ok_or_else(|| broken(io::ErrorKind::UnexpectedEof.into()))?;
            }
            [0x28, 0xB5, 0x2F, 0xFD, ..] => {
                let mut frame = zstd::Decoder::with_context(rest, &mut context).single_frame();
                frame.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(broken)?;
                content.append(&mut frame)?;
                rest = frame.finish();
            }
            [] if parts > 0 => break,
            [] => return Err(broken(io::ErrorKind::UnexpectedEof.into())),
            _ if parts > 0 => return Err(Error::Trailing { format: FORMAT, offset: body.len() - rest.len() }),
            _ => return Err(broken(io::Error::new(io::ErrorKind::InvalidData, "it does not begin with a frame"))),
        }
        parts += 1;
        if parts > MAX_PARTS {
            return Err(Error::TooManyParts { format: FORMAT, limit: MAX_PARTS });
        }
    }
    Ok(Unpacked { bytes: content.bytes.into(), is_one_member: false })
}

/// The bytes that are unpacked already.
struct Content {
    bytes: Vec<u8>,
    format: &'static str,
    limit: usize,
}

impl Content {
    /// The first step of growth; further ones are a quarter, since doubling would end at twice the content.
    const FIRST_STEP: usize = 64 << 10;

    const fn new(format: &'static str, limit: usize) -> Self {
        Self { bytes: Vec::new(), format, limit }
    }

    /// Reserves the stated length, at most a plausible multiple of the `packed` bytes.
    fn expect(&mut self, length: usize, packed: usize) {
        const USUAL_RATIO: usize = 16;
        self.bytes.reserve_exact(length.min(packed.saturating_mul(USUAL_RATIO)).min(self.limit).saturating_add(1));
    }

    fn append(&mut self, part: &mut impl Read) -> Result<(), Error> {
        loop {
            let free = self.bytes.capacity() - self.bytes.len();
            let step = if free > 0 { free } else { (self.bytes.len() / 4).max(Self::FIRST_STEP) };
            let step = step.min(self.limit.saturating_add(1).saturating_sub(self.bytes.len()));
            self.bytes.reserve_exact(step);
            let most = u64::try_from(step).unwrap_or(u64::MAX);
            let read = part
                .take(most)
                .read_to_end(&mut self.bytes)
                .map_err(|source| Error::Compression { format: self.format, source })?;
            if self.bytes.len() > self.limit {
                return Err(Error::TooLarge { limit: self.limit });
            }
            if read < step {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::GzBuilder;
    use proptest::prelude::*;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 3).unwrap()
    }

    fn skippable(kind: u8, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_le_bytes();
        [&[0x50 + kind, 0x2A, 0x4D, 0x18][..], &length, content].concat()
    }

    fn unpacked(body: Vec<u8>, compression: Compression, limit: usize) -> Result<Vec<u8>, Error> {
        assert_eq!(Compression::detect(&body), compression);
        unpack(body, compression, limit).map(|unpacked| unpacked.bytes.into_owned())
    }

    #[test]
    fn gzip_of_any_members_is_read_as_one_and_only_one_member_is_kept_as_it_is() {
        for (parts, is_one) in [
            (vec![gzip(b"{\"a\":1}")], true),
            (vec![gzip(b"{\"a\":"), gzip(b"1}")], false),
            (vec![gzip(b""), gzip(b"{\"a\":1}")], false),
            (vec![gzip(b"{\"a\":1}"), gzip(b"")], false),
            (vec![gzip(b""), gzip(b"{\"a\""), gzip(b""), gzip(b":1}"), gzip(b""), vec![0; 512]], false),
            (vec![gzip(b"{\"a\":1}"), vec![0]], false),
        ] {
            let body = parts.concat();
            let content = unpack(&body, Compression::Gzip, 7).unwrap();
            assert_eq!((&*content.bytes, content.is_one_member), (&b"{\"a\":1}"[..], is_one));
        }
    }

    #[test]
    fn every_member_of_a_gzip_header_is_skipped() {
        let mut encoder = GzBuilder::new()
            .extra(vec![7; 300])
            .filename("report.json")
            .comment("made by a test")
            .mtime(1)
            .operating_system(3)
            .write(Vec::new(), flate2::Compression::best());
        encoder.write_all(b"{}").unwrap();
        assert_eq!(unpacked(encoder.finish().unwrap(), Compression::Gzip, 2).unwrap(), b"{}");
        // A stored block, FTEXT and the header's own checksum.
        let header = [0x1F, 0x8B, 8, 0b11, 0, 0, 0, 0, 0, 255];
        let mut crc = flate2::Crc::new();
        crc.update(&header);
        let header_crc = u16::try_from(crc.sum() & 0xFFFF).unwrap().to_le_bytes();
        let mut content = flate2::Crc::new();
        content.update(b"{}");
        let (sum, length) = (content.sum().to_le_bytes(), 2u32.to_le_bytes());
        let body = [&header[..], &header_crc, &[1, 2, 0, 0xFD, 0xFF], b"{}", &sum, &length].concat();
        assert_eq!(unpacked(body, Compression::Gzip, 2).unwrap(), b"{}");
    }

    #[test]
    fn zstd_of_any_frames_is_read_as_one() {
        let (a, b, empty) = (zstd(b"{\"a\":"), zstd(b"1}"), zstd(b""));
        for parts in [
            vec![zstd(b"{\"a\":1}")],
            vec![a.clone(), b.clone()],
            vec![skippable(0, &[0; 4]), a.clone(), skippable(0, &[0; 4]), b.clone()],
            vec![
                skippable(15, &[]),
                skippable(7, &[1; 70_000]),
                a.clone(),
                empty.clone(),
                b.clone(),
                skippable(3, b"x"),
            ],
            vec![empty, a, b],
        ] {
            assert_eq!(unpacked(parts.concat(), Compression::Zstd, 7).unwrap(), b"{\"a\":1}");
        }
    }

    #[test]
    fn zstd_frames_of_every_kind_are_read() {
        let content = b"{\"a\":[1,2,3]}".repeat(5000);
        for (checksum, size, window) in [(true, true, 10), (false, true, 20), (true, false, 27), (false, false, 17)] {
            let mut encoder = zstd::Encoder::new(Vec::new(), 19).unwrap();
            encoder.include_checksum(checksum).unwrap();
            encoder.include_contentsize(size).unwrap();
            encoder.window_log(window).unwrap();
            if size {
                encoder.set_pledged_src_size(Some(content.len() as u64)).unwrap();
            }
            encoder.write_all(&content).unwrap();
            assert_eq!(unpacked(encoder.finish().unwrap(), Compression::Zstd, 1 << 20).unwrap(), content, "{window}");
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let zeros = vec![b' '; 8 << 20];
        for (bomb, compression) in [
            (gzip(&zeros), Compression::Gzip),
            (gzip(&zeros[..4096]).repeat(1000), Compression::Gzip),
            (zstd(&zeros), Compression::Zstd),
            (zstd(&zeros[..4096]).repeat(1000), Compression::Zstd),
        ] {
            let error = unpacked(bomb, compression, 1 << 20);
            assert!(matches!(error, Err(Error::TooLarge { limit }) if limit == 1 << 20));
        }
        assert!(matches!(unpack(zeros, Compression::None, 1 << 20), Err(Error::TooLarge { .. })));
    }

    #[test]
    fn endless_parts_without_content_are_refused() {
        for (part, compression) in
            [(gzip(b""), Compression::Gzip), (zstd(b""), Compression::Zstd), (skippable(0, &[]), Compression::Zstd)]
        {
            assert!(unpacked(part.repeat(MAX_PARTS), compression, 9).is_ok());
            let error = unpacked(part.repeat(MAX_PARTS + 1), compression, 9).unwrap_err();
            assert!(matches!(error, Error::TooManyParts { .. }), "{error}");
        }
    }

    #[test]
    fn a_zstd_frame_that_asks_for_a_huge_window_is_refused() {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(28).unwrap();
        encoder.write_all(&vec![b' '; 1 << 20]).unwrap();
        let packed = encoder.finish().unwrap();
        assert!(matches!(unpacked(packed, Compression::Zstd, 2 << 20), Err(Error::Compression { .. })));
    }

    #[test]
    fn what_follows_the_end_is_refused_with_where_it_begins() {
        let (gz, zst) = (gzip(b"{}"), zstd(b"{}"));
        for (body, compression, offset) in [
            ([&gz[..], b"more"].concat(), Compression::Gzip, gz.len()),
            ([&gz[..], &[0, 0], b"{}"].concat(), Compression::Gzip, gz.len() + 2),
            ([&gz[..], &[0; 9], &gz].concat(), Compression::Gzip, gz.len() + 9),
            ([&zst[..], &[0; 9]].concat(), Compression::Zstd, zst.len()),
            ([&zst[..], &gz].concat(), Compression::Zstd, zst.len()),
        ] {
            let error = unpacked(body, compression, 99).unwrap_err();
            assert!(matches!(error, Error::Trailing { offset: found, .. } if found == offset), "{error}");
        }
    }

    #[test]
    fn a_cut_stream_or_one_of_another_format_is_refused() {
        let whole = gzip(&[b'x'; 1000]);
        for length in 2..whole.len() {
            let cut = unpacked(whole[..length].to_vec(), Compression::Gzip, 9999);
            assert!(matches!(cut, Err(Error::Compression { format: "gzip", .. })), "{length}");
        }
        let whole = [zstd(&[b'x'; 1000]), skippable(0, b"abcd")].concat();
        let frame = whole.len() - 12;
        for length in (4..frame).chain(frame + 4..whole.len()) {
            let cut = unpacked(whole[..length].to_vec(), Compression::Zstd, 9999);
            assert!(cut.is_err(), "{length}");
        }
        for (body, compression, format) in [
            (&b"{}"[..], Compression::Zstd, "zstd"),
            (b"", Compression::Zstd, "zstd"),
            (b"{}", Compression::Gzip, "gzip"),
            (b"", Compression::Gzip, "gzip"),
        ] {
            let error = unpack(body, compression, 9999).unwrap_err();
            assert!(matches!(error, Error::Compression { format: found, .. } if found == format), "{error}");
        }
    }

    proptest! {
        #[test]
        fn however_content_is_cut_into_parts_it_is_the_same(content in prop::collection::vec(any::<u8>(), 0..400), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(content.len() + 1)).collect();
            cuts.extend([0, content.len()]);
            cuts.sort_unstable();
            let parts: Vec<&[u8]> = cuts.windows(2).map(|pair| &content[pair[0]..pair[1]]).collect();
            let gz: Vec<u8> = parts.iter().flat_map(|part| gzip(part)).collect();
            prop_assert_eq!(unpacked(gz, Compression::Gzip, 400).unwrap(), &*content);
            let zst: Vec<u8> = parts.iter().flat_map(|part| [skippable(1, part), zstd(part)].concat()).collect();
            prop_assert_eq!(unpacked(zst, Compression::Zstd, 400).unwrap(), &*content);
        }

        #[test]
        fn damaged_streams_never_panic(content in prop::collection::vec(any::<u8>(), 0..100), at in any::<prop::sample::Index>(), byte: u8) {
            for (mut body, compression) in [(gzip(&content), Compression::Gzip), ([skippable(0, b"x"), zstd(&content)].concat(), Compression::Zstd)] {
                let at = at.index(body.len());
                body[at] = byte;
                let _ = unpack(body, compression, 1 << 20);
            }
        }
    }
}
