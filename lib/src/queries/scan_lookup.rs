//! Finds the scan that a request names.

use crate::domain::image_name::ImageName;
use crate::domain::platform::Platform;
use crate::domain::scan::{Scan, ScanId};
use crate::store::{self, Store};

/// Names a scan, or an image with scans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ScanIdentifier {
    /// The scan with this id.
    Scan(ScanId),
    /// The current scan of the image: of the first of these names that has one.
    Image(Vec<ImageName>),
}

/// A scan that was not found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("there is no scan of that name or number")]
    NotFound,
    /// The scan with this id has another platform.
    #[error("is not that of the scan with this number")]
    OtherPlatform,
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Returns each name followed by its familiar form, under which the scans of container images are stored:
/// `docker.io/library/x`, `library/x` and `x` are one image.
pub(crate) fn with_familiar_forms(names: Vec<ImageName>) -> Vec<ImageName> {
    let mut all: Vec<ImageName> = Vec::new();
    for name in names {
        let familiar = name.familiar().parse().ok();
        for name in [Some(name), familiar].into_iter().flatten() {
            if !all.contains(&name) {
                all.push(name);
            }
        }
    }
    all
}

/// Finds a scan by its id, or the current scan of an image: on `platform`, or the one seen last on any platform.
pub(crate) async fn find_scan(
    store: &Store,
    identifier: &ScanIdentifier,
    platform: Option<&Platform>,
) -> Result<Scan, Error> {
    match identifier {
        ScanIdentifier::Scan(id) => {
            let scan = store.scan(*id).await?.ok_or(Error::NotFound)?;
            let normal = |platform: Option<&Platform>| platform.map(Platform::normal);
            if platform.is_some() && normal(scan.artifact.platform.as_ref()) != normal(platform) {
                return Err(Error::OtherPlatform);
            }
            Ok(scan)
        }
        ScanIdentifier::Image(names) => {
            for name in names {
                if let Some(scan) = store.scan_of_image(name, platform).await? {
                    return Ok(scan);
                }
            }
            Err(Error::NotFound)
        }
    }
}

/// Returns the name under which an image has scans: the given one or its familiar form, else the given one.
pub(crate) async fn name_with_scans(store: &Store, image: ImageName) -> Result<ImageName, store::Error> {
    for name in with_familiar_forms(vec![image.clone()]) {
        if !store.scans_of_image(&name, None, 1).await?.scans.is_empty() {
            return Ok(name);
        }
    }
    Ok(image)
}
