//! Servers that the gateway talks to, as processes of their own. `tests/servers/install` puts them below
//! `target/servers`; tests that need them are ignored unless they are asked for by name.

mod mongo;
mod process;
mod redis;
mod sentinel;

pub(crate) use super::relay::Relay;
pub(crate) use mongo::{MongoKind, MongoServer};
pub(crate) use redis::RedisServer;
pub(crate) use sentinel::RedisSentinel;
