//! FIRST's daily EPSS scores of every CVE (<https://www.first.org/epss/data_stats>), and the form in
//! which all of them are kept in memory: 16 bytes each, about 6 MB.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::domain::upstream_time;
use crate::domain::vulnerability::id::VulnerabilityId;
use crate::domain::vulnerability::{Epss, SourceRecord};

/// All scores of one day, sorted by CVE.
#[derive(Clone, PartialEq, Eq)]
pub struct Snapshot {
    model_version: Option<String>,
    scored_at: Timestamp,
    rows: Vec<Row>,
}

/// The year in the upper 16 bits and the number in the lower 48, then score and percentile in
/// [`UNIT`]ths: decimal places come out as they went in, which a binary fraction of 4 bytes would not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    key: u64,
    score: u32,
    percentile: u32,
}

/// FIRST publishes five decimal places, and nine in its API.
const UNIT: f64 = 1e9;
/// The largest score or percentile: 1.
const ONE: u32 = 1_000_000_000;
/// In place of a percentile that the CSV does not have.
const NO_PERCENTILE: u32 = u32::MAX;
/// The lowest bits of a key: the number of the CVE.
const NUMBER_BITS: u32 = 48;

/// What is remembered of the scores that new ones are to replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastGood {
    /// How many CVEs had a score.
    pub rows: usize,
    /// When they were made.
    pub scored_at: Timestamp,
}

/// The smallest number of rows that is believed when there is no last good snapshot; there were 354,000
/// in October 2026.
const MIN_ROWS: usize = 200_000;
/// New scores may be of fewer CVEs than the last ones by one in this many.
const MAX_LOST_SHARE: usize = 50;
/// Where the header has to be over: comment, names of the columns.
const MAX_LINE_BYTES: usize = 200;

/// The bytes are not EPSS scores, or not such as may replace the last good ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not text.
    #[error("is not UTF-8")]
    Encoding,
    /// The columns are not `cve,epss` and, mostly, `percentile`.
    #[error("has no line cve,epss,percentile")]
    Header,
    /// No comment with `score_date`, and the caller has no date either.
    #[error("has no date")]
    NoDate,
    /// The `score_date` cannot be read.
    #[error("its score_date is not a time")]
    Date,
    /// A row has not as many values as there are columns, or a bad one.
    #[error("its line {0} is not a CVE and a score from 0 to 1")]
    Row(usize),
    /// A CVE has two scores.
    #[error("has {0} twice")]
    Twice(String),
    /// So much smaller than it should be that it cannot be whole.
    #[error("has {found} scores, not the {expected} or more that it should have")]
    TooFew {
        /// The number of its rows.
        found: usize,
        /// The smallest number that would be believed.
        expected: usize,
    },
    /// Older than the last good one: a cache on the way.
    #[error("is older than the last good one")]
    Older,
    /// The bytes are not a snapshot of [`Snapshot::to_bytes`], or were damaged.
    #[error("is not a stored snapshot of this version, or is damaged")]
    Damaged,
}

impl Error {
    /// True if the same request may be answered better later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Encoding | Self::Header | Self::TooFew { .. } | Self::Older)
    }
}

/// Reads the CSV, unpacked by the caller.
///
/// The first line is a comment with `model_version` and `score_date` since 2022; `day` stands in for a
/// date that is not there. CSVs before September 2021 have no percentiles.
///
/// # Errors
/// [`Error`]; one bad row means a bad file.
pub fn parse_csv(bytes: &[u8], day: Option<Date>) -> Result<Snapshot, Error> {
    let text = std::str::from_utf8(bytes).map_err(|_| Error::Encoding)?;
    let mut lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate();
    let mut comment = Comment::default();
    let columns = loop {
        match lines.next() {
            Some((_, line)) if line.len() > MAX_LINE_BYTES => return Err(Error::Header),
            Some((_, line)) if line.starts_with('#') => comment = Comment::read(line)?,
            Some((_, line)) if line.trim() == "cve,epss,percentile" => break 3,
            Some((_, line)) if line.trim() == "cve,epss" => break 2,
            _ => return Err(Error::Header),
        }
    };
    let scored_at = match (comment.scored_at, day) {
        (Some(scored_at), _) => scored_at,
        (None, Some(day)) => midnight(day)?,
        (None, None) => return Err(Error::NoDate),
    };
    let mut rows = Vec::with_capacity(bytes.len() / 24);
    for (index, line) in lines {
        if line.trim().is_empty() {
            continue;
        }
        rows.push(Row::read(line.trim(), columns).ok_or(Error::Row(index + 1))?);
    }
    rows.sort_unstable();
    if let Some([row, _]) = rows.array_windows().find(|[row, next]| row.key == next.key) {
        return Err(Error::Twice(row.cve()));
    }
    Ok(Snapshot { model_version: comment.model_version, scored_at, rows })
}

/// `#model_version:v2026.06.15,score_date:2026-10-04T12:00:21Z`
#[derive(Default)]
struct Comment {
    model_version: Option<String>,
    scored_at: Option<Timestamp>,
}

impl Comment {
    fn read(line: &str) -> Result<Self, Error> {
        let mut comment = Self::default();
        for part in line.trim_start_matches('#').split(',') {
            match part.trim().split_once(':') {
                Some(("model_version", version)) => comment.model_version = super::plain_text::line(version),
                Some(("score_date", date)) => {
                    comment.scored_at = Some(upstream_time::instant(date.trim()).ok_or(Error::Date)?);
                }
                _ => {}
            }
        }
        Ok(comment)
    }
}

fn midnight(day: Date) -> Result<Timestamp, Error> {
    day.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp()).map_err(|_| Error::Date)
}

impl Row {
    fn read(line: &str, columns: usize) -> Option<Self> {
        let mut values = line.split(',');
        let id: VulnerabilityId = values.next()?.trim().parse().ok()?;
        let key = key(&id)?;
        let score = share(values.next()?)?;
        let percentile = if columns == 3 { share(values.next()?)? } else { NO_PERCENTILE };
        values.next().is_none().then_some(Self { key, score, percentile })
    }

    fn cve(self) -> String {
        let (year, number) = (self.key >> NUMBER_BITS, self.key & ((1 << NUMBER_BITS) - 1));
        format!("CVE-{year}-{number:04}")
    }
}

/// Year and number in one; none for an id that is not a CVE's, or has a number of 15 digits or more.
fn key(id: &VulnerabilityId) -> Option<u64> {
    let (year, number) = id.cve_number()?;
    (number < 1 << NUMBER_BITS).then(|| u64::from(year) << NUMBER_BITS | number)
}

/// A number from 0 to 1 (`0.00043`, `7e-05`) in [`UNIT`]ths.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked first")]
fn share(text: &str) -> Option<u32> {
    let number: f64 = text.trim().parse().ok()?;
    (0.0..=1.0).contains(&number).then(|| (number * UNIT).round() as u32)
}

impl Snapshot {
    /// The score of one CVE; none of an id that has none: unknown, not zero.
    #[must_use]
    pub fn get(&self, id: &VulnerabilityId) -> Option<Epss> {
        let key = key(id)?;
        let row = self.rows.get(self.rows.binary_search_by_key(&key, |row| row.key).ok()?)?;
        let known = row.percentile != NO_PERCENTILE;
        Some(Epss {
            score: f64::from(row.score) / UNIT,
            percentile: known.then(|| f64::from(row.percentile) / UNIT),
            date: self.day(),
            model_version: self.model_version.clone(),
        })
    }

    /// What the snapshot says about one vulnerability; none if it does not have it.
    #[must_use]
    pub fn facts(&self, id: &VulnerabilityId) -> Option<SourceRecord> {
        Some(SourceRecord { epss: Some(self.get(id)?), ..SourceRecord::none(self.scored_at) })
    }

    /// The score in the middle, for CVEs that have none; none of an empty snapshot.
    #[must_use]
    pub fn median(&self) -> Option<f64> {
        let mut scores: Vec<u32> = self.rows.iter().map(|row| row.score).collect();
        let middle = scores.len() / 2;
        let is_even = scores.len().is_multiple_of(2);
        if scores.is_empty() {
            return None;
        }
        let (below, &mut upper, _) = scores.select_nth_unstable(middle);
        let lower = if is_even { below.iter().copied().max().unwrap_or(upper) } else { upper };
        Some((f64::from(lower) + f64::from(upper)) / 2.0 / UNIT)
    }

    /// How many CVEs have a score.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rows.len()
    }

    /// True if no CVE has a score.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// When the scores were made: the `as_of` of their facts.
    #[must_use]
    pub const fn scored_at(&self) -> Timestamp {
        self.scored_at
    }

    /// The day of the scores, in UTC.
    #[must_use]
    pub fn day(&self) -> Date {
        self.scored_at.to_zoned(TimeZone::UTC).date()
    }

    /// `v2026.06.15`; CSVs before 2022 do not say.
    #[must_use]
    pub fn model_version(&self) -> Option<&str> {
        self.model_version.as_deref()
    }

    /// What to remember of it when the next one comes.
    #[must_use]
    pub const fn as_last_good(&self) -> LastGood {
        LastGood { rows: self.rows.len(), scored_at: self.scored_at }
    }

    /// Whether it may replace the last good one.
    ///
    /// # Errors
    /// [`Error::TooFew`], [`Error::Older`]
    pub fn check(&self, last_good: Option<LastGood>) -> Result<(), Error> {
        let found = self.rows.len();
        let expected = last_good.map_or(MIN_ROWS, |last| (last.rows - last.rows / MAX_LOST_SHARE).max(1));
        if found < expected {
            return Err(Error::TooFew { found, expected });
        }
        if last_good.is_some_and(|last| self.scored_at < last.scored_at) {
            return Err(Error::Older);
        }
        Ok(())
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model_version, scored_at, rows } = self;
        write!(f, "Snapshot({} rows of {scored_at}, model {model_version:?})", rows.len())
    }
}

/// The first bytes of a stored snapshot; the last of them is the version of the form.
const MAGIC: [u8; 8] = *b"SIREPSS\x01";
/// How many bytes a row takes.
const ROW_BYTES: usize = 16;

/// Magic, time in nanoseconds (16), length of the model's name (1), name, number of rows (8), rows, sum (8);
/// numbers have the low byte first.
impl Snapshot {
    /// The snapshot as bytes, to be stored.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // A line of the CSV is shorter than 255 bytes, and so is a name in it.
        let name = self.model_version.as_deref().unwrap_or_default().as_bytes();
        let name = name.get(..255).unwrap_or(name);
        let mut bytes = Vec::with_capacity(40 + name.len() + self.rows.len() * ROW_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(self.scored_at.as_nanosecond().to_le_bytes());
        bytes.extend(u8::try_from(name.len()).unwrap_or(u8::MAX).to_le_bytes());
        bytes.extend(name);
        bytes.extend((self.rows.len() as u64).to_le_bytes());
        for Row { key, score, percentile } in &self.rows {
            bytes.extend(key.to_le_bytes());
            bytes.extend(score.to_le_bytes());
            bytes.extend(percentile.to_le_bytes());
        }
        bytes.extend(sum(&bytes).to_le_bytes());
        bytes
    }

    /// Reads what [`Snapshot::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`Error::Damaged`]
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        Self::read(bytes).ok_or(Error::Damaged)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (body, stated) = bytes.split_last_chunk()?;
        if sum(body) != u64::from_le_bytes(*stated) {
            return None;
        }
        let rest = body.strip_prefix(&MAGIC)?;
        let (nanoseconds, rest) = rest.split_first_chunk()?;
        let scored_at = Timestamp::from_nanosecond(i128::from_le_bytes(*nanoseconds)).ok()?;
        let (&length, rest) = rest.split_first()?;
        let (name, rest) = rest.split_at_checked(usize::from(length))?;
        let name = std::str::from_utf8(name).ok()?;
        let (count, rest) = rest.split_first_chunk()?;
        let (rows, left_over) = rest.as_chunks::<ROW_BYTES>();
        if !left_over.is_empty() || u64::from_le_bytes(*count) != rows.len() as u64 {
            return None;
        }
        let rows = rows.iter().map(Row::from_bytes).collect::<Option<Vec<_>>>()?;
        let sorted = rows.array_windows().all(|[row, next]| row.key < next.key);
        let model_version = (!name.is_empty()).then(|| name.to_owned());
        sorted.then_some(Self { model_version, scored_at, rows })
    }
}

impl Row {
    fn from_bytes(bytes: &[u8; ROW_BYTES]) -> Option<Self> {
        let (key, rest) = bytes.split_first_chunk()?;
        let (score, rest) = rest.split_first_chunk()?;
        let (percentile, _) = rest.split_first_chunk()?;
        let row = Self {
            key: u64::from_le_bytes(*key),
            score: u32::from_le_bytes(*score),
            percentile: u32::from_le_bytes(*percentile),
        };
        let in_range = row.score <= ONE && (row.percentile <= ONE || row.percentile == NO_PERCENTILE);
        in_range.then_some(row)
    }
}

/// FNV-1a over 8 bytes at a time: finds damage, not malice, as whoever can write the file can write the sum.
/// <http://www.isthe.com/chongo/tech/comp/fnv/>
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    words
        .chain(rest.iter().map(|byte| u64::from(*byte)))
        .fold(0xcbf2_9ce4_8422_2325, |hash, word| (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CSV: &str = "#model_version:v2026.06.15,score_date:2026-10-04T12:00:21Z\ncve,epss,percentile\n\
        CVE-2021-44228,0.99999,1.0\nCVE-1999-0001,7e-05,0.00428\nCVE-2025-1000000,0.0024,0.47036\n";

    fn id(text: &str) -> VulnerabilityId {
        text.parse().unwrap()
    }

    #[test]
    fn a_score_is_found_as_it_was_written() {
        let snapshot = parse_csv(CSV.as_bytes(), None).unwrap();
        assert_eq!(
            snapshot.get(&id("CVE-1999-0001")),
            Some(Epss {
                score: 0.00007,
                percentile: Some(0.00428),
                date: "2026-10-04".parse().unwrap(),
                model_version: Some("v2026.06.15".into()),
            })
        );
        assert_eq!(snapshot.get(&id("CVE-2025-1000000")).unwrap().score, 0.0024);
        assert_eq!(snapshot.facts(&id("CVE-2021-44228")).unwrap().as_of.to_string(), "2026-10-04T12:00:21Z");
        for unknown in ["CVE-1999-0002", "CVE-2021-9999999999999999999", "GHSA-2222-3333-4444"] {
            assert_eq!(snapshot.get(&id(unknown)), None, "{unknown}");
        }
    }

    #[test]
    fn headers_of_all_years_are_read() {
        let day = "2021-04-14".parse().ok();
        let old = parse_csv(b"cve,epss\nCVE-2020-5902,0.65117\n", day).unwrap();
        let score = old.get(&id("CVE-2020-5902")).unwrap();
        assert_eq!((score.score, score.percentile, score.date), (0.65117, None, day.unwrap()));
        let crlf = CSV.replace('\n', "\r\n").replace("12:00:21Z", "00:00:00+0000");
        assert_eq!(parse_csv(crlf.as_bytes(), None).unwrap().len(), 3);
        assert_eq!(parse_csv(b"cve,epss\nCVE-2020-5902,0.65117\n", None), Err(Error::NoDate));
        // The comment's own date goes before the caller's.
        assert_eq!(parse_csv(CSV.as_bytes(), day).unwrap().day().to_string(), "2026-10-04");
    }

    #[test]
    fn one_bad_row_means_a_bad_file() {
        for (from, to, error) in [
            ("cve,epss,percentile", "invalid,header,format", Error::Header),
            ("2026-10-04T12:00:21Z", "today", Error::Date),
            ("7e-05", "1.00001", Error::Row(4)),
            ("7e-05", "-0.1", Error::Row(4)),
            ("7e-05", "NaN", Error::Row(4)),
            ("7e-05", "", Error::Row(4)),
            (",0.47036", "", Error::Row(5)),
            ("0.47036", "0.47036,1", Error::Row(5)),
            ("CVE-1999-0001", "GHSA-2222-3333-4444", Error::Row(4)),
            ("CVE-1999-0001", "CVE-2021-44228", Error::Twice("CVE-2021-44228".into())),
        ] {
            assert_eq!(parse_csv(CSV.replace(from, to).as_bytes(), None), Err(error), "{from} {to}");
        }
        assert_eq!(parse_csv(&[0x1f, 0x8b, 8, 0], None), Err(Error::Encoding));
        assert_eq!(parse_csv(b"<html>", None), Err(Error::Header));
    }

    #[test]
    fn scores_that_are_not_whole_do_not_replace_the_last_good_ones() {
        let snapshot = parse_csv(CSV.as_bytes(), None).unwrap();
        let last = snapshot.as_last_good();
        assert_eq!(snapshot.check(Some(last)), Ok(()));
        assert_eq!(snapshot.check(None), Err(Error::TooFew { found: 3, expected: 200_000 }));
        let more = LastGood { rows: 100, ..last };
        assert_eq!(snapshot.check(Some(more)), Err(Error::TooFew { found: 3, expected: 98 }));
        let newer = LastGood { scored_at: "2026-10-05T00:00:00Z".parse().unwrap(), ..last };
        assert_eq!(snapshot.check(Some(newer)), Err(Error::Older));
    }

    #[test]
    fn the_median_is_the_score_in_the_middle() {
        let median = |scores: &[&str]| {
            let rows = scores.iter().enumerate().map(|(n, score)| format!("CVE-2020-{n:04},{score}\n"));
            let csv = format!("cve,epss\n{}", rows.collect::<String>());
            parse_csv(csv.as_bytes(), "2021-01-01".parse().ok()).unwrap().median()
        };
        assert_eq!(median(&[]), None);
        assert_eq!(median(&["0.3"]), Some(0.3));
        assert_eq!(median(&["0.9", "0.1", "0.2"]), Some(0.2));
        assert_eq!(median(&["0.9", "0.1", "0.2", "0.4"]), Some(0.3));
    }

    #[test]
    fn a_stored_snapshot_is_16_bytes_a_cve_and_damage_is_seen() {
        let snapshot = parse_csv(CSV.as_bytes(), None).unwrap();
        let bytes = snapshot.to_bytes();
        assert_eq!(bytes.len(), 8 + 16 + 1 + "v2026.06.15".len() + 8 + 3 * 16 + 8);
        assert_eq!(Snapshot::from_bytes(&bytes), Ok(snapshot));
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 0x10;
            assert_eq!(Snapshot::from_bytes(&damaged), Err(Error::Damaged), "byte {place}");
            assert_eq!(Snapshot::from_bytes(&bytes[..place]), Err(Error::Damaged), "cut at {place}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_there_is_no_panic(
            bytes: Vec<u8>, text in "(cve,epss\n)?(CVE-[0-9]{4}-[0-9]{1,20},[0-9.e-]{0,6}\n){0,4}"
        ) {
            let _ = (parse_csv(&bytes, None), Snapshot::from_bytes(&bytes));
            let _ = parse_csv(text.as_bytes(), "2021-01-01".parse().ok());
            // With a right sum the rest is looked at too.
            let mut summed = [&MAGIC[..], &bytes].concat();
            summed.extend(sum(&summed).to_le_bytes());
            let _ = Snapshot::from_bytes(&summed);
        }

        #[test]
        fn a_snapshot_is_read_back(
            rows in prop::collection::btree_map((1999u16..2100, 0u64..1 << 48), (0u32..=100_000, 0u32..=100_000), 0..50)
        ) {
            let lines = rows.iter().map(|((year, number), (score, percentile))| {
                format!("CVE-{year}-{number:04},{},{}\n", f64::from(*score) / 1e5, f64::from(*percentile) / 1e5)
            });
            let header = "#model_version:v1,score_date:2026-01-01\ncve,epss,percentile\n";
            let csv = format!("{header}{}", lines.collect::<String>());
            let snapshot = parse_csv(csv.as_bytes(), None).unwrap();
            prop_assert_eq!(&Snapshot::from_bytes(&snapshot.to_bytes()).unwrap(), &snapshot);
            for ((year, number), (score, percentile)) in rows {
                let epss = snapshot.get(&id(&format!("CVE-{year}-{number:04}"))).unwrap();
                prop_assert_eq!(epss.score, f64::from(score) / 1e5);
                prop_assert_eq!(epss.percentile, Some(f64::from(percentile) / 1e5));
            }
        }
    }
}
