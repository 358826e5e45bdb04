//! Names of scanned artifacts, and the references to images among them.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::text::{impl_string_wrapper, is_invisible};

/// The name of an artifact as its report gives it: an image reference, a tar path, `.` …
///
/// Any text of 1 to [`ImageName::MAX_BYTES`] bytes without control and invisible characters. Trivy writes what was typed
/// on its command line, so a stricter grammar would refuse real reports.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageName(String);

/// The text cannot name an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages describe the variants")]
pub enum ImageNameError {
    #[error("is empty")]
    Empty,
    #[error("is longer than {} bytes", ImageName::MAX_BYTES)]
    TooLong,
    #[error("has a control character")]
    ControlCharacter,
    // Two names that look alike would be two images.
    #[error("has an invisible character")]
    InvisibleCharacter,
}

impl ImageName {
    /// Half of the 2,048 bytes that DynamoDB allows a partition key:
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>.
    pub const MAX_BYTES: usize = 1024;

    /// Shortens a reference to Docker Hub; keeps any other name.
    #[must_use]
    pub fn familiar(&self) -> &str {
        familiar(&self.0)
    }

    /// Returns the familiar name without tag and digest; keeps a path, an address and an image's id.
    #[must_use]
    pub fn repository(&self) -> &str {
        repository(&self.0)
    }

    /// Returns the tag, if the name is a reference that has one.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        tag(&self.0)
    }
}

/// The hosts of Docker Hub: names without a host are there.
const DOCKER_HUB: [&str; 3] = ["docker.io/", "index.docker.io/", "registry-1.docker.io/"];

/// Shortens a reference to Docker Hub: `docker.io/library/nginx` and `library/nginx` become `nginx`.
fn familiar(name: &str) -> &str {
    if !is_reference(name) {
        return name;
    }
    // `docker.io/ghcr.io/app` is not on Docker Hub, and without its host it would name another registry.
    let is_whole = |rest: &&str| !rest.is_empty() && !rest.starts_with([':', '@']) && is_reference(rest);
    let hub = DOCKER_HUB.iter().find_map(|host| name.strip_prefix(host));
    let path = hub.filter(is_whole).filter(|path| !has_host(path)).unwrap_or(name);
    path.strip_prefix("library/").filter(is_whole).filter(|rest| !rest.contains('/')).unwrap_or(path)
}

/// Tells whether a name begins with a registry.
fn has_host(path: &str) -> bool {
    path.split_once('/').is_some_and(|(host, _)| host.contains(['.', ':', '@']) || host == "localhost")
}

/// Lists all spellings of an image of Docker Hub, the shortest first; any other name has one spelling.
#[must_use]
pub fn spellings(name: &str) -> Vec<String> {
    let familiar = familiar(name);
    if has_host(familiar) || !is_reference(familiar) {
        return vec![familiar.to_owned()];
    }
    let path = if familiar.contains('/') { familiar.to_owned() } else { format!("library/{familiar}") };
    let mut all = vec![familiar.to_owned(), path.clone(), format!("docker.io/{familiar}"), format!("docker.io/{path}")];
    all.dedup();
    all
}

/// Removes tag and digest from the familiar form of a reference; keeps other names.
#[must_use]
pub fn repository(name: &str) -> &str {
    split(name).0
}

/// Finds the tag of a reference.
fn tag(name: &str) -> Option<&str> {
    split(name).1
}

fn split(name: &str) -> (&str, Option<&str>) {
    if !is_reference(name) {
        return (name, None);
    }
    let familiar = familiar(name);
    let tagged = familiar.split_once('@').map_or(familiar, |(tagged, _)| tagged);
    let last = tagged.rfind('/').map_or(0, |slash| slash + 1);
    let tag = tagged.get(last..).and_then(|last| last.rsplit_once(':')).map(|(_, tag)| tag);
    let repository = tag.and_then(|tag| tagged.get(..tagged.len() - tag.len() - 1)).unwrap_or(tagged);
    if repository.is_empty() { (name, None) } else { (repository, tag.filter(|tag| !tag.is_empty())) }
}

/// Recognises a reference to an image in a registry.
fn is_reference(name: &str) -> bool {
    // `git@host:team/app`: a digest has no slash.
    let is_address = name.contains("://") || name.split_once('@').is_some_and(|(_, digest)| digest.contains('/'));
    let is_id = name.strip_prefix("sha256:").is_some_and(|id| id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    !(is_address || is_id || is_path(name) || is_archive(name))
}

/// Recognises the path of a file or folder by its beginning.
#[must_use]
pub fn is_path(name: &str) -> bool {
    matches!(name, "." | "..")
        || ["/", "./", "../", "~"].iter().any(|root| name.starts_with(root))
        || name.contains('\\')
        || is_on_drive(name)
}

/// Recognises `C:/images/app`, since no host has one letter and a port without a number.
fn is_on_drive(name: &str) -> bool {
    let [drive, b':', b'/', ..] = name.as_bytes() else { return false };
    drive.is_ascii_alphabetic()
}

/// Recognises the path of an image's archive or layout, with or without the digest of the image in it.
#[must_use]
pub fn is_archive(name: &str) -> bool {
    const ENDINGS: [&str; 7] = [".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.xz", ".tar.bz2", ".oci"];
    let path = name.rsplit_once('@').map_or(name, |(path, _)| path);
    // A `:tag` selects one image of an archive of several.
    let untagged = path.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(path, |(path, _)| path);
    let is_file = |path: &str| ENDINGS.iter().any(|ending| path.to_ascii_lowercase().ends_with(ending));
    is_path(path) || name.starts_with("file:") || is_file(path) || is_file(untagged)
}

impl FromStr for ImageName {
    type Err = ImageNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim().is_empty() {
            Err(ImageNameError::Empty)
        } else if text.len() > Self::MAX_BYTES {
            Err(ImageNameError::TooLong)
        } else if text.chars().any(char::is_control) {
            Err(ImageNameError::ControlCharacter)
        } else if text.chars().any(|c| is_invisible(c) || matches!(c, '\u{2028}' | '\u{2029}')) {
            Err(ImageNameError::InvisibleCharacter)
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

impl_string_wrapper!(ImageName);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whatever_trivy_was_asked_to_scan_is_a_name() {
        for name in ["ghcr.io/org/app:1.0@sha256:00", ".", "/tmp/my image.tar", "100%", "a?b", "образ:1"] {
            assert_eq!(name.parse::<ImageName>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn an_empty_endless_or_unprintable_name_is_refused() {
        assert_eq!(" ".parse::<ImageName>(), Err(ImageNameError::Empty));
        assert_eq!("a\nb".parse::<ImageName>(), Err(ImageNameError::ControlCharacter));
        assert_eq!("x".repeat(1025).parse::<ImageName>(), Err(ImageNameError::TooLong));
    }

    #[test]
    fn a_name_with_something_invisible_in_it_is_refused() {
        let ranges = [
            '\u{200B}'..='\u{200F}',
            '\u{2028}'..='\u{202E}',
            '\u{2060}'..='\u{2069}',
            '\u{FEFF}'..='\u{FEFF}',
            '\u{AD}'..='\u{AD}',
            '\u{61C}'..='\u{61C}',
            '\u{180E}'..='\u{180E}',
            '\u{E0000}'..='\u{E007F}',
        ];
        for c in ranges.into_iter().flatten() {
            let name = format!("registry.example/app{c}:1");
            assert_eq!(name.parse::<ImageName>(), Err(ImageNameError::InvisibleCharacter), "{:x}", u32::from(c));
        }
    }

    #[test]
    fn a_name_has_a_familiar_form_a_repository_and_a_tag() {
        for (name, familiar, repository, tag) in [
            ("nginx", "nginx", "nginx", None),
            ("nginx:1.25", "nginx:1.25", "nginx", Some("1.25")),
            ("library/nginx:1", "nginx:1", "nginx", Some("1")),
            ("docker.io/nginx:1", "nginx:1", "nginx", Some("1")),
            ("docker.io/library/nginx:1", "nginx:1", "nginx", Some("1")),
            ("index.docker.io/library/nginx", "nginx", "nginx", None),
            ("registry-1.docker.io/library/nginx@sha256:ab", "nginx@sha256:ab", "nginx", None),
            ("docker.io/bitnami/redis:7", "bitnami/redis:7", "bitnami/redis", Some("7")),
            ("bitnami/redis:7@sha256:ab", "bitnami/redis:7@sha256:ab", "bitnami/redis", Some("7")),
            ("docker.io/library/a/b:1", "library/a/b:1", "library/a/b", Some("1")),
            ("library/a/b", "library/a/b", "library/a/b", None),
            ("docker.io/ghcr.io/org/app:1", "docker.io/ghcr.io/org/app:1", "docker.io/ghcr.io/org/app", Some("1")),
            ("docker.io/docker.io/app", "docker.io/docker.io/app", "docker.io/docker.io/app", None),
            ("docker.io/localhost/app", "docker.io/localhost/app", "docker.io/localhost/app", None),
            ("docker.io/", "docker.io/", "docker.io/", None),
            ("docker.io", "docker.io", "docker.io", None),
            ("library/", "library/", "library/", None),
            ("docker.io/library/", "library/", "library/", None),
            ("library/:1", "library/:1", "library/", Some("1")),
            ("docker.io/..", "docker.io/..", "docker.io/..", None),
            ("ghcr.io/org/app:1.0@sha256:00", "ghcr.io/org/app:1.0@sha256:00", "ghcr.io/org/app", Some("1.0")),
            ("ghcr.io/library/app", "ghcr.io/library/app", "ghcr.io/library/app", None),
            ("localhost:5000/x", "localhost:5000/x", "localhost:5000/x", None),
            ("localhost:5000/x:2", "localhost:5000/x:2", "localhost:5000/x", Some("2")),
            ("127.0.0.1:5058/a/two@sha256:ab", "127.0.0.1:5058/a/two@sha256:ab", "127.0.0.1:5058/a/two", None),
            ("DOCKER.IO/x", "DOCKER.IO/x", "DOCKER.IO/x", None),
            ("sha256:8e2fe2273", "sha256:8e2fe2273", "sha256:8e2fe2273", None),
            ("8e2fe2273", "8e2fe2273", "8e2fe2273", None),
            (
                "https://git.example:8443/team/shop.git",
                "https://git.example:8443/team/shop.git",
                "https://git.example:8443/team/shop.git",
                None,
            ),
            ("git@git.example:team/shop.git", "git@git.example:team/shop.git", "git@git.example:team/shop.git", None),
            ("library/app.tar", "library/app.tar", "library/app.tar", None),
            ("./library/x:1", "./library/x:1", "./library/x:1", None),
            ("/srv/app:1", "/srv/app:1", "/srv/app:1", None),
            ("~/x:1", "~/x:1", "~/x:1", None),
            ("C:\\x:1", "C:\\x:1", "C:\\x:1", None),
            (".", ".", ".", None),
            ("./layout@sha256:ab", "./layout@sha256:ab", "./layout@sha256:ab", None),
            (":1", ":1", ":1", None),
            ("@sha256:ab", "@sha256:ab", "@sha256:ab", None),
            ("x:", "x:", "x", None),
            ("x:1:2", "x:1:2", "x:1", Some("2")),
            ("образ:1", "образ:1", "образ", Some("1")),
        ] {
            let name: ImageName = name.parse().unwrap();
            assert_eq!((name.familiar(), name.repository(), name.tag()), (familiar, repository, tag), "{name}");
        }
    }

    #[test]
    fn a_path_is_recognised_by_its_beginning_and_an_archive_by_its_end() {
        for name in [".", "..", "/", "C:/img/app", "/scan", "./x", "../img/x", "~", "~me/x", "C:\\x"] {
            assert!(is_path(name) && is_archive(name), "{name}");
        }
        for name in [
            "img.tar",
            "img.tar:latest",
            "img.tar.zst",
            "a/b.oci",
            "file:///x",
            "a/b.TAR.GZ",
            "x.tgz",
            "x.tar@sha256:ab",
            "../layout@sha256:ab",
        ] {
            assert!(is_archive(name), "{name}");
        }
        for name in
            ["app", "...", ".hidden/app", "app:tar", "registry.example/tgz:1", "app@sha256:ab", "localhost:5000/x"]
        {
            assert!(!is_path(name) && !is_archive(name), "{name}");
        }
    }

    fn like_a_name() -> impl Strategy<Value = String> {
        let part = prop_oneof!["docker.io/", "index.docker.io/", "library/", "[a-z.:@/~\\\\é]{0,4}", "sha256:", "\\PC"];
        prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn the_familiar_form_of_a_familiar_form_is_itself(name in like_a_name()) {
            prop_assert_eq!(familiar(familiar(&name)), familiar(&name));
        }

        #[test]
        fn a_repository_is_never_empty_and_has_its_own_name(name in like_a_name()) {
            prop_assume!(!name.is_empty());
            let (repository, tag) = (repository(&name), tag(&name));
            prop_assert!(!repository.is_empty());
            let begins = |tag: &str| familiar(&name).starts_with(&format!("{repository}:{tag}"));
            prop_assert!(tag.is_none_or(begins));
        }

        #[test]
        fn any_text_can_be_asked_for_its_repository(name in any::<String>()) {
            let _ = (familiar(&name), repository(&name), tag(&name), is_archive(&name));
        }
    }
}
