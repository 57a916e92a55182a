//! The line of JSON that a timed program prints for `bench/`.

use crate::common::Case;
use serde_json::{Value, json};

/// Prints the case, its times and this process's peak memory; `more` is what only this program knows. The spread is
/// the middle half of the times by their median.
pub fn report(case: &Case, seconds: &[f64], more: Value) {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share).round() as usize];
    let mut line = json!({
        "work": case.work, "network": case.network, "precision": case.precision, "batch": case.batch, "threads": case.threads,
        "n": sorted.len(), "minimum_seconds": at(0.0), "median_seconds": at(0.5),
        "spread": (at(0.75) - at(0.25)) / at(0.5), "seconds": seconds, "peak_bytes": peak_bytes(),
    });
    line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    println!("{line}");
}

/// The most memory that this process has had so far; none where there is no `/proc`.
fn peak_bytes() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<usize>().ok()? * 1024)
}
