//! Sirius: Trivy reports in, scans and findings out.
//!
//! A map, in the order in which imports may run:
//!
//! | room | what is in it |
//! |---|---|
//! | [`http`] | one file per endpoint: parse, handle, answer |
//! | [`pipeline`] | the verbs: the order of effects |
//! | [`store`] | the DynamoDB table; the only importer of its SDK |
//! | [`report`] | bytes of a Trivy report → findings; pure |
//! | [`domain`] | scans, findings, severities, hashes; pure |
//! | [`aws`], [`config`], [`telemetry`] | what a function's `main` wires |
#![forbid(unsafe_code)]

pub mod aws;
pub mod config;
pub mod domain;
pub mod http;
pub mod pipeline;
pub mod report;
pub mod store;
pub mod telemetry;
