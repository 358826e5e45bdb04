//! `FixedVersion` of a report: one version, a list, or the ranges of an advisory.

use super::shown;
use crate::domain::vulnerability::id::VulnerabilityId;

/// A version that has the fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fix<'a> {
    /// As the report spells it.
    pub version: &'a str,
    /// Not this version has the fix, but those above it: `> 1.2.3`.
    pub above: bool,
}

impl Fix<'_> {
    pub(super) fn shown(&self) -> String {
        let version = shown(self.version);
        if self.above { format!("a version above {version}") } else { version }
    }
}

/// The most versions that are read of one list; the most known are 8.
const MOST: usize = 64;

/// The fixed versions in the order of the list.
///
/// Lists have commas, semicolons or `||`; ranges are as `~> 5.2.4, >= 6.0.3`, of which the lower bounds count.
/// What has no digit (`N/A`, `none`, `-`), an address and the id of an advisory are no versions.
#[must_use]
pub fn fixes(list: &str) -> Vec<Fix<'_>> {
    const OPERATORS: [char; 6] = ['<', '>', '=', '~', '^', '!'];
    let mut fixes: Vec<Fix<'_>> = Vec::new();
    // An operator may be apart from its version.
    let mut operator = "";
    for word in list.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '|')) {
        let word = word.trim_matches(['(', ')', '[', ']', '"', '\'', '{', '}']);
        let version = word.trim_start_matches(OPERATORS);
        let before = word.strip_suffix(version).unwrap_or_default();
        if !before.is_empty() {
            operator = before;
        }
        if version.is_empty() {
            continue;
        }
        let operator = std::mem::take(&mut operator);
        let is_bound_above = operator.starts_with(['<', '!']);
        let is_version = is_version(version);
        let fix = Fix { version, above: operator == ">" };
        if is_version && !is_bound_above && !fixes.contains(&fix) {
            fixes.push(fix);
        }
        if fixes.len() == MOST {
            break;
        }
    }
    fixes
}

/// Whether a report names a version with the fix.
#[must_use]
pub fn has_fix(list: &str) -> bool {
    !fixes(list).is_empty()
}

/// Recognises what can be a version in any ecosystem.
fn is_version(word: &str) -> bool {
    let is_of_versions = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+~:^".contains(&byte);
    word.bytes().any(|byte| byte.is_ascii_digit())
        && word.bytes().all(is_of_versions)
        && word.parse::<VulnerabilityId>().is_err()
}
