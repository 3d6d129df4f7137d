//! What goes wrong loses nothing and is said.

use std::io::Read;

use serde_json::{Value, json};
use ureq::http::Method;

use crate::lab::{Lab, big};

#[test]
fn a_source_that_vanished_is_a_failed_job_and_a_critical_finding() {
    let lab = Lab::start().claimed().with_pool().with_source();
    lab.backed_up();
    std::fs::rename(lab.data(), lab.folder.path().join("otra")).unwrap();
    let job = lab.job(&lab.post("/sources/datos/run", json!({})));
    assert_eq!(job["state"], "failed", "{job}");
    assert_eq!(job["error"]["kind"], "missing");
    let message = job["error"]["message"].as_str().unwrap();
    assert!(message.contains("datos"), "{message}");
    let overview = lab.get("/overview").json(200);
    assert_eq!(overview["well"], false);
    assert_eq!(
        overview["findings"][0]["code"], "source-failed",
        "{overview}"
    );
    assert_eq!(overview["findings"][0]["params"]["source"], "datos");
    assert_eq!(lab.get("/snapshots").json(200).as_array().unwrap().len(), 1);
}

#[test]
fn pool_sources_jobs_and_accounts_survive_a_crash_and_an_orderly_end() {
    let mut lab = Lab::start().claimed().with_pool().with_source();
    let id = lab.backed_up();
    let before = lab.get("/jobs").json(200);
    let pool = lab.get("/pool").json(200);
    let token = lab.token.clone().unwrap();
    for orderly in [false, true] {
        if orderly {
            lab.stop();
            lab.restart();
        } else {
            lab.crash();
        }
        let old = format!("Bearer {token}");
        lab.call(Method::GET, "/jobs", None, &[("authorization", &old)])
            .problem(401, "refused");
        lab.log_in();
        lab.until_ready();
        assert_eq!(lab.get("/jobs").json(200), before);
        assert_eq!(lab.get("/pool").json(200)["id"], pool["id"]);
        assert_eq!(lab.get("/snapshots").json(200)[0]["id"], id.as_str());
        assert_eq!(lab.get("/sources").json(200)[0]["name"], "datos");
        let file = lab.get(&format!("/snapshots/{id}/download?path=grande.bin"));
        assert!(file.bytes == big());
    }
    lab.call(Method::DELETE, "/sources/datos", None, &[])
        .status_is(204);
    assert_eq!(lab.get("/sources").json(200), json!([]));
    assert_eq!(
        lab.get("/snapshots").json(200)[0]["id"],
        id.as_str(),
        "snapshots stay"
    );
}

#[test]
fn a_pool_whose_disks_are_gone_is_named_and_opens_when_they_come_back() {
    let mut lab = Lab::start().claimed().with_pool().with_source();
    let id = lab.backed_up();
    lab.stop();
    let disks = lab.folder.path().join("disks");
    let away = lab.folder.path().join("cajon");
    std::fs::rename(&disks, &away).unwrap();
    lab.restart();
    lab.log_in();
    let status = lab.get("/status").json(200);
    assert_eq!(
        (&status["pool"], &status["ready"]),
        (&json!("failed"), &json!(false))
    );
    let pool = lab.get("/pool").json(200);
    assert_eq!(pool["state"], "failed");
    assert_eq!(pool["members"].as_array().unwrap().len(), 4);
    assert!(!pool["problem"].as_str().unwrap().is_empty());
    lab.post("/sources/datos/run", json!({}))
        .problem(503, "transient");
    assert_eq!(
        lab.get("/overview").json(200)["findings"][0]["code"],
        "pool-failed"
    );
    std::fs::remove_dir_all(&disks).unwrap();
    std::fs::rename(&away, &disks).unwrap();
    let pool = lab.post("/pool/rescan", json!({})).json(200);
    assert_eq!(pool["state"], "ok", "{pool}");
    assert_eq!(lab.get("/snapshots").json(200)[0]["id"], id.as_str());
}

/// Starts a backup of much data and waits until it has begun to read it.
fn long_backup(lab: &Lab) -> Value {
    let started = lab
        .post("/sources/datos/run", json!({"full": true}))
        .json(202);
    loop {
        let job = lab.get(&format!("/jobs/{}", started["job"])).json(200);
        assert!(
            ["queued", "running"].contains(&job["state"].as_str().unwrap()),
            "{job}"
        );
        if job["progress"]["bytes"].as_u64().unwrap() > 0 {
            return started["job"].clone();
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn a_backup_under_way_can_be_cancelled_and_interrupted_without_harm() {
    let mut lab = Lab::start().claimed().with_pool().with_source();
    let id = lab.backed_up();
    let much = std::fs::File::create(lab.data().join("mucho.bin")).unwrap();
    let mut noise = blake3::Hasher::new().update(b"mucho").finalize_xof();
    std::io::copy(&mut (&mut noise).take(600 << 20), &mut &much).unwrap();

    let job = long_backup(&lab);
    lab.post("/sources/datos/run", json!({}))
        .problem(409, "busy");
    lab.call(Method::DELETE, "/sources/datos", None, &[])
        .problem(409, "busy");
    let cancelled = lab.post(&format!("/jobs/{job}/cancel"), json!({}));
    assert_eq!(cancelled.status, 202);
    assert_eq!(lab.ended(&job)["state"], "cancelled");

    let job = long_backup(&lab);
    lab.stop();
    lab.restart();
    lab.log_in();
    assert_eq!(
        lab.ended(&job)["state"],
        "cancelled",
        "an orderly end cancels"
    );
    lab.until_ready();

    let job = long_backup(&lab);
    lab.crash();
    lab.log_in();
    let interrupted = lab.ended(&job);
    assert_eq!(interrupted["state"], "failed");
    assert_eq!(interrupted["error"]["kind"], "transient");
    lab.until_ready();
    let snapshots = lab.get("/snapshots").json(200);
    assert_eq!(snapshots.as_array().unwrap().len(), 1);
    assert_eq!(snapshots[0]["id"], id.as_str());
    let file = lab.get(&format!("/snapshots/{id}/download?path=grande.bin"));
    assert!(file.bytes == big());
    lab.backed_up();
    let job = lab.job(&lab.post("/verify", json!({"data": true})));
    assert_eq!(job["state"], "done", "{job}");
}
