//! What a person does in several of the tests.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::audit::{self, Audit};
use super::chrome::Chrome;
use super::daemon::{Daemon, Data};
use super::harness::peers::Sshd;

pub const USER: &str = "operador";
pub const PASSWORD: &str = "tres tristes tigres";

pub async fn claim(chrome: &Chrome, daemon: &Daemon) {
    chrome.open("/").await;
    chrome.arrives("/claim").await;
    chrome.fill("code", &daemon.code).await;
    chrome.fill("user", USER).await;
    chrome.fill("password", PASSWORD).await;
    chrome.fill("again", PASSWORD).await;
    chrome.click("main form button").await;
    chrome.arrives("/").await;
}

/// Chooses three disks for data and the fourth as spare, confirms the one
/// that holds data; 24 words come back.
pub async fn create_pool(chrome: &Chrome) -> Vec<String> {
    choose_disks(chrome).await;
    chrome.click("input[value='2+1']").await;
    chrome.fill("confirm.DEV2", "DEV2").await;
    chrome.click("main form button").await;
    chrome.arrives("/disks/words").await;
    let mut words = Vec::new();
    for n in 1..=24 {
        words.push(chrome.text(&format!(".words li:nth-child({n})")).await);
    }
    words
}

pub async fn choose_disks(chrome: &Chrome) {
    chrome.open("/disks").await;
    let disks = chrome.lists().await;
    assert_eq!(disks, ["disk.DEV1", "disk.DEV2", "disk.DEV3", "disk.DEV4"]);
    for (i, disk) in disks.iter().enumerate() {
        let role = if i < 3 { "data" } else { "spare" };
        chrome.choose(disk, role).await;
    }
    chrome.click("main form button").await;
    chrome.arrives("/disks/pool").await;
}

pub async fn add_local(chrome: &Chrome, name: &str, data: &Data) {
    chrome.open("/add-source/local").await;
    chrome.fill("name", name).await;
    chrome.fill("path", data.path().to_str().unwrap()).await;
    chrome.click("main form button").await;
    chrome.arrives(&format!("/sources/{name}")).await;
}

/// What a job's page shows of `css` until the job has ended; each value once.
/// Its picture is kept under `name`, if there is one.
pub async fn watch(chrome: &Chrome, css: &str, name: &str) -> BTreeSet<String> {
    let start = Instant::now();
    let mut seen = BTreeSet::new();
    // The result replaces the progress when the job has ended.
    while chrome.count("#facts").await == 0 {
        assert!(
            start.elapsed() < Duration::from_secs(240),
            "the job never ended"
        );
        if let Some(text) = chrome.try_text(css).await.filter(|t| !t.is_empty()) {
            seen.insert(text);
            if seen.len() <= 2 && !name.is_empty() {
                audit::picture(chrome, name).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    seen
}

/// A server's key is compared before anything is sent to it.
pub async fn add_sftp(chrome: &Chrome, audit: &mut Audit) -> (Sshd, tempfile::TempDir, Data) {
    let keys = tempfile::tempdir().unwrap();
    let (server, folder) = (Sshd::start(keys.path()).unwrap(), Data::new(0));
    let known = std::process::Command::new("ssh-keygen")
        .arg("-lf")
        .arg(keys.path().join("host_key.pub"))
        .output()
        .unwrap();
    let known = String::from_utf8(known.stdout).unwrap();
    let fingerprint = known.split(' ').nth(1).unwrap().to_owned();

    chrome.open("/add-source/sftp").await;
    audit.look(chrome, "20-add-sftp").await;
    chrome.fill("name", "servidor-sftp").await;
    chrome.fill("host", "127.0.0.1").await;
    chrome.fill("port", &server.port.to_string()).await;
    chrome.fill("user", &server.user).await;
    chrome.fill("path", folder.path().to_str().unwrap()).await;
    chrome.click("main form button").await;
    chrome.says(&fingerprint).await;
    audit.look(chrome, "21-add-sftp-key").await;
    chrome.click("input[name='trusted']").await;
    chrome.fill("password", "no es la contraseña").await;
    chrome.click("main form button").await;
    chrome.says("Detalle técnico").await;
    audit.look_at_refused(chrome, "22-add-sftp-refused").await;
    chrome.fill("private_key", &server.private_key).await;
    chrome.click("main form button").await;
    chrome.arrives("/sources/servidor-sftp").await;
    (server, keys, folder)
}

/// Every file of the folder is in the archive, byte for byte.
pub fn compare_tar(tar: &[u8], folder: &std::path::Path) {
    let mut found = BTreeSet::new();
    for entry in tar::Archive::new(tar).entries().unwrap() {
        let mut entry = entry.unwrap();
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path().unwrap().into_owned();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
        let original = [folder, folder.parent().unwrap()]
            .into_iter()
            .find_map(|base| std::fs::read(base.join(&path)).ok());
        assert_eq!(Some(bytes), original, "{}", path.display());
        found.insert(path);
    }
    assert_eq!(found.len(), 4, "{found:?}");
}
