//! The process's recorder of metrics, and what the process says of itself.

use std::fmt;
use std::fs;
use std::sync::OnceLock;
use std::time::Duration;

use metrics::gauge;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::runtime::Handle;

use super::TelemetryError;
use crate::domain::Clock;
use crate::lifecycle::Tasks;
use crate::observe::{Family, Label, Measure, Values, declare};

/// Below these many seconds lies an answer from memory, one from the store, one over the network, a
/// time limit.
const DURATION_BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// The metrics of the process.
pub const METRICS: &[Family] = &[
    Family {
        name: "wxkf_build_info",
        measure: Measure::Gauge,
        labels: &[
            Label { name: "version", values: Values::Of("the release") },
            Label { name: "store", values: Values::These(&["sqlite", "mongodb"]) },
            Label { name: "cache", values: Values::These(&["memory", "redis"]) },
        ],
        says: "Always 1; release and back ends are in the labels",
        advice: "`count by (version)` shows how far a rollout is.",
    },
    Family {
        name: "wxkf_trace_spans_total",
        measure: Measure::Counter,
        labels: &[Label { name: "result", values: Values::These(&["exported", "failed", "dropped"]) }],
        says: "Spans of traces by what became of them; none without `OTEL_EXPORTER_OTLP_ENDPOINT`",
        advice: "`failed`: the collector did not take them, and the log says why. `dropped`: more than it takes; \
            record fewer (`OTEL_TRACES_SAMPLER_ARG`).",
    },
    Family {
        name: "process_start_time_seconds",
        measure: Measure::Gauge,
        labels: &[],
        says: "When the process started, in Unix time",
        advice: "`changes()` counts restarts.",
    },
    Family {
        name: "process_resident_memory_bytes",
        measure: Measure::Gauge,
        labels: &[],
        says: "Memory that the process occupies; on Linux",
        advice: "Some 20 MB idle; set the container's limit to several times what a busy day shows.",
    },
    Family {
        name: "process_open_fds",
        measure: Measure::Gauge,
        labels: &[],
        says: "Open file descriptors; on Linux",
        advice: "Each connection is one, each tunnel two: compare with `ulimit -n`.",
    },
    Family {
        name: "tokio_alive_tasks",
        measure: Measure::Gauge,
        labels: &[],
        says: "Tasks that the process runs: connections, attempts, background work",
        advice: "What grows without load is a leak: please report it.",
    },
    Family {
        name: "tokio_global_queue_depth",
        measure: Measure::Gauge,
        labels: &[],
        says: "Tasks that wait for a thread",
        advice: "Above a hundred for long, CPU is short.",
    },
];

/// The process's metrics as Prometheus text.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// The recorder of the process, installed by the first call. One a process, because the `metrics`
    /// crate knows no other; several gateways in one (the tests) share it.
    pub fn install() -> Result<Self, TelemetryError> {
        static INSTALLED: OnceLock<Metrics> = OnceLock::new();
        static INSTALLING: parking_lot::Mutex<()> = parking_lot::Mutex::new(());
        let _one_at_a_time = INSTALLING.lock();
        if let Some(installed) = INSTALLED.get() {
            return Ok(installed.clone());
        }
        let durations = Matcher::Suffix("_duration_seconds".to_owned());
        let handle =
            PrometheusBuilder::new().set_buckets_for_metric(durations, &DURATION_BUCKETS)?.install_recorder()?;
        declare(METRICS);
        gauge!("process_start_time_seconds").set(Clock::default().now().as_millisecond() as f64 / 1000.0);
        Ok(INSTALLED.get_or_init(|| Self(handle)).clone())
    }

    /// For whoever measures what recording costs: nothing is recorded.
    pub fn unrecorded() -> Self {
        Self(PrometheusBuilder::new().build_recorder().handle())
    }

    /// Says what runs.
    pub fn tell_build(&self, store: &'static str, cache: &'static str) {
        let version = env!("CARGO_PKG_VERSION");
        gauge!("wxkf_build_info", "version" => version, "store" => store, "cache" => cache).set(1.0);
    }

    /// The text of `GET /metrics`.
    pub fn render(&self) -> String {
        measure_process();
        self.0.render()
    }

    /// Keeps histograms from piling up samples between two scrapes, or for ever when nobody scrapes: a callback
    /// brings some, of sixteen bytes each.
    pub fn spawn_upkeep(&self, tasks: &Tasks) {
        let (metrics, stopping) = (self.clone(), tasks.clone());
        tasks.spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_secs(1));
            loop {
                tokio::select! {
                    _ = ticks.tick() => metrics.0.run_upkeep(),
                    () = stopping.stopping() => return,
                }
            }
        });
    }
}

/// The memory and the files from Linux's `/proc`; elsewhere they stay at zero.
fn measure_process() {
    let kilobytes = fs::read_to_string("/proc/self/status").ok().and_then(|status| {
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix(" kB")?.parse::<f64>().ok()
    });
    if let Some(kilobytes) = kilobytes {
        gauge!("process_resident_memory_bytes").set(kilobytes * 1024.0);
    }
    if let Ok(descriptors) = fs::read_dir("/proc/self/fd") {
        gauge!("process_open_fds").set(descriptors.count() as f64);
    }
    if let Ok(runtime) = Handle::try_current() {
        gauge!("tokio_alive_tasks").set(runtime.metrics().num_alive_tasks() as f64);
        gauge!("tokio_global_queue_depth").set(runtime.metrics().global_queue_depth() as f64);
    }
}

#[cfg(test)]
mod tests {
    use metrics::histogram;

    use super::*;

    #[test]
    fn metrics_have_help_build_info_and_buckets() {
        let metrics = Metrics::install().unwrap();
        metrics.tell_build("sqlite", "memory");
        histogram!("test_duration_seconds").record(0.003);
        let text = Metrics::install().unwrap().render();
        let build = concat!("{version=\"", env!("CARGO_PKG_VERSION"), "\",store=\"sqlite\",cache=\"memory\"} 1");
        assert!(text.contains(build), "{text}");
        assert!(text.contains("# HELP wxkf_build_info "), "{text}");
        assert!(text.contains("test_duration_seconds_bucket{le=\"0.005\"} 1"), "{text}");
        assert!(text.contains("wxkf_trace_spans_total{result=\"dropped\"} 0"), "{text}");
        assert!(metrics.render().contains("process_resident_memory_bytes "));
    }
}
