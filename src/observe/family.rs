//! A family of metrics as its room declares it: what it says, and what to do about it.
//!
//! The one decision a reader would question: every series whose labels are known is there from the start, at
//! zero. A counter that begins with its first event hides that event from `rate()`, and a query for something
//! that never happened would find nothing instead of nought.

use std::fmt::Write as _;

use metrics::histogram;
use metrics::{Label as MetricLabel, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};

/// A family of metrics.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    pub name: &'static str,
    pub measure: Measure,
    /// In the order in which they are given wherever it is counted: another order would be another series.
    pub labels: &'static [Label],
    /// What it says, for whoever reads `/metrics`.
    pub says: &'static str,
    /// What an operator does with it.
    pub advice: &'static str,
}

/// What kind of number it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Grows until the process ends.
    Counter,
    /// As things stand.
    Gauge,
    /// Seconds, in buckets.
    Durations,
}

/// A label, and what it may say.
#[derive(Debug, Clone, Copy)]
pub struct Label {
    pub name: &'static str,
    pub values: Values,
}

/// The values of a label. There are always few: no account, person, address or token is ever one.
#[derive(Debug, Clone, Copy)]
pub enum Values {
    These(&'static [&'static str]),
    /// Known only when the gateway runs; the text says which, and why they are few.
    Of(&'static str),
}

impl Measure {
    /// As Prometheus calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Durations => "histogram",
        }
    }
}

/// Tells the recorder what the families mean, and begins every series that is known.
pub fn declare(families: &[Family]) {
    for family in families {
        let unit = if family.name.contains("_seconds") {
            Unit::Seconds
        } else if family.name.contains("_bytes") {
            Unit::Bytes
        } else {
            Unit::Count
        };
        match family.measure {
            Measure::Counter => describe_counter!(family.name, unit, family.says),
            Measure::Gauge => describe_gauge!(family.name, unit, family.says),
            Measure::Durations => describe_histogram!(family.name, unit, family.says),
        }
        for labels in family.known_series() {
            match family.measure {
                Measure::Counter => counter!(family.name, labels).absolute(0),
                Measure::Gauge => gauge!(family.name, labels).increment(0.0),
                Measure::Durations => drop(histogram!(family.name, labels)),
            }
        }
    }
}

impl Family {
    /// Every combination of its labels' values; none when one of them is not known beforehand.
    fn known_series(&self) -> Vec<Vec<MetricLabel>> {
        let mut series = vec![Vec::new()];
        for label in self.labels {
            let Values::These(values) = label.values else { return Vec::new() };
            let longer = |one: Vec<MetricLabel>| {
                values.iter().map(move |value| [&one[..], &[MetricLabel::new(label.name, *value)]].concat())
            };
            series = series.into_iter().flat_map(longer).collect();
        }
        series
    }
}

/// The families as a page for operators, room by room; a test compares it with `docs/metrics.md`.
pub fn markdown(rooms: &[(&str, &[Family])]) -> String {
    let mut page = String::new();
    for (room, families) in rooms {
        // Writing to a String cannot fail.
        let _ =
            write!(page, "\n## {room}\n\n| family | labels | what it says | what to do with it |\n|---|---|---|---|\n");
        for Family { name, measure, labels, says, advice } in *families {
            let labels: Vec<String> = labels.iter().map(Label::in_words).collect();
            let labels = if labels.is_empty() { "—".to_owned() } else { labels.join("<br>") };
            let _ = writeln!(page, "| `{name}` ({}) | {labels} | {says} | {advice} |", measure.name());
        }
    }
    page
}

impl Label {
    fn in_words(&self) -> String {
        let values = match self.values {
            Values::These(values) => values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", "),
            Values::Of(which) => which.to_owned(),
        };
        format!("`{}`: {values}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAMILY: Family = Family {
        name: "wxkf_test_total",
        measure: Measure::Counter,
        labels: &[
            Label { name: "kind", values: Values::These(&["a", "b"]) },
            Label { name: "result", values: Values::These(&["ok", "failed"]) },
        ],
        says: "Tests",
        advice: "Nothing",
    };

    #[test]
    fn every_combination_of_known_values_is_a_series() {
        assert_eq!(FAMILY.known_series().len(), 4);
        let open = Family { labels: &[Label { name: "host", values: Values::Of("hosts") }], ..FAMILY };
        assert!(open.known_series().is_empty());
        assert_eq!(Family { labels: &[], ..FAMILY }.known_series(), [Vec::new()]);
    }

    #[test]
    fn a_row_names_labels_with_their_values() {
        let page = markdown(&[("Room", &[FAMILY])]);
        let row = "| `wxkf_test_total` (counter) | `kind`: `a`, `b`<br>`result`: `ok`, `failed` | Tests | Nothing |\n";
        assert!(page.ends_with(row), "{page}");
    }
}
