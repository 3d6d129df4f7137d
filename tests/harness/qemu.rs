//! A virtual machine around the box's image, by software emulation only, so
//! that it runs the same everywhere. It owns copies of the image and of the
//! firmware's variables and one file per data disk, all of which outlive a
//! power cut and a reboot as real ones would. Every data disk sits in its own
//! hot-plug slot. The guest reaches the host's loopback servers at 10.0.2.2.

mod builder;
mod line;

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::agent::{Agent, Output};
use super::qmp::Qmp;
use super::tpm::Tpm;
pub use builder::Builder;
use line::{blockdev, device};

/// Where the guest finds servers that listen on the host's loopback.
pub const HOST_ADDRESS: &str = "10.0.2.2";
/// A boot takes about 60 s on a quiet machine with two cores; more than five times that is a fault.
const BOOT_TIMEOUT: Duration = Duration::from_secs(600);
/// For short commands inside the box.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(180);
/// The emulator itself can trip the guest kernel while it patches its own code; this line is its mark.
const EMULATOR_CRASH: &str = "Oops: int3: 0000";

/// A data disk and where it is.
struct Disk {
    file: PathBuf,
    plugged: bool,
}

/// A machine that runs (or, after a power cut, is off). Dropping it ends it.
pub struct Machine {
    /// Port on the host's loopback that leads to the box's port 443.
    pub https_port: u16,
    folder: PathBuf,
    /// Kept so that the folder lives as long as the machine.
    _temporary: Option<tempfile::TempDir>,
    memory_mib: u32,
    disks: BTreeMap<String, Disk>,
    wants_agent: bool,
    tpm: bool,
    boots: u32,
    running: Option<Running>,
}

struct Running {
    child: Child,
    qmp: Qmp,
    agent: Option<Agent>,
    /// Ends after the machine.
    _tpm: Option<Tpm>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already gone is fine; there is nobody to tell otherwise.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Machine {
    /// Switches a machine that is off on and waits for its agent. A boot that the emulator itself has killed is repeated
    /// once; nothing else is.
    pub fn boot(&mut self) -> Result<()> {
        match self.boot_once() {
            Err(error) if self.emulator_crashed() => {
                eprintln!(
                    "boot {} died of the emulator's own int3 fault, booting again: {error:#}",
                    self.boots
                );
                self.running = None;
                self.boot_once()
            }
            other => other,
        }
    }

    fn boot_once(&mut self) -> Result<()> {
        self.boots += 1;
        let mut running = self.spawn()?;
        if let Some(agent) = &mut running.agent {
            let deadline = Instant::now() + BOOT_TIMEOUT;
            while !agent
                .ready(Duration::from_secs(5))
                .with_context(|| self.console_tail())?
            {
                if let Some(status) = running.child.try_wait()? {
                    bail!(
                        "the machine ended ({status}) while booting\n{}",
                        self.console_tail()
                    );
                }
                if self.emulator_crashed() || Instant::now() > deadline {
                    bail!(
                        "the box did not come up within {BOOT_TIMEOUT:?}\n{}",
                        self.console_tail()
                    );
                }
            }
        }
        self.running = Some(running);
        Ok(())
    }

    fn spawn(&self) -> Result<Running> {
        let (control, port) = (self.folder.join("qmp.sock"), self.folder.join("agent.sock"));
        for socket in [&control, &port] {
            match std::fs::remove_file(socket) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e.into()),
                _ => {}
            }
        }
        let tpm = match self.tpm {
            true => Some(Tpm::start(&self.folder)?),
            false => None,
        };
        let errors = self.folder.join("qemu.log");
        let mut child = Command::new("qemu-system-x86_64")
            .args(self.arguments(&control, &port))
            .stdin(Stdio::null())
            .stdout(File::create(&errors)?)
            .stderr(File::options().append(true).open(&errors)?)
            .spawn()
            .context("starting qemu-system-x86_64 (Debian package qemu-system-x86)")?;
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            // One after the other: QEMU gives the port to whoever connects first, even if he is gone when the guest speaks.
            if let Ok(qmp) = Qmp::connect(&control) {
                let agent = match self.wants_agent {
                    true => Some(Agent::new(UnixStream::connect(&port)?)?),
                    false => None,
                };
                return Ok(Running {
                    child,
                    qmp,
                    agent,
                    _tpm: tpm,
                });
            }
            if child.try_wait()?.is_some() || Instant::now() > deadline {
                let _ = child.kill();
                let _ = child.wait();
                bail!(
                    "QEMU did not start: {}",
                    std::fs::read_to_string(&errors)?.trim()
                );
            }
            sleep(Duration::from_millis(100));
        }
    }

    /// Runs a short command inside the box as root, whatever its exit code.
    pub fn agent(&mut self, command: &str) -> Result<Output> {
        self.agent_within(command, COMMAND_TIMEOUT)
    }

    /// Like [`Machine::agent`], with a time limit of its own.
    pub fn agent_within(&mut self, command: &str, timeout: Duration) -> Result<Output> {
        let agent = self
            .running()?
            .agent
            .as_mut()
            .context("this machine was started without an agent")?;
        let answer = agent.run(command, timeout);
        answer.with_context(|| self.console_tail())
    }

    /// Runs a command inside the box that must succeed and returns its output as text.
    pub fn shell(&mut self, command: &str) -> Result<String> {
        let output = self.agent(command)?;
        if output.code != 0 {
            bail!(
                "in the box, '{command}' ended with {}: {}",
                output.code,
                output.text()
            );
        }
        Ok(output.text())
    }

    /// Repeats a command inside the box until it succeeds; its last output is in the error if it never does.
    pub fn wait_for(&mut self, command: &str, timeout: Duration) -> Result<String> {
        let deadline = Instant::now() + timeout;
        loop {
            let output = self.agent(command)?;
            if output.code == 0 {
                return Ok(output.text());
            }
            if Instant::now() > deadline {
                bail!(
                    "in the box, '{command}' still ended with {} after {timeout:?}: {}",
                    output.code,
                    output.text()
                );
            }
            sleep(Duration::from_secs(1));
        }
    }

    /// Runs a QMP command.
    pub fn qmp(&mut self, command: &str, arguments: Value) -> Result<Value> {
        self.running()?.qmp.execute(command, arguments)
    }

    /// Pulls a data disk out of the running machine.
    pub fn unplug(&mut self, serial: &str) -> Result<()> {
        self.slot(serial, true)?;
        let qmp = &mut self.running()?.qmp;
        let id = format!("disk-{serial}");
        qmp.execute("device_del", json!({"id": id}))?;
        qmp.wait_event("DEVICE_DELETED", Duration::from_secs(120), |data| {
            data["device"] == id.as_str()
        })
        .with_context(|| format!("pulling disk {serial}"))?;
        qmp.execute(
            "blockdev-del",
            json!({"node-name": format!("node-{serial}")}),
        )?;
        self.mark(serial, false);
        Ok(())
    }

    /// Puts a data disk that was pulled back in.
    pub fn plug(&mut self, serial: &str) -> Result<()> {
        let slot = self.slot(serial, false)?;
        let node = blockdev(serial, &self.disks[serial].file);
        let qmp = &mut self.running()?.qmp;
        qmp.execute("blockdev-add", node)?;
        qmp.execute("device_add", device(serial, slot))?;
        self.mark(serial, true);
        Ok(())
    }

    /// Whether the machine is on.
    pub fn is_on(&mut self) -> Result<bool> {
        match &mut self.running {
            Some(running) => Ok(running.child.try_wait()?.is_none()),
            None => Ok(false),
        }
    }

    /// Takes the power away at once: nothing in the guest's memory survives.
    pub fn power_cut(&mut self) {
        self.running = None;
    }

    /// Takes the TPM out of a machine that is off.
    pub fn remove_tpm(&mut self) {
        self.tpm = false;
    }

    /// Puts another TPM, as it comes from its maker, into a machine that is off.
    pub fn replace_tpm(&mut self) -> Result<()> {
        self.tpm = true;
        Tpm::forget(&self.folder)
    }

    /// Lets the box shut down in order and boots it again.
    pub fn reboot(&mut self) -> Result<()> {
        self.shut_down("systemctl reboot")?;
        self.boot()
    }

    /// Lets the box switch itself off in order.
    pub fn power_off(&mut self) -> Result<()> {
        self.shut_down("systemctl poweroff")
    }

    fn shut_down(&mut self, command: &str) -> Result<()> {
        // The agent is among what is shut down, so its answer may not come.
        if let Ok(output) = self.agent(&format!("{command} --no-block"))
            && output.code != 0
        {
            bail!("in the box, '{command}' failed: {}", output.text());
        }
        let deadline = Instant::now() + BOOT_TIMEOUT;
        while self.is_on()? {
            if Instant::now() > deadline {
                bail!(
                    "the box did not shut down within {BOOT_TIMEOUT:?}\n{}",
                    self.console_tail()
                );
            }
            sleep(Duration::from_millis(200));
        }
        self.running = None;
        Ok(())
    }

    /// Everything the serial console showed since the last switching-on.
    pub fn serial_log(&self) -> String {
        std::fs::read(self.serial_path(self.boots))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Folder with the machine's disks and logs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn serial_path(&self, boot: u32) -> PathBuf {
        self.folder.join(format!("serial-{boot}.log"))
    }

    fn emulator_crashed(&self) -> bool {
        self.serial_log().contains(EMULATOR_CRASH)
    }

    fn console_tail(&self) -> String {
        let log = self.serial_log();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(40)..].join("\n");
        format!(
            "the last lines of the serial console of boot {}:\n{tail}",
            self.boots
        )
    }

    fn running(&mut self) -> Result<&mut Running> {
        self.running.as_mut().context("the machine is off")
    }

    fn slot(&self, serial: &str, plugged: bool) -> Result<usize> {
        let slot = self.disks.keys().position(|s| s == serial);
        match (slot, self.disks.get(serial)) {
            (Some(slot), Some(disk)) if disk.plugged == plugged => Ok(slot),
            (Some(_), _) => bail!(
                "disk {serial} is already {}",
                if plugged { "out" } else { "in" }
            ),
            _ => bail!("this machine has no disk {serial}"),
        }
    }

    fn mark(&mut self, serial: &str, plugged: bool) {
        if let Some(disk) = self.disks.get_mut(serial) {
            disk.plugged = plugged;
        }
    }
}
