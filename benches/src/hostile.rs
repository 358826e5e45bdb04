//! Measures the memory of reading hostile documents of the largest size.

use std::process::Command;

use support::hostile::{self, REACH};

use crate::figure::Figure;

/// The first argument of the measured process.
pub(crate) const CHILD: &str = "read-and-tell-the-peak";

/// The largest accepted document, the default of `MaxReportBytes`.
const SIZE: usize = 64 << 20;

pub(crate) fn figures() -> Vec<Figure> {
    let mut most: (f64, &str) = (0.0, "none");
    let mut figures = Vec::new();
    for (name, document) in hostile::kinds() {
        eprintln!("measuring memory: {name}");
        let json = document(SIZE);
        let mut child = Command::new(std::env::current_exe().unwrap());
        let Some(peak) = hostile::peak(child.arg(CHILD), &json) else {
            return vec![Figure::skipped("peak memory, hostile documents", "only Linux tells a process's peak")];
        };
        let times = peak as f64 / json.len() as f64;
        if times > most.0 {
            most = (times, name);
        }
        if times > REACH {
            let (name, measured) = (format!("peak memory, 64 MiB: {name}"), format!("{times:.2} x its size"));
            figures.push(Figure::counted(name, measured, &format!("<= {REACH} x"), false));
        }
    }
    let (times, name) = most;
    let of = hostile::kinds().len();
    let name = format!("peak memory, 64 MiB: the most of {of} hostile documents ({name})");
    figures.push(Figure::counted(name, format!("{times:.2} x its size"), &format!("<= {REACH} x"), times <= REACH));
    figures
}
