//! What opens the pool, changed in a browser while the daemon runs.

use super::audit::Audit;
use super::chrome::Chrome;
use super::daemon::Daemon;
use super::steps::{PASSWORD, USER, claim, create_pool};

const PHRASE: &str = "cuatro palabras y otra";

/// The words that are shown now, kept.
async fn keep_words(chrome: &Chrome) -> Vec<String> {
    chrome.arrives("/disks/words").await;
    let mut words = Vec::new();
    for n in 1..=24 {
        words.push(chrome.text(&format!(".words li:nth-child({n})")).await);
    }
    chrome.click("input[name='kept']").await;
    chrome.click("main form button").await;
    words
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_changed_and_a_lost_one_is_replaced_by_words() {
    let mut daemon = Daemon::start();
    let chrome = Chrome::start(&daemon.base, "es-PE", true).await;
    let mut audit = Audit::default();
    claim(&chrome, &daemon).await;
    let first = create_pool(&chrome).await;
    assert_eq!(keep_words(&chrome).await, first);
    // Leaving before the answer would take the click back.
    chrome.arrives("/").await;
    chrome.open("/disks").await;
    chrome.press("Claves").await;
    chrome.arrives("/disks/keys").await;
    chrome.says("una clave guardada en su propio disco").await;
    audit.look(&chrome, "70-keys").await;

    // A passphrase: typed twice, long enough.
    let add = async |phrase: &str, again: &str| {
        chrome.fill("label", "oficial").await;
        chrome.fill("passphrase", phrase).await;
        chrome.fill("again", again).await;
        chrome.click("form[action$='/passphrase'] button").await;
    };
    add(PHRASE, "otra distinta de esa").await;
    chrome.says("Las dos frases no son iguales").await;
    add("corta", "corta").await;
    chrome.says("at least 12").await;
    assert_eq!(chrome.count("form[action$='/remove']").await, 0);
    add(PHRASE, PHRASE).await;
    chrome.says("La frase ya abre el almacén").await;
    chrome.says("oficial").await;
    audit.look(&chrome, "71-keys-passphrase").await;

    // Words are renewed, shown once, and kept.
    chrome
        .click("form[action$='/keys/words'] input[name='sure']")
        .await;
    chrome.click("form[action$='/keys/words'] button").await;
    let second = keep_words(&chrome).await;
    assert_ne!(second, first);
    chrome.arrives("/disks/keys").await;
    chrome.says("son ahora las únicas válidas").await;

    // The box lost its key: words that are old do not help, the phrase does.
    daemon.lose_key();
    chrome.open("/login").await;
    chrome.fill("user", USER).await;
    chrome.fill("password", PASSWORD).await;
    chrome.click("main form button").await;
    chrome.arrives("/").await;
    chrome.open("/disks").await;
    chrome.press("Buscar discos").await;
    chrome.press("Abrir con la frase o las palabras").await;
    chrome.arrives("/disks/keys").await;
    chrome.says("El almacén no se abrió solo").await;
    audit.look_at_refused(&chrome, "72-keys-closed").await;
    chrome.fill("words", &first.join(" ")).await;
    chrome.click("form:has([name='words']) button").await;
    chrome.says("newest one of this box").await;
    chrome.fill("passphrase", PHRASE).await;
    chrome.click("form:has([name='passphrase']) button").await;
    chrome.says("El almacén está abierto").await;

    // The key changes; the passphrase goes with it.
    chrome
        .click("form[action$='/change'] input[name='sure']")
        .await;
    chrome.click("form[action$='/change'] button").await;
    assert_ne!(keep_words(&chrome).await, second);
    chrome.arrives("/disks/keys").await;
    assert_eq!(chrome.count("form[action$='/remove']").await, 0);

    // And one is added and removed.
    add(PHRASE, PHRASE).await;
    chrome.says("La frase ya abre el almacén").await;
    chrome.click("form[action$='/remove'] button").await;
    chrome.says("ya no abre el almacén").await;
    assert_eq!(chrome.count("form[action$='/remove']").await, 0);
    chrome.open("/language/en?next=/disks/keys").await;
    chrome.says("What opens the pool").await;
    audit.look(&chrome, "73-keys-english").await;
    audit.finish();
}
