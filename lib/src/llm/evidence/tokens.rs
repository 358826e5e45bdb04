//! Checks that the versions, identifiers and names of a sentence are in the facts.

use std::collections::HashSet;

use super::domain_name::is_domain;
use super::{Evidence, Reason};
use crate::llm::answer::RiskScore;
use crate::llm::text::fold;
use crate::llm::word_list::{find_entry, list_has};

/// The prefixes of advisory ids.
const ADVISORY_PREFIXES: &str = "cve, ghsa, rhsa, rhba, rhea, dsa, dla, dtsa, usn, lsn, alas, alas2, elsa, elba, \
    glsa, pysec, rustsec, go, mal, osv, snyk, zdi, talos, vu, jvn, jvndb, cwe, capec, \
    edb, bdu, cnvd, cnnvd, suse, opensuse, fedora, mfsa, xsa, apsb, icsa, bid, bit, \
    gms, wid, nswg, hsec, psf, cga, temp, can, euvd, gsd, mgasa";

/// Words after which an integer is a version.
const VERSION_CONTEXT: &str = "version, versions, v, release, to, before, below, after, above, than, until, \
    through, since, from, series, build, branch, least, patch, revision";

/// Numbers in words.
const SPELLED: &str = "zero, one, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve";

/// Splits a lower-case, folded text into tokens, which keep the epoch, tilde and plus of versions.
pub(super) fn tokens_of(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '_' | ':' | '+' | '~' | '-')))
        .map(|token| token.trim_matches(['.', '_', ':', '+', '~', '-']))
        .filter(|token| !token.is_empty())
}

/// Adds the tokens of a text, and the parts of those with a colon (`CVSS:3.1`, `group:artifact`).
pub(super) fn learn(set: &mut HashSet<String>, text: &str) {
    let lower = fold(text).to_lowercase();
    for token in tokens_of(&lower) {
        set.insert(token.to_owned());
        for part in token.split(':').filter(|part| !part.is_empty()) {
            set.insert(part.to_owned());
        }
        // The year of a date or an id: `in 2021`, `since December 2021`.
        for part in token.split(['-', 't']).filter(|p| p.len() == 4 && p.bytes().all(|b| b.is_ascii_digit())) {
            set.insert(part.to_owned());
        }
    }
}

/// The kind of a token.
#[derive(PartialEq, Eq)]
pub(super) enum Kind {
    Advisory,
    Version,
    Dotted,
    Word,
}

pub(super) fn token_kind(token: &str) -> Kind {
    let digits = token.bytes().filter(u8::is_ascii_digit).count();
    let prefix = token.split(['-', ':', '_']).next().unwrap_or_default();
    let glued = token.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '-' | '_'));
    if list_has(ADVISORY_PREFIXES, prefix) && prefix.len() < token.len() && (digits >= 2 || prefix == "ghsa")
        || (list_has(ADVISORY_PREFIXES, glued) && token.len() >= glued.len() + 4)
    {
        return Kind::Advisory;
    }
    if digits == 0 {
        let last = token.rsplit('.').next().unwrap_or_default();
        let dotted = token.contains('.') && last.len() >= 2;
        return if dotted { Kind::Dotted } else { Kind::Word };
    }
    let first_is_digit = token.starts_with(|c: char| c.is_ascii_digit());
    let after = token.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits_again = after.contains(|c: char| c.is_ascii_digit());
    let v = token.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let joins = |separator: char, is_right: fn(&str) -> bool| {
        let parts = || token.split(separator);
        parts()
            .zip(parts().skip(1))
            .any(|(left, right)| left.ends_with(|c: char| c.is_ascii_digit()) && is_right(right))
    };
    let dotted = joins('.', |right| right.starts_with(|c: char| c.is_ascii_alphanumeric()));
    let dashed = joins('-', |right| right.len() >= 3 && right.bytes().all(|b| b.is_ascii_digit()));
    // `kb5001234`, `ms17-010`, a commit's hash.
    let long_number = token.split(|c: char| !c.is_ascii_digit()).any(|run| run.len() >= 4);
    let hash = token.len() >= 7 && digits >= 2 && token.bytes().all(|b| b.is_ascii_hexdigit());
    if (first_is_digit && digits_again) || v || dotted || long_number || hash || dashed {
        Kind::Version
    } else if token.contains('.') {
        Kind::Dotted
    } else {
        Kind::Word
    }
}

/// The last parts of hosts that are checked in obfuscated spellings.
const HOST_ENDS: &str = "com, org, net, io, dev, app, co, sh, ru, cn, info, xyz, example, test, me, zip, \
    top, site";

/// Finds `e v i l . c o m`.
fn has_spaced_letters(lower: &str) -> bool {
    let words: Vec<&str> = lower.split_whitespace().collect();
    words
        .chunk_by(|a, b| a.chars().count() == 1 && b.chars().count() == 1)
        .any(|run| run.len() >= 4 && run.iter().filter(|w| w.chars().all(char::is_alphabetic)).count() >= 3)
}

/// Finds `evil,com`.
fn has_comma_host(lower: &str) -> bool {
    lower.split_whitespace().any(|word| {
        word.split_once(',').is_some_and(|(left, right)| {
            left.ends_with(char::is_alphanumeric) && list_has(HOST_ENDS, right.trim_matches(['.', ',', '/']))
        })
    })
}

/// Finds a version, link or id that is spelled to evade a comparison: `1(.)2`, `nine point two`, `hxxps`, `evil[.]com`.
pub(super) fn is_obfuscated(lower: &str) -> bool {
    const SIGNS: &str = "(.), [.], {.}, <.>, (dot), [dot], {dot}, (point), [point], (at), [at], {at}, hxxp, \
        [:], [://], h**p";
    if find_entry(SIGNS, lower).is_some() || has_spaced_letters(lower) || has_comma_host(lower) {
        return true;
    }
    let words: Vec<&str> =
        lower.split_whitespace().map(|w| w.trim_matches([',', ';', ':', '"', '\'', '`', '*', '(', ')'])).collect();
    let number =
        |word: &str| list_has(SPELLED, word.trim_end_matches('.')) || word.starts_with(|c: char| c.is_ascii_digit());
    let spelled = words.windows(3).any(|three| match three {
        [left, "point" | "dot" | "." | "period", right] => {
            (number(left) && number(right))
                || (three.get(1) == Some(&"dot") && list_has(HOST_ENDS, right.trim_matches('.')))
        }
        [left, middle, _] => {
            // `1 .2`, `1. 2`
            (left.ends_with(|c: char| c.is_ascii_digit()) && middle.starts_with('.') && middle.len() > 1)
                || (left.ends_with('.')
                    && left.starts_with(|c: char| c.is_ascii_digit())
                    && left.trim_end_matches('.').bytes().all(|b| b.is_ascii_digit())
                    && middle.starts_with(|c: char| c.is_ascii_digit()))
        }
        _ => false,
    });
    let spoken = words.windows(2).any(|two| match two {
        ["cve", "dash" | "hyphen"] => true,
        ["version" | "release" | "cve" | "ghsa", word] => list_has(SPELLED, word.trim_matches('.')),
        [end, "slash"] => list_has(HOST_ENDS, end),
        _ => false,
    });
    spelled || spoken
}

impl Evidence {
    /// Finds a version, id or dotted name that is not in the facts.
    pub(super) fn check_tokens(&self, lower: &str, score: RiskScore) -> Option<Reason> {
        let own_score = score.to_string();
        let speaks_of_score = lower.contains("score") || lower.contains("/10") || lower.contains("out of 10");
        let mut previous = "";
        for token in tokens_of(lower) {
            let before = std::mem::replace(&mut previous, token);
            if self.mentions(token) || (token == own_score && speaks_of_score) {
                // `CVE 2024 1234` has to be known as a whole.
                let is_id = list_has(ADVISORY_PREFIXES, before) && !matches!(before, "go" | "can" | "bit");
                if is_id && token.starts_with(|c: char| c.is_ascii_digit()) {
                    return Some(Reason::UnknownId(format!("{before} {token}")));
                }
                continue;
            }
            match token_kind(token) {
                Kind::Advisory => return Some(Reason::UnknownId(token.to_owned())),
                Kind::Version => return Some(Reason::UnknownVersion(token.to_owned())),
                Kind::Dotted => {
                    let host = is_domain(token) && self.knows_host(token);
                    if !host && !is_common_dotted(token) {
                        return Some(Reason::UnknownName(token.to_owned()));
                    }
                }
                Kind::Word => {
                    let integer = token.bytes().all(|b| b.is_ascii_digit());
                    if integer && (list_has(VERSION_CONTEXT, before) || list_has(ADVISORY_PREFIXES, before)) {
                        return Some(Reason::UnknownVersion(token.to_owned()));
                    }
                }
            }
        }
        None
    }

    /// Tells whether the facts have the token, both ends of a range, or both parts around a colon.
    pub(super) fn mentions(&self, token: &str) -> bool {
        if self.mentioned.contains(token) {
            return true;
        }
        let parts = |separator: char| {
            let parts: Vec<&str> = token.split(separator).collect();
            parts.len() == 2
                && parts.iter().all(|part| self.mentioned.contains(*part) && token_kind(part) != Kind::Advisory)
        };
        // `versions:2.15.0`, `2.0-2.14.1`, but not `1-2`, which may be a version.
        (token.contains(':') && parts(':')) || (token.matches('.').count() >= 2 && parts('-'))
    }
}

/// Recognises common names and abbreviations with a dot.
pub(super) fn is_common_dotted(token: &str) -> bool {
    const COMMON: &str = "node.js, vue.js, next.js, asp.net, package.json, package-lock.json, yarn.lock, \
        requirements.txt, pyproject.toml, pom.xml, build.gradle, go.mod, go.sum, \
        cargo.toml, cargo.lock, gemfile.lock, composer.json, composer.lock, e.g, i.e, \
        a.k.a, u.s";
    list_has(COMMON, token)
}
