//! The key sealed with the machine's TPM: the system's own `systemd-creds`
//! against a software TPM. Only where the tool must fail does a script stand
//! in for it.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::kit::{Ran, Run, Stage};

/// Puts a TPM between `systemd-creds` and who calls it. systemd 252 (Debian 12)
/// cannot open what it bound to no measured state, so there it binds to one
/// that a TPM without firmware never changes.
const WITH_TPM: &str = r#"#!/bin/bash
set -u
tpm=${0%/*}/tpm
mkdir -p "$tpm"
swtpm socket --tpm2 --tpmstate "dir=$tpm" --server "type=unixio,path=$tpm/sock,disconnect" \
	--ctrl "type=unixio,path=$tpm/sock.ctrl" --flags not-need-init,startup-clear < /dev/null > /dev/null 2>&1 &
pid=$!
until [[ -S $tpm/sock ]] || ! kill -0 $pid; do sleep 0.01; done
tool=/usr/bin/systemd-creds
version=$($tool --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
arguments=("$@")
((version >= 253)) || arguments=("${arguments[@]/#--tpm2-pcrs=/--tpm2-pcrs=7}")
$tool "--tpm2-device=swtpm:path=$tpm/sock" "${arguments[@]}"
code=$?
# A TPM that loses its power without a word takes that for an attack.
perl -MIO::Socket::UNIX -e '
	$tpm = IO::Socket::UNIX->new(Peer => shift) or die "$!";
	$tpm->syswrite(pack "nNNn", 0x8001, 12, 0x145, 0);
	$tpm->sysread($_, 100);
' "$tpm/sock"
kill $pid
wait $pid
rm -f "$tpm/sock" "$tpm/sock.ctrl"
exit $code
"#;

/// A machine: a folder with the tool, and the TPM's memory beside it.
fn machine(stage: &Stage, name: &str, tool: &str) -> PathBuf {
    let folder = stage.folder(name);
    let path = folder.join("systemd-creds");
    std::fs::write(&path, tool).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    folder
}

/// Runs `colca` on that machine, with a file as its standard input.
fn on(stage: &Stage, machine: &Path, input: &str, arguments: &[&str]) -> Ran {
    let path = std::env::var("PATH").unwrap();
    let typed = stage.file("typed", input);
    let mut command = stage.command(arguments);
    command
        .env("PATH", format!("{}:{path}", machine.display()))
        .stdin(std::fs::File::open(typed).unwrap());
    command.run()
}

/// The one master key in the state folder, in hexadecimal.
fn plain_key(stage: &Stage) -> String {
    let text = std::fs::read_to_string(stage.path("state/pool.key")).unwrap();
    text.lines().next().unwrap().to_owned()
}

/// Whether any file of the state folder holds the key in either form.
fn lies_in_state(stage: &Stage, key: &str) -> bool {
    let bytes: Vec<u8> = (0..key.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&key[at..at + 2], 16).unwrap())
        .collect();
    let mut folders = vec![stage.path("state")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let content = std::fs::read(&path).unwrap();
            let holds = |what: &[u8]| content.windows(what.len()).any(|part| part == what);
            if holds(&bytes) || holds(key.as_bytes()) {
                return true;
            }
        }
    }
    false
}

fn kinds(shown: &serde_json::Value) -> Vec<String> {
    let slots = shown["slots"].as_array().unwrap();
    slots
        .iter()
        .map(|s| s["kind"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_tpm_opens_the_pool_and_no_key_lies_in_the_state_folder() {
    let (stage, words, _) = Stage::backed_up("1+1", 2);
    let box_ = machine(&stage, "box", WITH_TPM);
    let run = |arguments: &[&str]| on(&stage, &box_, "", arguments);
    let key = plain_key(&stage);
    assert!(lies_in_state(&stage, &key));

    let added = run(&["--json", "key", "add-tpm", "--label", "caja 1"]).ok();
    assert_eq!(added.json()["number"], 2);
    assert!(!stage.path("state/pool.key").exists());
    assert!(!lies_in_state(&stage, &key));
    run(&["verify", "--data"]).ok();
    let shown = run(&["--json", "key", "show"]).ok().json();
    assert_eq!(kinds(&shown), ["recovery", "outside"]);
    assert_eq!(shown["slots"][1]["label"], "caja 1");

    // Adding it again replaces what this machine had.
    run(&["key", "add-tpm", "--label", "caja 1"]).ok();
    let shown = run(&["--json", "key", "show"]).ok().json();
    assert_eq!(kinds(&shown), ["recovery", "outside"]);
    assert_eq!(shown["slots"][1]["number"], 3);

    // The key changes, and the TPM opens the new one; no key touches the folder.
    let changed = run(&["--json", "key", "change"]).ok().json();
    assert!(!stage.path("state/pool.key").exists());
    let shown = run(&["--json", "key", "show"]).ok().json();
    assert_eq!(shown["epoch"], 2);
    assert_eq!(kinds(&shown), ["recovery", "outside"]);
    assert_eq!(shown["slots"][1]["label"], "caja 1");
    run(&["verify", "--data"]).ok();

    // On another machine the same disks and state folder do not open, and nothing changes by trying.
    let other = machine(&stage, "other", WITH_TPM);
    let before = std::fs::read(stage.path("state/pool.sealed")).unwrap();
    on(&stage, &other, "", &["verify"])
        .code(8)
        .says(&["TPM", "nothing is lost", "recovery words"]);
    assert_eq!(
        std::fs::read(stage.path("state/pool.sealed")).unwrap(),
        before
    );
    let open = |words: &serde_json::Value| {
        let words: Vec<String> = serde_json::from_value(words.clone()).unwrap();
        let typed = stage.file("words", &words.join(" "));
        stage.open_elsewhere("elsewhere", &["--recovery-key", &typed])
    };
    open(&serde_json::json!(words)).code(8);
    open(&changed["recovery_words"]).ok();

    // Removed, the key lies in the folder as before, and no TPM is asked.
    let number = shown["slots"][1]["number"].to_string();
    run(&["key", "remove", &number]).ok();
    assert!(!stage.path("state/pool.sealed").exists());
    stage.colca(["verify", "--data"]).ok();
    let shown = stage.colca(["--json", "key", "show"]).ok().json();
    assert_eq!(kinds(&shown), ["recovery"]);
}

#[test]
fn the_tpm_with_a_passphrase_needs_both() {
    let (stage, ..) = Stage::backed_up("1+1", 2);
    let box_ = machine(&stage, "box", WITH_TPM);
    const TYPED: &str = "cuatro palabras y otra\n";
    let option = format!("--with-passphrase={}", stage.file("phrase", TYPED));
    on(&stage, &box_, "", &["key", "add-tpm", &option]).ok();
    let key = stage.path("state/pool.key");
    assert!(!key.exists());
    on(&stage, &box_, TYPED, &["verify"]).ok();
    on(&stage, &box_, "una clave que no es\n", &["verify"]).code(8);
    on(&stage, &box_, "", &["verify"]).code(8);
    let other = machine(&stage, "other", WITH_TPM);
    on(&stage, &other, TYPED, &["verify"])
        .code(8)
        .says(&["TPM", "recovery words"]);
    on(&stage, &box_, TYPED, &["key", "change"]).ok();
    assert!(!key.exists());
    on(&stage, &box_, TYPED, &["verify", "--data"]).ok();
    let shown = stage.colca(["--json", "key", "show"]).ok().json();
    assert_eq!(kinds(&shown), ["recovery", "both"]);
}

#[test]
fn a_tpm_that_refuses_or_lies_changes_nothing() {
    let (stage, ..) = Stage::backed_up("1+1", 2);
    let key = plain_key(&stage);
    let header = stage.colca(["--json", "key", "show"]).ok().out;
    for (name, tool, code, said) in [
        (
            "none",
            "#!/bin/sh\necho 'TPM2 support is not installed.' >&2\nexit 1\n",
            8,
            "TPM2 support is not installed.",
        ),
        ("mute", "#!/bin/sh\ncat > /dev/null\n", 1, "something else"),
        // Seals, but never gives the secret back.
        (
            "forgetful",
            "#!/bin/sh\ncat > /dev/null\ncase \"$*\" in *decrypt*) echo 'Failed to unseal' >&2; exit 1;; esac\necho c2VhbGVk\n",
            8,
            "Failed to unseal",
        ),
        // Gives back 32 bytes that are not the secret.
        (
            "liar",
            "#!/bin/sh\ncat > /dev/null\ncase \"$*\" in *decrypt*) head -c 32 /dev/zero;; *) echo c2VhbGVk;; esac\n",
            1,
            "something else",
        ),
    ] {
        let machine = machine(&stage, name, tool);
        on(&stage, &machine, "", &["key", "add-tpm"])
            .code(code)
            .says(&[said]);
        assert_eq!(plain_key(&stage), key, "{name}");
        assert!(!stage.path("state/pool.sealed").exists(), "{name}");
        assert_eq!(stage.colca(["--json", "key", "show"]).ok().out, header);
    }
    stage.colca(["verify"]).ok();
}
