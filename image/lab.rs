//! `make run`: the box in QEMU beside a lab of peers, living a day of its life.
//!
//! Starts a file server (OpenSSH), an S3 provider (Ceph) and a mail sink on
//! loopback, boots the image with four blank disks, and walks through claim,
//! pool, source, backup, replication and a test restore. Then the panel stays
//! open until Ctrl-C, which ends everything that was started.

#[path = "../tests/harness/mod.rs"]
mod harness;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use harness::client::Client;
use harness::day;
use harness::facts::{self, Fidelity};
use harness::peers::{Ceph, SmtpSink, Sshd};
use harness::qemu::{HOST_ADDRESS, Machine};
use serde_json::Value;

const USER: &str = "operador";
const SOURCE: &str = "documentos";
/// What stands on the lab's file server: a part of the kernel's source that an emulated box backs up in a minute or two.
const PARTS: [&str; 2] = ["kernel", "fs/xfs"];
const BOOT: Duration = Duration::from_secs(900);

fn main() -> Result<()> {
    let fresh = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--fresh") => true,
        Some(other) => anyhow::bail!("unknown argument {other}; only --fresh is known"),
    };
    let runtime = tokio::runtime::Runtime::new()?;
    // The day runs on a thread of its own; Ctrl-C returns from here, and what
    // the day had started ends with this process's folder and children.
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let day = std::thread::spawn(move || live(fresh, &stopped));
    runtime.block_on(async {
        loop {
            tokio::select! {
                interrupt = tokio::signal::ctrl_c() => { interrupt?; break }
                () = tokio::time::sleep(Duration::from_millis(200)) => if day.is_finished() { break },
            }
        }
        anyhow::Ok(())
    })?;
    drop(stop);
    match day.join() {
        Ok(result) => result,
        Err(_) => anyhow::bail!("the day ended by a programming error, see above"),
    }
}

/// Prints what is done with the seconds it takes.
struct Diary {
    start: Instant,
}

impl Diary {
    fn note(&self, text: &str) {
        println!("[{:>4}s] {text}", self.start.elapsed().as_secs());
    }
}

type Stopped = std::sync::mpsc::Receiver<()>;

fn live(fresh: bool, stopped: &Stopped) -> Result<()> {
    let diary = Diary {
        start: Instant::now(),
    };
    let image =
        PathBuf::from(std::env::var_os("COLCA_IMAGE").unwrap_or_else(|| "out/colca.raw".into()));
    ensure!(
        image.exists(),
        "{} is not there; build it with \"make image\"",
        image.display()
    );
    let work = tempfile::Builder::new().prefix("colca-lab-").tempdir()?;

    diary.note("unpacking files for the file server");
    let files = harness::tree::unpack_kernel(work.path(), &PARTS)?;
    diary.note("starting the peers: OpenSSH file server, Ceph S3 provider, mail sink");
    let sshd = Sshd::start(&folder(work.path(), "sshd")?)?;
    let ceph = Ceph::start(&folder(work.path(), "ceph")?)?;
    let mail = SmtpSink::start(&work.path().join("mail"))?;

    diary.note("booting the box with four blank disks (about a minute under emulation)");
    let mut builder = Machine::builder(&image).without_agent();
    for serial in day::DISKS {
        builder = builder.disk(serial, 8 << 30);
    }
    let machine = builder.start()?;
    let mut client = Client::new(machine.https_port);
    client.wait_up(BOOT)?;
    let code = day::wait_claim_code(|| machine.serial_log())?;
    let address = format!("https://127.0.0.1:{}/", machine.https_port);
    diary.note(&format!(
        "the box is up; its console shows the claim code {code}"
    ));

    let mut password = None;
    if !fresh {
        let chosen = password_of(12)?;
        let peers = Peers {
            sshd: &sshd,
            ceph: &ceph,
            files: &files,
            work: work.path(),
        };
        one_day(&diary, &mut client, &code, &chosen, &peers)?;
        password = Some(chosen);
    }

    println!();
    println!(
        "  Panel        {address}   (the browser will warn: the certificate is the box's own)"
    );
    match &password {
        Some(password) => println!("  User         {USER}\n  Password     {password}"),
        None => println!("  Claim code   {code}"),
    }
    println!();
    println!(
        "  File server  {HOST_ADDRESS}:{} as seen from the box, user {}, folder {}",
        sshd.port,
        sshd.user,
        files.display()
    );
    println!(
        "               private key in {}",
        sshd.private_key_file.display()
    );
    println!(
        "  S3 provider  http://{HOST_ADDRESS}:{}, access key {}, secret key {}",
        ceph.port, ceph.access_key, ceph.secret_key
    );
    println!(
        "  Mail sink    {HOST_ADDRESS}:{}, mails in {}",
        mail.address.port(),
        mail.folder.display()
    );
    println!("\nCtrl-C ends everything.");
    // Nothing is ever sent: the wait ends when main lets go of the sender.
    let _ = stopped.recv();
    println!("\nEnding the box and its peers.");
    Ok(())
}

struct Peers<'a> {
    sshd: &'a Sshd,
    ceph: &'a Ceph,
    files: &'a Path,
    work: &'a Path,
}

fn one_day(
    diary: &Diary,
    client: &mut Client,
    code: &str,
    password: &str,
    peers: &Peers,
) -> Result<()> {
    client.claim(code, USER, password)?;
    diary.note("claimed");
    let words = day::create_pool(client)?;
    diary.note("pool made: 2+1 on three disks, one spare; recovery key, shown once:");
    for line in words.chunks(8) {
        println!("        {}", line.join(" "));
    }
    let server = day::FileServer {
        host: HOST_ADDRESS,
        port: peers.sshd.port,
        user: &peers.sshd.user,
        private_key: &peers.sshd.private_key,
        path: peers.files,
    };
    let source = day::add_source(client, SOURCE, &server)?;
    diary.note(&format!(
        "source {SOURCE} registered: {}",
        source["origin"].as_str().unwrap_or_default()
    ));
    let mut last = Instant::now();
    let job = day::back_up(client, SOURCE, |job| {
        if last.elapsed() > Duration::from_secs(5) {
            last = Instant::now();
            diary.note(&format!("  backing up: {}", figures(job)));
        }
    })?;
    diary.note(&format!("backed up: {}", figures(&job)));
    let provider = day::Provider {
        endpoint: &format!("http://{HOST_ADDRESS}:{}", peers.ceph.port),
        bucket: "colca",
        access_key: &peers.ceph.access_key,
        secret_key: &peers.ceph.secret_key,
    };
    let job = day::replicate(client, &provider)?;
    diary.note(&format!(
        "replicated: {} objects copied to the provider",
        job["result"]["copied"]
    ));
    let snapshot = day::newest(client, SOURCE)?;
    let target = peers.work.join("restored");
    day::restore(
        client,
        snapshot["id"].as_str().context("a snapshot without id")?,
        SOURCE,
        &target,
    )?;
    let (expected, found) = (
        facts::read(peers.files, Fidelity::SFTP)?,
        facts::read(&target, Fidelity::SFTP)?,
    );
    facts::same(&expected, &found).context("the restored files are not the original ones")?;
    diary.note(&format!(
        "test restore: {} entries compared, all the same",
        expected.len()
    ));
    Ok(())
}

fn figures(job: &Value) -> String {
    let progress = &job["progress"];
    let mib = |figure: &str| progress[figure].as_f64().unwrap_or_default() / f64::from(1 << 20);
    format!(
        "{} entries, {:.1} MiB read, {:.1} MiB new, {:.1} MiB stored",
        progress["files"],
        mib("bytes"),
        mib("new_bytes"),
        mib("stored_bytes")
    )
}

fn folder(parent: &Path, name: &str) -> Result<PathBuf> {
    let path = parent.join(name);
    std::fs::create_dir(&path).with_context(|| path.display().to_string())?;
    Ok(path)
}

/// A password a person can copy by hand.
fn password_of(length: usize) -> Result<String> {
    const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";
    let mut bytes = vec![0; length];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| anyhow::anyhow!("no random bytes"))?;
    Ok(bytes
        .iter()
        .map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]))
        .collect())
}
