//! Reads FIRST's daily EPSS scores of every CVE (<https://www.first.org/epss/data_stats>), and keeps them in 16 bytes
//! each, about 6 MB in all.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::domain::feed::LastGood;
use crate::domain::vulnerability::id::VulnerabilityId;
use crate::domain::vulnerability::{Epss, SourceRecord};
use crate::domain::{instant, upstream_time};

/// All scores of one day, sorted by CVE.
#[derive(Clone, PartialEq, Eq)]
pub struct Snapshot {
    model_version: Option<String>,
    scored_at: Timestamp,
    rows: Vec<Row>,
}

/// Score and percentile are in [`UNIT`]ths, which keep the decimal places, unlike a binary fraction of 4 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    /// The year of the CVE in the upper 16 bits, its number in the lower 48.
    key: u64,
    score: u32,
    percentile: u32,
}

/// FIRST's files have five decimal places, and its API nine.
const UNIT: f64 = 1e9;
/// Stands for a percentile that the CSV lacks.
const NO_PERCENTILE: u32 = u32::MAX;
const NUMBER_BITS: u32 = 48;

/// The fewest rows that are accepted without a last good snapshot; there were 354,000 in October 2026.
const MIN_ROWS: usize = 200_000;
/// New scores may have fewer rows than the last ones by one in this many.
const MAX_LOST_SHARE: usize = 50;
/// The longest line of the header.
const MAX_LINE_BYTES: usize = 200;

/// The bytes are not EPSS scores, or must not replace the last good ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages describe the variants")]
pub enum Error {
    #[error("is not UTF-8")]
    Encoding,
    #[error("has no line cve,epss,percentile")]
    Header,
    #[error("has no date")]
    NoDate,
    #[error("its score_date is not a time")]
    Date,
    #[error("its line {0} is not a CVE and a score from 0 to 1")]
    Row(usize),
    #[error("has {0} twice")]
    Twice(String),
    #[error("has {found} scores, not the {expected} or more that it should have")]
    TooFew { found: usize, expected: usize },
    #[error("is older than the last good one")]
    Older,
    #[error("is not a packed CSV, or is damaged")]
    Damaged,
    #[error("cannot be packed")]
    Pack,
}

/// Packs a CSV for the bucket, with a checksum.
///
/// # Errors
/// [`Error::Pack`]
pub fn pack(csv: &[u8]) -> Result<Vec<u8>, Error> {
    let pack = || {
        let mut compressor = zstd::bulk::Compressor::new(zstd::DEFAULT_COMPRESSION_LEVEL)?;
        compressor.include_checksum(true)?;
        compressor.compress(csv)
    };
    pack().map_err(|_| Error::Pack)
}

/// Reads a packed CSV of at most `max_bytes`.
///
/// # Errors
/// [`Error`]
pub fn parse_packed(packed: &[u8], max_bytes: usize) -> Result<Snapshot, Error> {
    parse_csv(&zstd::bulk::decompress(packed, max_bytes).map_err(|_| Error::Damaged)?, None)
}

/// Reads a CSV. A single bad row makes it unreadable.
///
/// Since 2022 the first line is a comment with `model_version` and `score_date`; `day` replaces a missing date. CSVs
/// before September 2021 have no percentiles.
///
/// # Errors
/// [`Error`]
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

/// Packs year and number into one integer; none for an id that is not a CVE's or has 15 digits or more.
fn key(id: &VulnerabilityId) -> Option<u64> {
    let (year, number) = id.cve_number()?;
    (number < 1 << NUMBER_BITS).then(|| u64::from(year) << NUMBER_BITS | number)
}

/// Reads a number from 0 to 1 (`0.00043`, `7e-05`) in [`UNIT`]ths.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked first")]
fn share(text: &str) -> Option<u32> {
    let number: f64 = text.trim().parse().ok()?;
    (0.0..=1.0).contains(&number).then(|| (number * UNIT).round() as u32)
}

impl Snapshot {
    /// Returns the score of a CVE; none if it is unknown.
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

    /// Returns the facts about a vulnerability; none if it has no score.
    #[must_use]
    pub fn facts(&self, id: &VulnerabilityId) -> Option<SourceRecord> {
        Some(SourceRecord { epss: Some(self.get(id)?), ..SourceRecord::none(self.scored_at) })
    }

    /// Computes the median score, which stands for the score of CVEs without one.
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

    /// Counts the CVEs with a score.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Returns the time of the scores, which is the `as_of` of their facts.
    #[must_use]
    pub const fn scored_at(&self) -> Timestamp {
        self.scored_at
    }

    /// Returns the day of the scores, in UTC.
    #[must_use]
    pub fn day(&self) -> Date {
        instant::day(self.scored_at)
    }

    /// Returns the model, such as `v2026.06.15`; CSVs before 2022 do not name it.
    #[must_use]
    pub fn model_version(&self) -> Option<&str> {
        self.model_version.as_deref()
    }

    /// Checks that the snapshot may replace the last good one.
    ///
    /// # Errors
    /// [`Error::TooFew`], [`Error::Older`]
    pub fn check(&self, last_good: Option<LastGood>) -> Result<(), Error> {
        let found = self.rows.len();
        let expected = last_good.map_or(MIN_ROWS, |last| (last.entries - last.entries / MAX_LOST_SHARE).max(1));
        if found < expected {
            return Err(Error::TooFew { found, expected });
        }
        if last_good.is_some_and(|last| self.scored_at < last.date) {
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
        assert_eq!(parse_csv(crlf.as_bytes(), None).unwrap().rows(), 3);
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
        let last = LastGood { entries: 3, date: snapshot.scored_at() };
        assert_eq!(snapshot.check(Some(last)), Ok(()));
        assert_eq!(snapshot.check(None), Err(Error::TooFew { found: 3, expected: 200_000 }));
        let more = LastGood { entries: 100, ..last };
        assert_eq!(snapshot.check(Some(more)), Err(Error::TooFew { found: 3, expected: 98 }));
        let newer = LastGood { date: "2026-10-05T00:00:00Z".parse().unwrap(), ..last };
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
    fn a_packed_csv_is_read_back_and_damage_changes_no_score() {
        let packed = pack(CSV.as_bytes()).unwrap();
        assert_eq!(parse_packed(&packed, CSV.len()), parse_csv(CSV.as_bytes(), None));
        assert_eq!(parse_packed(&packed, CSV.len() - 1), Err(Error::Damaged));
        let whole = parse_packed(&packed, 1 << 20);
        for place in 0..packed.len() {
            let mut damaged = packed.clone();
            damaged[place] ^= 0x10;
            let read = parse_packed(&damaged, 1 << 20);
            assert!(read == Err(Error::Damaged) || read == whole, "byte {place}");
        }
        for length in 0..packed.len() {
            assert!(parse_packed(&packed[..length], 1 << 20).is_err(), "cut at {length}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_there_is_no_panic(
            bytes: Vec<u8>, text in "(cve,epss\n)?(CVE-[0-9]{4}-[0-9]{1,20},[0-9.e-]{0,6}\n){0,4}"
        ) {
            let _ = (parse_csv(&bytes, None), parse_packed(&bytes, 1 << 20));
            let _ = parse_csv(text.as_bytes(), "2021-01-01".parse().ok());
        }

        #[test]
        fn every_score_of_a_packed_csv_is_read_back(
            rows in prop::collection::btree_map((1999u16..2100, 0u64..1 << 48), (0u32..=100_000, 0u32..=100_000), 0..50)
        ) {
            let lines = rows.iter().map(|((year, number), (score, percentile))| {
                format!("CVE-{year}-{number:04},{},{}\n", f64::from(*score) / 1e5, f64::from(*percentile) / 1e5)
            });
            let header = "#model_version:v1,score_date:2026-01-01\ncve,epss,percentile\n";
            let csv = format!("{header}{}", lines.collect::<String>());
            let snapshot = parse_csv(csv.as_bytes(), None).unwrap();
            prop_assert_eq!(&parse_packed(&pack(csv.as_bytes()).unwrap(), 1 << 20).unwrap(), &snapshot);
            for ((year, number), (score, percentile)) in rows {
                let epss = snapshot.get(&id(&format!("CVE-{year}-{number:04}"))).unwrap();
                prop_assert_eq!(epss.score, f64::from(score) / 1e5);
                prop_assert_eq!(epss.percentile, Some(f64::from(percentile) / 1e5));
            }
        }
    }
}
