//! Reads the vulnerabilities that Trivy suppressed, from reports with `--show-suppressed`.

use std::borrow::Cow;

use serde::de::{DeserializeSeed as _, Error as _, IgnoredAny, MapAccess};
use serde_json::value::RawValue;

use super::finding::{Finding, FindingIn, Text};
use super::reader::{Read, Reader};
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

/// Reads a modified finding; none if it is no vulnerability.
pub(super) struct ModifiedFinding;

impl<'c> Reader<'c> for ModifiedFinding {
    type Value = Option<Suppressed<'c>>;

    const EXPECTED: &'static str = "a modified finding";

    fn object<A: MapAccess<'c>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let (mut kind, mut status, mut source, mut statement, mut finding) = (None, None, None, None, None);
        while let Some(Text(name)) = members.next_key()? {
            match &*name {
                "Type" => kind = members.next_value::<Option<Text<'c>>>()?,
                "Status" => status = members.next_value::<Option<Text<'c>>>()?,
                "Source" => source = members.next_value::<Option<Text<'c>>>()?,
                "Statement" => statement = members.next_value::<Option<Text<'c>>>()?,
                // Kept as JSON, since `Type` decides how it is read.
                "Finding" => finding = members.next_value::<Option<&'c RawValue>>()?,
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        if kind.is_none_or(|Text(kind)| kind != "vulnerability") {
            return Ok(None);
        }
        let Some(finding) = finding else { return Err(A::Error::missing_field("Finding")) };
        let finding = Read(FindingIn(finding.get()))
            .deserialize(&mut serde_json::Deserializer::from_str(finding.get()))
            .map_err(|error| A::Error::custom(reason::reword(&error)))?;
        let [status, source, statement] = [status, source, statement].map(|text| shortened(text?.0));
        Ok(Some(Suppressed { finding, status, source, statement }))
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
