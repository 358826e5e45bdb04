//! Finds the name and the digest of the scanned artifact in a report.
//!
//! `ArtifactName` is the argument of the scan: for a tar, a folder or a checkout a path, which many artifacts share. Newer
//! reports have a better name in other members.

use std::borrow::Cow;

use super::envelope::{Envelope, Texts};
use super::finding::Text;
use super::findings::Collector;
use crate::domain::image_name::{is_archive, is_path, repository};

/// The name that a report gives its artifact.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OwnName {
    pub(super) text: String,
    /// Whether it is a path or another location that many artifacts can share.
    pub(super) nameless: bool,
}

/// Finds the name of the artifact. Arrays of Trivy up to v0.19 have it in the target `name (family version)` only.
pub(super) fn own_name(envelope: &Envelope<'_>, collector: &Collector<'_>) -> Option<OwnName> {
    let metadata = envelope.metadata.as_ref();
    let typed = non_blank(as_str(envelope.artifact_name.as_ref()));
    let tag = non_blank(metadata.and_then(|metadata| metadata.repo_tags.as_ref()?.0.first()).map(AsRef::as_ref));
    let reference = non_blank(metadata.and_then(|metadata| as_str(metadata.reference.as_ref())));
    let reference = reference.filter(|text| !is_archive(text));
    let url = non_blank(metadata.and_then(|metadata| as_str(metadata.repo_url.as_ref())));
    let os = non_blank(collector.os_target.as_ref().and_then(|target| Some(target.rsplit_once(" (")?.0)));
    let any = typed.or(tag).or(os).or(collector.first_target.as_deref());
    let (text, nameless) = match (as_str(envelope.artifact_type.as_ref()), typed) {
        (Some("container_image"), Some(typed)) => {
            let is_vague = is_archive(typed) || reference.is_some_and(|name| repository(name) != repository(typed));
            let better = reference.or_else(|| tag.filter(|tag| !is_archive(tag))).filter(|_| is_vague);
            (better.unwrap_or(typed), better.is_none() && (is_archive(typed) || is_unpacked(envelope, typed)))
        }
        (Some("repository"), _) if url.is_some_and(|url| !is_path(url)) => (url?, false),
        (Some("repository"), Some(typed)) => (typed, !is_remote(typed)),
        (Some("filesystem"), _) => (any?, true),
        (Some("container_image"), None) => {
            let text = reference.or(any)?;
            (text, is_path(text))
        }
        // The typed name is the path of the document or the disk.
        (Some("cyclonedx" | "spdx"), _) => (reference.or(any)?, reference.is_none()),
        (Some("vm"), _) => (any?, !["ami:", "ebs:"].iter().any(|kind| any.is_some_and(|any| any.starts_with(kind)))),
        _ => (any?, is_path(any?)),
    };
    Some(OwnName { text: without_password(text).into_owned(), nameless })
}

/// Recognises an image that was read from a folder or file: its only name is the id of its configuration, which is its
/// `ArtifactID` too.
fn is_unpacked(envelope: &Envelope<'_>, typed: &str) -> bool {
    let Some(metadata) = &envelope.metadata else { return false };
    let is_empty = |texts: Option<&Texts<'_>>| texts.is_none_or(|texts| texts.0.is_empty());
    let id = as_str(metadata.image_id.as_ref()).filter(|id| !id.is_empty());
    let is_id = |id: &str| id == typed || id.strip_prefix("sha256:").is_some_and(|hex| hex.starts_with(typed));
    let is_unnamed = non_blank(as_str(metadata.reference.as_ref())).is_none()
        && is_empty(metadata.repo_tags.as_ref())
        && is_empty(metadata.repo_digests.as_ref());
    is_unnamed && id.is_some() && id == as_str(envelope.artifact_id.as_ref()) && !id.is_some_and(is_id)
}

/// Removes user and password from an address, since all readers see names.
fn without_password(text: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = text.split_once("://") else { return text.into() };
    let host = rest.split_once('/').map_or(rest, |(host, _)| host);
    match host.rsplit_once('@') {
        Some((user, _)) if scheme != "ssh" || user.contains(':') => {
            let rest = rest.get(user.len() + 1..).unwrap_or_default();
            format!("{scheme}://{rest}").into()
        }
        _ => text.into(),
    }
}

fn as_str<'t>(text: Option<&'t Text<'_>>) -> Option<&'t str> {
    text.map(|Text(text)| &**text)
}

fn non_blank(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.trim().is_empty())
}

/// Recognises a repository on a host: `https://host/app`, `host.tld/app`, `git@host.tld:app`.
fn is_remote(text: &str) -> bool {
    let host = || {
        let (host, _) = text.split_once('/')?;
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        Some(host.split_once(':').map_or(host, |(host, _)| host))
    };
    let is_label = |label: &str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-');
    let is_host = |host: &str| host.contains('.') && host.split('.').all(is_label);
    !is_path(text) && (text.contains("://") || host().is_some_and(is_host))
}

/// Finds the digest of the scanned repository: that of the first of `names` that is in `RepoDigests`, else the only one.
pub(super) fn digest<'d>(repo_digests: &'d [impl AsRef<str>], names: &[&str]) -> Option<&'d str> {
    let digests = || repo_digests.iter().filter_map(|entry| entry.as_ref().rsplit_once('@'));
    let named = |name: &&str| digests().find(|(entry, _)| repository(entry) == repository(name));
    let only = || digests().next().filter(|(_, first)| digests().all(|(_, digest)| digest == *first));
    names.iter().find_map(named).or_else(only).map(|(_, digest)| digest)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn named_as(report: &Value) -> Option<(String, bool)> {
        let text = report.to_string();
        let envelope: Envelope<'_> = serde_json::from_str(&text).unwrap();
        own_name(&envelope, &Collector::default()).map(|name| (name.text, name.nameless))
    }

    fn name_of(kind: &str, typed: &str, metadata: Value) -> (String, bool) {
        named_as(&json!({"ArtifactType": kind, "ArtifactName": typed, "Metadata": metadata})).unwrap()
    }

    #[test]
    fn an_image_is_called_what_was_typed_unless_that_is_a_path_or_another_repository() {
        for (typed, reference, tag, name, nameless) in [
            ("nginx:1", None, None, "nginx:1", false),
            ("docker.io/library/nginx:1", Some("nginx:1"), Some("nginx:1"), "docker.io/library/nginx:1", false),
            ("nginx", Some("index.docker.io/library/nginx:latest"), None, "nginx", false),
            ("localhost:5000/x", Some("localhost:5000/x:latest"), None, "localhost:5000/x", false),
            ("127.0.0.1:5000/x:1", Some("registry.example/x:1"), None, "registry.example/x:1", false),
            ("8e2fe22739aa", None, None, "8e2fe22739aa", false),
            ("sha256:8e2fe22739aa", None, Some("app:1"), "sha256:8e2fe22739aa", false),
            ("8e2fe22739aa", Some("app:1"), None, "app:1", false),
            ("image.tar", Some("app:1"), Some("other:1"), "app:1", false),
            ("Image.TAR.GZ", None, Some("app:1"), "app:1", false),
            ("img/a.tgz", None, None, "img/a.tgz", true),
            ("./layout", None, None, "./layout", true),
            ("../layout@sha256:ab", None, None, "../layout@sha256:ab", true),
            ("layout.tar@sha256:ab", None, None, "layout.tar@sha256:ab", true),
            ("C:\\images\\app", None, None, "C:\\images\\app", true),
            ("~/app", None, None, "~/app", true),
            ("/tmp/app.tar", Some("/tmp/app.tar"), Some("./x"), "/tmp/app.tar", true),
            (".", Some(" "), Some(""), ".", true),
        ] {
            let metadata = json!({"Reference": reference, "RepoTags": tag.map(|tag| [tag])});
            assert_eq!(name_of("container_image", typed, metadata), (name.to_owned(), nameless), "{typed}");
        }
        let untyped = json!({"ArtifactType": "container_image", "Metadata": {"Reference": "app:1", "RepoTags": ["b"]}});
        assert_eq!(named_as(&untyped), Some(("app:1".to_owned(), false)));
    }

    #[test]
    fn an_image_that_is_known_by_its_configuration_only_is_from_a_folder() {
        let name_of = |typed: &str, metadata: Value| {
            let metadata = [json!({"ImageID": "sha256:8e2fe22739aa"}), metadata];
            let metadata: serde_json::Map<String, Value> =
                metadata.into_iter().flat_map(|part| part.as_object().unwrap().clone()).collect();
            let report = json!({"ArtifactType": "container_image", "ArtifactID": "sha256:8e2fe22739aa",
                                "ArtifactName": typed, "Metadata": metadata});
            named_as(&report).unwrap()
        };
        for typed in ["layout", "images/app", "layout:1.0", "out/oci@sha256:ab"] {
            assert_eq!(name_of(typed, json!({})), (typed.to_owned(), true));
            assert!(!name_of(typed, json!({"RepoDigests": ["app@sha256:1"]})).1, "{typed}");
        }
        assert_eq!(name_of("layout", json!({"RepoTags": ["app:1"]})), ("layout".to_owned(), false));
        // The image was asked for by its id.
        for typed in ["8e2fe22739aa", "8e2f", "sha256:8e2fe22739aa"] {
            assert_eq!(name_of(typed, json!({})), (typed.to_owned(), false));
        }
    }

    #[test]
    fn a_repository_is_called_by_its_address() {
        for (typed, url, name, nameless) in [
            (".", Some("https://git.example/team/shop.git"), "https://git.example/team/shop.git", false),
            (".", Some("https://ci:secret@git.example/shop"), "https://git.example/shop", false),
            ("https://token@git.example:8443/shop", None, "https://git.example:8443/shop", false),
            (".", Some("ssh://git@git.example/shop"), "ssh://git@git.example/shop", false),
            ("./shop", Some("/srv/git/shop"), "./shop", true),
            ("https://github.com/org/app", None, "https://github.com/org/app", false),
            ("github.com/org/app", None, "github.com/org/app", false),
            ("git@github.com:org/app.git", None, "git@github.com:org/app.git", false),
            ("git.example:8443/app", None, "git.example:8443/app", false),
            (".", None, ".", true),
            ("/scan", None, "/scan", true),
            ("../shop", None, "../shop", true),
            ("./git.example/app", None, "./git.example/app", true),
            ("testdata/fixtures/repo/npm", None, "testdata/fixtures/repo/npm", true),
            ("package-lock.json", None, "package-lock.json", true),
            (".hidden/app", None, ".hidden/app", true),
            ("C:\\shop", None, "C:\\shop", true),
        ] {
            assert_eq!(name_of("repository", typed, json!({"RepoURL": url})), (name.to_owned(), nameless), "{typed}");
        }
    }

    #[test]
    fn a_file_system_is_called_by_its_path_which_names_nothing() {
        for typed in [".", "/scan", "package-lock.json", "trivy76/alias"] {
            assert_eq!(name_of("filesystem", typed, json!({"RepoTags": ["app:1"]})), (typed.to_owned(), true));
        }
    }

    #[test]
    fn a_disk_and_a_bill_of_materials_are_called_what_was_typed() {
        for (kind, typed, reference, name, nameless) in [
            ("vm", "disk.img", Some("app:1"), "disk.img", true),
            ("vm", "ami:ami-0123", None, "ami:ami-0123", false),
            ("vm", "/srv/disk.img", None, "/srv/disk.img", true),
            ("cyclonedx", "sbom.json", None, "sbom.json", true),
            ("cyclonedx", "./sbom.json", None, "./sbom.json", true),
            ("cyclonedx", "/srv/sbom.json", Some("app:1"), "app:1", false),
            ("spdx", "sbom.json", Some("app:1"), "app:1", false),
            ("spdx", "sbom.json", Some("./image.tar"), "sbom.json", true),
        ] {
            assert_eq!(
                name_of(kind, typed, json!({"Reference": reference})),
                (name.to_owned(), nameless),
                "{kind} {typed}"
            );
        }
    }

    #[test]
    fn a_report_without_a_type_is_called_what_it_says_unless_that_is_a_path() {
        for (typed, nameless) in [("app:1", false), ("image.tar", false), (".", true), ("/", true), ("../x", true)] {
            assert_eq!(named_as(&json!({"ArtifactName": typed})), Some((typed.to_owned(), nameless)));
        }
        assert_eq!(named_as(&json!({"ArtifactName": " "})), None);
    }

    #[test]
    fn the_digest_is_that_of_the_repository_that_was_scanned() {
        let entries = ["mirror.example/nginx@sha256:1", "nginx@sha256:2", "no digest"].map(str::to_owned);
        for (names, found) in [
            (&["docker.io/library/nginx:1"][..], Some("sha256:2")),
            (&["mirror.example/nginx:latest"], Some("sha256:1")),
            (&["other", "nginx"], Some("sha256:2")),
            (&["other"], None),
            (&[], None),
        ] {
            assert_eq!(digest(&entries, names), found, "{names:?}");
        }
        let same = ["a@sha256:1", "b@sha256:1"].map(str::to_owned);
        assert_eq!(digest(&same, &["c"]), Some("sha256:1"));
        assert_eq!(digest(&["no digest".to_owned()], &["no digest"]), None);
    }
}
