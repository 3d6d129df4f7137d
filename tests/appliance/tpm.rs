//! A box with a TPM: it opens its pool by itself, and no key lies on its
//! disks. With another TPM it does not, and a person's words do.

use std::time::Duration;

use serde_json::{Value, json};

use crate::boot;
use crate::harness::client::Client;
use crate::harness::day;
use crate::harness::qemu::Machine;

/// Several times what a boot takes on a quiet machine.
const BOOT: Duration = Duration::from_secs(900);
const USER: &str = "operador";
const PASSWORD: &str = "Quipu-2026-almacén";
const PASSPHRASE: &str = "cuatro palabras y otra";
const DISK: &str = "COLCA-D1";

#[test]
fn a_box_opens_its_pool_with_its_own_tpm_and_with_no_other() {
    let mut machine = Machine::builder(&boot::image())
        .disk(DISK, 1 << 30)
        .tpm()
        .start()
        .unwrap();
    let mut client = Client::new(machine.https_port);
    client.wait_up(BOOT).unwrap();
    let code = day::wait_claim_code(|| machine.serial_log()).unwrap();
    client.claim(&code, USER, PASSWORD).unwrap();
    let new = json!({ "redundancy": "1+0", "disks": [DISK], "spares": [], "confirm": [] });
    let made = client.post("pool", &new).unwrap();
    let words: Vec<String> = serde_json::from_value(made["recovery_words"].clone()).unwrap();
    let source = json!({ "name": "zonas", "kind": "local", "path": "/usr/share/zoneinfo" });
    client.post("sources", &source).unwrap();
    day::back_up(&client, "zonas", |_| {}).unwrap();
    let snapshot = day::newest(&client, "zonas").unwrap();

    // So far the key lies on the system disk as it is.
    assert_eq!(ways(&client), ("plain".into(), vec!["recovery".into()]));
    let key = machine
        .shell("od -An -v -tx1 /var/lib/colca/pool/*.key | tr -d ' \\n'")
        .unwrap();
    assert_eq!(key.len(), 64, "{key}");
    assert_ne!(files_with(&mut machine, &key), "");

    client
        .post("keys/tpm", &json!({ "label": "caja" }))
        .unwrap();
    client
        .post("keys/passphrases", &json!({ "passphrase": PASSPHRASE }))
        .unwrap();
    let sealed = ("tpm".into(), kinds(&["recovery", "outside", "passphrase"]));
    assert_eq!(ways(&client), sealed);
    assert_eq!(
        files_with(&mut machine, &key),
        "",
        "the key still lies there"
    );
    let helper = boot::exposure(&mut machine, &Value::Null, "colca-tpm-helper@x.service");
    assert!(helper < 2.5, "the TPM helper is exposed at {helper}");
    // Only root has the TPM; the daemon must ask.
    let direct = machine
        .agent("setpriv --reuid colca --regid colca --clear-groups cat /dev/tpmrm0 /dev/tpm0")
        .unwrap();
    assert_ne!(direct.code, 0);

    // Nobody is there when it starts again.
    machine.reboot().unwrap();
    client.wait_ready(BOOT).unwrap();
    client.login(USER, PASSWORD).unwrap();
    assert_eq!(ways(&client), sealed);
    assert_eq!(day::newest(&client, "zonas").unwrap(), snapshot);

    // Disks and all in another machine.
    machine.power_off().unwrap();
    machine.replace_tpm().unwrap();
    machine.boot().unwrap();
    client.wait_up(BOOT).unwrap();
    client.login(USER, PASSWORD).unwrap();
    let problem = wait_problem(&client);
    for said in ["TPM", "nothing is lost", "recovery words"] {
        assert!(problem.contains(said), "{said:?} is not in {problem:?}");
    }
    client.get("snapshots").unwrap_err();
    let open = |body: Value| client.post("pool/open", &body);
    let wrong = open(json!({ "passphrase": "otras palabras que no son" })).unwrap_err();
    assert!(wrong.to_string().contains("passphrase"), "{wrong}");
    open(json!({ "passphrase": PASSPHRASE })).unwrap();
    assert_eq!(day::newest(&client, "zonas").unwrap(), snapshot);
    assert_eq!(files_with(&mut machine, &key), "", "opening wrote the key");

    // It stays closed at the next start; the words open it as well.
    restart(&mut machine, &mut client);
    wait_problem(&client);
    client
        .post("pool/open", &json!({ "recovery_words": words.join(" ") }))
        .unwrap();
    // The new TPM takes the old one's place.
    client.post("keys/tpm", &json!({})).unwrap();
    let sealed = ("tpm".into(), kinds(&["recovery", "passphrase", "outside"]));
    assert_eq!(ways(&client), sealed);
    restart(&mut machine, &mut client);
    client.wait_ready(BOOT).unwrap();
    assert_eq!(day::newest(&client, "zonas").unwrap(), snapshot);

    // The key changes while the daemon runs; the TPM opens the new one.
    let changed = client.post("keys/change", &json!({})).unwrap();
    assert_ne!(changed["recovery_words"], json!(words));
    assert_eq!(
        ways(&client),
        ("tpm".into(), kinds(&["recovery", "outside"]))
    );
    restart(&mut machine, &mut client);
    client.wait_ready(BOOT).unwrap();
    assert_eq!(day::newest(&client, "zonas").unwrap(), snapshot);
    day::back_up(&client, "zonas", |_| {}).unwrap();

    // Without the slot all is as it was at first.
    let slots = client.get("keys").unwrap()["slots"].clone();
    client
        .delete(&format!("keys/{}", slots[1]["number"]))
        .unwrap();
    assert_eq!(ways(&client), ("plain".into(), kinds(&["recovery"])));
    restart(&mut machine, &mut client);
    client.wait_ready(BOOT).unwrap();
}

/// What opens the pool at start, and the kinds of its slots.
fn ways(client: &Client) -> (String, Vec<String>) {
    let keys = client.get("keys").unwrap();
    let slots = keys["slots"].as_array().unwrap();
    let kinds = slots
        .iter()
        .map(|slot| slot["kind"].as_str().unwrap().to_owned());
    (keys["home"].as_str().unwrap().to_owned(), kinds.collect())
}

fn kinds(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The files of the state partition in which these bytes lie, given in hexadecimal.
fn files_with(machine: &mut Machine, key: &str) -> String {
    let pattern: String = (0..key.len())
        .step_by(2)
        .map(|at| format!("\\x{}", &key[at..at + 2]))
        .collect();
    machine
        .shell(&format!(
            "LC_ALL=C grep -rlaP '{pattern}' /var/lib/colca /var/log /var/tmp /run/colca; test $? -le 1"
        ))
        .unwrap()
}

/// Waits until the daemon has tried to open the pool; why it could not.
fn wait_problem(client: &Client) -> String {
    let start = std::time::Instant::now();
    loop {
        let pool = client.get("pool").unwrap();
        assert_ne!(pool["state"], "ok", "{pool:#}");
        let problem = pool["problem"].as_str().unwrap_or_default();
        if problem.contains("TPM") {
            return problem.to_owned();
        }
        assert!(start.elapsed() < BOOT, "{pool:#}");
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Only the daemon starts again, not the box.
fn restart(machine: &mut Machine, client: &mut Client) {
    machine.shell("systemctl restart colca.service").unwrap();
    client.wait_up(BOOT).unwrap();
    client.login(USER, PASSWORD).unwrap();
}
