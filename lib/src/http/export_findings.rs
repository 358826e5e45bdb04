//! Exports the findings of a scan as one document of another tool's format.

use std::io::{self, BufWriter, IntoInnerError, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use lambda_http::request::RequestContext;
use lambda_http::{Body, Request, RequestExt as _, Response};

use super::ApiError;
use super::attachment::{Attachment, PRESIGNED_URL_TTL};
use super::selected_findings::{Deps, Filter, Order, Sort, Suppressed};
use crate::domain::analysis::Status;
use crate::domain::random;
use crate::exports::{Document, Format, Found, Image, Row, asff, csv, cyclonedx, html, markdown, sarif};
use crate::queries::finding_view::FindingView;

/// The most bytes of a packed export, which is built in memory.
const MAX_PACKED_BYTES: usize = 64 << 20;
/// The account of a request that did not come through API Gateway.
const NO_ACCOUNT: &str = "000000000000";

/// Answers 200 with the document, or 307 with a presigned URL if it is too large for an answer.
pub(super) async fn respond_with_export(
    deps: &Deps,
    request: &Request,
    filter: Filter<'_>,
    sort: Sort,
    format: Format,
) -> Result<Response<Body>, ApiError> {
    let packed = packed_export(deps, request, filter, sort, format).await?;
    let export = Attachment {
        content_type: format.content_type(),
        file_name: format!("scan-{}-findings.{}", filter.scan.scan_id, format.extension()),
        vary: "accept, accept-encoding",
    };
    if let Some(response) = export.respond(request, &packed)? {
        return Ok(response);
    }
    let objects = deps.objects.as_ref().ok_or_else(ApiError::no_bucket_for_export)?;
    let name = format!("{}.{}.gz", random::name()?, format.extension());
    objects.put_export(&name, format.content_type(), packed).await?;
    let url = objects.presign_export(&name, &export.disposition(), PRESIGNED_URL_TTL).await?;
    export.redirect(&url)
}

/// Writes the document and returns it as gzip.
async fn packed_export(
    deps: &Deps,
    request: &Request,
    filter: Filter<'_>,
    sort: Sort,
    format: Format,
) -> Result<Vec<u8>, ApiError> {
    let (now, image) = (Timestamp::now(), Image::of(filter.scan));
    let mut packer = Packer::new(GzEncoder::new(Bounded::default(), Compression::fast()));
    let written = async {
        let suppressed = filter.suppressed != Suppressed::Exclude;
        let out = &mut packer;
        let mut next_pass = Some(match format {
            Format::Csv => Document::Csv(csv::Writer::new(out, csv::Options::default())?),
            Format::Sarif => {
                let options = sarif::Options { suppressed, ..sarif::Options::default() };
                Document::Sarif(sarif::Writer::new(out, &image, options)?)
            }
            Format::Markdown => Document::Markdown(markdown::Writer::new(out, &image)?),
            Format::Html => Document::Html(html::Writer::new(out, &image)?),
            Format::CycloneDx => {
                let options = cyclonedx::Options { suppressed };
                Document::CycloneDxComponents(cyclonedx::Components::new(out, &image, options, now)?)
            }
            Format::Asff => {
                let destination = destination(&deps.region, request)?;
                Document::Asff(asff::Writer::new(out, destination, asff::Options { suppressed }))
            }
        });
        let order = Order::sorted(&deps.reader, filter, sort, now).await?;
        while let Some(mut document) = next_pass {
            let mut read = order.views(&deps.reader, filter, now);
            while let Some(views) = read.try_next().await? {
                for view in &views {
                    document.row(&row(&image, view))?;
                }
            }
            next_pass = document.end_pass()?;
        }
        Ok::<_, ApiError>(())
    };
    let (written, flushed) = (written.await, packer.flush());
    if packer.get_ref().get_ref().is_full {
        return Err(ApiError::export_too_large(MAX_PACKED_BYTES));
    }
    written?;
    flushed?;
    let packed = packer.into_inner().map_err(IntoInnerError::into_error)?.finish()?;
    Ok(packed.bytes)
}

/// Compresses what is written in small pieces.
type Packer = BufWriter<GzEncoder<Bounded>>;

/// Bytes up to [`MAX_PACKED_BYTES`].
#[derive(Debug, Default)]
struct Bounded {
    bytes: Vec<u8>,
    is_full: bool,
}

impl Write for Bounded {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        self.is_full |= self.bytes.len() + more.len() > MAX_PACKED_BYTES;
        if self.is_full {
            return Err(io::Error::other("the export is too large"));
        }
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn row<'i>(image: &'i Image, view: &FindingView) -> Row<'i> {
    let analysis = view.analysis.as_ref().map(|(_, analysis)| analysis);
    let completed = analysis.filter(|analysis| analysis.status == Status::Completed);
    let answer = completed.and_then(|analysis| analysis.answer.as_ref()).filter(|answer| !answer.needs_review);
    let found = Found {
        finding: &view.finding,
        tracking_key: view.tracking_key(image.lineage),
        priority: &view.priority,
        vulnerability: view.summary.as_ref(),
        catalogue: view.catalogue,
        summary: answer.map(|answer| answer.summary.as_str()),
    };
    Row::of(image, &found)
}

/// Returns the Security Hub of the API's own account and region.
fn destination(region: &str, request: &Request) -> io::Result<asff::Destination> {
    let account = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => context.account_id.as_deref(),
        _ => None,
    };
    asff::Destination::new(account.unwrap_or(NO_ACCOUNT), region, asff::Destination::OWN_PRODUCT)
        .map_err(io::Error::other)
}
