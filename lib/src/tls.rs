//! Sets up TLS for all HTTP clients: rustls on ring (docs/decisions/0002).

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::{ClientConfig, Error, RootCertStore};

/// Makes the TLS settings of a client that trusts these roots.
///
/// # Errors
/// If ring does not have the protocol versions that rustls considers safe.
pub fn client(roots: RootCertStore) -> Result<ClientConfig, Error> {
    let versions = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?;
    Ok(versions.with_root_certificates(roots).with_no_client_auth())
}

/// Returns the public roots, which are compiled in.
#[must_use]
pub fn public_roots() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}
