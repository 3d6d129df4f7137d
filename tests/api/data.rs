//! Data go in, are looked at, and come back.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::peers;
use crate::lab::{Lab, big};

#[test]
fn data_go_in_and_come_back_by_every_way() {
    let lab = Lab::start().claimed().with_pool().with_source();
    assert_eq!(lab.get("/status").json(200)["ready"], true);
    lab.post("/pool", json!({"redundancy": "1+0", "disks": ["disk1"]}))
        .problem(409, "busy");
    let same = json!({"name": "datos", "kind": "local", "path": lab.data()});
    lab.post("/sources", same).problem(409, "busy");

    let job = lab.job(&lab.post("/sources/datos/run", json!({"full": true})));
    assert_eq!(
        (&job["state"], &job["kind"]),
        (&json!("done"), &json!("backup")),
        "{job}"
    );
    assert_eq!(job["subject"], "datos");
    assert!(job["started"].as_str() <= job["ended"].as_str());
    assert!(
        job["progress"]["bytes"].as_u64().unwrap() >= 5 << 20,
        "{job}"
    );
    let snapshots = lab.get("/snapshots").json(200);
    assert_eq!(snapshots[0], job["result"]["snapshot"]);
    assert_eq!(lab.get("/sources").json(200)[0]["last"], snapshots[0]);
    assert_eq!(lab.get("/jobs").json(200)[0], job);
    let id = snapshots[0]["id"].as_str().unwrap();

    let names = |path: &str| -> Vec<(String, String)> {
        let files = lab.get(&format!("/snapshots/{id}/files{path}")).json(200);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let each = files.as_array().unwrap().iter();
        each.map(|f| (text(&f["name"]), text(&f["type"]))).collect()
    };
    let entry = |name: &str, kind: &str| (name.to_owned(), kind.to_owned());
    assert_eq!(
        names(""),
        [entry("carpeta", "folder"), entry("grande.bin", "file")]
    );
    assert_eq!(
        names("?path=carpeta"),
        [
            entry("vacía", "folder"),
            entry("año 1.txt", "file"),
            entry("enlace", "symlink"),
            entry("gemelo", "file")
        ]
    );
    for (what, status) in [
        ("files?path=carpeta/nada", 404),
        ("files?path=../etc", 404),
        ("files?path=grande.bin", 400),
        ("download?path=carpeta/enlace", 400),
        ("download?path=nada", 404),
    ] {
        assert_eq!(
            lab.get(&format!("/snapshots/{id}/{what}")).status,
            status,
            "{what}"
        );
    }
    lab.get("/snapshots/ffffffffffffffffffffffffffffffff/files")
        .problem(404, "missing");

    // Reading the snapshot in goes on in the background.
    let found = loop {
        let found = lab.get("/find?text=A%C3%91O").json(200);
        if found["unread"] == 0 {
            break found;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    assert_eq!(found["hits"][0]["path"], "carpeta/año 1.txt", "{found}");
    assert_eq!(found["hits"][0]["last"]["id"], id);
    assert_eq!(found["hits"][0]["name"], "datos");
    let none = lab.get("/find?text=ano&name=otra").json(200);
    assert_eq!(none["hits"], json!([]));
    assert_eq!(lab.get("/find?text=*&limit=1").json(200)["more"], true);
    lab.get("/find?text=a/b").problem(400, "refused");
    lab.get("/find?text=a&limit=x").problem(400, "refused");

    let file = lab.get(&format!("/snapshots/{id}/download?path=grande.bin"));
    assert_eq!(
        file.headers["content-length"],
        (5 << 20).to_string().as_str()
    );
    assert!(file.bytes == big());
    let file = lab.get(&format!(
        "/snapshots/{id}/download?path=carpeta/a%C3%B1o%201.txt"
    ));
    assert_eq!(file.text(), "contenido");
    let named = file.headers["content-disposition"].to_str().unwrap();
    assert!(
        named.contains("filename*=UTF-8''a%C3%B1o%201.txt"),
        "{named}"
    );

    check_tar(&lab.get(&format!("/snapshots/{id}/download")).bytes);
    restore_and_compare(&lab, id);

    for data in [false, true] {
        let job = lab.job(&lab.post("/verify", json!({"data": data})));
        assert_eq!(job["state"], "done", "{job}");
        assert_eq!(job["result"]["errors"], json!([]));
    }
    let overview = lab.get("/overview").json(200);
    // How full the machine is that runs the test is no matter of the test's.
    let findings = overview["findings"].as_array().unwrap().iter();
    let bad: Vec<_> = findings
        .filter(|f| f["severity"] != "info" && f["code"] != "pool-nearly-full")
        .collect();
    assert!(bad.is_empty(), "{bad:?}");
}

fn check_tar(bytes: &[u8]) {
    let mut seen = BTreeMap::new();
    for entry in tar::Archive::new(bytes).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        if let Some(target) = entry.link_name().unwrap() {
            content = target.to_str().unwrap().into();
        }
        seen.insert(path.trim_end_matches('/').to_owned(), content);
    }
    let names: Vec<&str> = seen.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "datos",
            "datos/carpeta",
            "datos/carpeta/año 1.txt",
            "datos/carpeta/enlace",
            "datos/carpeta/gemelo",
            "datos/carpeta/vacía",
            "datos/grande.bin"
        ]
    );
    assert_eq!(seen["datos/carpeta/año 1.txt"], b"contenido");
    assert_eq!(seen["datos/carpeta/enlace"], b"../grande.bin");
    assert_eq!(seen["datos/carpeta/gemelo"], b"datos/grande.bin");
    assert!(seen["datos/grande.bin"] == big());
}

fn restore_and_compare(lab: &Lab, id: &str) {
    let target = lab.folder.path().join("vuelta");
    let restore = |body: Value| lab.post(&format!("/snapshots/{id}/restore"), body);
    let job = lab.job(&restore(
        json!({"path": "", "source": "datos", "target": target}),
    ));
    assert!(
        ["done", "warnings"].contains(&job["state"].as_str().unwrap()),
        "{job}"
    );
    assert!(std::fs::read(target.join("grande.bin")).unwrap() == big());
    let time = |path: PathBuf| {
        let meta = std::fs::symlink_metadata(path).unwrap();
        (meta.mtime(), meta.mtime_nsec(), meta.mode())
    };
    for name in [
        "grande.bin",
        "carpeta",
        "carpeta/año 1.txt",
        "carpeta/vacía",
    ] {
        assert_eq!(
            time(target.join(name)),
            time(lab.data().join(name)),
            "{name}"
        );
    }
    let inode = |name: &str| std::fs::metadata(target.join(name)).unwrap().ino();
    assert_eq!(inode("carpeta/gemelo"), inode("grande.bin"));
    let link = std::fs::read_link(target.join("carpeta/enlace")).unwrap();
    assert_eq!(link, PathBuf::from("../grande.bin"));

    // Without target: beside the original, under today's name.
    let job = lab.job(&restore(json!({"path": "carpeta", "source": "datos"})));
    let put = PathBuf::from(job["result"]["target"].as_str().unwrap());
    assert!(put.starts_with(lab.data()), "{job}");
    assert!(
        put.file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("_Restaurado_2")
    );
    assert_eq!(
        std::fs::read_to_string(put.join("año 1.txt")).unwrap(),
        "contenido"
    );
    std::fs::remove_dir_all(put).unwrap();

    for (body, status) in [
        (json!({"path": "no", "source": "datos"}), 404),
        (json!({"path": "", "source": "otro"}), 404),
        (
            json!({"path": "", "source": "datos", "target": "relativo"}),
            400,
        ),
        (
            json!({"path": "", "source": "datos", "target": lab.folder.path().join("state/x")}),
            400,
        ),
        (
            json!({"path": "", "source": "datos", "target": lab.folder.path().join("disks/disk1")}),
            400,
        ),
    ] {
        assert_eq!(restore(body.clone()).status, status, "{body}");
    }
}

#[test]
fn jobs_send_live_events_until_they_end() {
    let lab = Lab::start().claimed().with_pool().with_source();
    let started = lab.post("/sources/datos/run", json!({})).json(202);
    let url = format!("{}/api/v1/jobs/{}/events", lab.url, started["job"]);
    let bearer = format!("Bearer {}", lab.token.as_deref().unwrap());
    let mut response = lab
        .agent
        .get(&url)
        .header("authorization", &bearer)
        .call()
        .unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let lines = BufReader::new(response.body_mut().as_reader()).lines();
    let events: Vec<Value> = lines
        .map_while(Result::ok)
        .filter_map(|line| serde_json::from_str(line.strip_prefix("data:")?).ok())
        .collect();
    let last = events.last().unwrap();
    assert_eq!(last["state"], "done", "{last}");
    assert_eq!(last["id"], started["job"]);
    let again = lab.agent.get(&url).header("authorization", &bearer);
    let again = again.header("last-event-id", "ended").call().unwrap();
    assert_eq!(
        again.status().as_u16(),
        204,
        "a browser that comes back is told to stop"
    );
}

#[test]
fn an_sftp_server_is_pinned_backed_up_and_restored_to() {
    let lab = Lab::start().claimed().with_pool().with_source();
    let keys = tempfile::tempdir().unwrap();
    let sshd = peers::Sshd::start(keys.path()).unwrap();
    let probe = json!({"host": "127.0.0.1", "port": sshd.port});
    let key = lab.post("/sources/host-key", probe).json(200);
    let host_key = key["host_key"].as_str().unwrap();
    assert!(sshd.host_key.starts_with(host_key), "{key}");
    assert!(key["fingerprint"].as_str().unwrap().starts_with("SHA256:"));

    let source = |change: Value| {
        let mut body = json!({
            "name": "fs1", "kind": "sftp", "host": "127.0.0.1", "port": sshd.port, "user": sshd.user,
            "private_key": sshd.private_key, "path": lab.data(), "host_key": host_key,
        });
        body.as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        lab.post("/sources", body)
    };
    let other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
    for (change, status) in [
        (json!({"host_key": other}), 400),
        (json!({"host_key": "no"}), 400),
        (json!({"password": "también"}), 400),
        (json!({"private_key": null, "password": "equivocada"}), 400),
        (json!({"path": "/no/hay"}), 404),
        (json!({"port": peers::free_port().unwrap()}), 503),
    ] {
        let answer = source(change.clone());
        assert_eq!(answer.status, status, "{change}: {}", answer.text());
    }
    let added = source(json!({})).json(201);
    assert_eq!(added["fingerprint"], key["fingerprint"]);
    let shown = lab.get("/sources").text();
    assert!(!shown.contains("PRIVATE KEY"), "{shown}");
    let settings = std::fs::read(lab.folder.path().join("state/settings.redb")).unwrap();
    assert!(
        !settings.windows(11).any(|w| w == b"PRIVATE KEY"),
        "secrets are sealed"
    );

    let job = lab.job(&lab.post("/sources/fs1/run", json!({})));
    assert_eq!(job["state"], "done", "{job}");
    let id = job["result"]["snapshot"]["id"].as_str().unwrap();
    let target = lab.folder.path().join("vuelta");
    let restore = json!({"path": "", "source": "fs1", "target": target});
    let job = lab.job(&lab.post(&format!("/snapshots/{id}/restore"), restore));
    assert!(job["error"].is_null(), "{job}");
    assert!(std::fs::read(target.join("grande.bin")).unwrap() == big());
    let text = std::fs::read_to_string(target.join("carpeta/año 1.txt")).unwrap();
    assert_eq!(text, "contenido");
}
