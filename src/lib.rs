//! (the architecture page comes with the last room)
pub mod config;
pub mod domain;
pub mod egress;
pub mod lifecycle;
pub mod server;
pub mod store;
pub mod telemetry;
