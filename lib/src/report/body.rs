//! Bytes as they arrive: decompressed under a cap, without a byte order mark.

use std::io::Read;

use flate2::read::MultiGzDecoder;

use super::Error;

/// How a report's bytes are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952, one or more members.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Compression {
    /// How bytes are packed, by how they begin: what an object's name or type says of it may be wrong.
    #[must_use]
    pub const fn of(bytes: &[u8]) -> Self {
        match bytes {
            [0x1F, 0x8B, ..] => Self::Gzip,
            [0x28, 0xB5, 0x2F, 0xFD, ..] => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// The largest zstd window that is opened, as a power of two: 16 MiB. Every level that `zstd`
/// reaches without `--ultra` or `--long` fits in 8 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 24;

/// Unpacks `body`, without ever holding more than `limit` bytes of output.
///
/// # Errors
/// [`Error::TooLarge`] past the limit, [`Error::Compression`] if the stream is not whole.
pub fn inflate(body: Vec<u8>, compression: Compression, limit: usize) -> Result<Vec<u8>, Error> {
    match compression {
        Compression::None if body.len() > limit => Err(Error::TooLarge { limit }),
        Compression::None => Ok(body),
        Compression::Gzip => read_capped(MultiGzDecoder::new(body.as_slice()), "gzip", limit),
        Compression::Zstd => {
            let broken = |source| Error::Compression { format: "zstd", source };
            let mut decoder = zstd::Decoder::with_buffer(body.as_slice()).map_err(broken)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(broken)?;
            read_capped(decoder, "zstd", limit)
        }
    }
}

fn read_capped(decoder: impl Read, format: &'static str, limit: usize) -> Result<Vec<u8>, Error> {
    let mut json = Vec::new();
    let one_more = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    decoder.take(one_more).read_to_end(&mut json).map_err(|source| Error::Compression { format, source })?;
    if json.len() > limit {
        return Err(Error::TooLarge { limit });
    }
    Ok(json)
}

/// The JSON inside `bytes`: without a UTF-8 byte order mark, and not something else altogether.
///
/// # Errors
/// [`Error::NotJson`], with what it looks like.
pub(super) fn json(bytes: &[u8]) -> Result<&[u8], Error> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let not_json = |found, advice| Err(Error::NotJson { found, advice });
    const REPORT: &str = "send the file that `trivy image --format json --output report.json …` writes";
    match bytes {
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [0, _, ..] | [_, 0, ..] => not_json(
            "UTF-16 (or UTF-32) text, as PowerShell's `>` writes it",
            "send UTF-8: let Trivy write the file itself with --output",
        ),
        [0x1F, 0x8B, ..] => not_json("gzip", "send it with Content-Type: application/gzip"),
        [0x28, 0xB5, 0x2F, 0xFD, ..] => not_json("zstd", "send it with Content-Type: application/zstd"),
        _ => match bytes.iter().find(|b| !b.is_ascii_whitespace()) {
            None => not_json("empty", REPORT),
            Some(b'<') if bytes.trim_ascii_start().starts_with(b"<<<<<<<") => {
                not_json("text with merge conflict markers", "resolve the conflict, or scan again")
            }
            Some(b'<') => not_json("XML or HTML", REPORT),
            Some(b'{' | b'[') if looks_like_a_log_line(bytes) => not_json(
                "text with log lines before the JSON",
                "keep them apart: use --output, or --quiet and standard output only",
            ),
            Some(b'{' | b'[') => Ok(bytes),
            Some(b'"' | b'0'..=b'9' | b'-' | b't' | b'f' | b'n') if is_scalar(bytes) => {
                not_json("a bare JSON value", REPORT)
            }
            Some(_) if json_follows(bytes) => not_json(
                "text with other lines before the JSON",
                "keep log lines apart: use --output, or --quiet and standard output only",
            ),
            Some(_) => not_json("other text", REPORT),
        },
    }
}

/// `[INFO] …` or `[2026-…`: an opening bracket that begins a line of log, not an array.
fn looks_like_a_log_line(bytes: &[u8]) -> bool {
    let text = bytes.trim_ascii_start();
    text.strip_prefix(b"[").is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_uppercase))
}

fn is_scalar(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}

fn json_follows(bytes: &[u8]) -> bool {
    bytes.split(|&b| b == b'\n').skip(1).any(|line| matches!(line.trim_ascii_start(), [b'{' | b'[', ..]))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn gzip_of_several_members_and_zstd_are_unpacked() {
        let members = [gzip(b"{\"a\":"), gzip(b"1}")].concat();
        assert_eq!(inflate(members, Compression::Gzip, 7).unwrap(), b"{\"a\":1}");
        let packed = zstd::encode_all(&b"{}"[..], 3).unwrap();
        assert_eq!(inflate(packed, Compression::Zstd, 2).unwrap(), b"{}");
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let zeros = vec![b' '; 8 << 20];
        for (bomb, compression) in
            [(gzip(&zeros), Compression::Gzip), (zstd::encode_all(&zeros[..], 3).unwrap(), Compression::Zstd)]
        {
            assert!(matches!(inflate(bomb, compression, 1 << 20), Err(Error::TooLarge { limit }) if limit == 1 << 20));
        }
        assert!(matches!(inflate(zeros, Compression::None, 1 << 20), Err(Error::TooLarge { .. })));
    }

    #[test]
    fn a_zstd_frame_that_asks_for_a_huge_window_is_refused() {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(27).unwrap();
        encoder.write_all(&vec![b' '; 1 << 20]).unwrap();
        let packed = encoder.finish().unwrap();
        assert!(matches!(inflate(packed, Compression::Zstd, 2 << 20), Err(Error::Compression { .. })));
    }

    #[test]
    fn a_cut_or_foreign_stream_is_refused() {
        let whole = gzip(&[b'x'; 1000]);
        let cut = whole[..whole.len() - 4].to_vec();
        assert!(matches!(inflate(cut, Compression::Gzip, 9999), Err(Error::Compression { format: "gzip", .. })));
        let plain = b"{}".to_vec();
        assert!(matches!(inflate(plain, Compression::Zstd, 9999), Err(Error::Compression { format: "zstd", .. })));
    }

    #[test]
    fn a_byte_order_mark_is_dropped() {
        assert_eq!(json(b"\xEF\xBB\xBF {}").unwrap(), b" {}");
    }

    #[test]
    fn what_is_not_json_is_named() {
        for (bytes, name) in [
            (&b"\xFF\xFE{\0}\0"[..], "UTF-16"),
            (b"{\0\"\0", "UTF-16"),
            (b"\0{\0\"", "UTF-16"),
            (b"\x1F\x8B\x08", "gzip"),
            (b"\x28\xB5\x2F\xFD\x00", "zstd"),
            (b" \n", "empty"),
            (b"", "empty"),
            (b"<!doctype html>", "XML"),
            (b"2026-01-01T00:00:00Z INFO Vulnerability scanning\n{\"SchemaVersion\":2}", "other lines before"),
            (b"[INFO] scanning\n{\"SchemaVersion\":2}", "log lines before"),
            (b"<<<<<<< HEAD\n{", "merge conflict"),
            (b"Total: 3 (HIGH: 3)", "other text"),
            (b"\"report\"", "a bare JSON value"),
            (b"null", "a bare JSON value"),
        ] {
            let message = json(bytes).unwrap_err().to_string();
            assert!(message.contains(name), "{message}");
        }
    }
}
