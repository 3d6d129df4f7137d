//! What opens the pool: passphrases, words renewed, the key changed, the page.

use std::os::unix::fs::PermissionsExt;

use crate::kit::{Run, Stage, same};

fn words(made: &serde_json::Value) -> Vec<String> {
    serde_json::from_value(made["recovery_words"].clone()).unwrap()
}

#[test]
fn a_passphrase_opens_the_pool_until_it_is_removed() {
    let (stage, _, source) = Stage::backed_up("1+1", 2);
    let typed = stage.file("phrase", "cuatro palabras y otra\n");
    let number = stage
        .colca([
            "--json",
            "key",
            "add-passphrase",
            "--label",
            "oficial",
            "--passphrase",
            &typed,
        ])
        .ok()
        .json()["number"]
        .clone();
    assert_eq!(number, 2);
    stage
        .colca([
            "key",
            "add-passphrase",
            "--passphrase",
            &stage.file("short", "corta"),
        ])
        .code(8)
        .says(&["at least 12"]);
    let option = format!("--passphrase={typed}");
    stage.open_elsewhere("other", &[&option]).ok();
    let target = stage.path("target");
    let mut restore = stage.command([&"restore".into(), &"docs".into(), &target]);
    restore.env("COLCA_STATE", stage.path("other")).run().ok();
    same(&source, &target);

    let shown = stage.colca(["--json", "key", "show"]).ok().json();
    assert_eq!(shown["slots"][1]["label"], "oficial");
    assert!(stage.colca(["key", "show"]).ok().out.contains("oficial"));
    stage.colca(["key", "remove", "2"]).ok();
    stage.colca(["key", "remove", "2"]).code(5);
    stage.colca(["key", "remove", "1"]).code(8);
    stage
        .open_elsewhere("third", &[&option])
        .code(8)
        .says(&["passphrase"]);
}

#[test]
fn after_a_key_change_only_the_new_words_open_the_pool() {
    let (stage, old, source) = Stage::backed_up("1+1", 2);
    let page = stage.path("page.html");
    let changed = stage
        .colca(["--json", "key", "change", "--page", page.to_str().unwrap()])
        .ok();
    let made = changed.json();
    let new = words(&made);
    assert_ne!(old, new);
    let check = made["page_check"].as_str().unwrap();
    let shown = stage.colca(["--json", "key", "show"]).ok().json();
    assert_eq!(
        (&shown["epoch"], &shown["slots"][0]["label"]),
        (&2.into(), &check.into())
    );

    // The page carries all of it, and only its owner may read it.
    let html = std::fs::read_to_string(&page).unwrap();
    for text in new
        .iter()
        .map(String::as_str)
        .chain([check, shown["repository"].as_str().unwrap()])
    {
        assert!(html.contains(text), "{text}");
    }
    assert_eq!(page.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    stage
        .colca(["key", "change", "--page", page.to_str().unwrap()])
        .code(8)
        .says(&["exists"]);

    // This state folder goes on as if nothing had happened.
    stage
        .colca([&"backup".into(), &source, &"--name".into(), &"docs".into()])
        .ok();
    stage.colca(["verify", "--data"]).ok();
    let old = stage.file("old", &old.join(" "));
    let new = stage.file("new", &new.join(" "));
    stage
        .open_elsewhere("other", &["--recovery-key", &old])
        .code(8)
        .says(&["newest"]);
    stage
        .open_elsewhere("other", &["--recovery-key", &new])
        .ok();
    let mut verify = stage.command(["verify"]);
    verify.env("COLCA_STATE", stage.path("other")).run().ok();

    // Words can be checked and the page made once more; wrong ones are told.
    stage.colca(["key", "page", "--recovery-key", &old]).code(8);
    let again = stage.path("again.html");
    stage
        .colca([
            "key",
            "page",
            "--recovery-key",
            &new,
            again.to_str().unwrap(),
        ])
        .ok();
    assert_eq!(std::fs::read_to_string(&again).unwrap(), html);

    // The other machine changes the key: this folder's keys fit no more, its pool can be opened anew.
    let mut change = stage.command(["--json", "key", "change"]);
    let third = words(
        &change
            .env("COLCA_STATE", stage.path("other"))
            .run()
            .ok()
            .json(),
    );
    stage.colca(["snapshots"]).code(8).says(&["key change"]);
    let third = stage.file("third", &third.join(" "));
    stage
        .open_elsewhere("state", &["--recovery-key", &third])
        .ok();
    stage.colca(["verify"]).ok();
}

#[test]
fn renewed_words_replace_lost_ones_and_old_keys_in_the_state_folder_do_no_harm() {
    let (stage, old, _) = Stage::backed_up("1+1", 2);
    let made = stage.colca(["--json", "key", "renew-words"]).ok().json();
    let old = stage.file("old", &old.join(" "));
    stage
        .open_elsewhere("other", &["--recovery-key", &old])
        .code(8);
    let new = stage.file("new", &words(&made).join(" "));
    stage
        .open_elsewhere("other", &["--recovery-key", &new])
        .ok();

    // As after a power cut just before the change: a newer key that fits nothing.
    let keys = stage.path("state/pool.key");
    let before = std::fs::read_to_string(&keys).unwrap();
    std::fs::write(&keys, format!("{}\n{before}", "ab".repeat(32))).unwrap();
    stage.colca(["verify"]).ok();
    stage.colca(["key", "change"]).ok();
    assert_eq!(std::fs::read_to_string(&keys).unwrap().lines().count(), 3);
    // And just after it: the older ones are still there.
    stage.colca(["verify"]).ok();
    std::fs::write(&keys, "not a key\n").unwrap();
    stage.colca(["verify"]).code(4).says(&["pool open"]);
}
