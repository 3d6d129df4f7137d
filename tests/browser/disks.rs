//! The life of a disk, as a technician meets it: which one warns and why, where
//! it stands, what takes its place, and when it may be pulled.

use super::audit::Audit;
use super::chrome::Chrome;
use super::daemon::{Daemon, Data};
use super::steps::{add_local, claim, create_pool, watch};

/// Lets a disk answer as one of the documents in `tests/fixtures/smart`.
fn answers(daemon: &Daemon, number: u32, fixture: &str) {
    let from = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/smart")
        .join(fixture);
    std::fs::copy(from, daemon.disk(number).join("smart")).unwrap();
}

async fn pool_with_data(chrome: &Chrome, daemon: &Daemon, data: &Data) {
    answers(daemon, 1, "ata-seagate-reallocated.json");
    answers(daemon, 3, "sas-hgst-grown-defects.json");
    claim(chrome, daemon).await;
    create_pool(chrome).await;
    chrome.click("input[name='kept']").await;
    chrome.click("main form button").await;
    chrome.arrives("/").await;
    add_local(chrome, "archivos-sede", data).await;
    chrome.click("#contenido form button").await;
    watch(chrome, "#bytes", "90-disks-backup").await;
    chrome.says("Terminado").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_warns_is_replaced_and_pulled() {
    let (daemon, data) = (Daemon::start(), Data::new(16));
    let chrome = Chrome::start(&daemon.base, "es-PE", true).await;
    let mut audit = Audit::default();
    pool_with_data(&chrome, &daemon, &data).await;

    // The first page says which disk, where, why, and what to do.
    chrome.open("/").await;
    chrome.says("Disco DEV1 (bahía 1)").await;
    chrome.says("Su autoprueba encontró una falla").await;
    audit.look(&chrome, "91-today-disk-warns").await;
    chrome.open("/disks").await;
    chrome.says("Falla").await;
    audit.look(&chrome, "92-disks").await;
    chrome.press("DEV1").await;
    chrome.arrives("/disks/disk/DEV1").await;
    chrome.says("Sectores reemplazados").await;
    audit.look(&chrome, "93-disk").await;
    chrome.press("Identificar").await;
    chrome.says("se muestra durante un minuto").await;
    audit.look(&chrome, "94-disk-identified").await;

    // Replaced: no disk is there yet, then one appears by itself.
    chrome.press("Reemplazar").await;
    chrome.arrives("/disks/replace").await;
    chrome.says("No hay ningún disco que se pueda usar").await;
    audit.look(&chrome, "95-replace-none").await;
    std::fs::create_dir(daemon.disk(5)).unwrap();
    chrome.says("bahía 5").await;
    audit.look(&chrome, "96-replace").await;
    chrome.click("input[value='DEV5']").await;
    chrome.fill("confirm", "DEV1").await;
    chrome.click("form.card button").await;
    chrome.says("No coincide con el número de serie").await;
    audit
        .look_at_refused(&chrome, "97-replace-not-confirmed")
        .await;
    chrome.fill("confirm", "DEV5").await;
    chrome.click("form.card button").await;
    chrome.arrives("/disks/leaving").await;
    chrome
        .says("Ya puede sacar el disco DEV1 de la bahía 1")
        .await;
    audit.look(&chrome, "98-replaced").await;

    // Another joins, and one retires.
    std::fs::create_dir(daemon.disk(6)).unwrap();
    chrome.open("/disks").await;
    chrome.press("Agregar discos").await;
    chrome.arrives("/disks/add").await;
    chrome.says("bahía 6").await;
    chrome.choose("disk.DEV6", "data").await;
    audit.look(&chrome, "99-add-disks").await;
    chrome.fill("confirm.DEV6", "DEV6").await;
    chrome.click("main form button").await;
    chrome.arrives("/disks").await;
    chrome.says("Los discos se agregaron").await;
    chrome.open("/disks/disk/DEV3").await;
    chrome.press("Retirar").await;
    chrome.arrives("/disks/retire").await;
    audit.look(&chrome, "100-retire").await;
    chrome.click("form.card button").await;
    chrome.arrives("/disks/leaving").await;
    chrome
        .says("Ya puede sacar el disco DEV3 de la bahía 3")
        .await;
    audit.look(&chrome, "101-retired").await;

    // Pulled without a word: missing.
    std::fs::rename(daemon.disk(2), daemon.disk(2).with_file_name("pulled")).unwrap();
    chrome.open("/disks").await;
    chrome.says("no está en el equipo").await;
    audit.look(&chrome, "102-disk-missing").await;
    chrome.open("/disks/disk/DEV2").await;
    chrome.says("Visto por última vez").await;
    audit.look(&chrome, "103-disk-missing").await;

    chrome.open("/disks").await;
    chrome.fill("days", "14").await;
    chrome.click("form[action$='/care'] button").await;
    chrome.says("Se guardó").await;
    audit.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_is_replaced_without_javascript() {
    let (daemon, data) = (Daemon::start(), Data::new(16));
    let chrome = Chrome::start(&daemon.base, "es-PE", false).await;
    pool_with_data(&chrome, &daemon, &data).await;
    std::fs::create_dir(daemon.disk(5)).unwrap();
    chrome.open("/disks/disk/DEV1").await;
    chrome.press("Reemplazar").await;
    chrome.arrives("/disks/replace").await;
    chrome.says("bahía 5").await;
    chrome.click("input[value='DEV5']").await;
    chrome.fill("confirm", "DEV5").await;
    chrome.click("form.card button").await;
    chrome.arrives("/disks/leaving").await;
    // The page comes to its end alone.
    chrome
        .says("Ya puede sacar el disco DEV1 de la bahía 1")
        .await;
}
