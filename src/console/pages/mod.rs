//! One file a page: what it shows, as the struct of its template, and its handlers below.

pub mod audit;
pub mod bots;
pub mod corp;
pub mod corps;
pub mod deliveries;
pub mod fault;
pub mod overview;
pub mod service;
pub mod sign_in;
pub mod tail;
pub mod tokens;
