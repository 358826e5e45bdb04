//! Finds the parts of an answer in any of the formats that models write.

use super::loose_json::{looks_like_json, read_json};
use super::markdown::flatten;
use super::sections::{Draft, assemble, split};
use super::{Error, Section};

/// Finds the parts of an answer in Markdown or JSON. Without a heading, they may be inside a code fence, or be JSON after
/// some words.
pub(super) fn draft(text: &str) -> Result<Draft, Error> {
    if looks_like_json(text) {
        return read_json(text);
    }
    let document = flatten(text);
    let parts = split(document.lines);
    if !parts.is_empty() {
        return assemble(parts);
    }
    for code in &document.code_blocks {
        if looks_like_json(code) {
            return read_json(code);
        }
        let parts = split(flatten(code).lines);
        if !parts.is_empty() {
            return assemble(parts);
        }
    }
    if let (Some(start), Some(end)) = (text.find('{'), text.rfind('}'))
        && let Some(object) = text.get(start..=end).filter(|object| looks_like_json(object))
    {
        return read_json(object);
    }
    Err(Error::Missing(Section::Summary))
}
