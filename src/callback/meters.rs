//! What is counted of callbacks; what happens often is looked up once.

use std::sync::LazyLock;
use std::time::Duration;

use metrics::{Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram};

use super::credentials::OpenFault;
use super::{Callbacks, Refusal};
use crate::domain::CorpId;
use crate::live::{Rate, Step};

/// Which kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A URL verification.
    Verify,
    /// A callback of WeCom.
    Message,
    /// An event that another gateway decrypted.
    Decrypted,
}

impl Kind {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Message => "message",
            Self::Decrypted => "decrypted",
        }
    }
}

struct Taken {
    count: Counter,
    duration: Histogram,
}

impl Taken {
    fn new(kind: Kind) -> Self {
        Self {
            count: counter!("wxkf_callbacks_total", "kind" => kind.label(), "result" => "ok"),
            duration: histogram!("wxkf_callback_ack_duration_seconds", "kind" => kind.label()),
        }
    }
}

impl Callbacks {
    /// Counts a call that was taken, and how long its caller waited.
    pub(super) fn taken(&self, kind: Kind, after: Duration) {
        static TAKEN: LazyLock<[Taken; 3]> =
            LazyLock::new(|| [Kind::Verify, Kind::Message, Kind::Decrypted].map(Taken::new));
        let taken = &TAKEN[kind as usize];
        taken.count.increment(1);
        taken.duration.record(after);
        self.live.count(Rate::Callbacks);
    }

    /// Counts a call that was refused.
    pub(super) fn refused(&self, kind: Kind, corp: &str, refusal: &Refusal) {
        let result = match refusal {
            Refusal::UnknownCorp => "unknown_corp",
            Refusal::StoreUnavailable | Refusal::NotTaken => "unavailable",
            Refusal::Query(_) => "bad_query",
            Refusal::TooLarge => "too_large",
            Refusal::BrokeOff => "broke_off",
            Refusal::Envelope(_) => "bad_body",
            Refusal::Open(OpenFault::NoCredential | OpenFault::Signature) => "bad_signature",
            Refusal::Open(OpenFault::Decrypt(_)) => "decrypt_error",
            Refusal::Open(OpenFault::ReceiveId) => "bad_receive_id",
        };
        counter!("wxkf_callbacks_total", "kind" => kind.label(), "result" => result).increment(1);
        self.live.count(Rate::Refused);
        // As the path has it: anything.
        self.live.call(|| (CorpId::parse(corp).ok(), Step::Refused(result)));
    }
}

/// Says what the metrics of callbacks mean.
pub fn describe_metrics() {
    describe_counter!("wxkf_callbacks_total", "Calls of the callback routes, by kind and result");
    describe_histogram!(
        "wxkf_callback_ack_duration_seconds",
        Unit::Seconds,
        "From the request's head to the answer of a call that was taken"
    );
}
