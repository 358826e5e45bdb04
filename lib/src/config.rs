//! Settings from the environment: one file per noun, read once, typed.
//!
//! Knows no layer above it. A text that such a layer parses is passed on as a [`Setting`].

pub mod auto_analyze;
pub mod aws;
pub mod bucket;
mod environment;
pub mod fleet;
pub mod ollama;
pub mod queues;
pub mod reports;
pub mod sources;
pub mod table;

pub use environment::{Environment, Error, Setting};
