//! The box itself: its state folder, identity, certificate, claim code, keys
//! at rest, settings and console screen.
//!
//! The state folder (`/var/lib/colca` on the box, mode 0700) holds
//!
//! | file | what |
//! |---|---|
//! | `lock` | held while a daemon runs on the folder |
//! | `box.key` | 32 random bytes that seal the secrets in the settings |
//! | `tls.key`, `tls.pem` | the panel's private key and certificate |
//! | `settings.redb` | versioned records: box, claim code, users, sources, provider, pool |
//! | `jobs.redb` | the book of jobs |
//! | `pool/ID.key` | the master key of pool ID, where no TPM keeps it |
//! | `pool/ID.sealed` | a secret sealed with the TPM that opens pool ID, where one does |
//! | `repository/ID/` | the engine's index and catalogue of pool ID, caches that can be rebuilt |

mod claim;
pub mod console;
mod files;
mod identity;
pub mod keyring;
pub mod log;
mod pool_key;
mod secrets;
mod settings;
mod state;
pub mod tls;
pub mod tpm;

pub use claim::ClaimCode;
pub use identity::{Identity, addresses, hostname};
pub use secrets::{BoxKey, Sealed};
pub use settings::{Record, Settings};
pub use state::State;
