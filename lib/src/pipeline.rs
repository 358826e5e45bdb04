//! The verbs. The order of effects is decided here and nowhere else.

pub mod ingest;
