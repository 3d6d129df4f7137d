//! Colca: the firmware of a dedicated backup box.
//!
//! The rooms stand on floors; a room imports only rooms on lower floors, so
//! that the house stays a tree (see `docs/architecture.md`).

// Floor 1: pure machinery.
pub mod directive;
pub mod engine;
pub mod jobs;
mod privileged;
pub mod sftp;

// Floor 2: the engine's seams joined to the world.
pub mod appliance;
pub mod devices;
pub mod pool;
pub mod provider;
pub mod sources;

// Floor 3 to 5: use cases, panel, command line.
pub mod cli;
pub mod panel;
pub mod service;

#[cfg(any(test, fuzzing))]
pub mod hostile;
