//! Decodes bytes into JSON text, and recognises files that are no JSON.
//!
//! Programs on Windows write UTF-16, such as PowerShell's `>`. API Gateway's HTTP API passes a JSON body as text and
//! replaces each byte that is not UTF-8 by U+FFFD, always the two bytes of the byte order mark. If nothing else was
//! replaced, the rest is read.

use std::borrow::Cow;

use super::Error;

/// A report as text.
#[derive(Debug)]
pub(super) struct Text<'b> {
    text: Cow<'b, str>,
    /// The length of the byte order mark.
    mark: usize,
    /// Whether the text has the bytes that were sent.
    pub(super) is_as_sent: bool,
}

/// U+FFFD in UTF-8, with which a gateway replaces a byte that is not UTF-8.
const LOST: [u8; 3] = [0xEF, 0xBF, 0xBD];

const REPORT: &str = "send the file that `trivy image --format json --output report.json …` writes";
const SEND_UTF8: &str = "send it as UTF-8: let Trivy write the file itself with --output";

impl<'b> Text<'b> {
    /// Decodes a JSON document in UTF-8 or UTF-16 of at most `limit` bytes.
    ///
    /// # Errors
    /// [`Error::NotJson`], [`Error::NotUtf8`], [`Error::NotUtf16`], [`Error::TooLarge`].
    pub(super) fn read(bytes: impl Into<Cow<'b, [u8]>>, limit: usize) -> Result<Self, Error> {
        let bytes = bytes.into();
        if bytes.len() > limit {
            return Err(Error::TooLarge { limit });
        }
        let not_json = |found, advice| Err(Error::NotJson { found, advice });
        match *bytes {
            [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] | [0, 0, 0, _, ..] | [_, 0, 0, 0, ..] => {
                return not_json("UTF-32 text", SEND_UTF8);
            }
            [0xFF, 0xFE, ref rest @ ..] => return utf16(rest, 2, u16::from_le_bytes, limit),
            [0xFE, 0xFF, ref rest @ ..] => return utf16(rest, 2, u16::from_be_bytes, limit),
            [0xEF, 0xBF, 0xBD, 0xEF, 0xBF, 0xBD, 0, _, ..] | [0xEF, 0xBF, 0xBD, 0xEF, 0xBF, 0xBD, _, 0, ..] => {
                return mangled_utf16(bytes.get(2 * LOST.len()..).unwrap_or_default(), limit);
            }
            [0, _, ..] | [_, 0, ..] => return mangled_utf16(&bytes, limit),
            _ => {}
        }
        let mark = if bytes.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
        if let Some((found, advice)) = recognise(bytes.get(mark..).unwrap_or_default()) {
            return not_json(found, advice);
        }
        let text = match bytes {
            Cow::Borrowed(bytes) => {
                std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|error| (error, bytes.into()))
            }
            Cow::Owned(bytes) => String::from_utf8(bytes)
                .map(Cow::Owned)
                .map_err(|error| (error.utf8_error(), Cow::Owned(error.into_bytes()))),
        };
        match text {
            Ok(text) => Ok(Self { text, mark, is_as_sent: true }),
            Err((error, bytes)) => {
                let (line, column) = position(&bytes, error.valid_up_to());
                Err(Error::NotUtf8 { offset: error.valid_up_to(), line, column })
            }
        }
    }

    /// Returns the JSON, without a byte order mark.
    pub(super) fn json(&self) -> &str {
        self.text.get(self.mark..).unwrap_or_default()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// Replaces each escape of half a surrogate pair by U+FFFD. Returns whether there was one.
    pub(super) fn replace_lone_surrogates(&mut self) -> bool {
        let mut bytes = std::mem::take(&mut self.text).into_owned().into_bytes();
        let mut replaced = false;
        let mut at = 0;
        while let Some(escape) = bytes.get(at..).and_then(|rest| Some(at + rest.iter().position(|&b| b == b'\\')?)) {
            at = escape
                + match (surrogate(&bytes, escape), surrogate(&bytes, escape + 6)) {
                    (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
                    (Some(_), _) => {
                        if let Some(digits) = bytes.get_mut(escape + 2..escape + 6) {
                            digits.copy_from_slice(b"fffd");
                            replaced = true;
                        }
                        6
                    }
                    (None, _) => 2,
                };
        }
        // It stays UTF-8, since ASCII replaced ASCII.
        self.text = String::from_utf8(bytes).unwrap_or_default().into();
        self.is_as_sent &= !replaced;
        replaced
    }
}

/// Reads the escape at an offset, if it is a surrogate.
fn surrogate(bytes: &[u8], at: usize) -> Option<u16> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
    u16::from_str_radix(digits, 16).ok().filter(|unit| (0xD800..=0xDFFF).contains(unit))
}

/// Decodes UTF-16 without a byte order mark, or with one that a gateway has replaced.
fn mangled_utf16<'b>(bytes: &[u8], limit: usize) -> Result<Text<'b>, Error> {
    if bytes.windows(LOST.len()).any(|window| window == LOST) {
        const FOUND: &str = "UTF-16 text of which API Gateway has replaced bytes (as it does with JSON bodies)";
        return Err(Error::NotJson { found: FOUND, advice: SEND_UTF8 });
    }
    let unit = if bytes.first() == Some(&0) { u16::from_be_bytes } else { u16::from_le_bytes };
    utf16(bytes, 0, unit, limit)
}

/// Decodes UTF-16 that begins `before` bytes into the document.
fn utf16<'b>(bytes: &[u8], before: usize, unit: fn([u8; 2]) -> u16, limit: usize) -> Result<Text<'b>, Error> {
    let (pairs, left) = bytes.as_chunks::<2>();
    let mut text = String::new();
    let mut at = before;
    for decoded in char::decode_utf16(pairs.iter().map(|&pair| unit(pair))) {
        let c = decoded.map_err(|_| Error::NotUtf16 { offset: at })?;
        at += 2 * c.len_utf16();
        if text.capacity() - text.len() < c.len_utf8() {
            // Most text takes half as many bytes in UTF-8.
            text.reserve_exact((text.len() / 4).max(bytes.len() / 2 + 16));
        }
        text.push(c);
    }
    if !left.is_empty() {
        return Err(Error::NotUtf16 { offset: at });
    }
    if text.len() > limit {
        return Err(Error::TooLarge { limit });
    }
    match recognise(text.as_bytes()) {
        Some((found, advice)) => Err(Error::NotJson { found, advice }),
        None => Ok(Text { text: text.into(), mark: 0, is_as_sent: false }),
    }
}

/// Finds the line and column of a byte, both counted from 1.
fn position(bytes: &[u8], offset: usize) -> (usize, usize) {
    let before = bytes.get(..offset).unwrap_or_default();
    let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    (before.iter().filter(|&&byte| byte == b'\n').count() + 1, offset - line_start + 1)
}

/// Files that are sent by mistake: their first bytes, also as a gateway passes them, the name and the advice.
const FILES: [(&[&[u8]], &str, &str); 8] = [
    (&[b"\x1F\x8B", b"\x1F\xEF\xBF\xBD\x08"], "gzip", "send it, packed once, with Content-Type: application/gzip"),
    (
        &[b"\x28\xB5\x2F\xFD", b"\x28\xEF\xBF\xBD\x2F\xEF\xBF\xBD"],
        "zstd",
        "send it, packed once, with Content-Type: application/zstd",
    ),
    (&[b"PK\x03\x04", b"PK\x05\x06"], "a ZIP archive", PACKED),
    (&[b"\xFD7zXZ\0", b"\xEF\xBF\xBD7zXZ\0"], "xz", PACKED),
    (&[b"BZh"], "bzip2", PACKED),
    (&[b"7z\xBC\xAF\x27\x1C", b"7z\xEF\xBF\xBD\xEF\xBF\xBD\x27\x1C"], "a 7-Zip archive", PACKED),
    (&[b"\x04\x22\x4D\x18"], "lz4", PACKED),
    (&[b"%PDF-"], "a PDF", REPORT),
];
const PACKED: &str = "send the report in it as JSON, or packed with gzip or zstd";

/// Names the format of bytes that are no JSON object or array, with advice.
fn recognise(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    /// The offset of `ustar` in the header of a tar archive (POSIX.1-1988).
    const TAR: usize = 257;
    if let Some((_, found, advice)) =
        FILES.iter().find(|(beginnings, ..)| beginnings.iter().any(|beginning| bytes.starts_with(beginning)))
    {
        return Some((found, advice));
    }
    if bytes.get(TAR..).is_some_and(|rest| rest.starts_with(b"ustar")) {
        return Some(("a tar archive", PACKED));
    }
    let text = bytes.trim_ascii_start();
    match text.first() {
        None => Some(("empty", REPORT)),
        Some(b'<') if text.starts_with(b"<<<<<<<") => {
            Some(("text with merge conflict markers", "resolve the conflict, or scan again"))
        }
        Some(b'<') => Some(("XML or HTML", REPORT)),
        Some(b'[') if looks_like_a_log_line(text) => Some((
            "text with log lines before the JSON",
            "keep them apart: use --output, or --quiet and standard output only",
        )),
        Some(b'{' | b'[') => None,
        Some(b'"' | b'0'..=b'9' | b'-' | b't' | b'f' | b'n') if is_scalar(text) => Some(("a bare JSON value", REPORT)),
        Some(_) if json_follows(text) => Some((
            "text with other lines before the JSON",
            "keep log lines apart: use --output, or --quiet and standard output only",
        )),
        Some(_) => Some(("other text", REPORT)),
    }
}

/// Recognises `[INFO] …`, a line of a log and not an array.
fn looks_like_a_log_line(text: &[u8]) -> bool {
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
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 1 << 20;

    fn utf16_bytes(text: &str, encode: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(encode).collect()
    }

    /// What a gateway makes of bytes that it takes for text, replacing each byte by itself.
    fn through_a_gateway(bytes: &[u8]) -> Vec<u8> {
        let lost = char::REPLACEMENT_CHARACTER.to_string();
        bytes
            .utf8_chunks()
            .map(|chunk| chunk.valid().to_owned() + &lost.repeat(chunk.invalid().len()))
            .collect::<String>()
            .into()
    }

    fn message(bytes: &[u8]) -> String {
        Text::read(bytes, LIMIT).unwrap_err().to_string()
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_json_and_is_kept() {
        let text = Text::read(&b"\xEF\xBB\xBF {}"[..], LIMIT).unwrap();
        assert_eq!((text.json(), text.bytes(), text.is_as_sent), (" {}", &b"\xEF\xBB\xBF {}"[..], true));
    }

    #[test]
    fn utf16_is_read_with_and_without_a_mark_and_behind_a_gateway() {
        let json = "{\r\n  \"SchemaVersion\": 2 }";
        for encode in [u16::to_le_bytes, u16::to_be_bytes] {
            let bare = utf16_bytes(json, encode);
            let marked = utf16_bytes(&format!("\u{FEFF}{json}"), encode);
            for bytes in [&bare, &marked, &through_a_gateway(&bare), &through_a_gateway(&marked)] {
                let text = Text::read(bytes.as_slice(), LIMIT).unwrap();
                assert_eq!((text.json(), text.is_as_sent), (json, false));
            }
            let beyond = utf16_bytes("\u{FEFF}[\"é€😀\"]", encode);
            assert_eq!(Text::read(&beyond, LIMIT).unwrap().json(), "[\"é€😀\"]");
        }
    }

    #[test]
    fn utf16_of_which_something_is_lost_is_named() {
        let bytes = utf16_bytes("\u{FEFF}{\"a\": \"é\"}", u16::to_le_bytes);
        let said = message(&through_a_gateway(&bytes));
        assert!(said.contains("UTF-16") && said.contains("send it as UTF-8"), "{said}");
        assert!(matches!(Text::read(&bytes[..bytes.len() - 1], LIMIT), Err(Error::NotUtf16 { offset: 20 })));
        let half = [&[0xFF, 0xFE, b'[', 0][..], &[0x00, 0xD8], &[b']', 0]].concat();
        assert!(matches!(Text::read(&half, LIMIT), Err(Error::NotUtf16 { offset: 4 })));
        assert!(message(b"\xFF\xFE\0\0{\0\0\0").contains("UTF-32"));
        assert!(message(b"{\0\0\0\"\0\0\0").contains("UTF-32"));
    }

    #[test]
    fn what_is_not_utf8_is_refused_with_where_it_begins() {
        let error = Text::read(&b"{\n \"a\": \"\xC3\x28\"}"[..], LIMIT).unwrap_err();
        assert!(matches!(error, Error::NotUtf8 { offset: 9, line: 2, column: 8 }), "{error}");
        let error = Text::read(b"[\"\xE9\"]".to_vec(), LIMIT).unwrap_err();
        assert!(matches!(error, Error::NotUtf8 { offset: 2, line: 1, column: 3 }), "{error}");
    }

    #[test]
    fn a_document_over_the_limit_is_refused() {
        assert!(matches!(Text::read(&b"[   ]"[..], 4), Err(Error::TooLarge { limit: 4 })));
        let wide = utf16_bytes("\u{FEFF}[\"€€\"]", u16::to_le_bytes);
        assert!(Text::read(&wide, wide.len()).is_ok());
    }

    #[test]
    fn half_a_surrogate_pair_becomes_a_replacement_character() {
        for (json, expected) in [
            (r#"["\ud800"]"#, r#"["\ufffd"]"#),
            (r#"["\udc00x"]"#, r#"["\ufffdx"]"#),
            (r#"["\uD83D\uDE00"]"#, r#"["\uD83D\uDE00"]"#),
            (r#"["\ud83d\ud83d\ude00"]"#, r#"["\ufffd\ud83d\ude00"]"#),
            (r#"["\\ud800", "\ud800\n"]"#, r#"["\\ud800", "\ufffd\n"]"#),
            (r#"["\ud800\u0041"]"#, r#"["\ufffd\u0041"]"#),
            (r#"["\ud8"]"#, r#"["\ud8"]"#),
            (r#"["\u+d80"]"#, r#"["\u+d80"]"#),
        ] {
            let mut text = Text::read(json.as_bytes(), LIMIT).unwrap();
            assert_eq!(text.replace_lone_surrogates(), json != expected, "{json}");
            assert_eq!((text.json(), text.is_as_sent), (expected, json == expected));
        }
    }

    #[test]
    fn what_is_not_json_is_named() {
        let tar = [&[b'r'; 257][..], b"ustar\x0000"].concat();
        for (bytes, name) in [
            (&b"\x1F\x8B\x08"[..], "gzip"),
            (b"\x28\xB5\x2F\xFD\x00", "zstd"),
            (b"PK\x03\x04\x14\x00", "ZIP"),
            (b"\xFD7zXZ\0\0", "xz"),
            (b"BZh91AY&SY\x80", "bzip2"),
            (b"7z\xBC\xAF\x27\x1C\x00", "7-Zip"),
            (b"\x04\x22\x4D\x18", "lz4"),
            (b"%PDF-1.7", "PDF"),
            (&tar, "tar"),
            (b" \n", "empty"),
            (b"", "empty"),
            (b"\xEF\xBB\xBF", "empty"),
            (b"<!doctype html>", "XML"),
            (b"2026-01-01T00:00:00Z INFO Vulnerability scanning\n{\"SchemaVersion\":2}", "other lines before"),
            (b"[INFO] scanning\n{\"SchemaVersion\":2}", "log lines before"),
            (b"<<<<<<< HEAD\n{", "merge conflict"),
            (b"Total: 3 (HIGH: 3)", "other text"),
            (b"\"report\"", "a bare JSON value"),
            (b"null", "a bare JSON value"),
        ] {
            for bytes in [bytes, &through_a_gateway(bytes)] {
                assert!(message(bytes).contains(name), "{name}: {}", message(bytes));
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_comes_back_from_utf16(inner in "[^\\u{0}]*") {
            let json = format!("[\"{inner}\"]");
            for encode in [u16::to_le_bytes, u16::to_be_bytes] {
                let bytes = utf16_bytes(&format!("\u{FEFF}{json}"), encode);
                let text = Text::read(&bytes, LIMIT).unwrap();
                prop_assert_eq!(text.json(), &json);
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(mut text) = Text::read(bytes, LIMIT) {
                text.replace_lone_surrogates();
            }
        }
    }
}
