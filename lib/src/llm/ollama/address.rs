//! Refuses Ollama hosts at addresses that hand out credentials.
//!
//! The URL comes from the deployment, never from a request. It is still checked, as text and again after name resolution,
//! since the metadata services of Lambda and EC2 answer on link-local addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// The port of Lambda's runtime API on the loopback address.
const RUNTIME_API_PORT: u16 = 9001;

/// The base URL of an Ollama host, whose path may be a proxy's prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OllamaUrl(Url);

/// A text is no Ollama URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages describe the variants")]
pub enum InvalidUrl {
    #[error("not an absolute URL")]
    Syntax,
    #[error("the scheme must be http or https")]
    Scheme,
    #[error("user or password in the URL")]
    UserInfo,
    #[error("query or fragment in the URL")]
    Query,
    #[error("the host is missing or a refused address")]
    Host,
    #[error("port 9001 belongs to the Lambda runtime API")]
    Port,
}

impl FromStr for OllamaUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text.trim()).map_err(|_| InvalidUrl::Syntax)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(InvalidUrl::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidUrl::UserInfo);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(InvalidUrl::Query);
        }
        // `Url` writes 0xA9FEA9FE, 2852039166 and 169.254.43518 in dotted form.
        match url.host() {
            Some(Host::Ipv4(ip)) if !is_refused(ip.into()) => {}
            Some(Host::Ipv6(ip)) if !is_refused(ip.into()) => {}
            Some(Host::Domain(name)) if !name.trim_end_matches('.').is_empty() => {}
            _ => return Err(InvalidUrl::Host),
        }
        if url.port() == Some(RUNTIME_API_PORT) {
            return Err(InvalidUrl::Port);
        }
        Ok(Self(url))
    }
}

impl fmt::Display for OllamaUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl OllamaUrl {
    /// Returns the URL of an endpoint, under the proxy's prefix if there is one.
    pub(super) fn endpoint(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        let prefix = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{prefix}{path}"));
        url
    }

    /// Tells whether a bearer token would be sent unencrypted over a network.
    pub(super) fn is_plain_remote(&self) -> bool {
        let loopback = match self.0.host() {
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        self.0.scheme() == "http" && !loopback
    }
}

/// Refuses link-local (metadata services), unspecified, multicast and broadcast addresses, EC2's metadata range in IPv6,
/// and every IPv6 form of such an IPv4 address.
fn is_refused(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_refused_v4(ip),
        IpAddr::V6(ip) => is_refused_v6(ip),
    }
}

fn is_refused_v4(ip: Ipv4Addr) -> bool {
    let [first, ..] = ip.octets();
    ip.is_link_local() || first == 0 || ip.is_multicast() || ip.is_broadcast()
}

fn is_refused_v6(ip: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = ip.segments();
    let v4 = |high: u16, low: u16| is_refused_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    let embedded = match (a, b, c, d, e, f) {
        // Mapped ::ffff:a.b.c.d, compatible ::a.b.c.d, translated ::ffff:0:a.b.c.d.
        (0, 0, 0, 0, 0, 0xffff) | (0, 0, 0, 0, 0xffff, 0) => v4(g, h),
        (0, 0, 0, 0, 0, 0) => ip != Ipv6Addr::LOCALHOST && v4(g, h),
        // NAT64 64:ff9b::/96 and its local-use form 64:ff9b:1::/48.
        (0x64, 0xff9b, _, _, _, _) => v4(g, h),
        // 6to4.
        (0x2002, ..) => v4(b, c),
        _ => false,
    };
    embedded || ip.is_unicast_link_local() || ip.is_multicast() || (a, b) == (0xfd00, 0xec2)
}

/// Every address of a name is refused; a cause of reqwest's connect error.
#[derive(Debug, thiserror::Error)]
#[error("{0} resolves to refused addresses only")]
pub(super) struct AllRefused(String);

/// A name has no address; a cause of reqwest's connect error.
#[derive(Debug, thiserror::Error)]
#[error("cannot resolve {name}")]
pub(super) struct Unresolved {
    name: String,
    source: std::io::Error,
}

/// The system's resolver without the addresses of [`is_refused`]. The connection uses the checked address, so a name that
/// changes its address in between cannot evade the check.
#[derive(Debug, Clone, Copy)]
pub(super) struct GuardedResolver;

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let found = found.map_err(|source| Unresolved { name: name.clone(), source })?;
            Ok(allowed_addresses(&name, found)?)
        })
    }
}

pub(super) fn allowed_addresses(name: &str, found: impl Iterator<Item = SocketAddr>) -> Result<Addrs, AllRefused> {
    let kept: Vec<SocketAddr> = found.filter(|address| !is_refused(address.ip())).collect();
    if kept.is_empty() { Err(AllRefused(name.to_owned())) } else { Ok(Box::new(kept.into_iter())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<OllamaUrl, InvalidUrl> {
        text.parse()
    }

    #[test]
    fn http_and_https_hosts_and_prefixes_are_accepted() {
        for (text, endpoint) in [
            ("http://127.0.0.1:11434", "http://127.0.0.1:11434/api/chat"),
            ("http://[::1]:11434/", "http://[::1]:11434/api/chat"),
            ("https://ollama.internal", "https://ollama.internal/api/chat"),
            ("https://proxy.example/team/ollama/", "https://proxy.example/team/ollama/api/chat"),
            ("http://10.1.2.3:11434", "http://10.1.2.3:11434/api/chat"),
            ("http://[fd12:3456::1]:11434", "http://[fd12:3456::1]:11434/api/chat"),
        ] {
            assert_eq!(parse(text).unwrap().endpoint("/api/chat").as_str(), endpoint);
        }
    }

    #[test]
    fn anything_but_a_plain_http_base_url_is_refused() {
        for (text, error) in [
            ("", InvalidUrl::Syntax),
            ("ollama:11434/x y", InvalidUrl::Scheme),
            ("ollama", InvalidUrl::Syntax),
            ("ftp://host", InvalidUrl::Scheme),
            ("file:///etc/passwd", InvalidUrl::Scheme),
            ("unix:///run/ollama.sock", InvalidUrl::Scheme),
            ("http://user@host", InvalidUrl::UserInfo),
            ("http://user:pw@host", InvalidUrl::UserInfo),
            ("http://host/?a=b", InvalidUrl::Query),
            ("http://host/#x", InvalidUrl::Query),
            ("http://127.0.0.1:9001", InvalidUrl::Port),
            ("http://localhost:9001/", InvalidUrl::Port),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn metadata_and_link_local_addresses_are_refused_in_every_spelling() {
        for text in [
            "http://169.254.169.254",
            "http://169.254.170.2/",
            "http://169.254.100.1:9001",
            "http://0xA9FEA9FE",
            "http://2852039166",
            "http://0251.0376.0251.0376",
            "http://169.254.43518",
            "http://１６９.254.169.254",
            "http://[fe80::1]",
            "http://[fd00:ec2::254]",
            "http://[FD00:0EC2:0::0254]",
            "http://[::ffff:169.254.169.254]",
            "http://[::ffff:a9fe:a9fe]",
            "http://[::169.254.169.254]",
            "http://[64:ff9b::a9fe:a9fe]",
            "http://[2002:a9fe:a9fe::1]",
            "http://0.0.0.0",
            "http://0",
            "http://[::]",
            "http://224.0.0.1",
            "http://255.255.255.255",
        ] {
            assert_eq!(parse(text), Err(InvalidUrl::Host), "{text}");
        }
    }

    #[test]
    fn a_name_keeps_only_its_permitted_addresses() {
        let found = ["169.254.169.254:0", "10.0.0.7:0", "[fe80::1]:0"].map(|a| a.parse().unwrap());
        let kept: Vec<_> = allowed_addresses("n", found.into_iter()).unwrap_or_else(|e| panic!("{e}")).collect();
        assert_eq!(kept, ["10.0.0.7:0".parse().unwrap()]);
        assert!(allowed_addresses("n", found.into_iter().filter(|a: &SocketAddr| is_refused(a.ip()))).is_err());
    }

    #[test]
    fn a_token_in_the_clear_is_noticed() {
        assert!(parse("http://ollama.internal").unwrap().is_plain_remote());
        assert!(!parse("https://ollama.internal").unwrap().is_plain_remote());
        assert!(!parse("http://127.0.0.1:1").unwrap().is_plain_remote());
        assert!(!parse("http://localhost:1").unwrap().is_plain_remote());
    }
}
