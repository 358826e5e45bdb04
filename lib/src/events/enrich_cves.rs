//! The queue of enrichment: scans whose vulnerabilities are to be looked up, and ids that sources are to
//! be asked about.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use jiff::Timestamp;
use lambda_runtime::LambdaEvent;
use tokio::sync::Mutex;
use tracing::Instrument as _;

use super::sqs;
use crate::domain::vulnerability_id::VulnerabilityId;
use crate::pipeline::enrich::{self, Enrichment, Error};
use crate::queue::Order;
use crate::sources::Budget;
use crate::store::claims::Holder;
use crate::telemetry::{chain, invocation};

/// Kept back from the function's own time, to write down what was answered.
const MARGIN: Duration = Duration::from_secs(30);
/// The longest that one run asks sources, of whatever time there is.
const LONGEST: Duration = Duration::from_secs(240);

/// The ids of all messages of a batch, and the messages: NVD is asked about them together.
#[derive(Default)]
struct Asked {
    ids: BTreeSet<VulnerabilityId>,
    messages: Vec<String>,
}

/// Works at each message. Those that cannot be worked at come back until the dead-letter queue has them.
///
/// # Errors
/// If the event is not one of SQS.
pub async fn handle(
    deps: &Enrichment,
    event: LambdaEvent<SqsEvent>,
) -> Result<SqsBatchResponse, lambda_runtime::Error> {
    let span = invocation(&event.context);
    work(deps, event).instrument(span).await
}

async fn work(deps: &Enrichment, event: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, lambda_runtime::Error> {
    let now = Timestamp::now();
    let budget = Budget::new(now, time(event.context.deadline, now));
    let holder = Holder::random()?.of_request(&event.context.request_id);
    let asked = Mutex::new(Asked::default());
    let mut response = sqs::each(event.payload, async |message| one(deps, &holder, message, &asked).await).await?;
    let Asked { ids, messages } = asked.into_inner();
    if ids.is_empty() {
        return Ok(response);
    }
    match enrich::ask(deps, &ids, &holder, &budget).await {
        Ok(enriched) => tracing::info!(
            asked = enriched.asked,
            answered = enriched.answered,
            left = enriched.left,
            sources = %deps.mode,
            "sources were asked"
        ),
        Err(error) => {
            tracing::error!(cause = chain(&error), messages = messages.len(), "the messages come back");
            response.batch_item_failures.extend(messages.into_iter().map(|id| {
                let mut failure = BatchItemFailure::default();
                failure.item_identifier = id;
                failure
            }));
        }
    }
    Ok(response)
}

/// Until well before Lambda ends this invocation; `deadline` is in milliseconds since 1970.
fn time(deadline: u64, now: Timestamp) -> Duration {
    let now = u64::try_from(now.as_millisecond()).unwrap_or_default();
    Duration::from_millis(deadline.saturating_sub(now)).saturating_sub(MARGIN).min(LONGEST)
}

async fn one(deps: &Enrichment, holder: &Holder, message: &SqsMessage, asked: &Mutex<Asked>) -> Result<(), Error> {
    let body = message.body.as_deref().unwrap_or_default();
    match serde_json::from_str(body) {
        Ok(Order::Scan { scan_id }) => {
            let catalogued = enrich::catalogue(deps, scan_id, holder, Timestamp::now()).await?;
            tracing::info!(
                scan_id = scan_id.get(),
                ids = catalogued.ids,
                unknown = catalogued.unknown,
                queued = catalogued.queued,
                "the vulnerabilities of a scan were looked up"
            );
        }
        Ok(Order::Ids { ids }) if ids.len() <= Order::IDS => {
            let mut asked = asked.lock().await;
            asked.ids.extend(ids);
            asked.messages.extend(message.message_id.clone());
        }
        Ok(Order::Ids { .. }) => return Err(Error::Poison("it names too many ids")),
        Err(_) => return Err(Error::Poison("it names neither a scan nor ids")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_margin_is_kept_and_no_run_is_endless() {
        let now = Timestamp::from_millisecond(1_000_000).unwrap();
        assert_eq!(time(1_100_000, now), Duration::from_secs(70));
        assert_eq!(time(1_010_000, now), Duration::ZERO);
        assert_eq!(time(u64::MAX, now), LONGEST);
    }
}
