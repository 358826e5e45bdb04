//! A queue of its own for each test, and what Lambda's poller does with one.

use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use aws_sdk_sqs::Client;

/// A client of `endpoint`.
pub async fn client(endpoint: &str) -> Client {
    Client::new(&crate::table::config(endpoint).await)
}

/// Makes a queue and answers its URL.
pub async fn fresh() -> String {
    let queue = client(&crate::table::endpoint()).await.create_queue().queue_name(crate::unique("test")).send().await;
    queue.unwrap().queue_url.unwrap()
}

/// All messages that are in the queue now, taken out of it.
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

/// An event with these messages, as Lambda's poller makes it.
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
