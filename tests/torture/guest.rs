//! The guest: kernel and modules of the image's own Debian tree, a handful of
//! its programs and the `colca` under test in an initial RAM disk. It boots in
//! seconds, so that the power can be cut a hundred times in half an hour.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::harness::agent::{self, Agent};

/// Programs taken from the tree, with the libraries they need.
const PROGRAMS: &[&str] = &[
    "bash",
    "base64",
    "cat",
    "cut",
    "dmsetup",
    "e2fsck",
    "find",
    "flock",
    "head",
    "ln",
    "ls",
    "mkdir",
    "mkfs.ext4",
    "mktemp",
    "sync",
    "modprobe",
    "mount",
    "mv",
    "rm",
    "seq",
    "setsid",
    "sha256sum",
    "sleep",
    "sort",
    "umount",
];
const MODULES: [&str; 6] = [
    "virtio_pci",
    "virtio_blk",
    "virtio_console",
    "ext4",
    "dm_mod",
    "dm_flakey",
];
/// Several times what a boot takes with both cores busy.
const BOOT: Duration = Duration::from_secs(180);

/// Kernel and initial RAM disk, made once a test.
pub struct Kit {
    kernel: PathBuf,
    initrd: PathBuf,
}

impl Kit {
    /// Puts the RAM disk together below `folder`.
    pub fn make(folder: &Path) -> Result<Self> {
        let tree = root_tree()?;
        let top = folder.join("initrd");
        for name in [
            "dev", "proc", "sys", "tmp", "usr/bin", "usr/sbin", "usr/lib",
        ] {
            fs::create_dir_all(top.join(name))?;
        }
        // As in the tree: /bin and its like are links into /usr.
        for name in ["bin", "sbin", "lib", "lib64"] {
            std::os::unix::fs::symlink(format!("usr/{name}"), top.join(name))?;
        }
        fs::create_dir_all(top.join("usr/lib64"))?;
        let mut files = BTreeSet::new();
        for program in PROGRAMS.iter().copied() {
            let path = ["usr/bin", "usr/sbin"].map(|f| Path::new("/").join(f).join(program));
            let path = path.iter().find(|path| within(&tree, path).exists());
            let path = path.with_context(|| format!("the image's tree has no {program}"))?;
            files.extend(libraries(&tree, path)?);
            files.insert(path.clone());
        }
        let program = PathBuf::from(env!("CARGO_BIN_EXE_colca"));
        let stripped = top.join("usr/bin/colca");
        run(Command::new("strip").arg("-o").args([&stripped, &program]))?;
        fs::copy(&stripped, within(&tree, Path::new("/tmp/colca")))?;
        files.extend(libraries(&tree, Path::new("/tmp/colca"))?);
        fs::remove_file(within(&tree, Path::new("/tmp/colca")))?;
        files.insert("/etc/mke2fs.conf".into());
        let version = kernel_version(&tree)?;
        for module in MODULES {
            files.extend(module_files(&tree, &version, module)?);
        }
        for list in [
            "modules.dep",
            "modules.dep.bin",
            "modules.alias.bin",
            "modules.builtin.bin",
            "modules.symbols.bin",
            "modules.softdep",
            "modules.order",
        ] {
            files.insert(format!("/usr/lib/modules/{version}/{list}").into());
        }
        for file in &files {
            let to = within(&top, file);
            fs::create_dir_all(to.parent().context("a file lies in a folder")?)?;
            // Links are followed: what counts is the name it is asked by.
            fs::copy(within(&tree, file), &to)
                .with_context(|| format!("copying {}", file.display()))?;
        }
        fs::write(top.join("agent.sh"), agent::SCRIPT)?;
        let init = top.join("init");
        fs::write(&init, include_str!("init"))?;
        run(Command::new("chmod").arg("755").arg(&init))?;

        let initrd = folder.join("initrd.cpio");
        let pack = "cd \"$1\" && find . | cpio --quiet --create --format=newc > \"$2\"";
        run(Command::new("sh")
            .args(["-c", pack, "sh"])
            .args([&top, &initrd]))?;
        Ok(Self {
            kernel: tree.join("boot/vmlinuz"),
            initrd,
        })
    }
}

/// The Debian tree the image is made of.
fn root_tree() -> Result<PathBuf> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let made = Command::new(top.join("image/tree"))
        .arg("root")
        .arg(top.join("out/cache"))
        .stderr(Stdio::inherit())
        .output()
        .context("running image/tree")?;
    ensure!(made.status.success(), "image/tree failed");
    Ok(PathBuf::from(String::from_utf8(made.stdout)?.trim()))
}

fn kernel_version(tree: &Path) -> Result<String> {
    let mut versions = fs::read_dir(tree.join("usr/lib/modules"))?;
    let first = versions.next().context("the tree has no kernel")??;
    Ok(first.file_name().to_string_lossy().into_owned())
}

/// `path`, absolute within `tree`.
fn within(tree: &Path, path: &Path) -> PathBuf {
    tree.join(path.strip_prefix("/").unwrap_or(path))
}

fn in_tree(tree: &Path, command: &[&str]) -> Result<String> {
    let output = Command::new("chroot").arg(tree).args(command).output()?;
    ensure!(
        output.status.success(),
        "in the tree, {command:?} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// The libraries a program asks for, the loader among them.
fn libraries(tree: &Path, program: &Path) -> Result<Vec<PathBuf>> {
    let program = program.to_str().context("a plain name")?;
    Ok(in_tree(tree, &["ldd", program])?
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(|word| match word.strip_prefix("/lib") {
            Some(rest) => PathBuf::from(format!("/usr/lib{rest}")),
            None => PathBuf::from(word),
        })
        .collect())
}

fn module_files(tree: &Path, version: &str, module: &str) -> Result<Vec<PathBuf>> {
    let command = [
        "modprobe",
        "--set-version",
        version,
        "--show-depends",
        module,
    ];
    Ok(in_tree(tree, &command)?
        .lines()
        .filter_map(|line| line.strip_prefix("insmod "))
        .map(|line| {
            let path = line.trim().trim_start_matches("/usr");
            PathBuf::from(format!("/usr{path}"))
        })
        .collect())
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}

/// A disk of the guest: a file, and errors that QEMU answers with.
pub struct Disk {
    file: PathBuf,
    /// Sectors (of 512 bytes) whose reading fails.
    pub bad_sectors: Vec<u64>,
}

/// A guest that is on. Dropping it cuts the power.
pub struct Guest {
    child: Child,
    agent: Agent,
    log: PathBuf,
}

impl Drop for Guest {
    fn drop(&mut self) {
        // SIGKILL: nothing in the guest's memory survives.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Disk {
    /// A blank disk of `mib` MiB.
    pub fn blank(folder: &Path, name: &str, mib: u64) -> Result<Self> {
        let file = folder.join(format!("{name}.raw"));
        File::create(&file)?.set_len(mib << 20)?;
        Ok(Self {
            file,
            bad_sectors: Vec::new(),
        })
    }

    fn node(&self, n: usize) -> Value {
        let file = json!({"driver": "file", "filename": self.file});
        if self.bad_sectors.is_empty() {
            return json!({"driver": "raw", "node-name": format!("disk{n}"), "file": file});
        }
        let errors: Vec<Value> = (self.bad_sectors.iter())
            .map(|sector| json!({"event": "read_aio", "iotype": "read", "sector": sector, "errno": 5}))
            .collect();
        json!({"driver": "raw", "node-name": format!("disk{n}"),
            "file": {"driver": "blkdebug", "image": file, "inject-error": errors}})
    }
}

impl Guest {
    /// Boots with `disks` as `/dev/vda` and so on.
    pub fn boot(kit: &Kit, folder: &Path, disks: &[Disk]) -> Result<Self> {
        let port = folder.join("agent.sock");
        let _ = fs::remove_file(&port);
        let log = folder.join("console.log");
        let mut line = Command::new("qemu-system-x86_64");
        line.args([
            "-machine",
            "q35",
            "-accel",
            "tcg,thread=multi",
            "-cpu",
            "max",
            "-smp",
            "2",
            "-m",
            "768",
        ])
        .args([
            "-nodefaults",
            "-display",
            "none",
            "-no-reboot",
            "-nic",
            "none",
        ])
        .args(["-append", "console=ttyS0 quiet panic=-1 rdinit=/init"])
        .args(["-device", "virtio-serial-pci", "-device"])
        .arg(format!("virtserialport,chardev=agent,name={}", agent::PORT))
        .args([
            "-chardev",
            &format!("socket,id=agent,path={},server=on,wait=off", port.display()),
        ])
        .args(["-serial", &format!("file:{}", log.display())])
        .arg("-kernel")
        .arg(&kit.kernel)
        .arg("-initrd")
        .arg(&kit.initrd);
        for (n, disk) in disks.iter().enumerate() {
            line.args(["-blockdev", &disk.node(n).to_string(), "-device"])
                .arg(format!("virtio-blk-pci,drive=disk{n},serial=T{n}"));
        }
        let errors = File::create(folder.join("qemu.log"))?;
        let mut child = line
            .stdin(Stdio::null())
            .stdout(errors.try_clone()?)
            .stderr(errors)
            .spawn()
            .context("starting qemu-system-x86_64")?;
        let deadline = Instant::now() + BOOT;
        let socket = loop {
            match UnixStream::connect(&port) {
                Ok(socket) => break socket,
                Err(_) if child.try_wait()?.is_none() && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(e) => {
                    let _ = child.kill();
                    let _ = child.wait();
                    let said = fs::read_to_string(folder.join("qemu.log"))?;
                    bail!("QEMU did not start: {e}; {said}");
                }
            }
        };
        let mut guest = Self {
            child,
            agent: Agent::new(socket)?,
            log,
        };
        while !guest.agent.ready(Duration::from_millis(500))? {
            if Instant::now() > deadline || guest.child.try_wait()?.is_some() {
                bail!("the guest did not come up\n{}", guest.console());
            }
        }
        Ok(guest)
    }

    /// Cuts the power; what the console had shown by then.
    pub fn cut(mut self) -> String {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let log = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Runs a command, whatever its exit code.
    pub fn try_run(&mut self, command: &str) -> Result<agent::Output> {
        let answer = self.agent.run(command, Duration::from_secs(300));
        answer.with_context(|| self.console())
    }

    /// Runs a command that must succeed; its output.
    pub fn run(&mut self, command: &str) -> Result<String> {
        let output = self.try_run(command)?;
        ensure!(
            output.code == 0,
            "'{command}' ended with {}: {}",
            output.code,
            output.text()
        );
        Ok(output.text())
    }

    fn console(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&log).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}
