//! The recovery page: the words on paper, with what a person needs to know
//! beside them. One HTML file without anything from outside, made to be printed.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use maud::{DOCTYPE, PreEscaped, html};
use zeroize::Zeroizing;

use crate::engine::storage::Storage;
use crate::engine::{Error, Kind, RecoveryKey, Repository, Result};

const STYLE: &str = "
@page { size: A4; margin: 18mm }
body { font: 12pt/1.45 'DejaVu Sans', Arial, sans-serif; color: #000; background: #fff; max-width: 46em; margin: 2em auto; padding: 0 1em }
h1 { font-size: 18pt; margin: 0 }
h2 { font-size: 12pt; margin: 1.2em 0 .3em }
.en { color: #333; font-style: italic }
.mono { font-family: 'DejaVu Sans Mono', monospace }
ol { list-style: none; display: grid; grid-template-columns: repeat(4, 1fr); gap: 2.5mm; padding: 0; margin: 1em 0 }
li { border: 1px solid #000; padding: 2mm; font-weight: 600; break-inside: avoid; overflow-wrap: anywhere }
li b { font-weight: 400 }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2em 1em } dd { margin: 0 }
.line { border-bottom: 1px solid #000; display: inline-block; min-width: 14em }
@media print { body { margin: 0; max-width: none; padding: 0 } }
";

/// What to do with the page, in Spanish and English.
const RULES: [(&str, &str); 5] = [
    (
        "Estas 24 palabras abren todo lo guardado en este repositorio, aunque se pierda el equipo. Quien las tenga puede leerlo todo.",
        "These 24 words open everything kept in this repository, even if the box is lost. Whoever has them can read it all.",
    ),
    (
        "Imprima o copie a mano dos ejemplares y guárdelos en sobres cerrados, en dos lugares seguros y distintos. No la fotografíe ni la deje en una computadora: borre este archivo después de imprimirlo.",
        "Print or copy two of these by hand and keep them in closed envelopes in two safe places. Do not photograph it or leave it on a computer: delete this file after printing.",
    ),
    (
        "Para saber si esta hoja es la vigente, compare el código de control con el que muestra \"colca key show\". No hace falta escribir las palabras.",
        "To tell whether this page is the valid one, compare the page check with what \"colca key show\" prints. The words need not be typed.",
    ),
    (
        "Después de un cambio de clave o de palabras vale solo la hoja nueva. Guarde la anterior junto con las copias antiguas que aún la necesiten, o destrúyala.",
        "After a change of key or words only the new page is valid. Keep the old one with old copies that still need it, or destroy it.",
    ),
    (
        "Para abrir el repositorio en otra máquina: \"colca pool open DISCO...\" y escriba las palabras en orden; las mayúsculas y las tildes no importan.",
        "To open the repository on another machine: \"colca pool open DISK...\" and type the words in order; capitals and accents do not matter.",
    ),
];

/// The page as HTML.
fn html(repository: &str, epoch: u32, key: &RecoveryKey) -> Zeroizing<String> {
    let words = key.words();
    let page = html! {
        (DOCTYPE)
        html lang="es" {
            head {
                meta charset="utf-8";
                title { "Colca: palabras de recuperación · recovery words" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Palabras de recuperación " span.en lang="en" { "· Recovery words" } }
                dl {
                    dt { "Repositorio " span.en lang="en" { "· Repository" } } dd.mono { (repository) }
                    dt { "Época de clave " span.en lang="en" { "· Key epoch" } } dd.mono { (epoch) }
                    dt { "Código de control " span.en lang="en" { "· Page check" } } dd.mono { (key.page_check()) }
                }
                ol translate="no" {
                    @for (i, word) in words.iter().enumerate() { li { b { (i + 1) ". " } (word) } }
                }
                h2 { "Qué hacer con esta hoja " span.en lang="en" { "· What to do with this page" } }
                @for (es, en) in RULES { p { (es) br; span.en lang="en" { (en) } } }
                p { "Lugar y fecha " span.en lang="en" { "· Place and date" } " " span.line {} }
                p { "Recibido por " span.en lang="en" { "· Received by" } " " span.line {} }
            }
        }
    };
    Zeroizing::new(page.into_string())
}

/// Refuses a place that is taken, before anything is changed.
pub(crate) fn require_free(file: Option<&Path>) -> Result<()> {
    match file.filter(|path| path.exists()) {
        None => Ok(()),
        Some(path) => Err(Error::new(
            Kind::Refused,
            format!("{} exists; name a new file for the page", path.display()),
        )),
    }
}

/// Writes the page to a new file that only its owner may read, if one is named.
pub(crate) fn save(storage: &dyn Storage, key: &RecoveryKey, file: Option<&Path>) -> Result<()> {
    let Some(path) = file else { return Ok(()) };
    let keys = Repository::key_slots(storage)?;
    let page = html(&keys.repository, keys.epoch, key);
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(page.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|e| Error::io(format!("writing the page {}", path.display()), e))?;
    eprintln!(
        "The page is in {}. Print it, then delete the file: it opens everything.",
        path.display()
    );
    Ok(())
}

/// The words on a terminal, four in a row, and the page check.
pub(crate) fn print(key: &RecoveryKey) {
    for (row, chunk) in key.words().chunks(4).enumerate() {
        let cells = chunk
            .iter()
            .enumerate()
            .map(|(i, word)| format!("{:>2} {word:<12}", row * 4 + i + 1));
        println!("  {}", cells.collect::<Vec<_>>().join(" ").trim_end());
    }
    println!();
    println!("  Page check: {}", key.page_check());
}
