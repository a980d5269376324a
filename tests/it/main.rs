//! Everything that needs more than one module, as one test binary, which links once: the
//! architecture, the vectors, the stores' conformance, and the real binary from outside.
#![cfg(test)]

mod architecture;
mod cli;
mod demo;
mod harness;
mod journey;
mod load;
mod store;
mod vectors;
