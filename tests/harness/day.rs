//! One day in the life of a box, step by step, through its HTTP API: what the
//! appliance test asserts and what `make run` shows.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::client::Client;

/// Serial numbers of the four disks a demonstration box has.
pub const DISKS: [&str; 4] = ["COLCA-D1", "COLCA-D2", "COLCA-D3", "COLCA-D4"];

/// Long work under emulation on a busy machine; several times what a quiet one needs.
pub const PATIENCE: Duration = Duration::from_secs(1200);

/// Where a file server is, seen from the box.
pub struct FileServer<'a> {
    /// Address as the box reaches it.
    pub host: &'a str,
    /// Its port.
    pub port: u16,
    /// Account.
    pub user: &'a str,
    /// OpenSSH private key.
    pub private_key: &'a str,
    /// Folder to protect.
    pub path: &'a Path,
}

/// Where an S3 provider is, seen from the box.
pub struct Provider<'a> {
    /// `http://host:port`.
    pub endpoint: &'a str,
    /// Bucket.
    pub bucket: &'a str,
    /// Access key id.
    pub access_key: &'a str,
    /// Secret key.
    pub secret_key: &'a str,
}

/// The claim code as the console shows it: two groups of four, in capitals.
pub fn claim_code(console: &str) -> Option<String> {
    let code = |word: &&str| {
        let (left, right) = word.split_once('-').unwrap_or_default();
        let group = |text: &str| {
            text.len() == 4
                && text
                    .chars()
                    .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
        };
        group(left) && group(right)
    };
    console
        .split(|c: char| c.is_whitespace() || c == '\u{1b}')
        .rfind(code)
        .map(str::to_owned)
}

/// Waits until the console shows the claim code.
pub fn wait_claim_code(console: impl Fn() -> String) -> Result<String> {
    let start = Instant::now();
    loop {
        let text = console();
        if let Some(code) = claim_code(&text) {
            return Ok(code);
        }
        ensure!(
            start.elapsed() < PATIENCE,
            "the console never showed a claim code:\n{text}"
        );
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Makes the pool of three disks (2+1) and one spare; the recovery words.
pub fn create_pool(client: &Client) -> Result<Vec<String>> {
    let disks = client.get("disks")?;
    for serial in DISKS {
        let disk = disks
            .as_array()
            .and_then(|all| all.iter().find(|disk| disk["serial"] == serial));
        let disk =
            disk.with_context(|| format!("the box does not see disk {serial}: {disks:#}"))?;
        ensure!(
            disk["contents"]["kind"] == "blank",
            "disk {serial} is not blank: {disk:#}"
        );
    }
    let body =
        json!({ "redundancy": "2+1", "disks": &DISKS[..3], "spares": &DISKS[3..], "confirm": [] });
    let made = client.post("pool", &body)?;
    let words: Vec<String> = serde_json::from_value(made["recovery_words"].clone())?;
    ensure!(
        words.len() == 24,
        "{} recovery words instead of 24",
        words.len()
    );
    Ok(words)
}

/// Registers the file server, its host key pinned, under `name`.
pub fn add_source(client: &Client, name: &str, server: &FileServer) -> Result<Value> {
    let probe = client.post(
        "sources/host-key",
        &json!({ "host": server.host, "port": server.port }),
    )?;
    client.post(
        "sources",
        &json!({
            "name": name, "kind": "sftp", "host": server.host, "port": server.port, "user": server.user,
            "private_key": server.private_key, "path": server.path, "host_key": probe["host_key"],
        }),
    )
}

/// Backs up a source; the finished job.
pub fn back_up(client: &Client, name: &str, watch: impl FnMut(&Value)) -> Result<Value> {
    let id = client.begin(&format!("sources/{name}/run"), &json!({ "full": false }))?;
    let job = client.wait_job(&id, PATIENCE, watch)?;
    ensure!(
        job["state"] == "done",
        "the backup of {name} did not end well: {job:#}"
    );
    Ok(job)
}

/// Names the provider and replicates to it; the finished job.
pub fn replicate(client: &Client, provider: &Provider) -> Result<Value> {
    client.put(
        "provider",
        &json!({
            "endpoint": provider.endpoint, "region": "us-east-1", "bucket": provider.bucket, "prefix": "",
            "access_key": provider.access_key, "secret_key": provider.secret_key,
        }),
    )?;
    client.job("provider/replicate", &json!({}), &["done"], PATIENCE)
}

/// Restores a whole snapshot to a folder on its source; the finished job.
pub fn restore(client: &Client, snapshot: &str, source: &str, target: &Path) -> Result<Value> {
    let body = json!({ "path": "", "source": source, "target": target });
    client.job(
        &format!("snapshots/{snapshot}/restore"),
        &body,
        &["done", "warnings"],
        PATIENCE,
    )
}

/// The newest snapshot of a source.
pub fn newest(client: &Client, name: &str) -> Result<Value> {
    let all = client.get("snapshots")?;
    let newest = all
        .as_array()
        .and_then(|all| all.iter().rev().find(|snapshot| snapshot["name"] == name));
    newest
        .cloned()
        .with_context(|| format!("no snapshot of {name} in {all:#}"))
}
