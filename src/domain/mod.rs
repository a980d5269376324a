//! Values of the problem, without any I/O: what a corp, a bot, an event and a secret are.
//! Everything above may use them; they use nothing of the gateway.

mod audit;
mod clock;
mod corp;
mod event;
mod number;
mod pair;
mod puppet;
mod secret;
mod service;
mod token;

pub use audit::{Action, Actor, AuditEntry, AuditId};
pub use clock::Clock;
pub use corp::{CallbackCredential, Corp, CorpId, CorpSource};
pub use event::{Account, Digest, EventId, KfEvent, OpenKfId, Order, Payload, RawCallback, Trust};
pub use number::grouped;
pub use pair::{EncodingAesKey, Pair};
pub use puppet::{Endpoint, Puppet};
pub use secret::{Fingerprint, Secret};
pub use service::{Content, Service, ServiceEvent, ServiceFormat, ServiceKey, ServiceName, ServiceUrl};
pub use token::{App, AppKey};

/// Why a value from outside was refused: names the field's rule, never the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub &'static str);
