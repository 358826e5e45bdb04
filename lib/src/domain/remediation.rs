//! What to do about a finding, as a fact: computed from the report's versions, in the order of their ecosystem.

use std::collections::BTreeSet;

use super::finding::Finding;
use super::fix_status::FixStatus;
use super::text::{clean, cut};
use super::versions::{Scheme, Version};

mod fixes;
mod upgrade;

pub use fixes::{Fix, fixes, has_fix};
pub use upgrade::{NoUpgrade, smallest_upgrade};

/// What a report states about a vulnerable package.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stated<'a> {
    /// The package; empty if the report does not say.
    pub package: &'a str,
    /// `debian`, `npm`, …
    pub kind: Option<&'a str>,
    /// The version that is there; empty if the report does not say.
    pub installed_version: &'a str,
    /// `FixedVersion`, as the report has it.
    pub fixed_version: Option<&'a str>,
    /// Trivy's `Status`.
    pub status: Option<&'a str>,
}

/// The longest name or version that is shown, in bytes.
const LONGEST: usize = 200;
/// The most fixed versions that are named.
const MOST_NAMED: usize = 8;

impl Stated<'_> {
    /// One sentence: which version to upgrade to, or why there is none.
    ///
    /// The smallest fixed version above the installed one comes first, if there is one of the same major version;
    /// then the other versions above it, then those of older lines. Versions of an ecosystem whose order is not known
    /// are named as the report lists them.
    #[must_use]
    pub fn remediation(&self) -> String {
        let status = FixStatus::from_trivy(self.status.unwrap_or_default());
        if status == FixStatus::NotAffected {
            return format!("Nothing to do: the vendor says that {} is not affected", self.subject());
        }
        let fixes = fixes(self.fixed_version.unwrap_or_default());
        if fixes.is_empty() {
            return self.unfixed(status);
        }
        let scheme = self.kind.and_then(Scheme::of);
        match scheme.and_then(|scheme| Some((scheme, Version::read(scheme, self.installed_version)?))) {
            Some((scheme, installed)) => self.ordered(&fixes, scheme, &installed),
            None => format!("Upgrade {} to {}", self.subject(), named(fixes.iter().map(Fix::shown).collect())),
        }
    }

    fn ordered(&self, fixes: &[Fix<'_>], scheme: Scheme, installed: &Version) -> String {
        let mut above = Vec::new();
        let mut below = Vec::new();
        let mut unread = Vec::new();
        for fix in fixes {
            match Version::read(scheme, fix.version) {
                Some(version) if version > *installed || (fix.above && version == *installed) => {
                    above.push((!same_major(&version, installed), version, fix.shown()));
                }
                Some(version) => below.push((version, fix.shown())),
                None => unread.push(fix.shown()),
            }
        }
        below.sort_by(|one, other| other.cmp(one));
        if above.is_empty() && unread.is_empty() {
            let names = named(below.into_iter().map(|(_, shown)| shown).collect());
            return format!(
                "No fixed version above the installed one is known for {}: the report names {names}",
                self.subject()
            );
        }
        above.sort();
        let mut names = Vec::new();
        for (at, (other_major, _, shown)) in above.into_iter().enumerate() {
            names.push(match (at, scheme.is_of_distribution(), other_major) {
                (0, false, false) => format!("{shown} (same major version)"),
                (0, false, true) => format!("{shown} (another major version)"),
                _ => shown,
            });
        }
        names.extend(unread);
        names.extend(below.into_iter().map(|(_, shown)| shown));
        format!("Upgrade {} to {}", self.subject(), named(names))
    }

    fn unfixed(&self, status: FixStatus) -> String {
        let why = match status {
            FixStatus::WillNotFix => ": the vendor will not fix it",
            FixStatus::EndOfLife => ": its release is at its end of life; move to one that is supported",
            FixStatus::FixDeferred => ": the vendor has deferred the fix",
            FixStatus::UnderInvestigation => ": the vendor is still investigating",
            FixStatus::Affected => " yet: the vendor says that it is affected",
            FixStatus::Fixed => ": the report says that it is fixed, but not in which version",
            FixStatus::Unknown | FixStatus::NotAffected => "",
        };
        format!("No fixed version of {} is known{why}", self.subject())
    }

    /// `minimist 1.2.5`
    fn subject(&self) -> String {
        let package = shown(self.package);
        let package = if package.is_empty() { "the package" } else { &package };
        [package, &shown(self.installed_version)].join(" ").trim_end().to_owned()
    }
}

/// What to do about a finding.
#[must_use]
pub fn remediation(finding: &Finding) -> String {
    let text = |name| finding.text(name).unwrap_or_default();
    let (installed_version, fixed_version, status) = (text("InstalledVersion"), text("FixedVersion"), text("Status"));
    let stated = Stated {
        package: finding.pkg_name.as_deref().unwrap_or_default(),
        kind: finding.kind.as_deref(),
        installed_version: &installed_version,
        fixed_version: Some(&fixed_version),
        status: Some(&status),
    };
    match finding.suppressed.as_ref().and_then(|suppressed| suppressed.status.as_deref()) {
        Some("not_affected") => format!("Nothing to do: {} is suppressed as not affected", stated.subject()),
        Some("fixed") => format!("Nothing to do: {} is suppressed as fixed", stated.subject()),
        _ => stated.remediation(),
    }
}

/// True if the first numbers of both releases are the same.
fn same_major(one: &Version, other: &Version) -> bool {
    one.common_release(other) > 0
}

/// Text of a report on one line, without what cannot be seen, and not too long.
fn shown(text: &str) -> String {
    let text = clean(cut(text.trim(), LONGEST));
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `a, b or c`, each once, and how many more there are.
fn named(names: Vec<String>) -> String {
    let mut seen = BTreeSet::new();
    let names: Vec<String> = names.into_iter().filter(|name| seen.insert(name.clone())).collect();
    let more = names.len().saturating_sub(MOST_NAMED);
    let mut shown: Vec<String> = names.into_iter().take(MOST_NAMED).collect();
    if more > 0 {
        shown.push(format!("one of {more} more"));
    }
    match shown.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests;
