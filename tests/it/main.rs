//! Everything that needs more than one module: the architecture, the vectors, and the real binary.
#![cfg(test)]

mod architecture;
mod cli;
mod vectors;
