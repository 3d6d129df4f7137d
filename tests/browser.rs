//! A person's first day with the box, in a real browser against the real
//! daemon: claim it, create the pool, add a source, back it up and watch, look
//! into the snapshot, download and restore. Every page on the way is checked
//! and photographed into `target/screenshots` (see `browser/audit.rs`). The
//! essential steps again without JavaScript.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says by panicking"
)]

#[path = "browser/audit.rs"]
mod audit;
#[path = "browser/chrome.rs"]
mod chrome;
#[path = "browser/daemon.rs"]
mod daemon;
#[path = "browser/disks.rs"]
mod disks;
#[path = "browser/keys.rs"]
mod keys;
#[path = "browser/steps.rs"]
mod steps;

#[path = "harness/mod.rs"]
mod harness;

use audit::Audit;
use chrome::Chrome;
use daemon::{Daemon, Data};
use harness::peers::Ceph;
use steps::{
    PASSWORD, USER, add_local, add_sftp, choose_disks, claim, compare_tar, create_pool, watch,
};

#[tokio::test(flavor = "multi_thread")]
async fn first_day_with_the_box() {
    let (daemon, data) = (Daemon::start(), Data::new(256));
    let chrome = Chrome::start(&daemon.base, "es-PE", true).await;
    let mut audit = Audit::default();
    let provider_folder = tempfile::tempdir().unwrap();
    let provider = {
        let folder = provider_folder.path().to_owned();
        std::thread::spawn(move || Ceph::start(&folder))
    };

    // Claim: every mistake is named, the form keeps what was right.
    chrome.open("/disks").await;
    chrome.arrives("/claim").await;
    audit.look(&chrome, "01-claim").await;
    chrome.fill("code", "AAAA-AAAA").await;
    chrome.fill("user", USER).await;
    chrome.fill("password", "corta").await;
    chrome.fill("again", "otra").await;
    chrome.click("main form button").await;
    chrome.says("Las dos contraseñas no son iguales").await;
    audit.look_at_refused(&chrome, "02-claim-mistakes").await;
    chrome.fill("password", PASSWORD).await;
    chrome.fill("again", PASSWORD).await;
    chrome.click("main form button").await;
    chrome.says("El código no es correcto").await;
    audit.look_at_refused(&chrome, "03-claim-wrong-code").await;
    claim(&chrome, &daemon).await;
    audit.look(&chrome, "04-today-new-box").await;

    // Logout, a wrong password, login.
    chrome.click(".bar-tools form button").await;
    chrome.arrives("/login").await;
    audit.look(&chrome, "05-login").await;
    chrome.fill("user", USER).await;
    chrome.fill("password", "equivocada del todo").await;
    chrome.click("main form button").await;
    chrome.says("no son correctos").await;
    audit.look_at_refused(&chrome, "06-login-wrong").await;
    chrome.open("/disks").await;
    chrome.arrives("/login").await;
    chrome.fill("user", USER).await;
    chrome.fill("password", PASSWORD).await;
    chrome.click("main form button").await;
    chrome.arrives("/disks").await;

    // The pool, and its words until they are confirmed.
    audit.look(&chrome, "07-disks-choose").await;
    chrome.click("main form button").await;
    chrome.says("No eligió ningún disco").await;
    audit
        .look_at_refused(&chrome, "08-disks-nothing-chosen")
        .await;
    choose_disks(&chrome).await;
    audit.look(&chrome, "09-pool-protection").await;
    chrome.fill("confirm.DEV2", "DEV1").await;
    chrome.click("main form button").await;
    chrome.says("No coincide con el número de serie").await;
    audit
        .look_at_refused(&chrome, "10-pool-not-confirmed")
        .await;
    let words = create_pool(&chrome).await;
    assert!(words.iter().all(|w| !w.is_empty()), "{words:?}");
    audit.look(&chrome, "11-recovery-words").await;
    audit::printed(&chrome, "11-recovery-words-printed").await;
    chrome.open("/").await;
    audit.look(&chrome, "12-today-words-waiting").await;
    chrome.press("Ver las palabras").await;
    chrome.arrives("/disks/words").await;
    chrome.click("input[name='kept']").await;
    chrome.click("main form button").await;
    chrome.arrives("/").await;
    chrome.says("El almacén está listo").await;
    audit.look(&chrome, "13-today-pool-ready").await;
    chrome.open("/disks/words").await;
    chrome.arrives("/disks").await;
    chrome
        .says("No hay palabras de recuperación por mostrar")
        .await;
    audit.look(&chrome, "14-disks-with-pool").await;

    // Sources: a folder of the box, and a real SSH server.
    chrome.open("/sources").await;
    audit.look(&chrome, "15-sources-none").await;
    chrome.press("Agregar una fuente").await;
    chrome.arrives("/add-source").await;
    audit.look(&chrome, "16-add-source").await;
    chrome.open("/add-source/local").await;
    chrome.fill("name", "datos").await;
    chrome.fill("path", "/no/existe").await;
    chrome.click("main form button").await;
    chrome.says("Detalle técnico").await;
    audit.look_at_refused(&chrome, "17-add-local-missing").await;
    add_local(&chrome, "archivos-sede", &data).await;
    chrome.says("Se agregó la fuente").await;
    audit.look(&chrome, "18-source").await;
    chrome.open("/").await;
    audit.look(&chrome, "19-today-source-ready").await;
    let (server, keys, served) = add_sftp(&chrome, &mut audit).await;
    chrome.open("/sources").await;
    audit.look(&chrome, "23-sources").await;
    chrome.open("/snapshots").await;
    audit.look(&chrome, "24-snapshots-none").await;

    // Back up, and watch it happen.
    chrome.open("/sources").await;
    let slowed = data.slowed();
    chrome.press("Respaldar ahora").await;
    chrome.says("Velocidad").await;
    let job = chrome.path().await;
    assert!(job.starts_with("/jobs/"), "{job}");
    chrome.open("/").await;
    chrome.says("En curso ahora").await;
    audit::picture(&chrome, "25-today-running").await;
    chrome.open(&job).await;
    let seen = watch(&chrome, "#bytes", "25-job-running").await;
    assert!(seen.len() >= 2, "the figures never moved: {seen:?}");
    drop(slowed);
    chrome.says("Terminado").await;
    audit.look(&chrome, "26-job-done").await;
    chrome.open("/jobs").await;
    audit.look(&chrome, "27-jobs").await;
    chrome.open("/").await;
    audit.look(&chrome, "28-today-source-missing").await;

    // A long folder is shown in parts.
    chrome.open("/snapshots").await;
    chrome.click("main table th a").await;
    chrome.press("planillas").await;
    chrome.press("grupo-00").await;
    chrome.says("Siguientes").await;
    assert_eq!(chrome.count("main tbody tr").await, 500);
    chrome.press("Siguientes").await;
    chrome.says("Desde el principio").await;
    assert_eq!(chrome.count("main tbody tr").await, 100);

    // Found without knowing where it is.
    chrome.open("/snapshots").await;
    chrome.fill("text", "EVALUACION").await;
    chrome.press("Buscar").await;
    chrome.says("En 1 copia").await;
    audit.look(&chrome, "29-found").await;
    chrome.click("main table th a").await;
    chrome.says("Informes 2026").await;
    chrome.open("/find?text=no+existe").await;
    audit.look(&chrome, "29-found-nothing").await;

    // Look into it, download, compare.
    chrome.open("/snapshots").await;
    audit.look(&chrome, "30-snapshots").await;
    chrome.click("main table th a").await;
    chrome.says("Identificador").await;
    audit.look(&chrome, "31-files-top").await;
    chrome.press("Informes 2026").await;
    chrome.says("Evaluación de desempeño").await;
    audit.look(&chrome, "32-files-folder").await;
    let folder = chrome.here().await;
    chrome.click("main .page-head a[download]").await;
    let tar = chrome.downloaded("Informes 2026.tar").await;
    compare_tar(&tar, &data.file("Informes 2026"));
    chrome
        .press_in_row("Evaluación de desempeño", "a[download]")
        .await;
    let name = "Evaluación de desempeño – setiembre.txt";
    let bytes = chrome.downloaded(name).await;
    assert_eq!(
        bytes,
        std::fs::read(data.file(&format!("Informes 2026/{name}"))).unwrap()
    );
    chrome.open("/snapshots").await;
    chrome.click("main table th a").await;
    chrome.press("imágenes").await;
    chrome.says("disco-00.img").await;
    chrome.press_in_row("disco-00.img", "a[download]").await;
    let bytes = chrome.downloaded("disco-00.img").await;
    assert!(bytes == std::fs::read(data.file("imágenes/disco-00.img")).unwrap());

    // Restore one file back to the source, beside the original.
    chrome.open(&folder).await;
    chrome.press_in_row("acta #12", "a:not([download])").await;
    chrome.says("Carpeta de destino").await;
    audit.look(&chrome, "33-restore").await;
    chrome.fill("target", "relativa").await;
    chrome.click("input[name='sure']").await;
    chrome.click("main form button").await;
    chrome.says("La ruta debe ser completa").await;
    audit.look_at_refused(&chrome, "34-restore-mistake").await;
    let target = tempfile::tempdir().unwrap();
    let target = target.path().join("recuperado");
    chrome.fill("target", target.to_str().unwrap()).await;
    chrome.click("input[name='sure']").await;
    chrome.click("main form button").await;
    watch(&chrome, "#bytes", "").await;
    chrome.says("Terminado").await;
    audit.look(&chrome, "35-restore-done").await;
    let restored = std::fs::read(target.join("acta #12 & anexo?.txt")).unwrap();
    assert_eq!(restored, b"acta\n");

    // Stop a job; verify; a provider that cannot be reached.
    chrome.open("/sources/archivos-sede").await;
    chrome.click("input[name='full'][value='yes']").await;
    let slowed = data.slowed();
    chrome.click("#contenido form button").await;
    chrome.press("Detener").await;
    chrome.says("Detenido").await;
    drop(slowed);
    audit.look(&chrome, "36-job-cancelled").await;
    chrome.open("/disks").await;
    chrome
        .click("main form[action='/disks/verify'] button")
        .await;
    watch(&chrome, "#bytes", "").await;
    chrome.says("Informe de la verificación").await;
    audit.look(&chrome, "37-verify-done").await;
    chrome.open("/provider").await;
    audit.look(&chrome, "38-provider").await;
    for (field, text) in [
        ("endpoint", "https://127.0.0.1:9"),
        ("region", "lima"),
        ("bucket", "respaldo"),
        ("access_key", "AK"),
        ("secret_key", "secreto"),
    ] {
        chrome.fill(field, text).await;
    }
    chrome.click("main form button").await;
    chrome.says("Detalle técnico").await;
    audit
        .look_at_refused(&chrome, "39-provider-unreachable")
        .await;

    // A provider that answers: replicate to it.
    let ceph = tokio::task::spawn_blocking(|| provider.join())
        .await
        .unwrap();
    let ceph = ceph.unwrap().unwrap();
    let config = ceph.config("respaldo", "");
    for (field, text) in [
        ("endpoint", &format!("https://127.0.0.1:{}", ceph.tls_port)),
        ("region", &config.region),
        ("access_key", &config.access_key),
        ("secret_key", &config.secret_key),
        ("ca_pem", &ceph.ca_pem),
    ] {
        chrome.fill(field, text).await;
    }
    chrome.click("main form button").await;
    chrome.says("Se pudo entrar al proveedor").await;
    audit.look(&chrome, "46-provider-ready").await;
    chrome.press("Replicar ahora").await;
    watch(&chrome, "#bytes", "47-replicating").await;
    chrome.says("Réplica completa").await;
    audit.look(&chrome, "48-replicated").await;
    chrome.open("/provider").await;
    chrome.says("Última réplica correcta").await;
    audit.look(&chrome, "49-provider-with-replica").await;

    // The other source too: all is well.
    chrome.open("/sources/servidor-sftp").await;
    chrome.click("#contenido form button").await;
    watch(&chrome, "#bytes", "").await;
    chrome.open("/").await;
    chrome.says("Sí, todo está bien").await;
    audit.look(&chrome, "40-today-well").await;

    // A server that is gone, then a disk that is gone.
    drop(server);
    chrome.open("/sources/servidor-sftp").await;
    chrome.click("#contenido form button").await;
    watch(&chrome, "#bytes", "").await;
    chrome.says("Falló").await;
    audit.look(&chrome, "43-job-failed").await;
    let (disk, away) = (daemon.disk(3), daemon.disk(3).with_extension("away"));
    std::fs::rename(&disk, &away).unwrap();
    chrome.open("/disks").await;
    chrome.press("Buscar discos").await;
    chrome.says("Se buscaron los discos").await;
    chrome.says("No está").await;
    audit.look(&chrome, "44-disks-one-missing").await;
    chrome.open("/").await;
    chrome.says("No: hay datos sin protección").await;
    audit.look(&chrome, "45-today-bad").await;
    std::fs::rename(&away, &disk).unwrap();
    chrome.open("/disks").await;
    chrome.press("Buscar discos").await;
    chrome.says("Se buscaron los discos").await;
    drop((keys, served));

    // A source is removed; its snapshot stays.
    chrome.open("/sources/servidor-sftp").await;
    chrome.press("Quitar la fuente").await;
    chrome.arrives("/sources/servidor-sftp/remove").await;
    chrome.fill("confirm", "otra").await;
    chrome.click("main form button").await;
    chrome.says("El nombre no coincide").await;
    audit.look_at_refused(&chrome, "41-source-remove").await;
    chrome.fill("confirm", "servidor-sftp").await;
    chrome.click("main form button").await;
    chrome.arrives("/sources").await;
    chrome.says("Sus copias siguen en el almacén").await;
    chrome.open("/snapshots?source=servidor-sftp").await;
    chrome.says("servidor-sftp").await;
    audit.look(&chrome, "42-snapshots-of-one-source").await;

    errors(&chrome, &mut audit).await;
    english(&chrome, &mut audit).await;
    audit.finish();
}

/// What went wrong is a page that says what to do.
async fn errors(chrome: &Chrome, audit: &mut Audit) {
    chrome.open("/no-existe").await;
    chrome.says("Esta página no existe").await;
    audit.look_at_refused(chrome, "50-error-not-found").await;
    chrome
        .open("/snapshots/ffffffffffffffffffffffffffffffff")
        .await;
    chrome.says("No se encontró lo que se pidió").await;
    audit.look_at_refused(chrome, "51-error-missing").await;
    chrome.open("/sources/archivos-sede").await;
    chrome
        .run("document.querySelector('main form [name=csrf]').value = 'x'")
        .await;
    chrome.click("#contenido form button").await;
    chrome.says("El formulario venció").await;
    audit.look_at_refused(chrome, "52-error-form-expired").await;
    chrome.lose_session().await;
    chrome.open("/jobs").await;
    chrome.arrives("/login").await;
    chrome.says("Su sesión terminó").await;
    audit.look(chrome, "53-session-ended").await;
    chrome.fill("user", USER).await;
    chrome.fill("password", PASSWORD).await;
    chrome.click("main form button").await;
    chrome.arrives("/jobs").await;
}

/// The switch to English leaves no Spanish behind.
async fn english(chrome: &Chrome, audit: &mut Audit) {
    chrome.open("/disks").await;
    chrome.click(".bar-tools a").await;
    chrome.says("Disks and pool").await;
    chrome.arrives("/disks").await;
    for (path, name) in [
        ("/", "60-english-today"),
        ("/disks", "61-english-disks"),
        ("/sources", "62-english-sources"),
        ("/add-source/sftp", "63-english-add-sftp"),
        ("/snapshots", "64-english-snapshots"),
        ("/find", "64-english-find"),
        ("/provider", "65-english-provider"),
        ("/jobs", "66-english-jobs"),
    ] {
        chrome.open(path).await;
        audit.look(chrome, name).await;
        let text = chrome.text("body").await.replace("Español", "");
        let spanish: String = text
            .chars()
            .filter(|c| "áéíóúñ¿¡ÁÉÍÓÚÑ«»".contains(*c))
            .collect();
        assert!(
            spanish.is_empty(),
            "{path} in English has {spanish}:\n{text}"
        );
    }
}

/// Claim, login, pool, source, backup and its end, with JavaScript off:
/// running jobs renew their page by themselves.
#[tokio::test(flavor = "multi_thread")]
async fn first_day_without_javascript() {
    let (daemon, data) = (Daemon::start(), Data::new(256));
    let chrome = Chrome::start(&daemon.base, "es-PE", false).await;
    claim(&chrome, &daemon).await;
    chrome.click(".bar-tools form button").await;
    chrome.arrives("/login").await;
    chrome.fill("user", USER).await;
    chrome.fill("password", PASSWORD).await;
    chrome.click("main form button").await;
    chrome.arrives("/").await;
    create_pool(&chrome).await;
    // What only a script can do is not offered.
    assert_eq!(chrome.count("[data-print][hidden]").await, 1, "scripts run");
    chrome.click("input[name='kept']").await;
    chrome.click("main form button").await;
    chrome.arrives("/").await;
    add_local(&chrome, "archivos-sede", &data).await;
    let slowed = data.slowed();
    chrome.click("#contenido form button").await;
    // Nothing is pressed from here on: the page comes to its end alone.
    let seen = watch(&chrome, "#bytes", "70-job-running-without-javascript").await;
    assert!(!seen.is_empty(), "the progress was never shown");
    drop(slowed);
    chrome.says("Terminado").await;
}
