//! Everything that needs more than one module, as one test binary, which links once: the
//! architecture, the vectors, the stores' conformance, and the real binary from outside.
#![cfg(test)]

mod abuse;
mod admin;
mod architecture;
mod audiences;
mod audit;
mod callbacks;
mod cli;
mod console;
mod crash;
mod delivery;
mod demo;
mod docs;
mod doctor;
mod doors;
mod egress;
mod explain;
mod harness;
mod journey;
mod load;
mod metrics;
mod openapi;
mod proxy;
mod registry;
mod replicas;
mod secrets;
mod security;
mod servers;
mod services;
mod settings_at_start;
mod simulator;
mod store;
mod token_cache;
mod tokens;
mod traces;
mod vectors;
mod webhooks;
