//! The stores: one conformance suite that every back end passes, and what is peculiar to each.

mod conformance;
mod copy;
mod mongodb;
mod samples;
mod sqlite;
