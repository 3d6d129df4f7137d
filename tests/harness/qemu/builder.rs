//! What a machine is made of, and its first start.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Disk, Machine};

const FIRMWARE_VARIABLES: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";

/// What a machine is made of, before it is switched on.
pub struct Builder {
    image: PathBuf,
    memory_mib: u32,
    system_size: u64,
    disks: Vec<(String, u64)>,
    agent: bool,
    tpm: bool,
    https_port: Option<u16>,
    folder: Option<PathBuf>,
}

impl Machine {
    /// Starts to describe a machine that boots `image`.
    pub fn builder(image: &Path) -> Builder {
        Builder {
            image: image.to_owned(),
            memory_mib: 1024,
            system_size: 8 << 30,
            disks: Vec::new(),
            agent: true,
            tpm: false,
            https_port: None,
            folder: None,
        }
    }
}

impl Builder {
    /// Guest memory in MiB (1024 unless told).
    pub fn memory(mut self, mib: u32) -> Self {
        self.memory_mib = mib;
        self
    }

    /// Adds a blank data disk of `size` bytes. Serial numbers have at most 20 characters.
    pub fn disk(mut self, serial: &str, size: u64) -> Self {
        self.disks.push((serial.to_owned(), size));
        self
    }

    /// Size of the system disk in bytes (8 GiB unless told); what the image does not fill becomes state.
    pub fn system_size(mut self, size: u64) -> Self {
        self.system_size = size;
        self
    }

    /// Leaves the agent out: the box as it is delivered. `start` then returns as soon as QEMU runs.
    pub fn without_agent(mut self) -> Self {
        self.agent = false;
        self
    }

    /// Gives the machine a TPM 2.0, emulated by swtpm; what it keeps outlives a reboot.
    pub fn tpm(mut self) -> Self {
        self.tpm = true;
        self
    }

    /// Host port that leads to the panel (a free one unless told).
    pub fn https_port(mut self, port: u16) -> Self {
        self.https_port = Some(port);
        self
    }

    /// Keeps the machine's files in `folder` (a temporary one unless told). A machine found there is continued.
    pub fn folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// Makes the disks and boots.
    pub fn start(self) -> Result<Machine> {
        if !self.image.is_file() {
            bail!(
                "there is no image at {}: build it with image/build (or 'make image')",
                self.image.display()
            );
        }
        let temporary = match &self.folder {
            Some(_) => None,
            None => Some(tempfile::Builder::new().prefix("colca-vm-").tempdir()?),
        };
        let folder = match (&self.folder, &temporary) {
            (Some(folder), _) => folder.clone(),
            (None, Some(dir)) => dir.path().to_owned(),
            (None, None) => bail!("a machine needs a folder"),
        };
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;

        let system = folder.join("system.raw");
        if !system.exists() {
            let unfinished = folder.join("system.raw.new");
            copy_sparse(&self.image, &unfinished)?;
            let file = File::options().write(true).open(&unfinished)?;
            file.set_len(self.system_size.max(file.metadata()?.len()))?;
            std::fs::rename(&unfinished, &system)?;
        }
        let variables = folder.join("firmware.fd");
        if !variables.exists() {
            std::fs::copy(FIRMWARE_VARIABLES, &variables)
                .with_context(|| format!("copying {FIRMWARE_VARIABLES} (Debian package ovmf)"))?;
        }
        let mut disks = BTreeMap::new();
        for (serial, size) in self.disks {
            let file = folder.join(format!("{serial}.raw"));
            if !file.exists() {
                blank_disk(&file, size)?;
            }
            disks.insert(
                serial,
                Disk {
                    file,
                    plugged: true,
                },
            );
        }
        let mut machine = Machine {
            https_port: self.https_port.map_or_else(free_port, Ok)?,
            folder,
            _temporary: temporary,
            memory_mib: self.memory_mib,
            disks,
            wants_agent: self.agent,
            tpm: self.tpm,
            boots: 0,
            running: None,
        };
        machine.boot()?;
        Ok(machine)
    }
}

fn blank_disk(file: &Path, size: u64) -> Result<()> {
    let disk = File::create(file).with_context(|| format!("making the disk {}", file.display()))?;
    disk.set_len(size)?;
    Ok(())
}

fn copy_sparse(from: &Path, to: &Path) -> Result<()> {
    let status = Command::new("cp")
        .args(["--sparse=always", "--reflink=auto"])
        .args([from, to])
        .status()?;
    if !status.success() {
        bail!(
            "copying {} to {} failed: {status}",
            from.display(),
            to.display()
        );
    }
    Ok(())
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
