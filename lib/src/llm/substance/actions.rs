//! Recognises advice that asks for an action, by a verb in the place of an imperative.

use super::words::list_has;

/// Verbs of changing or finding out something.
const VERBS: &str = "add adjust alert allow apply assess audit avoid back backport block bound bump cap change check clean \
    close configure confirm constrain contact control cut decommission delete deny deploy deprecate detect determine \
    disable discard downgrade drop eliminate enable encrypt enforce ensure escape evaluate examine exclude execute extract \
    filter find firewall fix force forbid gate give grant guard harden identify implement inspect install inventory \
    investigate isolate limit lock log look lower make migrate mirror mitigate monitor mount move obtain pass patch pin plan \
    prefer prevent prioritise prioritize prohibit protect put quarantine rebuild recompile reconfigure redeploy \
    reduce refresh regenerate reinstall reject release remediate remove renew replace request require reserve restart \
    restrict review revoke roll rotate run sandbox sanitise sanitize scan schedule search segment separate set shut stop \
    strip subscribe switch terminate test throttle track turn uninstall unpack update upgrade use validate verify wait \
    watch wrap";

/// Words before an imperative that does not begin a sentence or clause.
const LEADS: &str = "to please must should can could may and or then also immediately now first next finally always be \
    consider considering recommend recommended by you not don't never until instead either otherwise just simply only \
    promptly carefully regularly temporarily we need needs";

/// Sentences in lower case that only seem to ask: `use caution`, `make sure to be safe`.
const EMPTY: [&str; 6] =
    ["use caution", "use care", "be careful", "take care", "wait and see", "consult a professional"];

/// Recognises a form of one of the verbs.
pub(super) fn is_action(word: &str) -> bool {
    list_has(VERBS, word) || is_form(word, "s") || is_form(word, "es") || is_form(word, "ed") || is_form(word, "ing")
}

/// Recognises a verb with an ending: `upgrading`, `limiting`, `dropped`.
fn is_form(word: &str, ending: &str) -> bool {
    word.strip_suffix(ending).is_some_and(|stem| {
        let short = stem.get(..stem.len().saturating_sub(1)).unwrap_or_default();
        let doubled = short.chars().last() == stem.chars().last();
        list_has(VERBS, stem) || list_has(VERBS, &format!("{stem}e")) || (doubled && list_has(VERBS, short))
    })
}

/// Tells whether a sentence in lower case asks for an action.
pub(super) fn asks_for(sentence: &str) -> bool {
    if EMPTY.iter().any(|empty| sentence.contains(empty)) {
        return false;
    }
    sentence.split([',', ';', ':', '(', '!', '?', '"']).any(|clause| {
        let words: Vec<&str> = clause
            .split(|c: char| !(c.is_alphanumeric() || c == '\'' || c == '-'))
            .filter(|word| word.chars().any(char::is_alphabetic))
            .collect();
        words.iter().enumerate().any(|(at, word)| {
            let before = at.checked_sub(1).and_then(|before| words.get(before)).copied().unwrap_or("and");
            let leads = list_has(LEADS, before) || before.ends_with("ly");
            (leads && (list_has(VERBS, word) || is_form(word, "ing")))
                || (list_has("be get being", before) && is_form(word, "ed"))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_that_asks_for_something_is_told_from_talk() {
        for advice in [
            "upgrade minimist to 1.2.6.",
            "watch the service.",
            "limit who can reach the service.",
            "until then, do not pass user input to the parser.",
            "the package should be upgraded soon.",
            "we recommend upgrading the library.",
            "consider disabling http/2.",
            "rebuilding the image is needed.",
            "since there is no fix yet, limit egress traffic.",
            "run `npm install x`.",
        ] {
            assert!(asks_for(advice), "{advice}");
        }
        for talk in [
            "the impact is high.",
            "security updates are nice.",
            "updates are important.",
            "this is a serious problem.",
            "take your time with this one.",
            "be careful.",
            "use caution.",
            "follow best practices for secure software.",
            "it depends on the circumstances.",
            "good luck with this one!",
        ] {
            assert!(!asks_for(talk), "{talk}");
        }
    }
}
