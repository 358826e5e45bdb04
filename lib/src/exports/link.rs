//! Addresses of a report as links that any format can hold.

use url::Url;

/// The longest link, in bytes: what browsers and Security Hub take.
const MAX_BYTES: usize = 2048;

/// Reads an address of the web and spells it as a URI; none for any other text. It has no user name, and none of the
/// characters with which a link ends in Markdown or HTML.
pub(super) fn link(text: &str) -> Option<String> {
    let url = Url::parse(text.trim()).ok()?;
    let is_web = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    let mut link = String::with_capacity(url.as_str().len());
    for c in url.as_str().chars() {
        match c {
            '|' | '\\' | '^' | '`' | '{' | '}' | '<' | '>' | '"' | '\'' | '(' | ')' | '*' => {
                link.push_str(&format!("%{:02X}", u32::from(c)));
            }
            c => link.push(c),
        }
    }
    (is_web && link.len() <= MAX_BYTES && link.is_ascii()).then_some(link)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_web_are_links() {
        assert_eq!(link(" https://a.example/b c|d(e)?f=g#h ").unwrap(), "https://a.example/b%20c%7Cd%28e%29?f=g#h");
        for text in [
            "",
            "a",
            "javascript:alert(1)",
            "data:text/html,x",
            "https://u:p@a.example/",
            "//a.example/",
            "file:///etc",
        ] {
            assert_eq!(link(text), None, "{text}");
        }
    }
}
