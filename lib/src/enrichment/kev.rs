//! Reads CISA's catalogue of Known Exploited Vulnerabilities:
//! <https://www.cisa.gov/known-exploited-vulnerabilities-catalog>.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;

use super::plain_text::{line, paragraphs};
use crate::domain::feed::LastGood;
use crate::domain::upstream_time;
use crate::domain::vulnerability::id::{Kind, VulnerabilityId};
use crate::domain::vulnerability::{Kev, SourceRecord};

/// The whole catalogue.
#[derive(Debug, Clone, PartialEq)]
pub struct Catalogue {
    /// The time of its release, which is the `as_of` of its facts.
    pub released: Timestamp,
    /// The entries by CVE.
    pub entries: BTreeMap<VulnerabilityId, Kev>,
}

/// The most entries that a new catalogue may lack. CISA removes one in years, so a smaller file is truncated.
const MAX_LOST: usize = 20;
/// The fewest entries that are accepted without a last good catalogue; there were 1,404 in August 2025.
const MIN_ENTRIES: usize = 1000;

/// The bytes are not a catalogue, or must not replace the last good one.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages describe the variants")]
pub enum Error {
    #[error("is not JSON of the KEV catalogue: {0}")]
    Syntax(#[from] serde_json::Error),
    #[error("its dateReleased is not a time")]
    Released,
    #[error("says that it has {stated} entries, but has {found}")]
    Count { stated: usize, found: usize },
    #[error("its entry {place} has no CVE id")]
    Id { place: usize },
    #[error("its entry {0} has a text instead of a date")]
    Date(VulnerabilityId),
    #[error("has {0} twice")]
    Twice(VulnerabilityId),
    #[error("has {found} entries, not the {expected} or more that it should have")]
    TooFew { found: usize, expected: usize },
    #[error("is older than the last good one")]
    Older,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    date_released: String,
    count: usize,
    vulnerabilities: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(rename = "cveID")]
    cve_id: String,
    #[serde(default)]
    vulnerability_name: String,
    date_added: String,
    due_date: Option<String>,
    #[serde(default)]
    required_action: String,
    known_ransomware_campaign_use: Option<String>,
    forensic_triage: Option<String>,
}

/// Reads a catalogue that may replace the last good one. A single bad entry makes it unreadable.
///
/// # Errors
/// [`Error`]
pub fn parse_catalogue(bytes: &[u8], last_good: Option<LastGood>) -> Result<Catalogue, Error> {
    let document: Document = serde_json::from_slice(bytes)?;
    let catalogue = catalogue(document)?;
    let found = catalogue.entries.len();
    let expected = last_good.map_or(MIN_ENTRIES, |last| last.entries.saturating_sub(MAX_LOST).max(1));
    if found < expected {
        return Err(Error::TooFew { found, expected });
    }
    if last_good.is_some_and(|last| catalogue.released < last.date) {
        return Err(Error::Older);
    }
    Ok(catalogue)
}

fn catalogue(document: Document) -> Result<Catalogue, Error> {
    let found = document.vulnerabilities.len();
    if document.count != found {
        return Err(Error::Count { stated: document.count, found });
    }
    let released = upstream_time::instant(&document.date_released).ok_or(Error::Released)?;
    let mut entries = BTreeMap::new();
    for (place, entry) in document.vulnerabilities.into_iter().enumerate() {
        let id: VulnerabilityId = entry.cve_id.trim().parse().map_err(|_| Error::Id { place })?;
        if id.kind() != Kind::Cve {
            return Err(Error::Id { place });
        }
        let date = |text: &str| text.parse::<Date>().map_err(|_| Error::Date(id.clone()));
        let kev = Kev {
            date_added: date(&entry.date_added)?,
            due_date: entry.due_date.as_deref().filter(|text| !text.is_empty()).map(date).transpose()?,
            ransomware: entry.known_ransomware_campaign_use.map(|word| word.trim().eq_ignore_ascii_case("known")),
            required_action: paragraphs(&entry.required_action).map(|(text, _)| text),
            forensic_triage: entry.forensic_triage.and_then(|word| yes_or_no(&word)),
            name: line(&entry.vulnerability_name),
        };
        if entries.contains_key(&id) {
            return Err(Error::Twice(id));
        }
        entries.insert(id, kev);
    }
    Ok(Catalogue { released, entries })
}

fn yes_or_no(word: &str) -> Option<bool> {
    match word.trim().to_ascii_lowercase().as_str() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

impl Catalogue {
    /// Returns the facts about a vulnerability; none if it is not listed.
    #[must_use]
    pub fn facts(&self, id: &VulnerabilityId) -> Option<SourceRecord> {
        let kev = self.entries.get(id)?.clone();
        Some(SourceRecord { kev: Some(kev), ..SourceRecord::none(self.released) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RELEASED: &str = "2026-09-25T18:58:16.502Z";

    fn catalogue(entries: &[String]) -> String {
        let (count, entries) = (entries.len(), entries.join(","));
        format!(
            r#"{{"title": "x", "catalogVersion": "2026.09.25", "dateReleased": "{RELEASED}", "count": {count},
                "vulnerabilities": [{entries}]}}"#
        )
    }

    fn entry(id: &str) -> String {
        format!(
            r#"{{"cveID": "{id}", "vendorProject": "Acme", "vulnerabilityName": "Acme Hole", "dateAdded": "2026-09-01",
                "requiredAction": "Mend it.", "dueDate": "2026-09-15", "knownRansomwareCampaignUse": "Known",
                "forensicTriage": "No", "cwes": []}}"#
        )
    }

    fn last_good(entries: usize) -> Option<LastGood> {
        Some(LastGood { entries, date: RELEASED.parse().unwrap() })
    }

    #[test]
    fn an_entry_is_read() {
        let catalogue = parse_catalogue(catalogue(&[entry("CVE-2026-0001")]).as_bytes(), last_good(1)).unwrap();
        let facts = catalogue.facts(&"CVE-2026-0001".parse().unwrap()).unwrap();
        assert_eq!(facts.as_of.to_string(), "2026-09-25T18:58:16.502Z");
        assert_eq!(
            facts.kev.unwrap(),
            Kev {
                date_added: "2026-09-01".parse().unwrap(),
                due_date: Some("2026-09-15".parse().unwrap()),
                ransomware: Some(true),
                required_action: Some("Mend it.".into()),
                forensic_triage: Some(false),
                name: Some("Acme Hole".into()),
            }
        );
        assert_eq!(catalogue.facts(&"CVE-2026-0002".parse().unwrap()), None);
    }

    #[test]
    fn an_older_catalogue_lacks_the_word_about_forensics() {
        let old = catalogue(&[entry("CVE-2026-0001").replace("forensicTriage", "x")]);
        let catalogue = parse_catalogue(old.as_bytes(), last_good(1)).unwrap();
        assert_eq!(catalogue.entries.values().next().unwrap().forensic_triage, None);
    }

    #[test]
    fn a_catalogue_that_is_not_whole_does_not_replace_the_last_good_one() {
        let parse = |text: &str, last_good| parse_catalogue(text.as_bytes(), last_good).unwrap_err();
        let two = catalogue(&[entry("CVE-2026-0001"), entry("CVE-2026-0002")]);
        assert!(matches!(parse(&two, None), Error::TooFew { found: 2, expected: 1000 }));
        assert!(matches!(parse(&two, last_good(23)), Error::TooFew { found: 2, expected: 3 }));
        assert!(matches!(parse(&two.replace("\"count\": 2", "\"count\": 3"), None), Error::Count { .. }));
        assert!(matches!(parse(&two.replace("-0002", "-0001"), None), Error::Twice(_)));
        assert!(matches!(parse(&two.replace("CVE-2026-0002", "x"), None), Error::Id { place: 1 }));
        assert!(matches!(parse(&two.replace("2026-09-01", "01/09/26"), None), Error::Date(_)));
        assert!(matches!(parse(&two.replace(RELEASED, "2026-09-24T00:00:00Z"), last_good(2)), Error::Older));
        assert!(matches!(parse("<html>", None), Error::Syntax(_)));
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_there_is_no_panic(bytes: Vec<u8>, text in "\\PC{0,20}") {
            let _ = parse_catalogue(&bytes, None);
            let text = serde_json::Value::from(text).to_string();
            let hostile = catalogue(&[entry("CVE-2026-0001").replace("\"Mend it.\"", &text)]);
            let catalogue = parse_catalogue(hostile.as_bytes(), last_good(1)).unwrap();
            prop_assert_eq!(catalogue.entries.len(), 1);
            prop_assert_eq!(catalogue.released.to_string(), RELEASED);
        }
    }
}
