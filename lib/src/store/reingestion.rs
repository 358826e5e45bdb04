//! Reopens published scans, to ingest their reports again.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::assets::{AssetChange, AssetState};
use super::claims::{self, Claim, PreviousScan};
use super::item::typed;
use super::keys::Key;
use super::lease::{Acquisition, Owner};
use super::scans::unpublish;
use super::write::{Put, value_of};
use super::{Error, Store};
use crate::domain::asset::Asset;
use crate::domain::report_hash::ReportHash;
use crate::domain::scan::{Artifact, Scan, ScanId};

/// The mark of a scan that is being ingested again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Reopened {
    report_hash: ReportHash,
    #[serde(flatten)]
    artifact: Artifact,
}

impl Store {
    /// Makes a published scan invisible and claims its report for `owner`, under the same id. None if the scan does not
    /// exist. Recovery finishes the ingestion after a crash.
    pub async fn reopen(
        &self,
        scan: &Scan,
        owner: &Owner,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<Claim>, Error> {
        const OPERATION: &str = "TransactWriteItems(reopen)";
        let previous = PreviousScan {
            findings: scan.stored_findings(),
            scan_timestamp: scan.scan_timestamp,
            last_seen_at: scan.last_seen_at,
            undated: scan.undated,
            ingested_at: scan.ingested_at,
            confirmed_until: scan.confirmed_until,
        };
        let lease = Acquisition::new(OPERATION, owner, now, lease)?;
        let claim = claims::reopen(scan, lease, value_of(OPERATION, &previous)?);
        let mark = Reopened { report_hash: scan.report_hash, artifact: scan.artifact.clone() };
        let mark = Put::new(&Key::Reopened(scan.scan_id)).fields(OPERATION, &mark)?;
        let mut own = vec![claim, mark.into()];
        own.extend(unpublish(scan));
        let asset = Asset::of(scan.scan_id, &scan.artifact);
        let change = AssetChange { own, ..AssetChange::of(OPERATION, &asset) };
        self.change_asset(change, |state: &AssetState| state.removing(scan.scan_id, false)).await?;
        // A refused transaction can still be ours: an earlier try, whose answer was lost, may have written it.
        self.claim_of(scan.report_hash, owner).await
    }

    /// Reads the asset of a scan that is being ingested again; none for any other scan.
    pub async fn reopened(&self, scan: ScanId) -> Result<Option<Asset>, Error> {
        let got = self.get("GetItem(reopened)", &Key::Reopened(scan), true).await?;
        let mark = got.map(typed::<Reopened>).transpose()?;
        Ok(mark.map(|mark| Asset::of(scan, &mark.artifact)))
    }
}
