//! How disks are, as the API tells it: on folders, with what real disks answer
//! to smartctl lying beside them.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use ureq::http::Method;

use super::lab::Lab;

/// The folder that stands for a disk.
fn bay(lab: &Lab, number: u32) -> PathBuf {
    lab.folder.path().join(format!("disks/disk{number}"))
}

/// Lets a disk answer as one of the documents in `tests/fixtures/smart`.
fn answers(lab: &Lab, number: u32, fixture: &str) {
    let from = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/smart")
        .join(fixture);
    std::fs::copy(from, bay(lab, number).join("smart")).unwrap();
}

fn disk(lab: &Lab, serial: &str) -> Value {
    let disks = lab.get("/disks").json(200);
    let found = disks
        .as_array()
        .unwrap()
        .iter()
        .find(|d| d["called"] == serial);
    found.unwrap_or_else(|| panic!("{serial}: {disks}")).clone()
}

fn findings(lab: &Lab, code: &str) -> Vec<Value> {
    let overview = lab.get("/overview").json(200);
    let all = overview["findings"].as_array().unwrap();
    all.iter().filter(|f| f["code"] == code).cloned().collect()
}

#[track_caller]
fn soon(what: &str, is: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(2);
    while !is() {
        assert!(Instant::now() < deadline, "not within two seconds: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn each_disk_has_a_state_a_reason_and_a_bay() {
    let lab = Lab::start().claimed();
    answers(&lab, 1, "sas-hgst-grown-defects.json");
    answers(&lab, 2, "ata-seagate-reallocated.json");
    answers(&lab, 3, "nvme-intel-media-errors.json");
    answers(&lab, 4, "ata-samsung-ssd-testing.json");
    let lab = lab.with_pool();
    let is = |serial: &str| {
        let disk = disk(&lab, serial);
        [
            disk["state"].clone(),
            disk["reason"].clone(),
            disk["place"].clone(),
        ]
    };
    assert_eq!(is("DEV1"), ["worn", "media-errors", "member"]);
    assert_eq!(is("DEV2"), ["failing", "test-failed", "member"]);
    assert_eq!(is("DEV3"), ["failing", "smart-failing", "member"]);
    assert_eq!(is("DEV4"), ["healthy", "well", "spare"]);
    let second = disk(&lab, "DEV2");
    assert_eq!(
        (&second["slot"], &second["there"]),
        (&json!("2"), &json!(true))
    );
    assert_eq!(second["smart"]["reallocated"], 1432);
    let warns: Vec<_> = second["alarms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| &a["kind"])
        .collect();
    let expected = [
        "test-failed",
        "uncorrectable",
        "pending",
        "media-errors",
        "reallocated",
    ];
    assert_eq!(warns, expected);
    // One finding for each disk and kind, and no more of them when asked again.
    for _ in 0..3 {
        // A failed test and a verdict of each family: of those that fail, no more is said.
        assert_eq!(findings(&lab, "disk-failing").len(), 3);
        let worn: Vec<Value> = findings(&lab, "disk-worn")
            .iter()
            .map(|f| {
                json!([
                    f["params"]["serial"],
                    f["params"]["reason"],
                    f["params"]["value"]
                ])
            })
            .collect();
        let expected = json!([["DEV1", "media-errors", "3"], ["DEV1", "reallocated", "27"]]);
        assert_eq!(json!(worn), expected);
    }
}

#[test]
fn figures_and_warnings_outlive_the_daemon() {
    let mut lab = Lab::start().claimed();
    answers(&lab, 1, "sas-hgst-grown-defects.json");
    // The daemon looked when it started; it looks again when a disk comes.
    std::fs::create_dir(bay(&lab, 9)).unwrap();
    lab = lab.with_pool();
    let figures = |lab: &Lab| {
        let answer = lab.get("/disks/DEV1/history");
        match answer.status {
            200 => answer.json(200).as_array().unwrap().clone(),
            _ => Vec::new(),
        }
    };
    soon("its figures are remembered", || !figures(&lab).is_empty());
    let before = figures(&lab);
    assert_eq!(before[0]["reallocated"], 27);
    assert_eq!(before[0]["temperature"], 34);
    assert_eq!(before[0]["pending"], Value::Null);
    let since = disk(&lab, "DEV1")["alarms"][0]["since"].clone();
    lab.crash();
    lab.log_in();
    assert_eq!(figures(&lab), before);
    assert_eq!(disk(&lab, "DEV1")["alarms"][0]["since"], since);
    // Out of the box it is still known: where it was, and what it is.
    std::fs::rename(bay(&lab, 1), lab.folder.path().join("pulled")).unwrap();
    soon("missing", || disk(&lab, "DEV1")["state"] == "missing");
    let away = disk(&lab, "DEV1");
    assert_eq!(
        (&away["slot"], &away["there"]),
        (&json!("1"), &json!(false))
    );
    assert_eq!(away["reason"], "away");
    assert!(away["seen"].is_string(), "{away}");
}

#[test]
fn a_new_disk_is_offered_and_one_that_was_emptied_is_named() {
    let lab = Lab::start().claimed().with_pool();
    assert!(findings(&lab, "disk-new").is_empty());
    std::fs::create_dir(bay(&lab, 5)).unwrap();
    std::fs::create_dir(bay(&lab, 6)).unwrap();
    std::fs::write(bay(&lab, 6).join("letter"), "dear").unwrap();
    soon("offered", || findings(&lab, "disk-new").len() == 1);
    assert_eq!(findings(&lab, "disk-new")[0]["params"]["serial"], "DEV5");
    let of = |serial: &str| {
        (
            disk(&lab, serial)["state"].clone(),
            disk(&lab, serial)["reason"].clone(),
        )
    };
    assert_eq!(of("DEV5"), (json!("new"), json!("blank")));
    assert_eq!(of("DEV6"), (json!("foreign"), json!("other-data")));
    // A member's disk comes back without its data.
    std::fs::remove_dir_all(bay(&lab, 1)).unwrap();
    std::fs::create_dir(bay(&lab, 1)).unwrap();
    soon("emptied", || {
        of("DEV1") == (json!("missing"), json!("emptied"))
    });
}

#[test]
fn a_disk_shows_itself_and_tests_are_asked_for() {
    let mut lab = Lab::start().claimed();
    let shown = lab.post("/disks/DEV2/identify", json!({})).json(200);
    assert_eq!(shown["sign"], "activity");
    lab.post("/disks/DEV77/identify", json!({}))
        .problem(404, "missing");
    let text = lab
        .post("/disks/DEV2/test", json!({"long": true}))
        .problem(400, "refused");
    assert!(text.contains("cannot test itself"), "{text}");
    lab.post("/disks/DEV2/test", json!({"longer": true}))
        .problem(422, "refused");
    lab.get("/disks/DEV77/history").problem(404, "missing");
    lab.token = None;
    lab.call(Method::POST, "/disks/DEV2/identify", None, &[])
        .problem(401, "refused");
}
