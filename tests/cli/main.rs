//! The command line alone, on plain folders: the round trip a person would
//! make, and what they see when something is wrong.

// A test that cannot go on has failed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../harness/facts.rs"]
#[allow(dead_code, reason = "each test program uses its own part")]
mod facts;
mod faults;
mod keys;
mod kit;
mod members;
mod round_trip;
mod tpm;
