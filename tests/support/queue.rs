//! Creates a queue for each test, and plays Lambda's poller.

use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use aws_sdk_sqs::Client;

/// Creates a client of `endpoint`.
pub async fn client(endpoint: &str) -> Client {
    Client::new(&crate::table::config(endpoint).await)
}

/// Creates a queue and returns its URL.
pub async fn fresh() -> String {
    let queue = client(&crate::table::endpoint()).await.create_queue().queue_name(crate::unique("test")).send().await;
    queue.unwrap().queue_url.unwrap()
}

/// Takes all messages out of the queue.
pub async fn drain(url: &str) -> Vec<String> {
    let client = client(&crate::table::endpoint()).await;
    let mut bodies = Vec::new();
    loop {
        let received = client
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(10)
            .wait_time_seconds(0)
            .send()
            .await
            .unwrap();
        let messages = received.messages.unwrap_or_default();
        if messages.is_empty() {
            return bodies;
        }
        for message in messages {
            let handle = message.receipt_handle.unwrap();
            client.delete_message().queue_url(url).receipt_handle(handle).send().await.unwrap();
            bodies.push(message.body.unwrap());
        }
    }
}

/// Builds the event of Lambda's poller for messages.
pub fn event(bodies: impl IntoIterator<Item = String>) -> SqsEvent {
    let mut event = SqsEvent::default();
    event.records = bodies
        .into_iter()
        .enumerate()
        .map(|(at, body)| {
            let mut message = SqsMessage::default();
            message.message_id = Some(format!("message-{at}"));
            message.event_source = Some("aws:sqs".to_owned());
            message.body = Some(body);
            message
        })
        .collect();
    event
}
