//! Sirius takes Trivy reports and answers with scans, findings and what to fix first.
//!
//! The modules; each imports only modules below it (`tests/api/layering.rs`):
//!
//! | module | content |
//! |---|---|
//! | [`startup`] | builds the state of each function from the environment |
//! | [`http`], [`events`] | one file per endpoint or event |
//! | [`pipeline`] | commands: change the table, the bucket and the queues |
//! | [`queries`] | queries: read scans, findings, priorities and upgrades |
//! | [`sources`] | clients of the public sources of vulnerabilities: live, a mirror or a folder |
//! | [`store`] | the DynamoDB table |
//! | [`objects`] | the S3 bucket of uploads and archived reports |
//! | [`queue`] | the SQS queues |
//! | [`aws`] | the clients of AWS: endpoints, timeouts, secrets |
//! | [`telemetry`] | the log and the metrics |
//! | [`config`] | settings from the environment |
//! | [`exports`] | writes findings as CSV, SARIF, CycloneDX, …; pure |
//! | [`llm`] | the model: prompt, client, answer, evidence |
//! | [`enrichment`] | records of the public sources, parsed and merged; pure |
//! | [`priority`] | the rule that decides what to fix first; pure |
//! | [`report`] | parses a Trivy report into findings; pure |
//! | [`domain`] | scans, findings, vulnerabilities, severities; pure |
//! | [`tls`] | the TLS settings of all HTTP clients |
#![forbid(unsafe_code)]

pub mod aws;
pub mod config;
pub mod domain;
pub mod enrichment;
pub mod events;
pub mod exports;
pub mod http;
pub mod llm;
pub mod objects;
pub mod pipeline;
pub mod priority;
pub mod queries;
pub mod queue;
pub mod report;
pub mod sources;
pub mod startup;
pub mod store;
pub mod telemetry;
pub mod tls;
