//! Where logs, metrics and traces go.
//!
//! Logs go to stderr: stdout belongs to what a command was asked for. Below `info`, only the
//! gateway's own code is heard, whatever `RUST_LOG` says: HTTP and TLS crates print addresses and
//! headers there, and both carry secrets.

mod metrics;
mod traces;

use std::fmt;
use std::io::{self, IsTerminal as _};

use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::{Targets, filter_fn};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry};

use crate::config::LogFormat;
use crate::domain::Clock;
use crate::observe::Trace;

pub use metrics::{METRICS, Metrics};
pub use traces::Traces;

/// Why logs, metrics or traces cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("RUST_LOG is no filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    #[error("logs are set up already: {0}")]
    Logs(#[from] tracing_subscriber::util::TryInitError),
    #[error("metrics cannot be set up: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
    #[error("traces cannot be exported: {0}")]
    Traces(#[from] reqwest::Error),
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
        let lines = lines.with_current_span(false).with_span_list(false).map_event_format(WithTrace);
        lines.with_writer(writer).boxed()
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

/// `14:03:22.123Z`: a terminal needs no date, and UTC compares with the JSON lines of other replicas. With the
/// trace that a line belongs to, if any.
struct TimeOfDay;

impl FormatTime for TimeOfDay {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        let now = Clock::default().now();
        write!(w, "{}", now.strftime("%H:%M:%S%.3fZ"))?;
        Trace::current().id().map_or(Ok(()), |trace| write!(w, " {trace}"))
    }
}

/// JSON lines with the trace that they belong to, if any, as OpenTelemetry names it in logs.
struct WithTrace<F>(F);

impl<S, N, F> FormatEvent<S, N> for WithTrace<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let Some(trace) = Trace::current().id() else { return self.0.format_event(ctx, writer, event) };
        let mut line = String::new();
        self.0.format_event(ctx, Writer::new(&mut line), event)?;
        match line.trim_end().strip_suffix('}') {
            Some(fields) => writeln!(writer, "{fields},\"trace_id\":\"{trace}\"}}"),
            None => writer.write_str(&line),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

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
}
