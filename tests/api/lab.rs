//! A real daemon in a process of its own, on folders, and a client that
//! trusts nothing but its certificate.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use ureq::http::Method;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

pub const USER: &str = "ana";
pub const PASSWORD: &str = "una clave larga";

/// A box under test; its process ends with it.
pub struct Lab {
    pub folder: tempfile::TempDir,
    process: Child,
    pub url: String,
    pub agent: ureq::Agent,
    pub token: Option<String>,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: ureq::http::HeaderMap,
    pub bytes: Vec<u8>,
}

impl Answer {
    /// The body as JSON, after checking the status.
    #[track_caller]
    pub fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        serde_json::from_slice(&self.bytes).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// Checks that this is a whole problem document.
    #[track_caller]
    pub fn problem(&self, status: u16, kind: &str) -> String {
        let problem = self.json(status);
        let content = self.headers["content-type"].to_str().unwrap();
        assert_eq!(content, "application/problem+json");
        assert_eq!(problem["status"], status, "{problem}");
        assert_eq!(problem["kind"], kind, "{problem}");
        assert_eq!(problem["type"], "about:blank");
        assert!(!problem["title"].as_str().unwrap().is_empty());
        problem["detail"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub fn status_is(&self, status: u16) {
        assert_eq!(self.status, status, "{}", self.text());
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

impl Lab {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (process, url) = spawn(folder.path());
        let agent = agent(folder.path());
        Self {
            folder,
            process,
            url,
            agent,
            token: None,
        }
    }

    /// Ends the process as a power cut would, and starts another on the same folder.
    pub fn crash(&mut self) {
        self.process.kill().unwrap();
        self.restart();
    }

    /// Ends the process as systemd would; it must end well.
    pub fn stop(&mut self) {
        let id = nix::unistd::Pid::from_raw(self.process.id().try_into().unwrap());
        nix::sys::signal::kill(id, nix::sys::signal::SIGTERM).unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.process.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "it does not stop");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(self.process.wait().unwrap().success());
    }

    pub fn restart(&mut self) {
        let _ = self.process.wait();
        (self.process, self.url) = spawn(self.folder.path());
        self.token = None;
    }

    pub fn claim_code(&self) -> String {
        let path = self.folder.path().join("state/console.json");
        let deadline = Instant::now() + Duration::from_secs(20);
        while !path.exists() {
            assert!(Instant::now() < deadline, "the console is told nothing");
            std::thread::sleep(Duration::from_millis(20));
        }
        let status: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        status["claim_code"].as_str().unwrap().to_owned()
    }

    /// Claims the box and keeps the token.
    pub fn claimed(mut self) -> Self {
        let body = json!({"code": self.claim_code(), "user": USER, "password": PASSWORD});
        let token = self.post("/claim", body).json(200);
        self.token = Some(token["token"].as_str().unwrap().to_owned());
        self
    }

    pub fn log_in(&mut self) {
        let body = json!({"user": USER, "password": PASSWORD});
        let token = self.post("/login", body).json(200);
        self.token = Some(token["token"].as_str().unwrap().to_owned());
    }

    /// Makes the pool 2+1 with one spare on the four disks.
    pub fn with_pool(self) -> Self {
        let disks = self.get("/disks").json(200);
        let serials: Vec<&str> = disks
            .as_array()
            .unwrap()
            .iter()
            .map(|disk| disk["serial"].as_str().unwrap())
            .collect();
        let body = json!({"redundancy": "2+1", "disks": serials[..3], "spares": serials[3..]});
        let created = self.post("/pool", body).json(200);
        let words = created["recovery_words"].as_array().unwrap();
        assert_eq!(words.len(), 24);
        assert_eq!(created["pool"]["state"], "ok", "{created}");
        self
    }

    pub fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None, &[])
    }

    pub fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body), &[])
    }

    /// One request with the token, if there is one.
    pub fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}/api/v1{path}", self.url));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = match body {
            Some(body) => {
                let request = request.header("content-type", "application/json");
                self.agent.run(request.body(body.to_string()).unwrap())
            }
            None => self.agent.run(request.body(()).unwrap()),
        };
        let mut response = response.unwrap_or_else(|e| panic!("{path}: {e}"));
        let mut bytes = Vec::new();
        let mut body = response.body_mut().as_reader();
        body.read_to_end(&mut bytes).unwrap();
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            bytes,
        }
    }

    /// Waits for a job that was answered with `202`.
    #[track_caller]
    pub fn job(&self, started: &Answer) -> Value {
        self.ended(&started.json(202)["job"])
    }

    /// Waits for a job to end.
    #[track_caller]
    pub fn ended(&self, id: &Value) -> Value {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let job = self.get(&format!("/jobs/{id}")).json(200);
            if !["queued", "running"].contains(&job["state"].as_str().unwrap()) {
                return job;
            }
            assert!(Instant::now() < deadline, "{job}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until the pool is open.
    pub fn until_ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let status = self.get("/status").json(200);
            if status["ready"] == true {
                return;
            }
            assert!(Instant::now() < deadline, "{status}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A folder with a few files of every sort, registered as source `datos`.
    pub fn with_source(self) -> Self {
        let data = self.data();
        std::fs::create_dir_all(data.join("carpeta/vacía")).unwrap();
        std::fs::write(data.join("carpeta/año 1.txt"), "contenido").unwrap();
        std::fs::write(data.join("grande.bin"), big()).unwrap();
        std::fs::hard_link(data.join("grande.bin"), data.join("carpeta/gemelo")).unwrap();
        std::os::unix::fs::symlink("../grande.bin", data.join("carpeta/enlace")).unwrap();
        let body = json!({"name": "datos", "kind": "local", "path": data});
        let source = self.post("/sources", body).json(201);
        assert_eq!(source["last"], Value::Null);
        self
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("datos")
    }

    /// Backs `datos` up and returns the snapshot's id.
    #[track_caller]
    pub fn backed_up(&self) -> String {
        let job = self.job(&self.post("/sources/datos/run", json!({"full": false})));
        assert_eq!(job["state"], "done", "{job}");
        let id = &job["result"]["snapshot"]["id"];
        id.as_str().unwrap().to_owned()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// 5 MiB that neither compress nor repeat.
pub fn big() -> Vec<u8> {
    let mut bytes = vec![0; 5 << 20];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

/// This test binary again, as the daemon: see `daemon`.
fn spawn(folder: &Path) -> (Child, String) {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["daemon", "--exact", "--ignored", "--nocapture"])
        .env("COLCA_TEST_FOLDER", folder)
        .env_remove("RUNTIME_DIRECTORY")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let url = lines.by_ref().map_while(Result::ok).find_map(|line| {
        Some(
            line.get(line.find("https://")?..)?
                .trim_end_matches('/')
                .to_owned(),
        )
    });
    // Whatever else it prints must not fill the pipe.
    std::thread::spawn(move || lines.for_each(drop));
    let Some(url) = url else {
        let _ = process.kill();
        panic!("the daemon ended: {:?}", process.wait());
    };
    (process, url)
}

fn agent(folder: &Path) -> ureq::Agent {
    let pem = std::fs::read(folder.join("state/tls.pem")).unwrap();
    let pinned = Certificate::from_pem(&pem).unwrap();
    let tls = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .root_certs(RootCerts::new_with_certs(&[pinned]))
        .build();
    ureq::Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(Duration::from_secs(60)))
        .build()
        .into()
}
