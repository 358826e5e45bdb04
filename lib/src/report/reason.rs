//! Rewords a JSON parser's message without its Rust types.

use std::fmt::{self, Display, Write as _};

/// The longest beginning of a message that is read, in bytes: it quotes the value, which may be large.
const MAX_MESSAGE_BYTES: usize = 400;

/// Rewords the reason, without the position that the parser adds.
pub(crate) fn reword(error: &impl Display) -> String {
    let mut words = Beginning(String::new());
    // Fails once the buffer is full.
    let _ = write!(words, "{error}");
    let words = words.0.rsplit_once(" at line ").map_or(words.0.as_str(), |(reason, _)| reason);
    if let Some((found, expected)) = words
        .strip_prefix("invalid type: ")
        .or_else(|| words.strip_prefix("invalid value: "))
        .or_else(|| words.strip_prefix("invalid length "))
        .map(|rest| rest.rsplit_once(", expected ").unwrap_or((rest, "")))
    {
        // A derived reader accepts an array of the fields' values, and complains about its length.
        let is_length = words.starts_with("invalid length ");
        let (found, expected) =
            (if is_length { "an array".to_owned() } else { found_name(found) }, expected_name(expected));
        return if expected.is_empty() {
            format!("found {found}")
        } else {
            format!("expected {expected}, found {found}")
        };
    }
    for (beginning, fault) in [("missing field ", "is missing"), ("duplicate field ", "is there twice")] {
        if let Some(name) = words.strip_prefix(beginning) {
            return format!("{} {fault}", name.trim_matches('`'));
        }
    }
    if let Some(rest) = words.strip_prefix("unknown field ").or_else(|| words.strip_prefix("unknown variant ")) {
        let (name, known) = rest.split_once(", ").unwrap_or((rest, ""));
        let known = known.trim_start_matches("expected ").trim_start_matches("one of ").replace('`', "");
        return format!("{} is not known here; known: {known}", name.trim_matches('`'));
    }
    words.to_owned()
}

/// A buffer that keeps only the beginning.
struct Beginning(String);

impl fmt::Write for Beginning {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_MESSAGE_BYTES.saturating_sub(self.0.len());
        self.0.push_str(crate::domain::text::cut(text, room));
        if text.len() > room { Err(fmt::Error) } else { Ok(()) }
    }
}

/// Renames the value that serde found.
fn found_name(found: &str) -> String {
    let quoted = |name: &str| Some(found.strip_prefix(name)?.trim_matches('`'));
    if let Some(number) = quoted("integer ").or_else(|| quoted("floating point ")) {
        return format!("the number {number}");
    }
    if let Some(text) = found.strip_prefix("string ") {
        const MAX_QUOTED_BYTES: usize = 60;
        let cut = crate::domain::text::cut(text, MAX_QUOTED_BYTES);
        return format!("the text {cut}{}", if cut.len() < text.len() { "…" } else { "" });
    }
    if let Some(boolean) = quoted("boolean ") {
        return boolean.to_owned();
    }
    match found {
        "sequence" => "an array",
        "map" => "an object",
        "unit value" | "null" | "Option value" => "null",
        other => other,
    }
    .to_owned()
}

/// Renames the type that serde expected.
fn expected_name(expected: &str) -> &str {
    match expected {
        "a sequence" => "an array",
        "a map" => "an object",
        "a boolean" => "true or false",
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a borrowed string" | "variant identifier" | "string or map" => "a string",
        "unit" => "null",
        _ if expected.starts_with("struct ") => "an object",
        _ if expected.starts_with("tuple ") => "an array",
        _ if expected.starts_with("enum ") => "a string",
        _ => expected,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only why it cannot be read matters")]
    struct Order {
        size: u64,
        kind: Option<Kind>,
        names: Option<Vec<String>>,
        inner: Option<Box<Self>>,
        flag: Option<bool>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Small,
        Large,
    }

    fn reworded(json: &str) -> String {
        reword(&serde_json::from_str::<Order>(json).unwrap_err())
    }

    #[test]
    fn no_reason_names_a_type_of_the_program() {
        for (json, reason) in [
            ("7", "expected an object, found the number 7"),
            ("{\"size\": -7}", "expected a whole number, found the number -7"),
            ("{\"size\": 7.5}", "expected a whole number, found the number 7.5"),
            ("{\"size\": \"7\"}", "expected a whole number, found the text \"7\""),
            ("{\"size\": null}", "expected a whole number, found null"),
            ("{}", "size is missing"),
            ("{\"size\": 1, \"size\": 2}", "size is there twice"),
            ("{\"size\": 1, \"x\": 2}", "x is not known here; known: size, kind, names, inner, flag"),
            ("{\"kind\": \"huge\"}", "huge is not known here; known: small or large"),
            ("{\"names\": {}}", "expected an array, found an object"),
            ("{\"names\": [[]]}", "expected a string, found an array"),
            ("{\"inner\": \"x\"}", "expected an object, found the text \"x\""),
            ("{\"flag\": 1}", "expected true or false, found the number 1"),
            ("{\"size\" 1}", "expected `:`"),
        ] {
            assert_eq!(reworded(json), reason, "{json}");
        }
    }

    #[test]
    fn a_text_of_megabytes_is_cut() {
        let json = format!("{{\"size\": \"{}\"}}", "é".repeat(1 << 20));
        assert!(reworded(&json).len() < 200, "{}", reworded(&json));
    }
}
