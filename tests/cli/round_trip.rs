//! Back up, look, restore, compare; again after a change.

use crate::facts::{self, Fidelity};
use crate::kit::{Stage, noise, rich_tree, same};

#[test]
fn every_kind_of_file_comes_back() {
    let (stage, _, source) = Stage::backed_up("2+1", 3);
    let target = stage.path("target");
    stage
        .colca([&"restore".into(), &"docs".into(), &target])
        .ok();
    same(&source, &target);
    // 50 MiB of hole must not become 50 MiB of disk.
    let blocks = std::os::unix::fs::MetadataExt::blocks(&target.join("sparse").metadata().unwrap());
    assert!(
        blocks * 512 < 1 << 20,
        "the sparse file takes {blocks} blocks"
    );
    stage.colca(["verify", "--data"]).ok();
}

#[test]
fn snapshots_are_listed_oldest_first_with_the_promised_fields() {
    let stage = Stage::new();
    stage.pool("1+1", 2);
    let source = stage.folder("source");
    std::fs::write(source.join("a"), vec![7; 100_000]).unwrap();
    stage
        .colca([&"backup".into(), &source, &"--name".into(), &"first".into()])
        .ok();
    std::fs::write(source.join("b"), vec![8; 200_000]).unwrap();
    stage
        .colca([
            &"backup".into(),
            &source,
            &"--name".into(),
            &"second".into(),
        ])
        .ok();

    let list = stage.colca(["snapshots", "--json"]).ok().json();
    let list = list.as_array().unwrap();
    assert_eq!(list.len(), 2);
    assert_eq!(list[0]["name"], "first");
    assert_eq!(list[1]["name"], "second");
    for snapshot in list {
        assert!(snapshot["id"].as_str().unwrap().len() >= 8);
        snapshot["time"]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .unwrap();
        for figure in ["files", "bytes", "new_bytes"] {
            assert!(snapshot[figure].is_u64(), "{figure} in {snapshot}");
        }
    }
    assert_eq!(list[1]["bytes"], 300_000);
    assert_eq!(list[1]["new_bytes"], 200_000);
}

#[test]
fn a_second_backup_stores_only_what_is_new_and_both_restore() {
    let (stage, _, source) = Stage::backed_up("2+1", 3);
    let before = facts::read(&source, Fidelity::LOCAL).unwrap();
    std::fs::write(source.join("datos/nuevo"), vec![1; 5000]).unwrap();
    std::fs::remove_file(source.join("datos/pequeños/000.txt")).unwrap();
    for extra in [None, Some("--full")] {
        let mut command = stage.command([
            &"--json".into(),
            &"backup".into(),
            &source,
            &"--name".into(),
            &"docs".into(),
        ]);
        let ran = crate::kit::Run::run(command.args(extra)).ok().json();
        let expected = if extra.is_none() { 5000 } else { 0 };
        assert_eq!(ran["new_bytes"], expected, "{ran}");
    }
    let list = stage.colca(["snapshots", "--json"]).ok().json();
    let oldest = list[0]["id"].as_str().unwrap().to_owned();
    for (what, expected) in [
        (oldest, before),
        (
            "latest".into(),
            facts::read(&source, Fidelity::LOCAL).unwrap(),
        ),
    ] {
        let target = stage.path(&what);
        stage.colca([&"restore".into(), &what.into(), &target]).ok();
        facts::same(&expected, &facts::read(&target, Fidelity::LOCAL).unwrap()).unwrap();
    }
}

#[test]
fn a_part_can_be_listed_and_restored() {
    let (stage, _, source) = Stage::backed_up("1+1", 2);
    let list = stage.colca(["ls", "docs:datos", "--json"]).ok().json();
    let names: Vec<&str> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["grande copia.bin", "grande.bin", "pequeños"]);

    let target = stage.path("part");
    stage
        .colca([
            &"restore".into(),
            &"docs:datos/pequeños/007.txt".into(),
            &target,
        ])
        .ok();
    assert_eq!(
        std::fs::read(target.join("007.txt")).unwrap(),
        std::fs::read(source.join("datos/pequeños/007.txt")).unwrap()
    );
    stage
        .colca([&"restore".into(), &"docs:datos/none".into(), &target])
        .code(5)
        .says(&["none"]);
}

#[test]
fn the_pool_opens_elsewhere_from_its_disks_and_recovery_words_alone() {
    let (stage, words, source) = Stage::backed_up("2+1", 3);
    std::fs::remove_dir_all(stage.path("state")).unwrap();
    // One disk is lost too, and the words were typed without accents and in capitals.
    std::fs::remove_dir_all(stage.disk(2)).unwrap();
    let file = stage.file("words", &words.join("  ").to_uppercase());
    let mut open = stage.command(["pool", "open", "--recovery-key"]);
    crate::kit::Run::run(
        open.arg(&file)
            .args([stage.path("disk1"), stage.path("disk3")]),
    )
    .ok();
    let target = stage.path("target");
    stage
        .colca([&"restore".into(), &"docs".into(), &target])
        .ok();
    same(&source, &target);
    stage.colca(["pool", "status"]).code(3);
}

#[test]
fn forgotten_room_is_freed_and_the_rest_stays_whole() {
    let stage = Stage::new();
    stage.pool("1+1", 2);
    let (keep, lose) = (stage.folder("keep"), stage.folder("lose"));
    rich_tree(&keep);
    let noise = noise("lose", 20_000_000);
    std::fs::write(lose.join("noise"), &noise).unwrap();
    stage
        .colca([&"backup".into(), &keep, &"--name".into(), &"keep".into()])
        .ok();
    stage
        .colca([&"backup".into(), &lose, &"--name".into(), &"lose".into()])
        .ok();
    let used = || stored(&stage.path("disk1"));
    let full = used();
    stage.colca(["forget", "lose"]).ok();
    stage.colca(["collect"]).ok();
    assert!(used() < full, "{} bytes before, {} after", full, used());
    stage.colca(["verify", "--data"]).ok();
    let target = stage.path("target");
    stage
        .colca([&"restore".into(), &"keep".into(), &target])
        .ok();
    same(&keep, &target);
}

#[test]
fn a_replica_in_a_folder_holds_the_same_bytes() {
    let (stage, ..) = Stage::backed_up("1+1", 2);
    let replica = stage.folder("replica");
    let first = stage
        .colca(["--json", "replicate", "--to", replica.to_str().unwrap()])
        .ok()
        .json();
    assert!(first["copied"].as_u64().unwrap() >= 3, "{first}");
    let again = stage
        .colca(["--json", "replicate", "--to", replica.to_str().unwrap()])
        .ok()
        .json();
    assert_eq!(again["bytes"], 0, "{again}");
}

fn stored(folder: &std::path::Path) -> u64 {
    facts::read(folder, Fidelity::LOCAL)
        .unwrap()
        .values()
        .filter_map(|f| f.content.map(|(_, bytes)| bytes))
        .sum()
}

#[test]
fn files_are_found_and_snapshots_compared() {
    let stage = Stage::new();
    stage.pool("1+1", 2);
    let source = stage.folder("source");
    std::fs::create_dir(source.join("actas")).unwrap();
    std::fs::write(source.join("actas/Resolución 7.pdf"), "uno").unwrap();
    std::fs::write(source.join("actas/borrador.txt"), "dos").unwrap();
    let backup = |name: &str| {
        stage
            .colca([&"backup".into(), &source, &"--name".into(), &name.into()])
            .ok();
    };
    backup("docs");
    std::fs::remove_file(source.join("actas/borrador.txt")).unwrap();
    std::fs::write(source.join("actas/Resolución 7.pdf"), "uno y más").unwrap();
    std::fs::write(source.join("nuevo"), "tres").unwrap();
    backup("docs");
    backup("other");

    let found = stage.colca(["find", "RESOLUCION", "--json"]).ok().json();
    let hits = found["hits"].as_array().unwrap();
    assert_eq!(
        (hits.len(), &found["more"], &found["unread"]),
        (2, &false.into(), &0.into())
    );
    assert_eq!(hits[0]["name"], "docs");
    assert_eq!(hits[0]["path"], "actas/Resolución 7.pdf");
    assert_eq!(
        (&hits[0]["snapshots"], &hits[0]["versions"]),
        (&2.into(), &2.into())
    );
    assert_eq!(hits[0]["size"], 10);
    let gone = stage.colca(["find", "*.txt", "--name", "docs"]).ok();
    assert!(gone.out.contains("actas/borrador.txt"), "{}", gone.out);
    let few = stage
        .colca(["find", "*", "--limit", "2"])
        .ok()
        .says(&["There are more"]);
    assert_eq!(few.out.lines().count(), 3, "{}", few.out);
    stage.colca(["find", "a/b"]).code(8).says(&["/"]);

    let list = stage.colca(["snapshots", "--json"]).ok().json();
    let id = |n: usize| list[n]["id"].as_str().unwrap().to_owned();
    let diff = stage.colca(["diff", &id(0), &id(1)]).ok();
    let lines: Vec<_> = diff.out.lines().collect();
    let expected = [
        "m ./",
        "m actas/",
        "M actas/Resolución 7.pdf",
        "- actas/borrador.txt",
        "+ nuevo",
    ];
    assert_eq!(lines, expected);
    let part = stage
        .colca(["diff", &id(0), &id(1), "nuevo", "--json"])
        .ok()
        .json();
    assert_eq!(
        (&part["change"], &part["path"]),
        (&"added".into(), &"nuevo".into())
    );
    assert_eq!(
        (&part["old"], &part["new"]["size"]),
        (&serde_json::Value::Null, &4.into())
    );
    stage
        .colca(["diff", "docs", "other", "none"])
        .code(5)
        .says(&["none"]);
    assert_eq!(stage.colca(["diff", "docs", "other"]).ok().out, "");
    stage
        .colca(["diff", "docs:actas", "other"])
        .code(8)
        .says(&["third"]);
}
