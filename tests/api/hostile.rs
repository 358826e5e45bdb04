//! Documents that are made to take memory: none takes more than a few times its size.

use std::process::Command;

use support::hostile::{self, REACH};

/// Large enough for what a program takes anyway not to count, and small enough for all kinds to be tried each time;
/// `make bench` tries them at the largest size that is taken.
const SIZE: usize = 16 << 20;

#[test]
fn no_document_takes_more_than_a_few_times_its_size() {
    let mut missed = Vec::new();
    for (name, document) in hostile::kinds() {
        let json = document(SIZE);
        assert!((SIZE / 2..=SIZE).contains(&json.len()), "{name} has {} bytes", json.len());
        let mut this = Command::new(std::env::current_exe().unwrap());
        this.args(["--exact", "hostile::the_process_that_is_measured", "--nocapture", "--test-threads=1"]);
        let Some(peak) = hostile::peak(&mut this, &json) else {
            return support::tell_skipped("only Linux tells a process's peak");
        };
        let times = peak as f64 / json.len() as f64;
        println!("{times:5.2} x  {name}");
        if times > REACH {
            missed.push(format!("{name}: {times:.2} x"));
        }
    }
    assert!(missed.is_empty(), "more than {REACH} x: {missed:#?}");
}

/// Not a test of its own: what [`no_document_takes_more_than_a_few_times_its_size`] starts.
#[test]
fn the_process_that_is_measured() {
    hostile::tell_peak();
}
