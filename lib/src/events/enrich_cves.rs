//! Handles messages of the queue of enrichment: scans to catalogue, and vulnerability ids to ask the sources about.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use jiff::Timestamp;
use lambda_runtime::LambdaEvent;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::sqs;
use crate::domain::vulnerability::id::VulnerabilityId;
use crate::pipeline::catalogue::catalogue_scan;
use crate::pipeline::enrich::{Enrichment, Error, ask_sources};
use crate::queue::Order;
use crate::sources::Budget;
use crate::store::lease::Owner;
use crate::telemetry::chain;

/// Time that is reserved for writing the answers.
const TIME_RESERVE: Duration = Duration::from_secs(30);
/// The longest time that one invocation asks sources.
const MAX_ASK_TIME: Duration = Duration::from_secs(240);

/// The ids of one message. The sources are asked about the ids of a whole batch at once.
struct Asked {
    ids: BTreeSet<VulnerabilityId>,
    message_id: String,
}

/// Processes each message. Failed ones are delivered again until they go to the dead-letter queue.
pub async fn handle(
    deps: &Enrichment,
    event: LambdaEvent<SqsEvent>,
) -> Result<SqsBatchResponse, lambda_runtime::Error> {
    let now = Timestamp::now();
    let time = sqs::time_left(event.context.deadline, now, TIME_RESERVE).min(MAX_ASK_TIME);
    let budget = Budget::new(now, time);
    let owner = Owner::random()?.of_request(&event.context.request_id);
    let asked = Mutex::new(Vec::new());
    // Messages with ids are only collected here: at least half of the time is left for them.
    let scan_time = if event.payload.records.len() > 1 { time / 2 } else { time };
    let deadline = Instant::now() + scan_time;
    let collecting = sqs::each(event.payload, deadline, async |message, share| {
        process_message(deps, &owner, message, share, &asked).await
    });
    let mut response = collecting.await?;
    let asked = asked.into_inner();
    let ids: BTreeSet<VulnerabilityId> = asked.iter().flat_map(|asked| &asked.ids).cloned().collect();
    if ids.is_empty() {
        return Ok(response);
    }
    let Err(error) = ask(deps, &ids, &owner, &budget).await else { return Ok(response) };
    if let [only] = asked.as_slice() {
        tracing::error!(message_id = only.message_id, cause = chain(&error), "the message comes back");
        response.batch_item_failures.push(sqs::failure(&only.message_id));
        return Ok(response);
    }
    // One message may be the cause: then only that one has to be delivered again.
    tracing::warn!(cause = chain(&error), messages = asked.len(), "the messages are processed one by one");
    let mut left = u32::try_from(asked.len()).unwrap_or(u32::MAX);
    for asked in asked {
        let share = Budget::new(budget.now(), budget.left() / left.max(1));
        left = left.saturating_sub(1);
        if let Err(error) = ask(deps, &asked.ids, &owner, &share).await {
            tracing::error!(message_id = asked.message_id, cause = chain(&error), "the message comes back");
            response.batch_item_failures.push(sqs::failure(&asked.message_id));
        }
    }
    Ok(response)
}

/// Asks sources about ids, and logs the result.
async fn ask(deps: &Enrichment, ids: &BTreeSet<VulnerabilityId>, owner: &Owner, budget: &Budget) -> Result<(), Error> {
    let enriched = ask_sources(deps, ids, owner, budget).await?;
    tracing::info!(
        asked = enriched.asked,
        answered = enriched.answered,
        left = enriched.left,
        sources = %deps.mode,
        "sources were asked"
    );
    Ok(())
}

/// Catalogues the scan of a message, or collects its ids.
async fn process_message(
    deps: &Enrichment,
    owner: &Owner,
    message: &SqsMessage,
    share: Instant,
    asked: &Mutex<Vec<Asked>>,
) -> Result<(), Error> {
    let body = message.body.as_deref().unwrap_or_default();
    match serde_json::from_str(body) {
        Ok(Order::Scan { scan_id, rest }) => {
            let time = share.saturating_duration_since(Instant::now());
            let budget = Budget::new(Timestamp::now(), time);
            let catalogued = catalogue_scan(deps, scan_id, rest, owner, &budget).await?;
            tracing::info!(
                scan_id = scan_id.get(),
                ids = catalogued.ids,
                unknown = catalogued.unknown,
                queued = catalogued.queued,
                put_off = catalogued.put_off,
                goes_on = catalogued.goes_on,
                "the vulnerabilities of a scan were looked up"
            );
        }
        Ok(Order::Ids { ids }) if ids.len() <= Order::MAX_IDS => {
            let message_id = message.message_id.clone().unwrap_or_default();
            asked.lock().await.push(Asked { ids: ids.into_iter().collect(), message_id });
        }
        Ok(Order::Ids { .. }) => return Err(Error::InvalidMessage("it names too many ids")),
        Err(_) => return Err(Error::InvalidMessage("it names neither a scan nor ids")),
    }
    Ok(())
}
