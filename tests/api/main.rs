//! What Sirius promises, tried over the local stack. Run by `make test`.

mod analysis;
mod archive;
mod auth;
mod bucket_owner;
mod corpus;
mod crash;
mod deletion;
mod dependencies;
mod deployed;
mod enrichment;
mod events;
mod faults;
mod ingestion;
mod layering;
mod llm_injection;
mod llm_wire;
mod metrics;
mod present;
mod priority;
mod reading;
mod roles;
mod round_trips;
mod template;
mod uploads;
mod waiting;
mod words;
