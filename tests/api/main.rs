//! The HTTP API from outside, on a daemon in a process of its own.

// A test that cannot go on has failed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod data;
mod disks;
mod faults;
#[path = "../harness/mod.rs"]
mod harness;
mod keys;
mod lab;
mod members;

use std::path::PathBuf;

use colca::panel::{ServeOptions, serve};
use lab::{Lab, PASSWORD, USER};
use serde_json::json;
use ureq::http::Method;

/// Not a test: the daemon, started by [`lab`] as a process that can be killed.
#[test]
#[ignore = "started by the other tests"]
fn daemon() {
    let folder = std::env::var_os("COLCA_TEST_FOLDER").expect("started by the other tests");
    serve(&ServeOptions {
        state: PathBuf::from("/nonexistent"),
        listen: Some(([127, 0, 0, 1], 0).into()),
        dev: Some(folder.into()),
        helper_socket: PathBuf::from("/nonexistent"),
        tpm_socket: PathBuf::from("/nonexistent"),
    })
    .unwrap();
}

#[test]
fn a_box_is_claimed_once_with_the_code_from_its_console() {
    let lab = Lab::start();
    let status = lab.get("/status").json(200);
    assert_eq!(status["claimed"], false);
    assert_eq!(
        (&status["pool"], &status["ready"]),
        (&json!("none"), &json!(false))
    );

    let claim = |code: &str, password: &str| {
        lab.post(
            "/claim",
            json!({"code": code, "user": USER, "password": password}),
        )
    };
    lab.post("/login", json!({"user": USER, "password": PASSWORD}))
        .problem(401, "missing");
    claim("AAAA-AAAA", PASSWORD).problem(401, "refused");
    let code = lab.claim_code();
    let text = claim(&code, "corta").problem(400, "refused");
    assert!(text.contains("10"), "{text}");
    assert_eq!(lab.get("/status").json(200)["claimed"], false);

    let typed = code.to_lowercase().replace('-', " ");
    let token = claim(&typed, PASSWORD).json(200);
    assert_eq!(token["token"].as_str().unwrap().len(), 64);
    assert_eq!(lab.get("/status").json(200)["claimed"], true);
    claim(&code, PASSWORD).problem(409, "busy");
}

#[test]
fn logins_are_checked_slowed_down_and_ended() {
    let mut lab = Lab::start().claimed();
    lab.post("/logout", json!({})).status_is(204);
    lab.get("/disks").problem(401, "refused");
    lab.log_in();
    lab.get("/jobs").json(200);

    let wrong = |user: &str| lab.post("/login", json!({"user": user, "password": "algo distinto"}));
    for user in [USER, "nadie", "con espacio", USER] {
        let text = wrong(user).problem(401, "refused");
        assert!(!text.contains(user), "says which part is wrong: {text}");
    }
    wrong(USER).problem(401, "refused");
    let slow = wrong(USER);
    slow.problem(429, "busy");
    let seconds: u64 = slow.headers["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=2).contains(&seconds));
    // Nobody is locked out: after the wait the right password works.
    std::thread::sleep(std::time::Duration::from_millis(2100));
    lab.log_in();
}

/// Every route but the three that strangers need.
const ROUTES: &[(Method, &str)] = &[
    (Method::POST, "/logout"),
    (Method::GET, "/overview"),
    (Method::GET, "/disks"),
    (Method::POST, "/pool"),
    (Method::GET, "/pool"),
    (Method::POST, "/pool/rescan"),
    (Method::POST, "/pool/open"),
    (Method::GET, "/keys"),
    (Method::POST, "/keys/passphrases"),
    (Method::POST, "/keys/tpm"),
    (Method::POST, "/keys/words"),
    (Method::POST, "/keys/change"),
    (Method::DELETE, "/keys/1"),
    (Method::POST, "/sources/host-key"),
    (Method::GET, "/sources"),
    (Method::POST, "/sources"),
    (Method::DELETE, "/sources/x"),
    (Method::POST, "/sources/x/run"),
    (Method::GET, "/jobs"),
    (Method::GET, "/jobs/1"),
    (Method::GET, "/jobs/1/events"),
    (Method::POST, "/jobs/1/cancel"),
    (Method::GET, "/snapshots"),
    (Method::GET, "/snapshots/aaaa/files"),
    (Method::GET, "/snapshots/aaaa/download"),
    (Method::POST, "/snapshots/aaaa/restore"),
    (Method::GET, "/provider"),
    (Method::PUT, "/provider"),
    (Method::POST, "/provider/replicate"),
    (Method::POST, "/provider/verify"),
    (Method::GET, "/provider/probes"),
    (Method::POST, "/provider/probes"),
    (Method::POST, "/verify"),
];

#[test]
fn strangers_get_nothing_from_any_route() {
    let mut lab = Lab::start().claimed();
    let token = lab.token.take().unwrap();
    for (method, path) in ROUTES {
        let call = |headers: &[(&str, &str)]| {
            let body = (*method != Method::GET).then(|| json!({}));
            lab.call(method.clone(), path, body, headers)
        };
        println!("{method} {path}");
        call(&[]).problem(401, "refused");
        call(&[("authorization", "Bearer 00")]).problem(401, "refused");
        // A token is good only the way it was given out.
        call(&[("cookie", &format!("__Host-colca={token}"))]).problem(401, "refused");
    }
    let documented = include_str!("../../docs/api.md");
    for (method, path) in ROUTES {
        let path = path
            .replace("/x", "/{name}")
            .replace("keys/1", "keys/{number}")
            .replace("/1", "/{id}")
            .replace("aaaa", "{id}");
        let row = format!("`{method} /api/v1{path}");
        assert!(documented.contains(&row), "docs/api.md does not have {row}");
    }
}

#[test]
fn what_another_site_makes_a_browser_send_is_refused() {
    let lab = Lab::start().claimed();
    for headers in [
        [("sec-fetch-site", "cross-site")],
        [("origin", "https://evil.example")],
    ] {
        lab.call(Method::POST, "/verify", Some(json!({})), &headers)
            .problem(403, "refused");
    }
    let answer = lab.get("/status");
    for (name, part) in [
        ("content-security-policy", "default-src 'none'"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("strict-transport-security", "max-age"),
        ("cache-control", "no-store"),
    ] {
        let value = answer.headers[name].to_str().unwrap();
        assert!(value.contains(part), "{name}: {value}");
        assert!(!value.contains("unsafe"), "{name}: {value}");
    }
}

#[test]
fn bad_requests_are_problem_documents_that_name_the_thing() {
    let lab = Lab::start().claimed();
    for (path, kind, word) in [
        ("/jobs/7", "missing", "7"),
        ("/jobs/x/events", "missing", "x"),
        ("/nothing", "missing", "address"),
        ("/snapshots", "missing", "pool"),
    ] {
        let text = lab.get(path).problem(404, kind);
        assert!(text.contains(word), "{path}: {text}");
    }
    lab.post("/jobs/7/cancel", json!({}))
        .problem(404, "missing");
    lab.post("/sources/nada/run", json!({}))
        .problem(404, "missing");
    lab.call(Method::DELETE, "/sources/nada", None, &[])
        .problem(404, "missing");
    lab.call(Method::DELETE, "/jobs", None, &[])
        .problem(405, "refused");
    lab.post("/pool/rescan", json!({})).problem(404, "missing");
    lab.post("/provider/replicate", json!({}))
        .problem(404, "missing");
    for (path, body, status) in [
        ("/verify", json!({"dato": true}), 422),
        ("/sources", json!({"kind": "ftp", "name": "x"}), 422),
        (
            "/sources",
            json!({"kind": "local", "name": "a b", "path": "/srv"}),
            400,
        ),
        (
            "/sources",
            json!({"kind": "local", "name": "a", "path": "srv"}),
            400,
        ),
        (
            "/sources",
            json!({"kind": "local", "name": "a", "path": lab.folder.path().join("state")}),
            400,
        ),
        (
            "/sources",
            json!({"kind": "local", "name": "a", "path": "/"}),
            400,
        ),
        (
            "/sources",
            json!({"kind": "local", "name": "a", "path": "/no/hay"}),
            404,
        ),
        ("/pool", json!({"redundancy": "0+1", "disks": []}), 400),
        ("/pool", json!({"redundancy": "2+1", "disks": ["a"]}), 400),
        (
            "/sources/host-key",
            json!({"host": "-x y", "port": 22}),
            400,
        ),
    ] {
        let answer = lab.post(path, body.clone());
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.text());
        let kind = answer.json(status)["kind"].clone();
        assert!(
            kind == "refused" || kind == "missing",
            "{path} {body}: {kind}"
        );
    }
    let huge = json!({"data": "x".repeat(300 << 10)});
    lab.post("/verify", huge).problem(413, "refused");
}
