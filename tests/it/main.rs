#![cfg(test)]

mod cli;
