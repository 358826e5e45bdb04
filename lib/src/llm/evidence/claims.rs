//! Checks claims: a fix, its absence, exploitation, harmlessness, a severity, harmful advice.
//!
//! The word lists remove too much rather than too little, since a removal is marked.

use super::tokens::{Kind, token_kind, tokens_of};
use super::{Evidence, Reason};
use crate::llm::answer::{RiskScore, Section, ratings};
use crate::llm::word_list::{has_phrase, list_has};

fn is_fix_word(word: &str) -> bool {
    const STEMS: [&str; 9] =
        ["upgrad", "updat", "patch", "hotfix", "bump", "remediat", "downgrad", "rollback", "backport"];
    list_has("fix, fixed, fixes, fixing, bugfix, pin, pinned, revert, reverting", word)
        || STEMS.iter().any(|stem| word.starts_with(stem))
}

/// More words about a fix, too common to be checked if the report has one.
const LOOSE_FIX_WORDS: &str =
    "solved, solves, corrected, correction, corrections, remedied, cured, newer, newest, latest";
const LOOSE_FIX_PHRASES: &str = "has been addressed, was addressed, is addressed, been resolved, was resolved upstream, \
    resolved upstream, resolves it, resolves this, resolves the issue, resolves the problem, resolved in, addressed in, \
    current release, current version, next release, next version, next major, new release, new version, fresh version";

/// Phrases about a fix.
const FIX_PHRASES: &str = "resolved in, addressed in, corrected in, roll back, solved in, repaired in, new version, \
    newer version, latest version, newest version, latest release, newer release, later version, safe version, \
    secure version, safe release";

/// Words that offer a version.
const OFFERS: &str =
    "safe, secure, correct, recommended, unaffected, use, deploy, run, install, switch, move, migrate, stay, choose";

/// Words before a fix word that take the claim back: denials, conditions, waiting.
const HEDGES_AHEAD: &str = "no, never, without, nor, whether, unless, lacks, lacking, awaiting, await, wait, waiting, \
    monitor, watch, track, check, look, follow, future, cannot, neither, before, where, eventual, any, whenever, \
    subscribe, unfixed, expected, upcoming";

/// Words before or after a fix word that take the claim back.
const HEDGES_BEHIND: &str = "not, yet, none, once, when, until, if, missing, pending, planned, unavailable, announced";

const NEGATIONS: &str = "no, not, never, cannot, avoid, neither, refrain, skip, delay, postpone, defer, ignore";

/// Dismissals, with or without a condition.
const DISMISSALS: &str = "false positive, false alarm, safe to ignore, safely ignore, safely ignored, can be ignored, \
    ignore this, ignore the finding, harmless, not a risk, not exploitable, cannot be exploited, not a vulnerability, \
    not a real, no security impact, poses no, suppress, suppressed, already fixed, already patched, whitelist, close this, \
    is safe, can wait, not urgent, deprioritise, deprioritize, low priority, no urgency, no hurry, no rush, not important, \
    unimportant, accept the risk, leave the package, leave it as, stay on the installed, breaks production, \
    no need to worry";

/// Dismissals that a condition permits: `no action is needed if …`.
const SOFT_DISMISSALS: &str = "no action, nothing to do, do nothing, no risk, no need to act";

const EXPLOITATION: &str = "in the wild, actively exploited, active exploitation, known exploited, known to be exploited, \
    widely exploited, mass exploitation, kev, ransomware, being exploited, is exploited, are exploited, been exploited, was exploited, \
    attackers exploit, criminals exploit, are exploiting";

/// Claims of exploitation that SSVC's `poc` supports.
const PROOFS_OF_CONCEPT: &str = "exploit is public, public exploit, public exploits, exploit code, exploit is available, \
    exploit exists, exploits exist, proof-of-concept, proof of concept";

/// Protections that no advice may switch off.
const PROTECTIONS: &str = "verification, validation, certificate, certificates, firewall, firewalls, selinux, apparmor, \
    seccomp, authentication, authorization, antivirus, logging, monitoring, auditing, scanner, scanning, sandbox, waf, \
    signature, signatures, checks";
/// Secrets that no advice may give away.
const SECRETS: &str =
    "credentials, credential, secrets, secret, environment, password, passwords, token, tokens, variables";

impl Evidence {
    pub(super) fn check_claims(&self, lower: &str, section: Section, score: RiskScore) -> Option<Reason> {
        let words: Vec<&str> = lower
            .split(|c: char| !(c.is_alphanumeric() || matches!(c, '\'' | '-' | '.' | '_' | ':' | '+' | '~')))
            .map(|word| word.trim_matches(['.', ':', '-', '\'', '_']))
            .filter(|word| !word.is_empty())
            .collect();
        let running = format!(" {} ", words.join(" "));
        let may_offer = section == Section::Recommendations
            || words.iter().any(|word| is_fix_word(word) && *word != self.package)
            || has_phrase(FIX_PHRASES, &running)
            || has_phrase(OFFERS, &running);
        let fix = if self.fixed.is_empty() { self.invents_fix(lower, &running) } else { denies_fix(&words) };
        fix.or_else(|| self.check_dismissal(&running))
            .or_else(|| if may_offer { self.check_versions_offered(lower) } else { None })
            .or_else(|| self.check_exploitation(&running))
            .or_else(|| self.check_severity(&words))
            .or_else(|| self.check_ratings(lower, score))
            .or_else(|| self.check_packages_offered(lower))
            .or_else(|| find_harm(&words, section))
    }

    /// Finds a fix word without a hedge near it in its clause, where the report has no fix.
    fn invents_fix(&self, lower: &str, running: &str) -> Option<Reason> {
        const NEAR: usize = 5;
        let lower = lower
            .replace("as soon as", "once")
            .replace(" but ", " , ")
            .replace(" however ", " , ")
            .replace(" and ", " , ");
        for clause in lower.split([',', ';', '(', ')', '!', '?', '"']).flat_map(|part| part.split(": ")) {
            let words: Vec<&str> =
                clause.split_whitespace().map(|word| word.trim_matches(['.', ':', '`', '*'])).collect();
            // `watch the tracker for a fix`: the verb of waiting may be far ahead.
            let waits = words.iter().any(|word| list_has("monitor, watch, check, look, wait, track, subscribe", word));
            let hedged = |at: usize| {
                let ahead = words.iter().take(at).skip(at.saturating_sub(NEAR));
                let behind = words.iter().skip(at + 1).take(NEAR);
                let takes_back = |word: &str| list_has(HEDGES_BEHIND, word) || word.ends_with("n't");
                ahead
                    .into_iter()
                    .any(|word| list_has(HEDGES_AHEAD, word) || takes_back(word) || (waits && *word == "for"))
                    || behind.into_iter().any(|word| takes_back(word))
            };
            let mut claims = words
                .iter()
                .enumerate()
                .filter(|(_, word)| (is_fix_word(word) || list_has(LOOSE_FIX_WORDS, word)) && **word != self.package);
            if claims.any(|(at, _)| !hedged(at)) {
                return Some(Reason::NoSuchFix);
            }
        }
        // For phrases, a hedge anywhere in the sentence counts.
        let hedged = running
            .split(' ')
            .any(|word| list_has(HEDGES_AHEAD, word) || list_has(HEDGES_BEHIND, word) || word.ends_with("n't"));
        (has_phrase(LOOSE_FIX_PHRASES, running) && !hedged).then_some(Reason::NoSuchFix)
    }

    /// Permits only fixed versions and the installed one in advice and in sentences about a fix.
    fn check_versions_offered(&self, lower: &str) -> Option<Reason> {
        let mut previous = "";
        for token in tokens_of(lower) {
            let before = std::mem::replace(&mut previous, token);
            let target = list_has("to, in, version, release, least, install, use", before);
            let integer = token.bytes().all(|b| b.is_ascii_digit());
            let version =
                token_kind(token) == Kind::Version || (integer && target && before != "in" && before != "use");
            if !version || self.fixed.iter().any(|fixed| fixed == token) {
                continue;
            }
            let offered = target && before != "version";
            if offered || !(self.installed.contains(token) || self.is_other_figure(token)) {
                return Some(Reason::NotTheFix(token.to_owned()));
            }
        }
        None
    }

    /// Recognises known scores, dates and numbers of ids, which are no versions.
    fn is_other_figure(&self, token: &str) -> bool {
        let date = token.len() == 10 && token.bytes().filter(|b| *b == b'-').count() == 2;
        let decimal = token.parse::<f64>().is_ok_and(|value| (0.0..=100.0).contains(&value));
        let year = token.len() == 4 && token.parse::<u16>().is_ok_and(|year| (1999..2100).contains(&year));
        // A Go module's path ends in its major version: `github.com/org/name/v2`.
        if self.package.rsplit_once('/').is_some_and(|(_, last)| last == token && last.len() <= 3) {
            return true;
        }
        let figure = date || decimal || year || !token.starts_with(|c: char| c.is_ascii_digit() || c == 'v');
        figure && self.structured.contains(token)
    }

    fn check_dismissal(&self, running: &str) -> Option<Reason> {
        if self.not_affected {
            return None;
        }
        let here = has_phrase("this, installed, image, your, our, it", running);
        let denied = has_phrase("not affected, not vulnerable, unaffected, isn't affected, isn't vulnerable", running);
        // `no action is needed if the service is off` is a condition.
        let condition = has_phrase("if, unless, when, where", running);
        let dismissed = has_phrase(DISMISSALS, running) || (has_phrase(SOFT_DISMISSALS, running) && !condition);
        (dismissed || (here && denied)).then_some(Reason::Dismissal)
    }

    /// Finds a claim of exploitation that neither a fact nor the title or description supports.
    fn check_exploitation(&self, running: &str) -> Option<Reason> {
        let is_unsupported = |claim: &str| claims(claim, running) && !self.running.contains(claim);
        let has_unsupported = |list: &str| list.split(", ").any(is_unsupported);
        let is_invented =
            has_unsupported(EXPLOITATION) || (!self.proof_of_concept && has_unsupported(PROOFS_OF_CONCEPT));
        (!self.known_exploited && is_invented).then_some(Reason::Exploitation)
    }

    fn check_severity(&self, words: &[&str]) -> Option<Reason> {
        let level = |word: &str| match word {
            "low" | "negligible" | "minor" | "trivial" => Some("low"),
            "medium" | "moderate" => Some("medium"),
            "high" | "important" => Some("high"),
            "critical" => Some("critical"),
            _ => None,
        };
        for (at, word) in words.iter().enumerate().filter(|(_, word)| word.ends_with("severity")) {
            let glued = word.strip_suffix("-severity").and_then(level);
            let near = words.iter().take(at + 4).skip(at.saturating_sub(1));
            if let Some(other) = near.filter_map(|word| level(word)).chain(glued).find(|l| *l != self.severity) {
                return Some(Reason::WrongSeverity(other.to_owned()));
            }
        }
        None
    }

    /// Permits only the model's own score and CVSS scores in `1/10`, `two out of ten`.
    fn check_ratings(&self, lower: &str, score: RiskScore) -> Option<Reason> {
        let equals = |rating: f64, known: f64| (rating - known).abs() < f64::EPSILON;
        let known = |rating: &f64| {
            equals(*rating, score.value()) || self.cvss_scores.iter().any(|known| equals(*rating, *known))
        };
        match ratings(lower) {
            Some(ratings) if ratings.iter().all(known) => None,
            _ => Some(Reason::OtherScore),
        }
    }

    /// Finds an unknown package in `install x`, `switch to x`, `replace … with x` or a name like `libcurl4-evil`.
    fn check_packages_offered(&self, lower: &str) -> Option<Reason> {
        const PLAIN: &str = "the, a, an, any, all, latest, newest, updated, new, newer, fixed, patched, security, vendor, \
            vendor's, official, supported, available, updates, update, patch, patches, fix, version, versions, release, \
            package, packages, it, them, this, that, only, from, in, another, alternative, your, distribution, maintained, \
            base, image, its, one, these, as";
        // `check_code` checks commands in backticks, so only single names in backticks count.
        let prose: Vec<&str> = lower
            .split('`')
            .enumerate()
            .filter(|(n, part)| n % 2 == 0 || part.split_whitespace().count() == 1)
            .map(|(_, part)| part)
            .collect();
        let prose = prose.join(" ");
        let tokens: Vec<&str> = tokens_of(&prose).collect();
        for (at, word) in tokens.iter().enumerate() {
            let next = |n: usize| tokens.get(at + n).copied().unwrap_or_default();
            let offered = match (*word, next(1)) {
                ("install", name) => name,
                ("switch" | "migrate" | "move", "to") => next(2),
                ("replace" | "replaced" | "substitute", _) => tokens
                    .iter()
                    .skip(at)
                    .position(|word| matches!(*word, "with" | "by"))
                    .map(|with| next(with + 1))
                    .unwrap_or_default(),
                // A longer name that contains the package's.
                (name, _) if self.package.len() >= 4 && name.contains(&self.package) && name.contains(['-', '_']) => {
                    name
                }
                _ => continue,
            };
            let is_name = !offered.is_empty() && !list_has(PLAIN, offered);
            // A package to install must be in a structured field, not only mentioned in a description.
            let is_mentioned = offered == *word && self.mentions(offered);
            if is_name && !is_mentioned && !self.structured.contains(offered) {
                return Some(Reason::UnknownName(offered.to_owned()));
            }
        }
        None
    }
}

/// Finds a claim without a denial in the three words before it: `not known to be exploited` is no claim, but
/// `exploited in the wild and does not need a password` is.
fn claims(claim: &str, running: &str) -> bool {
    running.match_indices(claim).any(|(at, _)| {
        let before = running.get(..at).unwrap_or_default();
        let after = running.get(at + claim.len()..).unwrap_or_default();
        let denied = before.split_whitespace().rev().take(3).any(|word| list_has("no, not, never, without", word));
        before.ends_with(' ') && after.starts_with(' ') && !denied
    })
}

/// Finds a denial of a fix, or advice against it, where the report has a fix.
fn denies_fix(words: &[&str]) -> Option<Reason> {
    const NEAR: usize = 4;
    let negates = |word: &str| list_has(NEGATIONS, word) || word.ends_with("n't");
    for (at, word) in words.iter().enumerate() {
        if word.starts_with("downgrad") || *word == "rollback" {
            return Some(Reason::FixDenied);
        }
        if !is_fix_word(word) {
            continue;
        }
        let mut ahead = words.iter().take(at).skip(at.saturating_sub(NEAR));
        let behind: Vec<&str> = words.iter().skip(at + 1).take(NEAR).copied().collect();
        let missing = behind.iter().any(|word| negates(word))
            && behind.iter().any(|w| {
                list_has("available, released, exist, exists, provided, planned, needed, necessary, required, worth", w)
            });
        let useless = behind.iter().any(|w| list_has("unnecessary, optional, pointless, useless", w));
        // `if you cannot upgrade`: a condition denies nothing.
        let condition = words.iter().take(at).any(|word| list_has("if, when, where, until, unless", word));
        if (missing || useless || ahead.any(|word| negates(word))) && !condition {
            return Some(Reason::FixDenied);
        }
    }
    None
}

/// Finds advice to switch off a protection or to give away a secret.
///
/// Advice is a recommendation or begins with the verb: a summary may say that an attacker disables a check.
fn find_harm(words: &[&str], section: Section) -> Option<Reason> {
    const NEAR: usize = 5;
    words.iter().enumerate().find_map(|(at, word)| {
        let after = |list: &str| words.iter().skip(at + 1).take(NEAR).any(|word| list_has(list, word));
        let off = list_has("disable, disabling, deactivate, stop", word)
            || (matches!(*word, "turn" | "switch") && words.get(at + 1) == Some(&"off"));
        let away = list_has("send, share, post, upload, email, forward, publish, paste, submit", word);
        let advice = at == 0 || section == Section::Recommendations;
        let denied =
            words.iter().take(at).skip(at.saturating_sub(3)).any(|w| list_has(NEGATIONS, w) || w.ends_with("n't"));
        let harm = (off && after(PROTECTIONS)) || (away && after(SECRETS));
        (harm && advice && !denied).then(|| Reason::HarmfulAdvice((*word).to_owned()))
    })
}
