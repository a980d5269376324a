//! (the architecture page comes with the last room)
pub mod cli;
pub mod config;
pub mod domain;
pub mod egress;
pub mod lifecycle;
pub mod server;
pub mod store;
pub mod telemetry;

// Used by main.rs alone; named here, where unused dependencies are looked for.
use mimalloc as _;
