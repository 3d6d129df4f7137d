//! What the appliance tests and `make run` share: the emulated machine, the
//! servers it talks to, the API client, and the steps of a box's day.
#![allow(dead_code, unused_imports, reason = "each program uses its own part")]

pub mod agent;
pub mod client;
pub mod day;
pub mod facts;
pub mod peers;
pub mod qemu;
pub mod qmp;
pub mod tpm;
pub mod tree;
