//! What a service is told before it starts, and how it answers.

use std::net::SocketAddr;
use std::time::Duration;

use crate::domain::Clock;
use crate::services::signature::SigningSecret;
use crate::simulator::wecom::Credential;

/// How a service answers; changeable while it runs. Whatever it is, an event whose signature is wrong is
/// answered 401.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Answer {
    /// 200.
    #[default]
    Accept,
    /// This status.
    Status(u16),
    /// Accepts after so long.
    Slow(Duration),
    /// Holds the request so long, then cuts the connection.
    Hang(Duration),
    /// Answers 503 to so many of a hundred, as the seed decides, and accepts the others.
    Random { refused_percent: u8 },
    /// Answers with this status whatever holds this text, and accepts the rest.
    Refuse { containing: String, status: u16 },
    /// Nobody listens on the port.
    Closed,
}

/// Who the service is.
#[derive(Debug, Clone)]
pub struct ReceiverOptions {
    /// Port 0: any.
    pub listen: SocketAddr,
    /// Checks signatures; without one it takes everything.
    pub secret: Option<SigningSecret>,
    /// Opens what comes as received.
    pub credential: Option<Credential>,
    pub answer: Answer,
    /// Decides what [`Answer::Random`] refuses.
    pub seed: u64,
    pub clock: Clock,
}

impl Default for ReceiverOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            secret: None,
            credential: None,
            answer: Answer::default(),
            seed: 1,
            clock: Clock::default(),
        }
    }
}
