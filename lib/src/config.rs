//! Reads settings from the environment. A text that a layer above parses is passed on as a `Setting`.

pub(crate) mod auto_analyze;
pub(crate) mod aws;
pub(crate) mod bucket;
mod environment;
pub(crate) mod fleet;
pub(crate) mod ollama;
pub(crate) mod queues;
pub mod reports;
pub(crate) mod sources;
pub(crate) mod table;

pub(crate) use environment::Setting;
pub use environment::{Environment, Error};
