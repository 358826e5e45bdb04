//! Asks the public sources: live, or in a mirror or a folder of their answers.
//!
//! | file | what it does |
//! |---|---|
//! | [`mode`] | chooses the origin of answers |
//! | [`rate_limit`] | spaces the requests to a source, and stops them while it fails |
//! | [`fetch`] | sends one GET: permit, retries, sizes, redirects |
//! | [`nvd`] | asks NVD about up to a hundred CVEs in one call |
//! | [`osv`] | asks OSV about one id, and reads the CVEs that it is an alias of |
//! | [`cve_services`] | asks CVE Services about one CVE |
//! | [`record`] | asks OSV and CVE Services about one id |
//! | [`feeds`] | fetches KEV and EPSS as a whole |
//!
//! [`crate::enrichment::plan`] decides what is asked, and [`crate::enrichment`] reads the answers.

pub mod cve_services;
pub mod feeds;
pub mod fetch;
pub mod mode;
pub mod nvd;
pub mod osv;
pub mod rate_limit;
pub mod record;

pub use fetch::Budget;
pub use mode::{Addresses, BaseUrl, Intervals, InvalidUrl, Live, Mode};
