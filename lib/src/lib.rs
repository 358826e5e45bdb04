//! Sirius: Trivy reports in, scans and findings out.
//!
//! A map, in the order in which imports may run:
//!
//! | room | what is in it |
//! |---|---|
//! | [`startup`] | the environment becomes what a function works with |
//! | [`http`], [`events`] | one file per endpoint or event: parse, handle, answer |
//! | [`pipeline`] | commands: they change what is stored, and decide the order of effects |
//! | [`queries`] | queries: they read what handlers answer with |
//! | [`sources`] | public sources of vulnerabilities are asked: live, in a mirror or in a folder |
//! | [`store`] | the DynamoDB table; alone in knowing its API |
//! | [`objects`] | the S3 bucket of uploads and archived reports; alone in knowing its API |
//! | [`queue`] | the SQS queue of analyses; alone in knowing its API |
//! | [`llm`] | a model explains a finding: prompt, client, answer, evidence |
//! | [`enrichment`] | what the world says of a CVE: one file per source, merged; pure |
//! | [`priority`] | what to fix first: a rule over the facts of a finding; pure |
//! | [`report`] | bytes of a Trivy report → findings; pure |
//! | [`exports`] | findings as CSV, SARIF, CycloneDX, …; pure |
//! | [`domain`] | scans, findings, severities, hashes; pure |
//! | [`aws`] | the clients of AWS: endpoints, retries, secrets |
//! | [`telemetry`] | the log and the metrics |
//! | [`config`] | settings from the environment |
//! | [`tls`] | TLS of all HTTP clients |
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
