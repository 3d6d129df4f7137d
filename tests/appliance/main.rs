//! The image itself, booted in QEMU: what is tested here is what ships.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../harness/mod.rs"]
mod harness;

mod boot;
mod life;
mod tpm;
