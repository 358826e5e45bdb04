//! The table of figures, their goals and results.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Met,
    Missed,
    /// No goal; the figure is information.
    Shown,
    Skipped,
}

/// A line of the table.
#[derive(Debug)]
pub(crate) struct Figure {
    name: String,
    measured: String,
    reach: String,
    verdict: Verdict,
    /// Equal in every run of the same code, so that a miss is a failure. Times are not.
    counted: bool,
}

impl Figure {
    /// Adds a counted figure, whose miss fails the run.
    pub(crate) fn counted(name: impl Into<String>, measured: impl Into<String>, reach: &str, met: bool) -> Self {
        Self::new(name, measured, reach, if met { Verdict::Met } else { Verdict::Missed }, true)
    }

    /// Adds ratios of CPU times, one of each round. Their median is compared with `reach`; they vary
    /// with the machine, so that a miss only shows in the table.
    pub(crate) fn timed(name: impl Into<String>, ratios: &[f64], reach: f64) -> Self {
        let verdict = if median(ratios) <= reach { Verdict::Met } else { Verdict::Missed };
        Self::new(name, spread(ratios), &format!("<= {reach} x"), verdict, false)
    }

    /// Adds a figure without a goal.
    pub(crate) fn shown(name: impl Into<String>, measured: impl Into<String>) -> Self {
        Self::new(name, measured, "-", Verdict::Shown, false)
    }

    /// Adds a figure that cannot be measured here.
    pub(crate) fn skipped(name: impl Into<String>, why: &str) -> Self {
        Self::new(name, why, "-", Verdict::Skipped, false)
    }

    fn new(name: impl Into<String>, measured: impl Into<String>, reach: &str, verdict: Verdict, counted: bool) -> Self {
        Self { name: name.into(), measured: measured.into(), reach: reach.to_owned(), verdict, counted }
    }

    /// Tells whether the figure fails the run.
    pub(crate) fn is_failure(&self) -> bool {
        self.counted && self.verdict == Verdict::Missed
    }

    fn verdict(&self) -> &'static str {
        match self.verdict {
            Verdict::Met => "met",
            Verdict::Missed => "MISSED",
            Verdict::Shown => "",
            Verdict::Skipped => "SKIPPED",
        }
    }
}

/// Computes the median.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Writes the median of ratios and their range.
pub(crate) fn spread(ratios: &[f64]) -> String {
    let (least, most) = ratios.iter().fold((f64::MAX, 0.0), |(a, b), &ratio| (ratio.min(a), ratio.max(b)));
    format!("{:.3} x ({least:.3} to {most:.3})", median(ratios))
}

/// Prints the table.
pub(crate) fn print(figures: &[Figure]) {
    let columns = |figure: &Figure| {
        [figure.name.clone(), figure.measured.clone(), figure.reach.clone(), figure.verdict().to_owned()]
    };
    let mut lines = vec![["figure", "measured", "reach", "verdict"].map(str::to_owned)];
    lines.extend(figures.iter().map(columns));
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 4] = std::array::from_fn(width);
    lines.insert(1, widths.map(|width| "-".repeat(width)));
    println!();
    for [name, measured, reach, verdict] in &lines {
        let [a, b, c, _] = widths;
        println!("{}", format!("{name:a$}  {measured:b$}  {reach:c$}  {verdict}").trim_end());
    }
}
