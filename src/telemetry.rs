//! Logs and metrics.
//!
//! Logs go to stderr: stdout belongs to what a command was asked for. Below `info`, only the
//! gateway's own code is heard, whatever `RUST_LOG` says: HTTP and TLS crates print addresses and
//! headers there, and both carry secrets.

use std::fmt;
use std::fs;
use std::io::{self, IsTerminal as _};
use std::sync::OnceLock;
use std::time::Duration;

use metrics::{Unit, describe_gauge, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{Targets, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry};

use crate::config::LogFormat;
use crate::domain::Clock;
use crate::lifecycle::Tasks;

/// Why logs or metrics cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("RUST_LOG is no filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    #[error("logs are set up already: {0}")]
    Logs(#[from] tracing_subscriber::util::TryInitError),
    #[error("metrics cannot be set up: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
}

/// Sends the process's log lines to stderr.
pub fn init_logs(format: LogFormat, filter: &str) -> Result<(), TelemetryError> {
    let pretty = match format {
        LogFormat::Auto => io::stderr().is_terminal(),
        LogFormat::Json => false,
        LogFormat::Pretty => true,
    };
    let colours = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
    subscriber(pretty, colours, filter, io::stderr)?.try_init()?;
    Ok(())
}

fn subscriber<W>(pretty: bool, colours: bool, filter: &str, writer: W) -> Result<impl Subscriber, TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines: Box<dyn Layer<Registry> + Send + Sync> = if pretty {
        let lines = tracing_subscriber::fmt::layer().compact().with_target(false).with_timer(TimeOfDay);
        lines.with_ansi(colours).with_writer(writer).boxed()
    } else {
        let lines = tracing_subscriber::fmt::layer().json().flatten_event(true);
        lines.with_current_span(false).with_span_list(false).with_writer(writer).boxed()
    };
    // Not `EnvFilter`, whose regular expressions would be a tenth of the binary.
    let filter: Targets = filter.parse()?;
    Ok(Registry::default().with(lines.with_filter(filter_fn(is_clean))).with(filter))
}

/// Whether a line of this origin and level is known to be free of secrets.
fn is_clean(line: &Metadata<'_>) -> bool {
    let ours = line.target().split("::").next() == Some(env!("CARGO_CRATE_NAME"));
    ours || *line.level() <= Level::INFO
}

/// `14:03:22.123Z`: a terminal needs no date, and UTC compares with the JSON lines of other replicas.
struct TimeOfDay;

impl FormatTime for TimeOfDay {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        let now = Clock::default().now();
        write!(w, "{}", now.strftime("%H:%M:%S%.3fZ"))
    }
}

/// Below these many seconds lies an answer from memory, one from the store, one over the network, a
/// time limit.
const DURATION_BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

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
        describe_process();
        Ok(INSTALLED.get_or_init(|| Self(handle)).clone())
    }

    /// The text of `GET /metrics`.
    pub fn render(&self) -> String {
        measure_process();
        self.0.render()
    }

    /// Keeps histograms from piling up samples between two scrapes, or for ever when nobody scrapes.
    pub fn spawn_upkeep(&self, tasks: &Tasks) {
        let (metrics, stopping) = (self.clone(), tasks.clone());
        tasks.spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_secs(5));
            loop {
                tokio::select! {
                    _ = ticks.tick() => metrics.0.run_upkeep(),
                    () = stopping.stopping() => return,
                }
            }
        });
    }
}

fn describe_process() {
    describe_gauge!("wxkf_build_info", "Always 1; the version is in the label");
    gauge!("wxkf_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    describe_gauge!("process_start_time_seconds", Unit::Seconds, "When the process started, in Unix time");
    gauge!("process_start_time_seconds").set(Clock::default().now().as_millisecond() as f64 / 1000.0);
    describe_gauge!("process_resident_memory_bytes", Unit::Bytes, "Memory that the process occupies");
    describe_gauge!("process_open_fds", Unit::Count, "Open file descriptors");
}

/// From Linux's `/proc`; elsewhere the two gauges are left out.
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
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use metrics::histogram;
    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(pretty: bool, filter: &str) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = subscriber(pretty, false, filter, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(corp.id = "ww1", "callback\nrefused");
            tracing::trace!("details");
            tracing::debug!(target: "hyper::client", "GET /cgi-bin/gettoken?corpsecret=x");
            tracing::warn!(target: "hyper::client", "trouble");
        });
        String::from_utf8(lines.0.lock().clone()).unwrap()
    }

    #[test]
    fn other_crates_are_not_heard_below_info() {
        let text = logged(true, "trace");
        assert!(text.contains("details") && text.contains("trouble"), "{text}");
        assert!(!text.contains("corpsecret"), "{text}");
        assert!(!logged(true, "hyper=trace").contains("corpsecret"));
        assert!(!logged(true, "info").contains("details"));
    }

    #[test]
    fn a_json_line_is_one_object_with_its_fields() {
        let text = logged(false, "info");
        let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(first["message"], "callback\nrefused");
        assert_eq!(first["corp.id"], "ww1");
        assert_eq!(first["level"], "INFO");
        assert!(first["timestamp"].is_string());
        assert_eq!(text.lines().count(), 2);
    }

    #[test]
    fn metrics_have_help_build_info_and_buckets() {
        let metrics = Metrics::install().unwrap();
        histogram!("test_duration_seconds").record(0.003);
        let text = Metrics::install().unwrap().render();
        assert!(text.contains(concat!("wxkf_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1")), "{text}");
        assert!(text.contains("# HELP wxkf_build_info "), "{text}");
        assert!(text.contains("test_duration_seconds_bucket{le=\"0.005\"} 1"), "{text}");
        assert!(metrics.render().contains("process_resident_memory_bytes "));
    }
}
