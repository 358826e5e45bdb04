//! What Sirius promises, tried over the local stack. Run by `make test`.

mod analysis;
mod corpus;
mod crash;
mod deployed;
mod events;
mod faults;
mod ingestion;
mod layering;
mod llm_injection;
mod llm_wire;
mod metrics;
mod reading;
mod round_trips;
mod template;
