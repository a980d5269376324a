//! What operators see of the hops of an event: families of metrics, and the spans of traces.
//!
//! At the very bottom, so that every room can use it; [`crate::telemetry`] decides where it all goes.

mod family;
mod span;

pub use family::{Family, Label, Measure, Values, declare, markdown};
pub use span::{Kind, Span, Trace, record_by};
