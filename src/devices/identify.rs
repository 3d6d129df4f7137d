//! Showing a person which disk is meant: by the light of its bay, else by
//! reading from it in bursts, so that its activity light blinks evenly.
//!
//! It ends by itself. A light that a crash left on is turned off when the
//! helper starts again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Sign;
use super::bay::Kernel;
use crate::engine::{Error, Result};

/// How long a disk shows itself; shorter than the helper stays without work.
pub(super) const SHOWN: Duration = Duration::from_secs(60);
/// Reading and resting take turns, each so long.
const BURST: Duration = Duration::from_millis(700);
const PIECE: usize = 1 << 20;
/// Direct reading wants memory at such an address.
const ALIGNED: usize = 4096;

/// Disks that show themselves, by kernel name, and until when.
#[derive(Clone, Default)]
pub(super) struct Signs(Arc<Mutex<BTreeMap<String, Instant>>>);

impl Signs {
    fn now(&self) -> MutexGuard<'_, BTreeMap<String, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a disk show itself for `time` from now on.
    pub fn begin(&self, kernel: &Kernel, name: &str, path: &str, time: Duration) -> Result<Sign> {
        let light = kernel.light(name);
        let sign = match light {
            Some(_) => Sign::Light,
            None => Sign::Activity,
        };
        let until = Instant::now() + time;
        // Who asks again only prolongs it.
        if self.now().insert(name.to_owned(), until).is_some() {
            return Ok(sign);
        }
        let (signs, name, path) = (self.clone(), name.to_owned(), PathBuf::from(path));
        let show = move || {
            let shown = match &light {
                Some(file) => signs.shine(&name, file),
                None => signs.read(&name, &path),
            };
            signs.now().remove(&name);
            if let Err(e) = shown {
                tracing::warn!(disk = name, error = %e, "it cannot be shown");
            }
        };
        std::thread::Builder::new()
            .name("identify".into())
            .spawn(show)
            .map_err(|e| Error::io("starting a thread to show the disk", e))?;
        Ok(sign)
    }

    fn lasts(&self, name: &str) -> bool {
        self.now().get(name).is_some_and(|t| Instant::now() < *t)
    }

    fn shine(&self, name: &str, light: &Path) -> io::Result<()> {
        std::fs::write(light, "1")?;
        while self.lasts(name) {
            std::thread::sleep(Duration::from_millis(200));
        }
        std::fs::write(light, "0")
    }

    fn read(&self, name: &str, path: &Path) -> io::Result<()> {
        // Past the cache, or the disk would have nothing to do.
        let disk = File::options()
            .read(true)
            .custom_flags(nix::libc::O_DIRECT | nix::libc::O_CLOEXEC)
            .open(path)?;
        let mut room = vec![0; PIECE + ALIGNED];
        let start = room.as_ptr().align_offset(ALIGNED);
        let piece = room
            .get_mut(start..start + PIECE)
            .ok_or_else(|| io::Error::other("memory cannot be aligned"))?;
        let mut at = 0;
        while self.lasts(name) {
            let began = Instant::now();
            while began.elapsed() < BURST && self.lasts(name) {
                at = match disk.read_at(piece, at)? {
                    PIECE => at + PIECE as u64,
                    // The end.
                    _ => 0,
                };
            }
            std::thread::sleep(BURST);
        }
        Ok(())
    }
}

/// Turns off every light that is on.
pub(super) fn dark(kernel: &Kernel) {
    for light in kernel.lights() {
        let on = std::fs::read_to_string(&light).is_ok_and(|state| state.trim() != "0");
        if on && let Err(e) = std::fs::write(&light, "0") {
            tracing::warn!(light = %light.display(), error = %e, "it cannot be turned off");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::bay::tests::machine;
    use super::*;

    #[test]
    fn a_light_goes_on_and_off_again_by_itself() {
        let (_dir, kernel) = machine();
        let signs = Signs::default();
        let light = kernel.light("sda").unwrap();
        let state = || std::fs::read_to_string(&light).unwrap().trim().to_owned();
        let begin = |millis| {
            let time = Duration::from_millis(millis);
            signs.begin(&kernel, "sda", "/dev/null", time).unwrap()
        };
        assert_eq!(begin(500), Sign::Light);
        let until = |wanted: &str| {
            let began = Instant::now();
            while state() != wanted {
                assert!(began.elapsed() < Duration::from_secs(5), "never {wanted}");
                std::thread::sleep(Duration::from_millis(10));
            }
            began.elapsed()
        };
        until("1");
        // Asked again, it stays on for longer.
        assert_eq!(begin(1500), Sign::Light);
        assert!(until("0") > Duration::from_millis(1000));
        assert!(signs.now().is_empty());
    }

    #[test]
    fn a_light_that_a_crash_left_on_is_turned_off() {
        let (_dir, kernel) = machine();
        let lights = kernel.lights();
        std::fs::write(&lights[1], "1\n").unwrap();
        dark(&kernel);
        for light in lights {
            assert_eq!(std::fs::read_to_string(light).unwrap().trim(), "0");
        }
    }
}
