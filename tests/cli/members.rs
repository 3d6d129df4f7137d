//! The life of a pool's disks from the command line, and its rescue.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::kit::{Run, Stage, same};

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => walk(&path, found),
            false => found.push(path),
        }
    }
}

fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = Vec::new();
    walk(folder, &mut found);
    let read = |f: PathBuf| (f.clone(), std::fs::read(&f).unwrap());
    found.into_iter().map(read).collect()
}

#[test]
fn disks_come_and_go_and_the_redundancy_changes() {
    let (stage, _, source) = Stage::backed_up("1+1", 2);
    let disk = |n| stage.disk(n).to_str().unwrap().to_owned();
    let e = stage.colca(["pool", "set-redundancy", "2+1"]).code(8);
    e.says(&["needs 3 disks"]);
    stage.colca(["pool", "add", &disk(3)]).ok();
    stage.colca(["pool", "set-redundancy", "2+1"]).ok();
    let report = stage.colca(["--json", "pool", "settle"]).ok().json();
    assert!(report["reshaped"].as_u64().unwrap() > 0, "{report}");
    assert_eq!(report["waiting"], 0, "{report}");
    let status = stage.colca(["--json", "pool", "status"]).ok().json();
    let two_one = serde_json::json!({ "data": 2, "parity": 1 });
    assert_eq!(status["redundancy"], two_one);
    stage
        .colca(["pool", "remove", &disk(1)])
        .code(8)
        .says(&["retire"]);
    // One dies and is replaced, another retires.
    std::fs::remove_dir_all(stage.path("disk1")).unwrap();
    stage.colca(["pool", "status"]).code(3);
    stage
        .colca(["pool", "replace", &disk_label(&stage, 1), &disk(4)])
        .ok();
    let settled = stage.colca(["pool", "settle", "--max-rate", "500"]).ok();
    assert!(settled.out.contains("was replaced"), "{}", settled.out);
    stage.colca(["pool", "add", &disk(5)]).ok();
    stage.colca(["pool", "retire", &disk(2)]).ok();
    let status = stage.colca(["pool", "status"]).ok();
    assert!(status.out.contains("retiring"), "{}", status.out);
    stage.colca(["pool", "remove", &disk(2)]).code(8);
    stage.colca(["pool", "settle"]).ok();
    stage.colca(["pool", "remove", &disk(2)]).ok();
    let status = stage.colca(["--json", "pool", "status"]).ok().json();
    assert_eq!(status["state"], "ok", "{status}");
    assert_eq!(status["members"].as_array().unwrap().len(), 3);
    let target = stage.path("target");
    stage
        .colca([&"restore".into(), &"docs".into(), &target])
        .ok();
    same(&source, &target);
    stage.colca(["verify", "--data"]).ok();

    // A scrub finds what is damaged, and says so.
    let clean = stage.colca(["--json", "pool", "scrub"]).ok().json();
    assert!(clean["objects"].as_u64().unwrap() > 2, "{clean}");
    let shards = files(&stage.path("disk4").join("objects/segments"));
    let (shard, mut bytes) = shards.into_iter().next().unwrap();
    bytes[200] ^= 1;
    std::fs::write(&shard, bytes).unwrap();
    stage.colca(["pool", "scrub"]).ok();
    let found = stage.colca(["pool", "scrub", "--all"]).code(3);
    assert!(found.out.contains("corrupt on "), "{}", found.out);
    assert!(found.out.contains("healed"), "{}", found.out);
    stage.colca(["pool", "scrub", "--all"]).ok();
}

/// What the pool calls a disk whose folder is not there any more.
fn disk_label(stage: &Stage, number: usize) -> String {
    stage
        .path(&format!("disk{number}"))
        .to_str()
        .unwrap()
        .to_owned()
}

#[test]
fn loose_disks_are_read_without_writing_to_them() {
    let (stage, words, source) = Stage::backed_up("2+1", 3);
    let words = stage.file("words", &words.join(" "));
    std::fs::remove_dir_all(stage.path("state")).unwrap();
    let disks = || [1, 2, 3].map(|n| files(&stage.disk(n)));
    let before = disks();
    let rescue = |action: &[&str]| {
        // Two of three, the last first.
        let mut command = stage.command(["rescue"]);
        command.args([stage.path("disk3"), stage.path("disk1")]);
        command.args(["--recovery-key", &words]).args(action).run()
    };
    let list = rescue(&["list", "--json"]).ok().json();
    assert_eq!(list[0]["name"], "docs", "{list}");
    let listed = rescue(&["ls", "docs:datos"]).ok();
    assert!(listed.out.contains("grande.bin"), "{}", listed.out);
    assert!(disks() == before, "nothing was written");
    assert!(!stage.path("state").exists(), "no state folder is made");
    let target = stage.path("target");
    rescue(&["restore", "docs", target.to_str().unwrap()]).ok();
    same(&source, &target);
    // Not without the words.
    let other = stage.file("other", &["abandon"; 24].join(" "));
    let mut command = stage.command(["rescue"]);
    command.args([stage.path("disk3"), stage.path("disk1")]);
    let refused = command.args(["--recovery-key", &other, "list"]).run();
    assert_ne!(refused.code, 0, "{}", refused.out);
    // One of three is too little, and it is said who is missing.
    let mut command = stage.command(["rescue"]);
    command.arg(stage.path("disk2"));
    let alone = command.args(["--recovery-key", &words, "list"]).run();
    alone.code(5).says(&["disk1", "disk3"]);
}

#[test]
fn a_replica_is_read_without_box_and_disks() {
    let (stage, words, source) = Stage::backed_up("1+1", 2);
    let words = stage.file("words", &words.join(" "));
    let replica = stage.path("replica");
    std::fs::create_dir(&replica).unwrap();
    let replica = replica.to_str().unwrap();
    stage.colca(["replicate", "--to", replica]).ok();
    for gone in ["state", "disk1", "disk2"] {
        std::fs::remove_dir_all(stage.path(gone)).unwrap();
    }
    let before = files(&stage.path("replica"));
    let rescue = |from: &str, action: &[&str]| {
        let mut command = stage.command(["rescue", "--from", from, "--recovery-key", &words]);
        command.args(action).run()
    };
    let list = rescue(replica, &["list", "--json"]).ok().json();
    assert_eq!(list[0]["name"], "docs", "{list}");
    let target = stage.path("target");
    rescue(replica, &["restore", "docs", target.to_str().unwrap()]).ok();
    same(&source, &target);
    assert!(
        files(&stage.path("replica")) == before,
        "nothing was written"
    );
    let elsewhere = stage.path("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let nothing = rescue(elsewhere.to_str().unwrap(), &["list"]).code(5);
    nothing.says(&["holds no replica"]);
}
