//! Recognises domain names.

use crate::llm::word_list::list_has;

/// Recognises a name whose last part is in the Public Suffix List or reserved: `evil.com`, but not `java.lang.Runtime`.
pub(super) fn is_domain(host: &str) -> bool {
    /// RFC 2606, 6761, 6762, 7686, 9476, and names of private networks.
    const RESERVED: &str = "example, test, localhost, local, internal, onion, invalid, alt, lan, home, corp, intranet";
    let host = host.trim_end_matches('.');
    let labels = host.split('.').filter(|label| !label.is_empty()).count();
    let last = host.rsplit('.').next().unwrap_or_default();
    let named = last.starts_with(|c: char| c.is_alphabetic());
    let reserved = list_has(RESERVED, last);
    labels >= 2 && named && (reserved || psl::suffix(host.as_bytes()).is_some_and(|suffix| suffix.is_known()))
}
