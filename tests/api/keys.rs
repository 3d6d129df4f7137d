//! What opens the pool, looked at and changed while the daemon runs.

use serde_json::{Value, json};
use ureq::http::Method;

use crate::lab::Lab;

const PHRASE: &str = "cuatro palabras y otra";

fn kinds(lab: &Lab) -> Vec<String> {
    let keys = lab.get("/keys").json(200);
    assert_eq!(keys["home"], "plain", "{keys}");
    let slots = keys["slots"].as_array().unwrap();
    slots
        .iter()
        .map(|slot| slot["kind"].as_str().unwrap().to_owned())
        .collect()
}

fn words(made: &Value) -> String {
    let words: Vec<String> = serde_json::from_value(made["recovery_words"].clone()).unwrap();
    assert_eq!(words.len(), 24);
    words.join(" ")
}

fn key_file(lab: &Lab) -> std::path::PathBuf {
    let id = lab.get("/pool").json(200)["id"].clone();
    let file = format!("state/pool/{}.key", id.as_str().unwrap());
    lab.folder.path().join(file)
}

/// Starts the daemon anew without the keys it had, until it says that it lacks them.
fn without_keys(lab: &mut Lab) {
    let file = key_file(lab);
    lab.stop();
    std::fs::remove_file(&file).unwrap();
    lab.restart();
    lab.log_in();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let pool = lab.get("/pool").json(200);
        assert_ne!(pool["state"], "ok");
        if pool["problem"]
            .as_str()
            .unwrap_or_default()
            .contains("recovery words")
        {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "{pool}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn a_passphrase_opens_a_box_that_lost_its_key_until_it_is_removed() {
    let mut lab = Lab::start().claimed().with_pool();
    assert_eq!(kinds(&lab), ["recovery"]);
    let add = |lab: &Lab, text: &str| {
        lab.post(
            "/keys/passphrases",
            json!({"passphrase": text, "label": "oficial"}),
        )
    };
    let why = add(&lab, "corta").problem(400, "refused");
    assert!(
        why.contains("at least 12") && !why.contains("corta"),
        "{why}"
    );
    assert_eq!(add(&lab, PHRASE).json(201)["number"], 2);
    assert_eq!(kinds(&lab), ["recovery", "passphrase"]);

    without_keys(&mut lab);
    lab.get("/keys").problem(503, "transient");
    let open = |lab: &Lab, body: Value| lab.post("/pool/open", body);
    open(&lab, json!({})).problem(400, "refused");
    open(&lab, json!({"passphrase": "otras palabras que no son"})).problem(400, "refused");
    assert_eq!(
        open(&lab, json!({"passphrase": PHRASE})).json(200)["state"],
        "ok"
    );
    open(&lab, json!({"passphrase": PHRASE})).problem(400, "refused");
    // From then on the box opens by itself again.
    assert!(key_file(&lab).exists());

    let remove =
        |lab: &Lab, number: &str| lab.call(Method::DELETE, &format!("/keys/{number}"), None, &[]);
    remove(&lab, "2").status_is(204);
    remove(&lab, "2").problem(404, "missing");
    remove(&lab, "x").problem(404, "missing");
    remove(&lab, "1").problem(400, "refused");
    assert_eq!(kinds(&lab), ["recovery"]);
    without_keys(&mut lab);
    open(&lab, json!({"passphrase": PHRASE})).problem(400, "refused");
}

#[test]
fn words_and_key_change_while_the_daemon_runs() {
    let mut lab = Lab::start().claimed().with_pool();
    let second = lab.post("/keys/words", json!({})).json(200);
    let check = lab.get("/keys").json(200)["slots"][0]["label"].clone();
    assert_eq!(second["page_check"], check);
    lab.post("/keys/passphrases", json!({"passphrase": PHRASE}))
        .json(201);
    let third = lab.post("/keys/change", json!({})).json(200);
    assert_ne!(words(&second), words(&third));
    assert_eq!(kinds(&lab), ["recovery"]);
    assert_eq!(lab.get("/keys").json(200)["epoch"], 2);

    // It opens by itself, and only the newest words open it without the box.
    lab.stop();
    lab.restart();
    lab.log_in();
    lab.post("/pool/rescan", json!({})).json(200);
    without_keys(&mut lab);
    for stale in [
        json!({"recovery_words": words(&second)}),
        json!({"passphrase": PHRASE}),
    ] {
        lab.post("/pool/open", stale).problem(400, "refused");
    }
    lab.post("/pool/open", json!({"recovery_words": words(&third)}))
        .json(200);
    assert_eq!(kinds(&lab), ["recovery"]);
}

#[test]
fn a_box_without_a_tpm_says_so_and_keeps_what_it_had() {
    let tpms = std::fs::read_dir("/sys/class/tpmrm").into_iter().flatten();
    if tpms.count() > 0 {
        println!("this machine has a TPM, which a test has no business with");
        return;
    }
    let lab = Lab::start().claimed().with_pool();
    let why = lab.post("/keys/tpm", json!({})).problem(400, "refused");
    assert!(why.contains("TPM"), "{why}");
    assert_eq!(kinds(&lab), ["recovery"]);
    assert!(key_file(&lab).exists());
}
