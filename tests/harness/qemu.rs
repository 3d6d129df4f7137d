//! A virtual machine around the box's image, by software emulation only, so
//! that it runs the same everywhere. It owns copies of the image and of the
//! firmware's variables and one file per data disk, all of which outlive a
//! power cut and a reboot as real ones would. Every data disk sits in its own
//! hot-plug slot. The guest reaches the host's loopback servers at 10.0.2.2.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::agent::{self, Agent, Output};
use super::qmp::Qmp;
use super::tpm::{self, Tpm};

/// Where the guest finds servers that listen on the host's loopback.
pub const HOST_ADDRESS: &str = "10.0.2.2";
/// A boot takes about 60 s on a quiet machine with two cores; more than five times that is a fault.
const BOOT_TIMEOUT: Duration = Duration::from_secs(600);
/// For short commands inside the box.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(180);
/// The emulator itself can trip the guest kernel while it patches its own code; this line is its mark.
const EMULATOR_CRASH: &str = "Oops: int3: 0000";
const FIRMWARE_CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
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

    fn arguments(&self, control: &Path, port: &Path) -> Vec<String> {
        let folder = self.folder.display();
        let mut line: Vec<String> = [
            // Emulated on purpose: the same everywhere. -no-reboot turns every reset into an end that is noticed.
            "-machine q35 -accel tcg,thread=multi -cpu max -smp 2 -nodefaults -display none -no-reboot",
            "-device virtio-rng-pci -device virtio-serial-pci",
            &format!("-device virtserialport,chardev=agent,name={}", agent::PORT),
            // A starved emulator is not a hung box.
            "-action watchdog=none",
            // Without romfile= a disk that does not boot costs minutes of network boot.
            "-device virtio-net-pci,netdev=net,romfile=",
            "-device virtio-blk-pci,drive=system,bootindex=0,serial=COLCA-SYSTEM",
        ]
        .join(" ")
        .split(' ')
        .map(str::to_owned)
        .collect();
        let mut add = |name: &str, value: String| line.extend([name.to_owned(), value]);
        add("-m", self.memory_mib.to_string());
        add(
            "-drive",
            format!("if=pflash,format=raw,readonly=on,file={FIRMWARE_CODE}"),
        );
        add(
            "-drive",
            format!("if=pflash,format=raw,file={folder}/firmware.fd"),
        );
        add(
            "-drive",
            format!("if=none,id=system,format=raw,discard=unmap,file={folder}/system.raw"),
        );
        add(
            "-netdev",
            format!("user,id=net,hostfwd=tcp:127.0.0.1:{}-:443", self.https_port),
        );
        add(
            "-qmp",
            format!("unix:{},server=on,wait=off", control.display()),
        );
        add(
            "-chardev",
            format!("socket,id=agent,path={},server=on,wait=off", port.display()),
        );
        add(
            "-serial",
            format!("file:{}", self.serial_path(self.boots).display()),
        );
        if self.wants_agent {
            for string in agent::smbios_strings() {
                // A comma would end the value; base64 and unit names have none.
                add("-smbios", format!("type=11,value={string}"));
            }
        }
        if self.tpm {
            let socket = tpm::socket(&self.folder);
            add(
                "-chardev",
                format!("socket,id=tpm,path={}", socket.display()),
            );
            add("-tpmdev", "emulator,id=tpm,chardev=tpm".to_owned());
            add("-device", "tpm-crb,tpmdev=tpm".to_owned());
        }
        for slot in 0..SLOTS {
            add(
                "-device",
                format!(
                    "pcie-root-port,id=slot{slot},chassis={},slot={}",
                    slot + 1,
                    slot + 1
                ),
            );
        }
        for (slot, (serial, disk)) in self
            .disks
            .iter()
            .enumerate()
            .filter(|(_, (_, disk))| disk.plugged)
        {
            add("-blockdev", blockdev(serial, &disk.file).to_string());
            add("-device", device(serial, slot).to_string());
        }
        line
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

/// Hot-plug slots of every machine; more disks than this need more.
const SLOTS: usize = 8;

fn blockdev(serial: &str, file: &Path) -> Value {
    json!({
        "driver": "raw", "node-name": format!("node-{serial}"),
        "file": {"driver": "file", "filename": file, "discard": "unmap"},
    })
}

fn device(serial: &str, slot: usize) -> Value {
    json!({
        "driver": "virtio-blk-pci", "id": format!("disk-{serial}"), "bus": format!("slot{slot}"),
        "drive": format!("node-{serial}"), "serial": serial,
    })
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
