//! Disks that join the pool, leave it, take another's place; what is damaged is healed.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use ureq::http::Method;

use super::lab::Lab;

fn bay(lab: &Lab, number: u32) -> PathBuf {
    lab.folder.path().join(format!("disks/disk{number}"))
}

fn new_disk(lab: &Lab, number: u32) {
    std::fs::create_dir(bay(lab, number)).unwrap();
}

/// Labels of the members, and their states.
fn members(lab: &Lab) -> Vec<(String, String)> {
    let pool = lab.get("/pool").json(200);
    let of = |m: &Value, key: &str| m[key].as_str().unwrap().to_owned();
    let members = pool["members"].as_array().unwrap().iter();
    members.map(|m| (of(m, "label"), of(m, "state"))).collect()
}

fn is_member(lab: &Lab, label: &str) -> bool {
    members(lab).iter().any(|(l, _)| l == label)
}

fn all_is_there(lab: &Lab) {
    let job = lab.job(&lab.post("/verify", json!({"data": true})));
    assert_eq!(job["state"], "done", "{job}");
    assert_eq!(job["result"]["damaged_parts"], 0, "{job}");
}

fn care(lab: &Lab, settle_rate: u64) {
    let body = json!({"settle_rate": settle_rate, "scrub_rate": 0, "scrub_days": 30});
    let set = lab.call(Method::PUT, "/pool/care", Some(body.clone()), &[]);
    assert_eq!(set.json(200), body);
}

fn with_data() -> Lab {
    let lab = Lab::start().claimed().with_pool().with_source();
    lab.backed_up();
    lab
}

#[test]
fn a_disk_is_replaced_and_the_old_one_is_free() {
    let lab = with_data();
    new_disk(&lab, 5);
    let replace = |old: &str, disk: &str, confirm: &str| {
        lab.post(
            &format!("/pool/members/{old}/replace"),
            json!({"disk": disk, "confirm": confirm}),
        )
    };
    let text = replace("DEV2", "DEV5", "DEV2").problem(400, "refused");
    assert!(text.contains("confirm with its serial number"), "{text}");
    replace("DEV77", "DEV5", "DEV5").problem(404, "missing");
    replace("DEV2", "DEV77", "DEV77").problem(404, "missing");
    let text = replace("DEV2", "DEV1", "DEV1").problem(400, "refused");
    assert!(text.contains("choose another"), "{text}");
    assert_eq!(members(&lab).len(), 4, "nothing happened so far");

    let job = lab.job(&replace("DEV2", "DEV5", "DEV5"));
    assert_eq!(job["state"], "done", "{job}");
    assert_eq!(
        (&job["kind"], &job["result"]["gone"]),
        (&json!("settle"), &json!(["DEV2"]))
    );
    assert!(job["result"]["objects"].as_u64().unwrap() > 0, "{job}");
    assert!(!is_member(&lab, "DEV2") && is_member(&lab, "DEV5"));
    all_is_there(&lab);
    // It may be pulled: nothing waits for it.
    std::fs::rename(bay(&lab, 2), lab.folder.path().join("pulled")).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(lab.get("/pool").json(200)["state"], "ok");
    all_is_there(&lab);
}

#[test]
fn a_missing_disk_is_replaced_from_what_the_others_hold() {
    let lab = with_data();
    // The spare would take the place by itself.
    lab.call(Method::DELETE, "/pool/members/DEV4", None, &[])
        .status_is(204);
    assert!(!is_member(&lab, "DEV4"));
    std::fs::remove_dir_all(bay(&lab, 3)).unwrap();
    new_disk(&lab, 5);
    let body = json!({"disk": "DEV5", "confirm": "DEV5"});
    let job = lab.job(&lab.post("/pool/members/DEV3/replace", body));
    assert_eq!(job["state"], "done", "{job}");
    assert!(job["result"]["rebuilt"].as_u64().unwrap() > 0, "{job}");
    assert_eq!(lab.get("/pool").json(200)["state"], "ok");
    assert!(!is_member(&lab, "DEV3"));
    // Another may fail now.
    std::fs::rename(bay(&lab, 1), lab.folder.path().join("pulled")).unwrap();
    let job = lab.job(&lab.post("/verify", json!({"data": true})));
    assert_eq!(job["result"]["errors"], json!([]), "{job}");
}

#[test]
fn a_replacement_goes_on_by_itself_after_a_power_cut() {
    let mut lab = with_data();
    new_disk(&lab, 5);
    // Slow enough to be cut short.
    care(&lab, 1 << 20);
    let body = json!({"disk": "DEV5", "confirm": "DEV5"});
    let started = lab.post("/pool/members/DEV2/replace", body).json(202);
    lab.crash();
    lab.log_in();
    lab.until_ready();
    let first = lab.get(&format!("/jobs/{}", started["job"])).json(200);
    assert_eq!(
        (&first["state"], &first["error"]["kind"]),
        (&json!("failed"), &json!("transient"))
    );
    // Nobody asks for it.
    let begun = Instant::now();
    while is_member(&lab, "DEV2") {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{:?}",
            members(&lab)
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(is_member(&lab, "DEV5"));
    all_is_there(&lab);
}

#[test]
fn a_disk_joins_and_another_leaves_or_stays_after_all() {
    let lab = with_data();
    let text = lab
        .post("/pool/members/DEV1/retire", json!({}))
        .problem(400, "refused");
    assert!(text.contains("needs 3"), "{text}");
    new_disk(&lab, 5);
    std::fs::write(bay(&lab, 5).join("letter"), "dear").unwrap();
    let join = |disk: &str, confirm: &str| {
        lab.post(
            "/pool/members",
            json!({"disks": [{"disk": disk, "confirm": confirm}]}),
        )
    };
    join("DEV5", "").problem(400, "refused");
    assert!(bay(&lab, 5).join("letter").exists());
    let job = lab.job(&join("DEV5", "DEV5"));
    assert_eq!(job["state"], "done", "{job}");
    assert_eq!(members(&lab).len(), 5);

    // Slow, so that there is time to change one's mind.
    care(&lab, 1 << 16);
    let job = lab.post("/pool/members/DEV1/retire", json!({})).json(202)["job"].clone();
    assert!(members(&lab).contains(&("DEV1".into(), "retiring".into())));
    lab.post(&format!("/jobs/{job}/cancel"), json!({}));
    lab.ended(&job);
    care(&lab, 0);
    let kept = lab.job(&lab.post("/pool/members/DEV1/keep", json!({})));
    assert_eq!(kept["state"], "done", "{kept}");
    assert!(members(&lab).contains(&("DEV1".into(), "online".into())));

    let job = lab.job(&lab.post("/pool/members/DEV1/retire", json!({})));
    assert_eq!(job["result"]["gone"], json!(["DEV1"]), "{job}");
    assert!(!is_member(&lab, "DEV1"));
    all_is_there(&lab);
}

#[test]
fn damage_is_found_healed_and_remembered() {
    let lab = with_data();
    let defaults = lab.get("/pool/care").json(200);
    assert_eq!(defaults["scrub_days"], 30);
    let bad = json!({"settle_rate": 0, "scrub_rate": 0, "scrub_days": 0});
    lab.call(Method::PUT, "/pool/care", Some(bad), &[])
        .problem(400, "refused");
    care(&lab, 0);
    // One bit of one shard.
    let segments = bay(&lab, 1).join("content/objects/segments");
    let shelf = std::fs::read_dir(&segments)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let shard = std::fs::read_dir(&shelf)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mut bytes = std::fs::read(&shard).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&shard, &bytes).unwrap();
    let job = lab.job(&lab.post("/pool/scrub", json!({"all": true})));
    assert_eq!(job["state"], "warnings", "{job}");
    assert_eq!(
        (&job["result"]["damaged"], &job["result"]["healed"]),
        (&json!(1), &json!(1))
    );
    let found = lab.get("/pool/damage").json(200);
    assert_eq!(
        (&found[0]["member"], &found[0]["healed"]),
        (&json!("DEV1"), &json!(true))
    );
    let overview = lab.get("/overview").json(200);
    let codes: Vec<&Value> = overview["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| &f["code"])
        .collect();
    assert!(codes.contains(&&json!("pool-healed")), "{codes:?}");
    all_is_there(&lab);
    let job = lab.job(&lab.post("/pool/scrub", json!({"all": true})));
    assert_eq!(job["state"], "done", "{job}");
}

#[test]
fn a_scrub_says_which_files_are_lost() {
    let lab = with_data();
    care(&lab, 0);
    // Two of three shards of everything: more than parity makes up for.
    for number in [1, 2] {
        let segments = bay(&lab, number).join("content/objects/segments");
        for shelf in std::fs::read_dir(&segments).unwrap() {
            for shard in std::fs::read_dir(shelf.unwrap().path()).unwrap() {
                let shard = shard.unwrap().path();
                let mut bytes = std::fs::read(&shard).unwrap();
                let last = bytes.len() - 1;
                bytes[last] ^= 1;
                std::fs::write(&shard, &bytes).unwrap();
            }
        }
    }
    let job = lab.job(&lab.post("/pool/scrub", json!({"all": true})));
    assert_eq!(job["state"], "warnings", "{job}");
    assert!(
        !job["result"]["lost"].as_array().unwrap().is_empty(),
        "{job}"
    );
    let log = job["log"].to_string();
    assert!(log.contains("snapshot "), "{job}");
}
