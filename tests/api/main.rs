//! What Sirius promises, tried over the local stack. Run by `make test`.

mod corpus;
mod crash;
mod deployed;
mod events;
mod faults;
mod ingestion;
mod layering;
mod reading;
mod round_trips;
mod template;
