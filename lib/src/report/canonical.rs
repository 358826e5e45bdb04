//! Writes the canonical text of a report, which is the same for all its spellings.
//!
//! The canonical text is the report's JSON with object keys sorted by their bytes, no white space,
//! numbers in one spelling (`7.50`, `75e-1` and `7.5` are one), and strings escaped only where JSON
//! demands it. Members that differ between two scans of the same content are left out. Arrays that Trivy fills in any
//! order are sorted; all other arrays keep their order.
//!
//! `Layer.Digest` depends on Trivy's cache, and `PkgIdentifier.UID` and `DataSource.BaseID` on whether a Trivy server
//! was used. They are not part of the hash, but stay in the text, since findings are stored as the report has them:
//! while the text is written, such a member stands between two marks that hash and order skip.

mod arrange;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;

use jiff::Timestamp;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use sha2::{Digest, Sha256};

use self::arrange::{Piece, arrange};
use super::encoding::Text;
use super::{Error, Limits, reason};
use crate::domain::declared::Declared;
use crate::domain::report_hash::ReportHash;
use crate::domain::text::cut;

/// The version of the canonical form. Only hashes of one version are comparable.
pub const FORM: u32 = 3;

/// The most elements of an array that is sorted; the largest known one has 2,658.
const MAX_SORTED_ELEMENTS: usize = 200_000;

/// The most members of all open objects; the largest known object has a few hundred.
const MAX_OPEN_MEMBERS: usize = 50_000;

/// The longest name of a member, in bytes of JSON.
const MAX_NAME_BYTES: usize = 16 << 10;

/// The longest beginning of a duplicate key in an error message.
const MAX_QUOTED_BYTES: usize = 100;

/// The longest `CreatedAt`, in bytes of JSON.
const MAX_CREATED_AT_BYTES: usize = 200;

/// The bytes that the canonical text may have beyond one and a half times the JSON. Only numbers with an exponent get
/// longer, and Trivy writes none.
const MAX_GROWTH_BYTES: usize = 64 << 10;

const CREATED_AT: &str = "CreatedAt";

/// Marks around text that is not hashed; JSON has these bytes only as escapes.
const SKIP_FROM: u8 = 1;
const SKIP_TO: u8 = 2;

/// The beginning of the keys that `serde_json` reserves: it could not read such a stored object.
const RESERVED: &[u8] = b"$serde_json::private::";

/// A report's canonical text.
#[derive(Debug)]
pub struct Canonical {
    text: String,
    /// The hash of the text without skipped members.
    sha: Sha256,
    created_at: Option<String>,
}

impl Canonical {
    /// Reads any JSON value and writes its canonical form.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::NotJson`], [`Error::NotUtf8`], [`Error::NotUtf16`], [`Error::Syntax`],
    /// [`Error::SecondValue`], [`Error::TextAfter`], [`Error::Truncated`], [`Error::TooDeep`].
    pub fn read(bytes: &[u8], limits: &Limits) -> Result<Self, Error> {
        Self::from_text(&mut Text::read(bytes, limits.max_bytes)?)
    }

    /// Writes the canonical form of a text. Half a surrogate pair becomes U+FFFD.
    pub(super) fn from_text(json: &mut Text<'_>) -> Result<Self, Error> {
        let writer = match write(json.json()) {
            // Rare, so it is tried only for a text that cannot be read otherwise.
            Err(Error::Syntax { .. }) if json.replace_lone_surrogates() => write(json.json())?,
            written => written?,
        };
        let mut text = writer.text;
        let mut sha = Sha256::new();
        hashed_parts(&text).for_each(|piece| sha.update(piece));
        text.retain(|&byte| byte != SKIP_FROM && byte != SKIP_TO);
        let text = String::from_utf8(text)
            .map_err(|_| Error::NotJson { found: "text that is not UTF-8", advice: "send UTF-8" })?;
        Ok(Self { text, sha, created_at: writer.created_at })
    }

    /// Returns the canonical text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Hashes the report and the sender's declarations: an old array that is sent for two images is two reports.
    #[must_use]
    pub fn hash(&self, declared: &Declared) -> ReportHash {
        let Declared { image_name, scanners, severities } = declared;
        let mut sha = self.sha.clone();
        // Canonical text has no line feed, so no report can imitate a declaration.
        let mut add = |title: &str, value: &str| {
            sha.update(title);
            sha.update(value);
        };
        if let Some(name) = image_name {
            add("\nimage_name=", name.as_str());
        }
        if let Some(scanners) = scanners {
            add("\nscanners=", &scanners.to_string());
        }
        if let Some(severities) = severities {
            add("\nseverities=", &severities.to_string());
        }
        ReportHash::from(<[u8; 32]>::from(sha.finalize()))
    }

    /// Reads `CreatedAt`, in RFC 3339 or (some development builds of Trivy) Unix seconds.
    ///
    /// # Errors
    /// [`Error::Field`] if it is neither.
    pub fn created_at(&self) -> Result<Option<Timestamp>, Error> {
        let Some(json) = self.created_at.as_deref().filter(|&json| json != "null") else { return Ok(None) };
        let time = match serde_json::from_str::<String>(json) {
            Ok(text) => text.parse().ok().or_else(|| to_the_nanosecond(&text)?.parse().ok()),
            Err(_) => json.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok()),
        };
        time.map(Some).ok_or_else(|| Error::Field {
            path: CREATED_AT.to_owned(),
            reason: "expected an RFC 3339 time, such as 2026-11-21T10:00:00Z".to_owned(),
        })
    }
}

/// Removes the digits below the nanosecond, if there are any.
fn to_the_nanosecond(text: &str) -> Option<String> {
    let (seconds, fraction) = text.split_once(['.', ','])?;
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    let (nanoseconds, offset) = (fraction.get(..9)?, fraction.get(digits..)?);
    (digits > 9).then(|| format!("{seconds}.{nanoseconds}{offset}"))
}

fn write(json: &str) -> Result<Writer, Error> {
    let mut writer = Writer::of(json);
    let mut deserializer = serde_json::Deserializer::from_str(json);
    Next(&mut writer, Place::Report).deserialize(&mut deserializer).map_err(|error| classify(&error))?;
    deserializer.end().map_err(|error| {
        let (line, column) = (error.line(), error.column());
        match byte_at(json, line, column) {
            Some(b'{' | b'[') => Error::SecondValue { line, column },
            _ => Error::TextAfter { line, column },
        }
    })?;
    Ok(writer)
}

fn byte_at(json: &str, line: usize, column: usize) -> Option<u8> {
    let line = json.as_bytes().split(|&byte| byte == b'\n').nth(line.checked_sub(1)?)?;
    line.get(column.checked_sub(1)?).copied()
}

fn classify(error: &serde_json::Error) -> Error {
    let (line, column) = (error.line(), error.column());
    if error.is_eof() {
        return Error::Truncated { line, column };
    }
    match reason::reword(error) {
        reason if reason == "recursion limit exceeded" => Error::TooDeep { line, column },
        reason => Error::Syntax { line, column, reason },
    }
}

/// The position of a member of an open object in the text.
struct Member {
    start: usize,
    key: Range<usize>,
}

struct Writer {
    text: Vec<u8>,
    /// The members of all objects that are open, innermost last.
    members: Vec<Member>,
    /// The buffer for sorting members and elements.
    scratch: Vec<u8>,
    created_at: Option<String>,
    max_bytes: usize,
}

impl Writer {
    fn of(json: &str) -> Self {
        Self {
            text: Vec::with_capacity(json.len()),
            members: Vec::new(),
            scratch: Vec::new(),
            created_at: None,
            max_bytes: json.len().saturating_add(json.len() / 2).saturating_add(MAX_GROWTH_BYTES),
        }
    }

    fn json<T: serde::Serialize>(&mut self, value: &T) -> Result<(), serde_json::Error> {
        serde_json::to_writer(&mut self.text, value)
    }

    /// Sorts the members written since `first` by their keys. Each of them is `"key":value,`.
    fn sort(&mut self, first: usize) -> Result<(), String> {
        let Self { text, members, scratch, .. } = self;
        let open = members.get(first..).unwrap_or_default();
        let key = |member: &Member| key_name(text.get(member.key.clone()).unwrap_or_default());
        if !open.is_sorted_by(|a, b| key(a) < key(b)) {
            let mut order: Vec<(Cow<'_, [u8]>, usize)> = open.iter().map(key).zip(0..).collect();
            order.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
            if let Some(((twice, _), _)) = order.iter().zip(order.iter().skip(1)).find(|(a, b)| a.0 == b.0) {
                return Err(format!("duplicate key {:?}", cut(&String::from_utf8_lossy(twice), MAX_QUOTED_BYTES)));
            }
            let order: Vec<usize> = order.into_iter().map(|(_, at)| at).collect();
            rearrange(text, open.iter().map(|member| member.start), &order, scratch);
        }
        members.truncate(first);
        Ok(())
    }

    /// Sorts the elements that begin at `starts` by their hashed text. Each of them is `element,`.
    fn sort_elements(&mut self, starts: &[usize]) {
        let Self { text, scratch, .. } = self;
        let element = |at: usize| {
            let end = starts.get(at + 1).copied().unwrap_or(text.len());
            text.get(starts.get(at).copied().unwrap_or(end)..end.saturating_sub(1)).unwrap_or_default()
        };
        let by_what_is_hashed = |&a: &usize, &b: &usize| {
            let (one, other) = (element(a), element(b));
            let hashed = |text| hashed_parts(text).flatten();
            // Skipped members only decide between elements that are equal to the hash.
            hashed(one).cmp(hashed(other)).then_with(|| one.cmp(other)).then(a.cmp(&b))
        };
        let mut order: Vec<usize> = (0..starts.len()).collect();
        if order.is_sorted_by(|a, b| by_what_is_hashed(a, b) != Ordering::Greater) {
            return;
        }
        order.sort_unstable_by(by_what_is_hashed);
        rearrange(text, starts.iter().copied(), &order, scratch);
    }

    /// Closes an object of which members may be skipped, so that the commas fit without them too.
    fn close_around_skipped(&mut self) {
        if !self.text.ends_with(&[b',', SKIP_TO]) {
            return self.close(b'}');
        }
        // Removes the comma behind the last member, and moves the one before it between the marks.
        self.text.truncate(self.text.len().saturating_sub(2));
        if let Some(from) = self.text.iter().rposition(|&byte| byte == SKIP_FROM)
            && let Some(pair) = self.text.get_mut(from.saturating_sub(1)..=from)
            && pair.starts_with(b",")
        {
            pair.reverse();
        }
        self.text.extend_from_slice(&[SKIP_TO, b'}']);
    }

    /// Replaces the last comma of a list by its closing bracket.
    fn close(&mut self, bracket: u8) {
        match self.text.last_mut() {
            Some(comma) if *comma == b',' => *comma = bracket,
            _ => self.text.push(bracket),
        }
    }
}

/// Reorders the parts of a text that begin at `starts`, up to its end.
fn rearrange(text: &mut [u8], starts: impl Iterator<Item = usize> + Clone, order: &[usize], scratch: &mut Vec<u8>) {
    let Some(first) = starts.clone().next() else { return };
    let ends = starts.clone().skip(1).chain([text.len()]);
    let mut pieces: Vec<Piece> = starts.zip(ends).map(|(start, end)| Piece { rank: 0, len: end - start }).collect();
    for (rank, &at) in order.iter().enumerate() {
        if let Some(piece) = pieces.get_mut(at) {
            piece.rank = rank;
        }
    }
    if let Some(text) = text.get_mut(first..) {
        arrange(text, &mut pieces, scratch);
    }
}

/// Decodes a key, written with its quotes.
fn key_name(key: &[u8]) -> Cow<'_, [u8]> {
    if key.contains(&b'\\') {
        return Cow::Owned(serde_json::from_slice::<String>(key).unwrap_or_default().into_bytes());
    }
    Cow::Borrowed(key.get(1..key.len().saturating_sub(1)).unwrap_or_default())
}

/// Splits a text into its parts outside the skip marks.
fn hashed_parts(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == SKIP_FROM).map(|part| {
        let skipped = part.iter().position(|&byte| byte == SKIP_TO).map_or(0, |at| at + 1);
        part.get(skipped..).unwrap_or_default()
    })
}

/// The place of a value in a report, which decides how the value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Report,
    Trivy,
    Metadata,
    Results,
    /// An element of `Results`.
    Result,
    /// The value of a result's `Licenses` or `ExperimentalModifiedFindings`.
    Set,
    /// The value of any `Layer`.
    Layer,
    /// The value of any `PkgIdentifier`, or of a package's `Identifier`.
    Identifier,
    /// The value of any `DataSource`.
    DataSource,
    /// Inside a skipped member.
    Skipped,
    Elsewhere,
}

/// The treatment of a member of an object.
enum Fate {
    Written(Place),
    Skipped,
    LeftOut(&'static str),
}

impl Place {
    fn of_member(self, name: &[u8]) -> Fate {
        match (self, name) {
            (Self::Skipped, _) => Fate::Written(Self::Skipped),
            (Self::Report, b"CreatedAt") => Fate::LeftOut(CREATED_AT),
            (Self::Report, b"ReportID") => Fate::LeftOut("ReportID"),
            (Self::Trivy, b"Server") => Fate::LeftOut("Server"),
            (Self::Metadata, b"Layers") => Fate::LeftOut("Layers"),
            (Self::Layer, b"Digest") | (Self::Identifier, b"UID") | (Self::DataSource, b"BaseID") => Fate::Skipped,
            (Self::Report, b"Trivy") => Fate::Written(Self::Trivy),
            (Self::Report, b"Metadata") => Fate::Written(Self::Metadata),
            (Self::Report, b"Results") => Fate::Written(Self::Results),
            (Self::Result, b"Licenses" | b"ExperimentalModifiedFindings") => Fate::Written(Self::Set),
            (_, b"Layer") => Fate::Written(Self::Layer),
            (_, b"PkgIdentifier" | b"Identifier") => Fate::Written(Self::Identifier),
            (_, b"DataSource") => Fate::Written(Self::DataSource),
            _ => Fate::Written(Self::Elsewhere),
        }
    }

    const fn of_element(self) -> Self {
        match self {
            Self::Skipped => Self::Skipped,
            Self::Results => Self::Result,
            _ => Self::Elsewhere,
        }
    }

    /// Tells whether Trivy fills the array in any order.
    const fn is_set(self) -> bool {
        matches!(self, Self::Results | Self::Set)
    }
}

/// Writes the next value.
struct Next<'w>(&'w mut Writer, Place);

impl<'de> DeserializeSeed<'de> for Next<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Next<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.0.text.extend_from_slice(b"null");
        Ok(())
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        self.0.text.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.0.json(&value).map_err(E::custom)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.0.json(&value).map_err(E::custom)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        /// 2^53, up to which every whole number is exact as a float.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if self.0.text.len() > self.0.max_bytes {
            return Err(E::custom("more numbers with an exponent than any report has"));
        }
        if value.fract() == 0.0 && value.abs() <= EXACT {
            // `-0.0` becomes 0 as well.
            #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
            return self.0.json(&(value as i64)).map_err(E::custom);
        }
        self.0.json(&value).map_err(E::custom)
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        self.0.json(&value).map_err(E::custom)
    }

    /// Writes a borrowed text, which has no escapes and needs none.
    fn visit_borrowed_str<E: serde::de::Error>(self, value: &'de str) -> Result<(), E> {
        let text = &mut self.0.text;
        text.push(b'"');
        text.extend_from_slice(value.as_bytes());
        text.push(b'"');
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self(writer, place) = self;
        writer.text.push(b'[');
        let mut starts = Vec::new();
        loop {
            let start = writer.text.len();
            if items.next_element_seed(Next(writer, place.of_element()))?.is_none() {
                break;
            }
            writer.text.push(b',');
            if place.is_set() {
                if starts.len() == MAX_SORTED_ELEMENTS {
                    return Err(A::Error::custom(format_args!(
                        "an array of more than {MAX_SORTED_ELEMENTS} results, licenses or modified findings"
                    )));
                }
                starts.push(start);
            }
        }
        writer.sort_elements(&starts);
        writer.close(b']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self(writer, place) = self;
        let first = writer.members.len();
        let mut left_out = Vec::new();
        writer.text.push(b'{');
        loop {
            let start = writer.text.len();
            if members.next_key_seed(Next(writer, Place::Elsewhere))?.is_none() {
                break;
            }
            let mut key = start..writer.text.len();
            if key.len() > MAX_NAME_BYTES {
                return Err(A::Error::custom(format_args!("a name of more than {MAX_NAME_BYTES} bytes")));
            }
            if writer.members.len() == MAX_OPEN_MEMBERS {
                return Err(A::Error::custom(format_args!(
                    "more than {MAX_OPEN_MEMBERS} members in one object, or in it and those around it"
                )));
            }
            writer.text.push(b':');
            let value = writer.text.len();
            let fate = {
                let name = key_name(writer.text.get(key.clone()).unwrap_or_default());
                if name.starts_with(RESERVED) {
                    return Err(A::Error::custom("a key that begins with $serde_json::private, which no tool writes"));
                }
                place.of_member(&name)
            };
            match fate {
                Fate::Written(place) => {
                    members.next_value_seed(Next(writer, place))?;
                    writer.text.push(b',');
                }
                Fate::Skipped => {
                    writer.text.insert(start, SKIP_FROM);
                    key = key.start + 1..key.end + 1;
                    members.next_value_seed(Next(writer, Place::Skipped))?;
                    writer.text.extend_from_slice(&[b',', SKIP_TO]);
                }
                Fate::LeftOut(name) => {
                    if left_out.contains(&name) {
                        return Err(A::Error::custom(format_args!("duplicate key {name:?}")));
                    }
                    members.next_value_seed(Next(writer, Place::Skipped))?;
                    if name == CREATED_AT {
                        let json = writer.text.get(value..).unwrap_or_default();
                        // A cut text is no time either.
                        let json = json.get(..MAX_CREATED_AT_BYTES).unwrap_or(json);
                        writer.created_at = Some(String::from_utf8_lossy(json).into_owned());
                    }
                    left_out.push(name);
                    writer.text.truncate(start);
                    continue;
                }
            }
            writer.members.push(Member { start, key });
        }
        writer.sort(first).map_err(A::Error::custom)?;
        writer.close_around_skipped();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
