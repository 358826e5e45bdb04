//! Checks links, addresses, markup and commands, which a reader could click, load or paste by mistake.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::domain_name::is_domain;
use super::{Evidence, Reason, tokens};
use crate::llm::word_list::{find_entry, list_has};

/// Finds HTML, an image or a Markdown link in plain text. The parser has resolved real ones; an escaped one could become
/// real where text is rendered as Markdown.
pub(super) fn has_markup(lower: &str) -> bool {
    let is_tag = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?'));
    lower.split('<').skip(1).any(is_tag) || find_entry("![, ](, &lt;, &#", lower).is_some()
}

impl Evidence {
    /// Checks every URL, host, address and e-mail, and returns the sentence without its URLs.
    pub(super) fn check_links(&self, folded: &str) -> Result<String, Reason> {
        const SCHEMES: &str = "javascript:, data:, vbscript:, mailto:, file:, tel:, blob:, magnet:";
        let lower = folded.to_lowercase();
        let scheme = SCHEMES.split(", ").find(|s| {
            lower.match_indices(*s).any(|(at, _)| {
                let starts = lower.get(..at).is_none_or(|b| !b.ends_with(|c: char| c.is_alphanumeric()));
                // `data: the …` is prose.
                let goes_on = lower.get(at + s.len()..).is_some_and(|r| r.starts_with(|c: char| !c.is_whitespace()));
                starts && goes_on
            })
        });
        if let Some(scheme) = scheme {
            return Err(Reason::UnknownLink(scheme.to_owned()));
        }
        let mut rest = Vec::new();
        for word in folded.split_whitespace() {
            if word.contains("://") {
                rest.push(self.without_url(word)?);
                continue;
            }
            let bare = trim(word).to_lowercase();
            if ["//", "\\\\", "http:", "https:"].iter().any(|beginning| bare.starts_with(beginning)) {
                return Err(Reason::UnknownLink(bare));
            }
            // Brackets and commas may join words.
            for piece in word.split([',', ';', '(', ')', '[', ']', '{', '}', '"', '\'', '`', '=', '|', '<', '>']) {
                self.check_address(&trim(piece).to_lowercase())?;
            }
            rest.push(word.to_owned());
        }
        Ok(rest.join(" "))
    }

    fn without_url(&self, word: &str) -> Result<String, Reason> {
        let before = word.split("://").next().unwrap_or_default();
        let prefix = before.trim_end_matches(|c: char| c.is_ascii_alphanumeric());
        let url = word.get(prefix.len()..).unwrap_or_default();
        // A reference may end in a bracket; the bracket or full stop of the sentence is not part of it.
        let known = [url, url.trim_end_matches(['.', ',', ';', ':', '!', '?']), trim(url)]
            .into_iter()
            .any(|candidate| url::Url::parse(candidate).is_ok_and(|url| self.urls.contains(url.as_str())));
        if known && !prefix.contains("//") {
            Ok(prefix.to_owned())
        } else {
            Err(Reason::UnknownLink(trim(url).to_lowercase()))
        }
    }

    /// Checks a word that may be a host, an address, an e-mail or a package path.
    fn check_address(&self, word: &str) -> Result<(), Reason> {
        let unknown = || Err(Reason::UnknownLink(word.to_owned()));
        let (first, path) = word.split_once('/').unwrap_or((word, ""));
        let host = first.split(':').next().unwrap_or_default();
        if host.parse::<Ipv4Addr>().is_ok() && !self.structured.contains(host) {
            return unknown();
        }
        if first.matches(':').count() >= 2
            && first.parse::<Ipv6Addr>().is_ok_and(|ip| ip.segments().iter().any(|s| *s != 0))
        {
            return unknown();
        }
        if let Some((name, domain)) = word.split_once('@') {
            // `name@version` and `@scope/name` are packages.
            let is_version = !name.is_empty() && domain.starts_with(|c: char| c.is_ascii_digit() || c == 'v');
            let is_known = is_version && tokens::tokens_of(name).all(|token| self.mentioned.contains(token));
            return if is_known || self.paths.contains(word) { Ok(()) } else { unknown() };
        }
        if !is_domain(host) || (path.is_empty() && tokens::is_common_dotted(host)) {
            return Ok(());
        }
        let known = if path.is_empty() {
            self.knows_host(host) || self.structured.contains(host)
        } else {
            self.paths
                .split_whitespace()
                .filter_map(|known| known.split_once(word))
                .any(|(_, rest)| rest.is_empty() || rest.starts_with(['/', '@', '?', '#']))
        };
        if known { Ok(()) } else { unknown() }
    }

    /// Tells whether a host is that of a reference, or a domain above one.
    pub(super) fn knows_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|known| known == host || known.strip_suffix(host).is_some_and(|sub| sub.ends_with('.')))
    }

    /// Permits in backticks only a known name, or a package manager's command about known packages.
    pub(super) fn check_code(&self, lower: &str) -> Option<Reason> {
        const MANAGERS: &str = "apt, apt-get, dnf, yum, microdnf, apk, zypper, npm, yarn, pnpm, pip, pip3, go, \
            cargo, gem, bundle, composer, mvn, gradle, sudo, dpkg, rpm";
        const VERBS: &str = "update, upgrade, install, add, get, audit, fix, only-upgrade, y, u, no-cache, list, \
            show, info, list-installed, dist-upgrade, only, require, tidy, mod, q, check-update, l, qa, qi";
        const PIPES: &str = "rm -rf, base64 -d, chmod 777, --privileged, | sh, |sh, | bash, |bash, eval(, wget ";
        if let Some(pipe) = find_entry(PIPES, lower) {
            return Some(Reason::Command(pipe.to_owned()));
        }
        for code in lower.split('`').skip(1).step_by(2) {
            // `apt-get update && apt-get install x` is two commands.
            for command in code.split("&&") {
                let words: Vec<&str> = tokens::tokens_of(command).collect();
                let single = command.split_whitespace().count() <= 1;
                let known = if single {
                    words.iter().all(|word| self.mentions(word) || list_has(MANAGERS, word))
                } else {
                    words.first().is_some_and(|first| list_has(MANAGERS, first))
                        && words.iter().all(|word| {
                            list_has(MANAGERS, word) || list_has(VERBS, word) || self.structured.contains(*word)
                        })
                };
                if !known && single {
                    return Some(Reason::UnknownName(command.trim().to_owned()));
                }
                if !known || command.contains(['|', ';', '&', '$', '<', '>', '\\']) {
                    return Some(Reason::Command(command.trim().to_owned()));
                }
            }
        }
        None
    }
}

fn trim(word: &str) -> &str {
    word.trim_matches(['.', ',', ';', ':', '!', '?', '(', ')', '[', ']', '{', '}', '"', '\'', '`', '*', '_'])
}
