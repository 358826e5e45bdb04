//! Defines the JSON of answers, under the field names that docs/API.md promises.

pub(super) mod analysis;
pub(super) mod cve;
pub(super) mod finding;
pub(super) mod priority;
pub(super) mod scan;
