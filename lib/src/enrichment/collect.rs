//! Collects a source's record: cleaned, checked, without repetitions, capped, and with a note about each omission.

use std::collections::BTreeMap;

use jiff::Timestamp;
use url::Url;

use super::plain_text::{line, paragraphs};
use crate::domain::upstream_time;
use crate::domain::vulnerability::id::VulnerabilityId;
use crate::domain::vulnerability::{Cvss, CvssKind, Cwe, Reference, SourceRecord, cvss};

/// The longest URL that is kept, in bytes: what browsers and proxies take.
const MAX_URL_BYTES: usize = 2000;
/// The most tags of a reference that are kept.
const MAX_TAGS: usize = 8;

/// CISA's id as a provider of CVE records, which NVD uses as a name.
pub(super) const CISA_ADP: &str = "134c704f-9b21-4f2e-91b3-4a467353bcc0";
/// The id of the CVE program's own container, which only repeats references.
const CVE_PROGRAM: &str = "af854a3a-2127-422b-91ae-364da2661108";

/// A record under construction.
pub(super) struct Collector {
    facts: SourceRecord,
    references: BTreeMap<String, (usize, Vec<String>)>,
}

impl Collector {
    pub(super) fn new(as_of: Timestamp) -> Self {
        Self { facts: SourceRecord::none(as_of), references: BTreeMap::new() }
    }

    /// Gives access to facts that need no check.
    pub(super) const fn facts(&mut self) -> &mut SourceRecord {
        &mut self.facts
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.facts.notes.push(note.into());
    }

    /// Sets the headline, unless it is empty.
    pub(super) fn title(&mut self, text: &str) {
        self.facts.title = line(text);
    }

    /// Sets the description, unless it is empty.
    pub(super) fn description(&mut self, text: &str) {
        if let Some((text, was_cut)) = paragraphs(text) {
            self.facts.description = Some(text);
            if was_cut {
                self.note("description: cut");
            }
        }
    }

    pub(super) fn instant(&mut self, field: &str, text: Option<&str>) -> Option<Timestamp> {
        let instant = upstream_time::instant(text?);
        if instant.is_none() {
            self.note(format!("{field}: is not a time"));
        }
        instant
    }

    pub(super) fn aliases<'a>(&mut self, ids: impl IntoIterator<Item = &'a str>) {
        let ids = self.ids("aliases", ids);
        self.facts.aliases.extend(ids);
    }

    pub(super) fn upstream<'a>(&mut self, ids: impl IntoIterator<Item = &'a str>) {
        let ids = self.ids("upstream", ids);
        self.facts.upstream.extend(ids);
    }

    fn ids<'a>(&mut self, field: &str, texts: impl IntoIterator<Item = &'a str>) -> Vec<VulnerabilityId> {
        let mut ids = Vec::new();
        for text in texts {
            match text.parse::<VulnerabilityId>() {
                Ok(id) => ids.push(id),
                Err(error) => self.note(format!("{field}: {} {error}", shown(text))),
            }
        }
        ids
    }

    /// Adds `CWE-79`. NVD's `NVD-CWE-noinfo` and `NVD-CWE-Other` state that no weakness is known.
    pub(super) fn cwe(&mut self, id: &str, assigner: &str) {
        let id = id.trim();
        if id.starts_with("NVD-CWE-") {
            return;
        }
        let number = id.strip_prefix("CWE-").unwrap_or_default();
        if number.is_empty() || number.len() > 7 || !number.bytes().all(|b| b.is_ascii_digit()) {
            return self.note(format!("cwe: {} is not CWE-number", shown(id)));
        }
        let cwe = Cwe { id: id.to_owned(), assigner: self::assigner(assigner) };
        if !self.facts.cwes.contains(&cwe) {
            self.facts.cwes.push(cwe);
        }
    }

    /// Adds a rating; one with an unreadable vector is only noted.
    pub(super) fn cvss(&mut self, vector: &str, stated: Option<f64>, kind: CvssKind, assigner: &str) {
        match cvss::rating(vector, stated, kind, self::assigner(assigner)) {
            Ok(cvss) if self.facts.cvss.contains(&cvss) => {}
            Ok(cvss) => self.facts.cvss.push(cvss),
            Err(error) => self.note(format!("cvss: {} {error}", shown(vector))),
        }
    }

    /// Adds a page, or tags to a known one: NVD repeats a URL for each of its sources.
    pub(super) fn reference<'a>(&mut self, url: &str, tags: impl IntoIterator<Item = &'a str>) {
        let Some(url) = web_page(url) else {
            return self.note(format!("references: {} is not a web page", shown(url)));
        };
        let place = self.references.len();
        let (_, known) = self.references.entry(url).or_insert_with(|| (place, Vec::new()));
        for tag in tags.into_iter().filter_map(line) {
            if known.len() < MAX_TAGS && !known.contains(&tag) {
                known.push(tag);
            }
        }
    }

    pub(super) fn finish(self) -> SourceRecord {
        let Self { mut facts, references } = self;
        let mut references: Vec<_> = references.into_iter().collect();
        references.sort_by_key(|(_, (place, tags))| (usefulness(tags), *place));
        facts.references = references.into_iter().map(|(url, (_, tags))| Reference { url, tags }).collect();
        facts.aliases.sort();
        facts.aliases.dedup();
        facts.upstream.sort();
        facts.upstream.dedup();
        facts.cvss.sort_by(cvss_order);

        let mut cuts = Vec::new();
        cap("aliases", &mut facts.aliases, &mut cuts);
        cap("upstream", &mut facts.upstream, &mut cuts);
        cap("cwes", &mut facts.cwes, &mut cuts);
        cap("cvss", &mut facts.cvss, &mut cuts);
        cap("references", &mut facts.references, &mut cuts);
        // Notes about cut lists come first, as the list of notes is itself capped.
        cuts.append(&mut facts.notes);
        facts.notes = cuts;
        let count = facts.notes.len();
        if count > SourceRecord::LIST {
            facts.notes.truncate(SourceRecord::LIST - 1);
            facts.notes.push(format!("and {} more", count - (SourceRecord::LIST - 1)));
        }
        facts
    }
}

fn cap<T>(field: &str, list: &mut Vec<T>, notes: &mut Vec<String>) {
    if list.len() > SourceRecord::LIST {
        notes.push(format!("{field}: {} of {} kept", SourceRecord::LIST, list.len()));
        list.truncate(SourceRecord::LIST);
    }
}

/// Orders ratings: primary ones first, the newest version first.
pub(super) fn cvss_order(a: &Cvss, b: &Cvss) -> std::cmp::Ordering {
    let key = |cvss: &Cvss| (cvss.kind, std::cmp::Reverse(cvss.version));
    key(a).cmp(&key(b)).then_with(|| (&a.assigner, &a.vector).cmp(&(&b.assigner, &b.vector)))
}

/// Ranks pages: 0 helps to fix or to assess, 3 is gone.
pub(super) fn usefulness(tags: &[String]) -> u8 {
    const HELPFUL: &str = "exploit,patch,fix,mitigation,vendor advisory,vendor-advisory,advisory,release notes,\
        release-notes,evidence,us government resource";
    let has = |word: &str| tags.iter().any(|tag| tag.eq_ignore_ascii_case(word));
    if has("broken link") || has("broken-link") {
        3
    } else if HELPFUL.split(',').any(has) {
        0
    } else if tags.is_empty() {
        2
    } else {
        1
    }
}

/// Names the organisation of an e-mail address, a short name, or one of two well-known ids.
pub(super) fn assigner(text: &str) -> String {
    match text {
        CISA_ADP => "CISA-ADP".into(),
        CVE_PROGRAM => "CVE".into(),
        _ => line(text).unwrap_or_else(|| "unknown".into()),
    }
}

/// Normalises the URL of a web page; none with a user name, which serves to deceive: `https://github.com@evil.example`.
fn web_page(text: &str) -> Option<String> {
    let text = text.trim();
    if text.len() > MAX_URL_BYTES {
        return None;
    }
    let url = Url::parse(text).ok()?;
    let plain = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    let url: String = (plain && url.host().is_some()).then_some(url)?.into();
    (url.len() <= MAX_URL_BYTES).then_some(url)
}

/// Quotes the beginning of a refused text for a note.
fn shown(text: &str) -> String {
    let text = line(text).unwrap_or_default();
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("\"{short}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collector() -> Collector {
        Collector::new(Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_page_is_listed_once_and_the_useful_ones_first() {
        let mut collector = collector();
        collector.reference("https://gone.example/", ["Broken Link", "Patch"]);
        collector.reference("https://plain.example", []);
        collector.reference("https://fix.example/a", ["Issue Tracking"]);
        collector.reference("https://fix.example/a", ["Patch", "Issue Tracking"]);
        let facts = collector.finish();
        let pages: Vec<_> = facts.references.iter().map(|page| (page.url.as_str(), page.tags.len())).collect();
        assert_eq!(pages, [("https://fix.example/a", 2), ("https://plain.example/", 0), ("https://gone.example/", 2)]);
        assert_eq!(facts.notes, [""; 0]);
    }

    #[test]
    fn what_is_no_web_page_is_noted_and_not_linked() {
        let mut collector = collector();
        for url in ["javascript:alert(1)", "ftp://x.example/", "https://github.com@evil.example/", "no", "https://"] {
            collector.reference(url, []);
        }
        let facts = collector.finish();
        assert_eq!((facts.references.len(), facts.notes.len()), (0, 5));
    }

    #[test]
    fn a_list_is_capped_and_says_so() {
        let mut collector = collector();
        for number in 0..25 {
            collector.reference(&format!("https://a.example/{number}"), []);
            collector.aliases([format!("GO-2024-{number}").as_str()]);
            collector.cwe("CWE-x", "nobody");
        }
        let facts = collector.finish();
        assert_eq!((facts.references.len(), facts.aliases.len(), facts.notes.len()), (20, 20, 20));
        assert_eq!(facts.notes[0], "aliases: 20 of 25 kept");
        assert_eq!(facts.notes[19], "and 8 more");
    }

    #[test]
    fn no_weakness_is_made_of_nvds_words_for_none() {
        let mut collector = collector();
        for id in ["NVD-CWE-noinfo", "NVD-CWE-Other", "CWE-79", "CWE-79", "CWE-", "CWE-12345678"] {
            collector.cwe(id, "nvd@nist.gov");
        }
        let facts = collector.finish();
        assert_eq!((facts.cwes.len(), facts.notes.len()), (1, 2));
    }
}
