//! Finds the parts of an answer, in whichever format a model writes them.

use super::markdown::flatten;
use super::sections::{Draft, assemble, split};
use super::{Error, Section, loose_json};

/// Finds the parts of an answer in Markdown, JSON, or either of them inside a code fence.
pub(super) fn draft(text: &str) -> Result<Draft, Error> {
    if loose_json::looks_like(text) {
        return loose_json::read_json(text);
    }
    let document = flatten(text);
    let parts = split(document.lines);
    if !parts.is_empty() {
        return assemble(parts);
    }
    // No heading at all: the answer may be inside a fence, or JSON may follow some words.
    for code in &document.code_blocks {
        if loose_json::looks_like(code) {
            return loose_json::read_json(code);
        }
        let parts = split(flatten(code).lines);
        if !parts.is_empty() {
            return assemble(parts);
        }
    }
    match (text.find('{'), text.rfind('}')) {
        (Some(start), Some(end)) if start < end => {
            let object = text.get(start..=end).unwrap_or_default();
            if loose_json::looks_like(object) {
                return loose_json::read_json(object);
            }
        }
        _ => {}
    }
    Err(Error::Missing(Section::Summary))
}
