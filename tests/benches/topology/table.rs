//! The figures and what they mean, as one table.

use std::fmt;

/// Figures in the order in which they were taken.
#[derive(Default)]
pub struct Table(Vec<Row>);

struct Row {
    name: String,
    values: Vec<f64>,
    unit: &'static str,
    meaning: String,
}

impl Table {
    /// Adds the values of something that was measured several times.
    pub fn series(&mut self, name: &str, unit: &'static str, mut values: Vec<f64>, meaning: &str) {
        values.sort_by(f64::total_cmp);
        let row = Row {
            name: name.to_owned(),
            values,
            unit,
            meaning: meaning.to_owned(),
        };
        // A long run shows what it has so far.
        eprintln!("{row}");
        self.0.push(row);
    }

    /// Adds a count.
    #[expect(clippy::cast_precision_loss, reason = "counts here are small")]
    pub fn count(&mut self, name: &str, unit: &'static str, value: usize, meaning: &str) {
        self.series(name, unit, vec![value as f64], meaning);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<34} {:>5} {:>9} {:>9} {:<8} meaning",
            "figure", "n", "median", "worst", "unit"
        )?;
        self.0.iter().try_for_each(|row| writeln!(f, "{row}"))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let median = self.values.get(self.values.len() / 2);
        let shown = |value: Option<&f64>| match value {
            None => "-".to_owned(),
            Some(value) if value.fract() == 0.0 => format!("{value:.0}"),
            Some(value) => format!("{value:.2}"),
        };
        write!(
            f,
            "{:<34} {:>5} {:>9} {:>9} {:<8} {}",
            self.name,
            self.values.len(),
            shown(median),
            shown(self.values.last()),
            self.unit,
            self.meaning
        )
    }
}
