//! The settings: faults, which leave nothing else to be checked, and warnings.

use crate::config::{Fault, Faults, SETTINGS, Warning};

use super::finding::{Finding, Part, Tried};

fn read(name: &str) -> Tried {
    Tried::new(Part::Settings, name, "read flags, environment and files as `serve` does")
}

/// What keeps the gateway from starting.
pub(super) fn faults(faults: &Faults) -> Vec<Finding> {
    let wrong = |Fault { name, fault, example }: &Fault| {
        read(name).wrong(fault.as_str(), format!("set it right, for example {name}={example}"))
    };
    faults.0.iter().map(wrong).collect()
}

/// Settings that can be used.
pub(super) fn warnings(warnings: &[Warning]) -> Vec<Finding> {
    let warned = |Warning { name, text }: &Warning| {
        read(name).warning(text.as_str(), "change it, unless it is meant so (`wxkf-gateway serve --help`)")
    };
    let all = read("").ok(format!("all {} can be used", SETTINGS.len()));
    std::iter::once(all).chain(warnings.iter().map(warned)).collect()
}
