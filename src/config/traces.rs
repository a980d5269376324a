//! The standard variables of OpenTelemetry, as far as they concern traces: the names and defaults of its
//! specification, read here so that a fault stops the start like any other.
//!
//! They are no flags, because whoever sets them sets them for many programs at once.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use url::Url;

use super::fault::Fault;
use super::parse;
use super::source::Reader;

/// How traces are made and where they go.
#[derive(Debug, Clone)]
pub struct TraceSettings {
    /// Where spans are posted.
    pub endpoint: Url,
    /// Marked as sensitive: they authenticate.
    pub headers: HeaderMap,
    /// For one export.
    pub timeout: Duration,
    pub sampler: TraceSampler,
    /// Whether a caller's decision goes before the sampler.
    pub parent: ParentDecision,
    /// Attributes of the process, its name among them.
    pub resource: Vec<(String, String)>,
    /// Spans that wait; further ones are dropped.
    pub queue: usize,
    /// Spans sent together.
    pub batch: usize,
    /// For how long they are gathered.
    pub delay: Duration,
}

/// Which traces are recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TraceSampler {
    Always,
    Never,
    /// This share of them, from 0 to 1.
    Share(f64),
}

/// What a caller that sends `traceparent` has decided about its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParentDecision {
    Counts,
    Ignored,
}

/// A variable of the specification.
#[derive(Debug, Clone, Copy)]
pub struct Standard {
    pub variable: &'static str,
    pub default: &'static str,
    pub meaning: &'static str,
    pub example: &'static str,
}

macro_rules! standard {
    ($($name:ident = $variable:literal, $default:literal, $example:literal, $meaning:literal;)+) => {
        $(const $name: Standard =
            Standard { variable: $variable, default: $default, meaning: $meaning, example: $example };)+

        /// Those that are served, beside the setting `OTEL_EXPORTER_OTLP_ENDPOINT`.
        pub const STANDARD_VARIABLES: &[Standard] = &[$($name),+];
    };
}

standard! {
    TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "`{OTEL_EXPORTER_OTLP_ENDPOINT}/v1/traces`",
        "http://collector:4318/v1/traces", "The whole address, in place of the other; also switches traces on.";
    PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL", "`http/protobuf`", "http/protobuf",
        "`http/protobuf` alone is served; `grpc` and `http/json` stop the start. Also `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL`.";
    HEADERS = "OTEL_EXPORTER_OTLP_HEADERS", "unset", "authorization=Bearer%20the-token",
        "`name=value`, comma-separated and percent-encoded, sent with each export; secret. Also `OTEL_EXPORTER_OTLP_TRACES_HEADERS`.";
    TIMEOUT = "OTEL_EXPORTER_OTLP_TIMEOUT", "`10000`", "10000",
        "The time limit of one export in milliseconds. Also `OTEL_EXPORTER_OTLP_TRACES_TIMEOUT`.";
    COMPRESSION = "OTEL_EXPORTER_OTLP_COMPRESSION", "`none`", "none",
        "`gzip` is ignored with a warning. Also `OTEL_EXPORTER_OTLP_TRACES_COMPRESSION`.";
    EXPORTER = "OTEL_TRACES_EXPORTER", "`otlp`", "otlp", "`otlp`, or `none` for no traces.";
    DISABLED = "OTEL_SDK_DISABLED", "`false`", "false", "`true`: no traces, whatever else is set.";
    SAMPLER = "OTEL_TRACES_SAMPLER", "`parentbased_always_on`", "parentbased_traceidratio",
        "`always_on`, `always_off`, `traceidratio`; with `parentbased_` before it, a caller's decision goes first.";
    SAMPLER_ARGUMENT = "OTEL_TRACES_SAMPLER_ARG", "`1.0`", "0.01",
        "The share of traces that `traceidratio` records, from 0 to 1.";
    SERVICE_NAME = "OTEL_SERVICE_NAME", "`wxkf-gateway`", "wecom-gateway", "The name of the service in the traces.";
    RESOURCE = "OTEL_RESOURCE_ATTRIBUTES", "unset", "deployment.environment.name=production",
        "`key=value`, comma-separated and percent-encoded: what all spans of this process say.";
    QUEUE = "OTEL_BSP_MAX_QUEUE_SIZE", "`2048`", "2048", "Spans that wait to be sent; further ones are dropped and counted.";
    BATCH = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "`512`", "512", "Spans that are sent together.";
    DELAY = "OTEL_BSP_SCHEDULE_DELAY", "`5000`", "5000", "For how many milliseconds spans are gathered.";
}

/// What the variables ask for; `None`: no traces. `endpoint` is `OTEL_EXPORTER_OTLP_ENDPOINT`.
pub(super) fn read(endpoint: Option<&Url>, reader: &mut Reader<'_>) -> Option<TraceSettings> {
    let whole = given(reader, &TRACES_ENDPOINT, TRACES_ENDPOINT.variable, parse::base_url);
    let endpoint = whole.or_else(|| endpoint.map(below_base))?;
    let disabled = given(reader, &DISABLED, DISABLED.variable, |text| Ok(text.eq_ignore_ascii_case("true")));
    let exporter = given(reader, &EXPORTER, EXPORTER.variable, parse::choice(&[("otlp", true), ("none", false)]));
    if disabled == Some(true) || exporter == Some(false) {
        return None;
    }
    of_traces(reader, &PROTOCOL, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", parse::choice(&[("http/protobuf", ())]));
    let compression = of_traces(reader, &COMPRESSION, "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", parse::text);
    if compression.is_some_and(|compression| compression != "none") {
        reader.warn(COMPRESSION.variable, "ignored: spans are sent as they are");
    }
    let headers = of_traces(reader, &HEADERS, "OTEL_EXPORTER_OTLP_TRACES_HEADERS", headers);
    let timeout = of_traces(reader, &TIMEOUT, "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", milliseconds);
    let (sampler, parent) = sampler(reader);
    let mut resource = given(reader, &RESOURCE, RESOURCE.variable, pairs).unwrap_or_default();
    if let Some(name) = given(reader, &SERVICE_NAME, SERVICE_NAME.variable, parse::text) {
        resource.retain(|(key, _)| key != "service.name");
        resource.push(("service.name".to_owned(), name));
    }
    let (queue, batch) = (given(reader, &QUEUE, QUEUE.variable, count), given(reader, &BATCH, BATCH.variable, count));
    let delay = given(reader, &DELAY, DELAY.variable, milliseconds);
    let queue = queue.unwrap_or(2_048);
    Some(TraceSettings {
        endpoint,
        headers: headers.unwrap_or_default(),
        timeout: timeout.unwrap_or(Duration::from_secs(10)),
        sampler,
        parent,
        resource,
        queue,
        batch: batch.unwrap_or(512).min(queue),
        delay: delay.unwrap_or(Duration::from_secs(5)),
    })
}

fn sampler(reader: &mut Reader<'_>) -> (TraceSampler, ParentDecision) {
    use ParentDecision::{Counts, Ignored};
    let share = given(reader, &SAMPLER_ARGUMENT, SAMPLER_ARGUMENT.variable, share).unwrap_or(1.0);
    let words = |text: &str| {
        let (parent, rest) = text.strip_prefix("parentbased_").map_or((Ignored, text), |rest| (Counts, rest));
        let sampler = parse::choice(&[("always_on", 0), ("always_off", 1), ("traceidratio", 2)])(rest);
        Ok((sampler.map_err(|_| format!("`{text}` is none of {}", SAMPLERS.join(", ")))?, parent))
    };
    let (sampler, parent) = given(reader, &SAMPLER, SAMPLER.variable, words).unwrap_or((0, Counts));
    let sampler = match sampler {
        0 => TraceSampler::Always,
        1 => TraceSampler::Never,
        _ => TraceSampler::Share(share),
    };
    (sampler, parent)
}

const SAMPLERS: [&str; 6] = [
    "`always_on`",
    "`always_off`",
    "`traceidratio`",
    "`parentbased_always_on`",
    "`parentbased_always_off`",
    "`parentbased_traceidratio`",
];

/// Its own variable for traces goes before the one for all signals.
fn of_traces<T>(
    reader: &mut Reader<'_>,
    standard: &Standard,
    of_traces: &'static str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Option<T> {
    let variable = if reader.variable(of_traces).is_some() { of_traces } else { standard.variable };
    given(reader, standard, variable, parse)
}

fn given<T>(
    reader: &mut Reader<'_>,
    standard: &Standard,
    variable: &'static str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Option<T> {
    let text = reader.variable(variable)?.to_str().ok_or_else(|| "is not UTF-8 text".to_owned());
    match text.and_then(|text| parse(text.trim())) {
        Ok(value) => Some(value),
        Err(fault) => {
            let example = standard.example.to_owned();
            reader.faults.push(Fault { name: variable.to_owned(), fault, example });
            None
        }
    }
}

fn below_base(base: &Url) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/v1/traces", base.path().trim_end_matches('/')));
    url
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    let milliseconds = text.parse().ok().filter(|&milliseconds: &u64| (1..=3_600_000).contains(&milliseconds));
    milliseconds
        .map(Duration::from_millis)
        .ok_or_else(|| format!("`{text}` is no number of milliseconds up to an hour"))
}

fn count(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=100_000).contains(count));
    count.ok_or_else(|| format!("`{text}` is no number from 1 to 100000"))
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("`{text}` is no number from 0 to 1"))
}

/// A fault does not repeat the text: headers hold secrets.
fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let pair = |entry: &str| {
        let (key, value) = entry.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        Some((key.trim().to_owned(), value.into_owned())).filter(|(key, _)| !key.is_empty())
    };
    let pairs: Option<Vec<_>> = entries.map(pair).collect();
    pairs.ok_or_else(|| "must be name=value, comma-separated, values percent-encoded".to_owned())
}

fn headers(text: &str) -> Result<HeaderMap, String> {
    let header = |(name, value): (String, String)| {
        let mut value = HeaderValue::try_from(value).ok()?;
        value.set_sensitive(true);
        Some((HeaderName::try_from(name).ok()?, value))
    };
    let headers: Option<HeaderMap> = pairs(text)?.into_iter().map(header).collect();
    headers.ok_or_else(|| "has a name or a value that no HTTP header can have".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Source};

    fn settings(variables: &[(&str, &str)]) -> Option<TraceSettings> {
        Config::load(&Source::of(variables.iter().copied())).unwrap().0.traces
    }

    fn faults(variables: &[(&str, &str)]) -> String {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
        let all = [endpoint].into_iter().chain(variables.iter().copied());
        Config::load(&Source::of(all)).unwrap_err().to_string()
    }

    #[test]
    fn an_endpoint_switches_traces_on_with_the_defaults_of_the_specification() {
        assert!(settings(&[("OTEL_TRACES_SAMPLER", "always_on")]).is_none());
        let traces = settings(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/base/")]).unwrap();
        assert_eq!(traces.endpoint.as_str(), "http://collector:4318/base/v1/traces");
        assert_eq!((traces.sampler, traces.parent), (TraceSampler::Always, ParentDecision::Counts));
        assert_eq!((traces.queue, traces.batch, traces.delay), (2_048, 512, Duration::from_secs(5)));
        assert!(traces.headers.is_empty() && traces.resource.is_empty());
    }

    #[test]
    fn what_is_for_traces_alone_goes_first() {
        let traces = settings(&[
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://tempo:4318/otlp/v1/traces"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-all=1"),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "authorization=Bearer%20abc, x-tenant=wecom"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,deployment.environment.name=a%20b"),
            ("OTEL_SERVICE_NAME", "wecom"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ])
        .unwrap();
        assert_eq!(traces.endpoint.as_str(), "http://tempo:4318/otlp/v1/traces");
        assert_eq!(traces.headers["authorization"], "Bearer abc");
        assert!(!traces.headers.contains_key("x-all"));
        assert!(!format!("{traces:?}").contains("abc"));
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let resource = [pair("deployment.environment.name", "a b"), pair("service.name", "wecom")];
        assert_eq!(traces.resource, resource);
        assert_eq!(traces.sampler, TraceSampler::Share(0.25));
        assert_eq!(traces.timeout, Duration::from_millis(2_500));
    }

    #[test]
    fn traces_can_be_switched_off_whatever_else_is_set() {
        for off in [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")] {
            let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
            assert!(settings(&[endpoint, off, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).is_none());
        }
    }

    #[test]
    fn what_is_not_served_is_refused_by_name_and_without_secrets() {
        for (variable, value) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "s3cret"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "na me=s3cret"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
            ("OTEL_TRACES_SAMPLER_ARG", "2"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://user:s3cret@collector"),
        ] {
            let faults = faults(&[(variable, value)]);
            assert!(faults.starts_with(&format!("{variable}: ")), "{faults}");
            assert!(faults.contains("(example: ") && !faults.contains("s3cret"), "{faults}");
        }
    }

    #[test]
    fn every_example_is_taken() {
        for standard in STANDARD_VARIABLES {
            let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
            Config::load(&Source::of([endpoint, (standard.variable, standard.example)])).unwrap();
        }
    }
}
