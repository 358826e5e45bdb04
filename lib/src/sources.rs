//! Asking the public sources: live, in a mirror of one's own, or in a folder.
//!
//! | file | what it does |
//! |---|---|
//! | [`mode`] | where answers come from |
//! | [`fetch`] | one GET: taking turns, patience, retries, sizes, redirects |
//! | [`nvd`] | up to a hundred CVEs in one call, and what to do when NVD refuses |
//! | [`osv`] | one id, and the CVEs that it is another name of |
//! | [`cve_services`] | one CVE |
//! | [`record`] | what the two have in common |
//! | [`feeds`] | KEV and EPSS as a whole |
//!
//! Nothing here decides what is asked ([`crate::enrichment::plan`]) nor reads an answer
//! ([`crate::enrichment`]).

pub mod cve_services;
pub mod feeds;
pub mod fetch;
pub mod mode;
pub mod nvd;
pub mod osv;
pub mod record;

pub use fetch::Budget;
pub use mode::{Addresses, BaseUrl, InvalidUrl, Live, Mode, Paces};
