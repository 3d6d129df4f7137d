//! A TPM 2.0 of software: swtpm, whose socket the emulator takes. Its state is
//! a folder beside the machine's disks.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// A running TPM; ends with whoever holds it.
pub struct Tpm(Child);

impl Drop for Tpm {
    fn drop(&mut self) {
        // It ends by itself when the emulator has gone.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where the emulator reaches it.
pub fn socket(machine: &Path) -> PathBuf {
    machine.join("tpm.sock")
}

fn state(machine: &Path) -> PathBuf {
    machine.join("tpm")
}

impl Tpm {
    /// Starts the TPM of the machine in this folder; a new one if it had none.
    pub fn start(machine: &Path) -> Result<Self> {
        let (socket, state) = (socket(machine), state(machine));
        std::fs::create_dir_all(&state)?;
        if let Err(e) = std::fs::remove_file(&socket)
            && e.kind() != std::io::ErrorKind::NotFound
        {
            return Err(e.into());
        }
        let log = std::fs::File::create(machine.join("tpm.log"))?;
        let mut child = Command::new("swtpm")
            .args(["socket", "--tpm2", "--terminate", "--tpmstate"])
            .arg(format!("dir={}", state.display()))
            .arg("--ctrl")
            .arg(format!("type=unixio,path={}", socket.display()))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting swtpm (Debian package swtpm)")?;
        let deadline = Instant::now() + Duration::from_secs(60);
        while !socket.exists() {
            if child.try_wait()?.is_some() || Instant::now() > deadline {
                let _ = child.kill();
                let _ = child.wait();
                let log = std::fs::read_to_string(machine.join("tpm.log"))?;
                bail!("swtpm did not start: {}", log.trim());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Self(child))
    }

    /// Throws away what the TPM of a machine that is off kept: the next one is another.
    pub fn forget(machine: &Path) -> Result<()> {
        std::fs::remove_dir_all(state(machine)).context("removing the TPM's state")
    }
}
