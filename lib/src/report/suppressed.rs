//! Reads the vulnerabilities that Trivy has suppressed, as `--show-suppressed` reports them.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed as _, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::finding::{Finding, FindingIn, Text, not_a_text};
use super::reason;
use crate::domain::text;

/// A vulnerability that an ignore file, a policy or a VEX document suppresses.
#[derive(Debug)]
pub struct Suppressed<'c> {
    /// The vulnerability.
    pub finding: Finding<'c>,
    /// `ignored`, `not_affected`, `fixed`, …
    pub status: Option<Cow<'c, str>>,
    /// The file that suppresses it, or `CycloneDX VEX`, `Filtered by Rego` …
    pub source: Option<Cow<'c, str>>,
    /// The reason in the file.
    pub statement: Option<Cow<'c, str>>,
}

impl Suppressed<'_> {
    pub(super) fn reasons(&self) -> [Option<&str>; 3] {
        [self.status.as_deref(), self.source.as_deref(), self.statement.as_deref()]
    }
}

/// The longest kept status, source or statement, in bytes.
const MAX_REASON_BYTES: usize = 2 << 10;

/// A modified finding; none if it is no vulnerability.
pub(super) struct ModifiedEntry<'c>(pub(super) Option<Suppressed<'c>>);

impl<'c> Deserialize<'c> for ModifiedEntry<'c> {
    fn deserialize<D: Deserializer<'c>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ModifiedEntryVisitor)
    }
}

struct ModifiedEntryVisitor;

impl<'c> Visitor<'c> for ModifiedEntryVisitor {
    type Value = ModifiedEntry<'c>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a modified finding")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ModifiedEntry<'c>, E> {
        Err(not_a_text(text, &self))
    }

    fn visit_map<A: MapAccess<'c>>(self, mut members: A) -> Result<ModifiedEntry<'c>, A::Error> {
        let (mut kind, mut status, mut source, mut statement, mut finding) = (None, None, None, None, None);
        while let Some(Text(name)) = members.next_key()? {
            match &*name {
                "Type" => kind = members.next_value::<Option<Text<'c>>>()?,
                "Status" => status = members.next_value::<Option<Text<'c>>>()?,
                "Source" => source = members.next_value::<Option<Text<'c>>>()?,
                "Statement" => statement = members.next_value::<Option<Text<'c>>>()?,
                // Kept as text: only `Type` tells its kind.
                "Finding" => finding = members.next_value::<Option<&'c RawValue>>()?,
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        if kind.is_none_or(|Text(kind)| kind != "vulnerability") {
            return Ok(ModifiedEntry(None));
        }
        let Some(finding) = finding else { return Err(A::Error::missing_field("Finding")) };
        let finding = FindingIn(finding.get())
            .deserialize(&mut serde_json::Deserializer::from_str(finding.get()))
            .map_err(|error| A::Error::custom(reason::reword(&error)))?;
        let [status, source, statement] = [status, source, statement].map(|text| shortened(text?.0));
        Ok(ModifiedEntry(Some(Suppressed { finding, status, source, statement })))
    }
}

/// Shortens a text; none if it is empty.
fn shortened(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    let text = match text {
        Cow::Borrowed(text) => Cow::Borrowed(text::cut(text, MAX_REASON_BYTES)),
        Cow::Owned(mut text) => {
            text.truncate(text::cut(&text, MAX_REASON_BYTES).len());
            Cow::Owned(text)
        }
    };
    (!text.is_empty()).then_some(text)
}
