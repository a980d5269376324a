//! (the architecture page comes with the last room)
pub mod access_token;
pub mod admin;
pub mod callback;
pub mod cli;
pub mod config;
pub mod dispatcher;
pub mod domain;
pub mod egress;
pub mod http;
pub mod lifecycle;
pub mod manager;
pub mod server;
pub mod store;
pub mod telemetry;
pub mod wecom;
